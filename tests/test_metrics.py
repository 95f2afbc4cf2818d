"""The indices, held to the libraries that define them."""

import warnings

import numpy as np
import pytest
from s_dbw import S_Dbw
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN

from clustering import metrics


@pytest.mark.parametrize("seed", range(200))
def test_the_indices_equal_the_libraries_over_the_records_that_are_not_noise(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, d = int(random.integers(4, 80)), int(random.integers(1, 6))
    X = np.round(random.normal(size=(n, d)), int(random.integers(0, 6)))
    labels = random.integers(-1, random.integers(1, 12), n)
    kept = labels != -1
    found = metrics.evaluate(X, labels)
    clusters = len(np.unique(labels[kept]))
    assert found.metrics["n_clusters"] == clusters
    assert found.metrics["n_clustered_records"] == kept.sum()
    if not 2 <= clusters < kept.sum():
        assert found.reason
        assert set(found.metrics) == {"n_clusters", "n_clustered_records"}
        return
    expected = {
        "silhouette": oracle.silhouette_score(X[kept], labels[kept]),
        "calinski-harabasz": oracle.calinski_harabasz_score(X[kept], labels[kept]),
        "davies-bouldin": oracle.davies_bouldin_score(X[kept], labels[kept]),
        "s-dbw": S_Dbw(X, labels, alg_noise="filter"),
    }
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found.reason == ""


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.3, 0.6])
def test_s_dbw_equals_the_package_on_clusters_that_dbscan_found(eps: float) -> None:
    random = np.random.default_rng(1)
    X = np.concatenate([random.normal(center, 0.3, (60, 3)) for center in (0, 2, 5)])
    labels = DBSCAN(eps=eps, min_samples=1).fit_predict(X)
    if len(set(labels)) < len(labels):
        assert metrics.s_dbw(X, labels) == pytest.approx(S_Dbw(X, labels, alg_noise="filter"), rel=1e-9)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([-1, -1, -1], "every record is noise"),
        ([0, 0, -1], "one cluster"),
        ([0, 1, 2], "as many clusters as clustered records"),
        ([0, 1, -1], "as many clusters as clustered records"),
    ],
)
def test_an_undefined_index_is_left_out_with_the_reason(labels: list[int], reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metrics.evaluate(np.arange(6.0).reshape(3, 2), np.array(labels))
    assert found.reason.startswith(reason)
    assert found.metrics == {
        "n_clusters": len(set(labels) - {-1}),
        "n_clustered_records": sum(label != -1 for label in labels),
    }
