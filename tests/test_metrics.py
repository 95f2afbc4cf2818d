"""The indices, held to the libraries that define them."""

import warnings

import numpy as np
import pytest
from s_dbw import S_Dbw
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from tables import random_table

from clustering import metrics


def by_the_libraries(X: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics that are defined, each called plainly."""
    kept = labels != -1
    records, members = X[kept], labels[kept]
    clusters = len(np.unique(members))
    found = {"n_clusters": float(clusters), "n_clustered_records": float(len(members))}
    if 2 <= clusters < len(members):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found |= {
                "silhouette": oracle.silhouette_score(records, members),
                "calinski-harabasz": oracle.calinski_harabasz_score(records, members),
                "davies-bouldin": oracle.davies_bouldin_score(records, members),
                "s-dbw": S_Dbw(X, labels, alg_noise="filter"),
            }
    return found


def require_the_libraries_numbers(X: np.ndarray, labelings: list[np.ndarray]) -> None:
    for labels, found in zip(labelings, metrics.evaluate(X, labelings), strict=True):
        expected = by_the_libraries(X, labels)
        assert found.metrics == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)
        assert bool(found.reason) == ("silhouette" not in expected)
        assert found.estimated == ""


@pytest.mark.parametrize("seed", range(200))
def test_the_indices_of_any_labels_equal_the_libraries(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, d = int(random.integers(4, 80)), int(random.integers(1, 6))
    X = np.round(random.normal(size=(n, d)), int(random.integers(0, 6)))
    require_the_libraries_numbers(X, [random.integers(-1, random.integers(1, 12), n) for _ in range(3)])


@pytest.mark.parametrize("seed", range(150))
def test_the_indices_of_what_dbscan_found_equal_the_libraries(seed: int) -> None:
    X, eps_values, min_samples = random_table(seed)
    require_the_libraries_numbers(X, [DBSCAN(eps=eps, min_samples=min_samples).fit_predict(X) for eps in eps_values])


@pytest.mark.parametrize(("n", "spread"), [(1_200, 1.0), (3_000, 0.4)])
def test_the_indices_equal_the_libraries_where_the_clusterings_share_the_work(n: int, spread: float) -> None:
    X, _ = make_blobs(n, 3, centers=7, cluster_std=spread, random_state=2)
    labelings = [DBSCAN(eps=eps, min_samples=4).fit_predict(X) for eps in (0.25 * spread, 0.4 * spread, 0.8 * spread)]
    require_the_libraries_numbers(X, labelings)


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
        [found] = metrics.evaluate(np.arange(6.0).reshape(3, 2), [np.array(labels)])
    assert found.reason.startswith(reason)
    assert found.metrics == {
        "n_clusters": len(set(labels) - {-1}),
        "n_clustered_records": sum(label != -1 for label in labels),
    }


@pytest.fixture
def blobs() -> tuple[np.ndarray, list[np.ndarray]]:
    X, labels = make_blobs(4_000, 3, centers=5, cluster_std=1.5, random_state=0)
    half = np.where(np.arange(4_000) % 2, labels, -1)
    few = np.where(np.arange(4_000) % 20, -1, labels)
    return X, [labels, half, few]


def test_where_records_are_too_many_the_silhouette_is_estimated_and_says_so(
    blobs: tuple[np.ndarray, list[np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, labelings = blobs
    exact = metrics.evaluate(X, labelings)
    monkeypatch.setattr(metrics, "MOST_COMPARISONS", 1_500_000)
    monkeypatch.setattr(metrics, "SMALLEST_SAMPLE", 100)
    found = metrics.evaluate(X, labelings, seed=3)
    sizes = {0: (375, 4000), 1: (750, 2000)}
    for index, (sample, size) in sizes.items():
        assert found[index].estimated == f"silhouette: the mean of {sample} of {size} clustered records (seed 3)"
        assert found[index].metrics["silhouette"] != exact[index].metrics["silhouette"]
        assert found[index].metrics["silhouette"] == pytest.approx(exact[index].metrics["silhouette"], abs=0.05)
    assert found[2] == exact[2], "what can be compared is compared"
    assert metrics.evaluate(X, labelings, seed=3) == found
    assert metrics.evaluate(X, labelings, seed=4)[0] != found[0]
    others = {name: value for name, value in exact[0].metrics.items() if name != "silhouette"}
    assert {name: found[0].metrics[name] for name in others} == others
