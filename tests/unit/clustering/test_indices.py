"""The indices equal those of the libraries that define them, and an undefined index is left out with its reason."""

import warnings

import numpy as np
import pytest
from s_dbw import S_Dbw
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from tables import random_table

from penguins.clustering.dbcv import TOO_FEW_CLUSTERS, dbcv
from penguins.clustering.indices import METRICS, Evaluation, evaluate
from penguins.clustering.sphere import EARTH_RADIUS_KM, unit_vectors


def library_metrics(X: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the metrics that are defined, each from a plain call of its library."""
    records, members = X[labels != -1], labels[labels != -1]
    n_clusters = len(np.unique(members))
    metrics = {"n_clusters": float(n_clusters), "n_clustered_records": float(len(members))}
    if 2 <= n_clusters < len(members):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metrics |= {
                "silhouette": silhouette_score(records, members),
                "calinski-harabasz": calinski_harabasz_score(records, members),
                "davies-bouldin": davies_bouldin_score(records, members),
                "s-dbw": S_Dbw(X, labels, alg_noise="filter"),
            }
    return metrics


def require_library_metrics(X: np.ndarray, labelings: list[np.ndarray], case: object = "") -> None:
    expected_metrics = {labels.tobytes(): library_metrics(X, labels) for labels in np.unique(labelings, axis=0)}
    for labels, evaluation in zip(labelings, evaluate(X, labelings), strict=True):
        expected = expected_metrics[labels.tobytes()]
        found = dict(evaluation.metrics)
        assert ("dbcv" in found) == (not evaluation.reason), case
        found.pop("dbcv", None)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), case
        assert ("silhouette" in expected) == (evaluation.reason in ("", TOO_FEW_CLUSTERS)), case
        assert evaluation.estimated == "", case


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 150, 50)], ids=str)
def test_the_indices_of_random_labels_equal_those_of_the_libraries(seeds: range) -> None:
    for seed in seeds:
        random = np.random.default_rng(seed)
        n, d = int(random.integers(4, 80)), int(random.integers(1, 6))
        X = np.round(random.normal(size=(n, d)), int(random.integers(0, 6)))
        require_library_metrics(X, [random.integers(-1, random.integers(1, 12), n) for _ in range(3)], f"seed {seed}")


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(0, 150, 25)], ids=str)
def test_the_indices_of_dbscan_clusterings_equal_those_of_the_libraries(seeds: range) -> None:
    for seed in seeds:
        X, eps_values, min_samples = random_table(seed)
        labelings = [DBSCAN(eps=eps, min_samples=min_samples).fit_predict(X) for eps in eps_values[seed % 2 :: 2]]
        require_library_metrics(X, labelings, f"seed {seed}")


@pytest.mark.parametrize(("n", "spread"), [(1_200, 1.0), (3_000, 0.4)])
def test_the_indices_of_clusterings_that_share_sums_equal_those_of_the_libraries(n: int, spread: float) -> None:
    X, _ = make_blobs(n, 3, centers=7, cluster_std=spread, random_state=2)
    labelings = [DBSCAN(eps=eps, min_samples=4).fit_predict(X) for eps in (0.25 * spread, 0.4 * spread, 0.8 * spread)]
    require_library_metrics(X, labelings)


@pytest.mark.parametrize("numbers", [1, 40, 1_000])
def test_the_indices_in_small_batches_equal_those_of_the_libraries(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("indices.NUMBERS_IN_MEMORY", "s_dbw.NUMBERS_IN_MEMORY", "silhouette.SUMS_IN_MEMORY"):
        monkeypatch.setattr(f"penguins.clustering.{name}", numbers)
    for seed in range(10):
        random = np.random.default_rng(seed)
        X = random.normal(size=(60, int(random.integers(1, 5))))
        require_library_metrics(X, [random.integers(-1, n, 60) for n in (2, 7, 30)], f"seed {seed}")


def test_many_clusterings_together_have_the_indices_of_each_alone() -> None:
    for seed in range(20):
        X, eps_values, min_samples = random_table(seed)
        labelings = [DBSCAN(eps=eps, min_samples=min_samples).fit_predict(X) for eps in eps_values]
        for labels, evaluation in zip(labelings, evaluate(X, labelings), strict=True):
            [alone] = evaluate(X, [labels])
            assert evaluation.reason == alone.reason
            assert evaluation.metrics == pytest.approx(alone.metrics, rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([-1, -1, -1], "every record is noise"),
        ([0, 0, -1], "one cluster"),
        ([0, 1, 2], "as many clusters as clustered records"),
        ([0, 1, -1], "as many clusters as clustered records"),
    ],
)
def test_an_undefined_index_is_left_out_with_its_reason(labels: list[int], reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [evaluation] = evaluate(np.arange(6.0).reshape(3, 2), [np.array(labels)])
    assert evaluation.reason.startswith(reason)
    assert evaluation.metrics == {
        "n_clusters": len(set(labels) - {-1}),
        "n_clustered_records": sum(label != -1 for label in labels),
    }


def test_all_metrics_come_in_the_order_of_their_names() -> None:
    [evaluation] = evaluate(np.array([[0.0], [1.0], [5.0], [6.0]]), [np.array([0, 0, 1, 1])])
    assert tuple(evaluation.metrics) == METRICS
    assert evaluation == Evaluation(evaluation.metrics, reason="", estimated="")


def test_the_silhouette_of_too_many_records_is_an_estimate_and_described_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels = make_blobs(4_000, 3, centers=5, cluster_std=1.5, random_state=0)
    half, few = np.where(np.arange(4_000) % 2, labels, -1), np.where(np.arange(4_000) % 20, -1, labels)
    labelings = [labels, half, few]
    exact = evaluate(X, labelings)
    monkeypatch.setattr("penguins.clustering.indices.MOST_COMPARISONS", 1_500_000)
    monkeypatch.setattr("penguins.clustering.indices.SMALLEST_SAMPLE", 100)
    evaluations = evaluate(X, labelings, seed=3)
    for index, (sample, size) in {0: (375, 4000), 1: (750, 2000)}.items():
        silhouette, expected = evaluations[index].metrics["silhouette"], exact[index].metrics["silhouette"]
        assert evaluations[index].estimated == f"silhouette: the mean of {sample} of {size} clustered records (seed 3)"
        assert silhouette != expected
        assert silhouette == pytest.approx(expected, abs=0.05)
    assert evaluations[2] == exact[2], "few enough records are all compared"
    assert evaluate(X, labelings, seed=3) == evaluations
    assert evaluate(X, labelings, seed=4)[0] != evaluations[0]
    assert evaluations[0].metrics | {"silhouette": 0} == exact[0].metrics | {"silhouette": 0}


def test_the_density_index_is_that_of_its_own_module_and_its_estimate_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    X, labels = make_blobs(900, 3, centers=5, cluster_std=1.5, random_state=0)
    [expected] = dbcv(X, [labels])
    assert evaluate(X, [labels])[0].metrics["dbcv"] == expected.value
    monkeypatch.setattr("penguins.clustering.dbcv.MOST_RECORDS", 300)
    [estimated] = evaluate(X, [labels], seed=5)
    assert estimated.estimated == "dbcv: on 300 of 900 records (seed 5)"


@pytest.mark.parametrize("n", [60, 1_500])
def test_haversine_indices_are_those_of_great_circle_distances_and_of_points_in_space(n: int) -> None:
    random = np.random.default_rng(0)
    towns = np.array([[-17.8, 179.9], [60.0, 10.0], [61.0, 10.5]])
    labels = np.arange(n) % 3
    degrees = towns[labels] + random.normal(0, 0.2, (n, 2))
    degrees[:, 1] = (degrees[:, 1] + 180) % 360 - 180
    degrees[3::12] = degrees[0]  # records that coincide
    noisy = np.where(np.arange(n) % 7, labels, -1)
    for one, evaluation in zip((labels, noisy), evaluate(degrees, [labels, noisy], metric="haversine"), strict=True):
        kept, points = one >= 0, EARTH_RADIUS_KM * unit_vectors(degrees)
        expected = {
            "silhouette": silhouette_score(np.radians(degrees[kept]), one[kept], metric="haversine"),
            "calinski-harabasz": calinski_harabasz_score(points[kept], one[kept]),
            "davies-bouldin": davies_bouldin_score(points[kept], one[kept]),
            "s-dbw": S_Dbw(points, one, alg_noise="filter"),
            "dbcv": dbcv(degrees, [one], metric="haversine")[0].value,
        }
        found = {name: evaluation.metrics[name] for name in expected}
        assert found == pytest.approx(expected, rel=1e-8)
        assert found["silhouette"] == pytest.approx(expected["silhouette"], rel=1e-10)
