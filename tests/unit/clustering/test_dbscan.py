"""DBSCAN for many values of eps gives scikit-learn's labels and core samples in every odd case."""

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from tables import random_table

from penguins.clustering.dbscan import Clustering, _sklearn_dbscan, dbscan
from penguins.clustering.sphere import EARTH_RADIUS_KM


def require_sklearn_labels(X: np.ndarray, eps_values: list[float], min_samples: int, case: object = "") -> None:
    for eps, clustering in zip(eps_values, dbscan(X, eps_values, min_samples), strict=True):
        expected = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
        assert np.array_equal(clustering.labels, expected.labels_), (case, eps)
        assert np.array_equal(clustering.core, expected.core_sample_indices_), (case, eps)


@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(0, 250, 50)], ids=str)
def test_labels_and_core_samples_equal_those_of_scikit_learn(seeds: range) -> None:
    for seed in seeds:
        X, eps_values, min_samples = random_table(seed)
        require_sklearn_labels(X, eps_values, min_samples, f"seed {seed}")


@pytest.mark.parametrize("min_samples", [1, 3, 10, 40])
@pytest.mark.parametrize(("spread", "features"), [(1.0, 4), (0.3, 2), (2.0, 8)])
def test_labels_equal_those_of_scikit_learn_across_many_blocks(spread: float, features: int, min_samples: int) -> None:
    X, _ = make_blobs(5_000, features, centers=9, cluster_std=spread, random_state=1)
    require_sklearn_labels(X, [0.1 * spread, 0.3 * spread, 0.6 * spread, 1.2 * spread], min_samples)


def test_blocks_connect_clusters_that_no_nearest_neighbours_connect() -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(0, 0.01, (400, 2)), random.normal([0.5, 0], 0.01, (400, 2))
    X = random.permutation(np.vstack([left, right]))
    require_sklearn_labels(X, [0.05, 0.3, 0.49, 0.6], 3)
    assert [clustering.labels.max() for clustering in dbscan(X, [0.3, 0.6], 3)] == [1, 0]


@pytest.mark.parametrize("min_samples", [1, 30, 31, 2**31 - 1])
@pytest.mark.parametrize("copies", [1, 3])
def test_extreme_parameters_give_the_labels_of_scikit_learn(min_samples: int, copies: int) -> None:
    X = np.tile(np.random.default_rng(0).normal(size=(30 // copies, 2)), (copies, 1))
    require_sklearn_labels(X, [1e-200, 1e-9, 0.3, 1e9, 1e200], min_samples)


@pytest.mark.parametrize("most_in_matrix", [0, 100])
def test_an_eps_whose_square_overflows_connects_all_records(monkeypatch: pytest.MonkeyPatch, most_in_matrix: int) -> None:
    monkeypatch.setattr("penguins.clustering.dbscan.MOST_RECORDS_IN_MATRIX", most_in_matrix)
    X = np.random.default_rng(0).normal(size=(30, 2))
    require_sklearn_labels(X, [1e200], 3)
    require_sklearn_labels(X, [1e180, 1e200], 3)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
@pytest.mark.parametrize("features", [3, 20])
def test_records_whose_squared_distances_overflow_get_the_labels_of_scikit_learn(features: int) -> None:
    random = np.random.default_rng(0)
    near, far = random.normal(size=(20, features)), random.normal(size=(20, features)) + 1e160
    X = random.permutation(np.vstack([near, far]))
    require_sklearn_labels(X, [0.5, 2.0, 1e9], 3)
    require_sklearn_labels(random.normal(size=(30, features)) * 1e170, [1.0, 1e3], 1)


@pytest.mark.parametrize("features", [4, 20])
def test_integers_and_single_precision_get_the_labels_of_scikit_learn(features: int) -> None:
    random = np.random.default_rng(0)
    require_sklearn_labels(random.integers(0, 5, (40, features)), [1.0, 4.0, 6.0], 3)
    X = (random.normal(size=(300, features)) + 100).astype(np.float32)
    distances = np.sort(np.linalg.norm(X[:, None].astype(float) - X, axis=-1), axis=1)
    require_sklearn_labels(X, sorted((distances[::6, 2] * (1 + 1e-7)).tolist()), 3)


@pytest.mark.parametrize("step", [0.1, 0.3, 1.0])
def test_a_lattice_whose_step_is_eps_gets_the_labels_of_scikit_learn(step: float) -> None:
    X = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) * step
    X = X[np.random.default_rng(0).permutation(len(X))]
    require_sklearn_labels(X, [step, step * np.sqrt(2), 2 * step], 4)


def test_scikit_learn_decides_only_the_values_of_eps_that_tie_with_a_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.arange(30)[:, None] * 0.1
    for most_in_matrix in (0, 100):
        delegated = list[float]()

        def record_call(X: np.ndarray, eps: float, *others: Any, calls: list[float] = delegated) -> Clustering:
            calls.append(eps)
            return _sklearn_dbscan(X, eps, *others)

        monkeypatch.setattr("penguins.clustering.dbscan._sklearn_dbscan", record_call)
        monkeypatch.setattr("penguins.clustering.dbscan.MOST_RECORDS_IN_MATRIX", most_in_matrix)
        dbscan(X, [0.05, 0.1, 0.15], 2)
        assert delegated == [0.1]


@pytest.mark.parametrize("n", [1, 2, 5, 11, 12, 60])
@pytest.mark.parametrize("features", [1, 4, 16, 30])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_few_records_and_many_columns_get_the_labels_of_scikit_learn(n: int, features: int, offset: float) -> None:
    random = np.random.default_rng(n)
    X = random.normal(size=(n, features)) + offset
    X[n // 2] = X[0]
    lattice = random.integers(0, 3, (n, features)) + offset
    eps_values = [1e-9, 0.5, 1.0, np.sqrt(2), float(np.sqrt(features)), 2.5 * float(np.sqrt(features)), 1e3]
    for records in (X, lattice):
        for min_samples in (1, 2, 3, 7, n + 1):
            require_sklearn_labels(records, sorted(eps_values), min_samples, (n, features, offset))


def test_a_group_in_the_matrix_and_one_in_blocks_have_the_same_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = make_blobs(700, 3, centers=6, cluster_std=0.7, random_state=5)
    eps_values = np.geomspace(0.1, 5, 40).tolist()
    for min_samples in (2, 5, 30):
        of_matrix = dbscan(X, eps_values, min_samples)
        with monkeypatch.context() as patch:
            patch.setattr("penguins.clustering.dbscan.MOST_RECORDS_IN_MATRIX", 0)
            of_blocks = dbscan(X, eps_values, min_samples)
        for one, other in zip(of_matrix, of_blocks, strict=True):
            assert np.array_equal(one.labels, other.labels)
            assert np.array_equal(one.core, other.core)


def degrees_around(seed: int, n: int) -> np.ndarray:
    """Return towns at the 180th meridian, at a pole and in between, some records twice, in degrees."""
    random = np.random.default_rng(seed)
    centers = np.array([[-17.8, 180.0], [89.9, 10.0], [89.9, -170.0], [0.0, 0.0], [52.5, 13.4]])
    degrees = centers[random.integers(0, 5, n)] + random.normal(0, 0.2, (n, 2)) * [0.3, 1.0]
    degrees[n // 2 :: 7] = degrees[0]
    return np.column_stack([np.clip(degrees[:, 0], -90, 90), (degrees[:, 1] + 180) % 360 - 180])


@pytest.mark.parametrize("n", [3, 30, 400])
@pytest.mark.parametrize("most_in_matrix", [0, 10_000])
def test_haversine_gives_the_labels_of_scikit_learn_at_the_meridian_and_the_poles(
    monkeypatch: pytest.MonkeyPatch, n: int, most_in_matrix: int
) -> None:
    monkeypatch.setattr("penguins.clustering.dbscan.MOST_RECORDS_IN_MATRIX", most_in_matrix)
    for seed in range(5):
        degrees = degrees_around(seed, n)
        eps_values = [1e-6, 1.0, 10.0, 40.0, 500.0, 8_000.0, 20_016.0, 50_000.0]
        for eps, found in zip(eps_values, dbscan(degrees, eps_values, 3, "haversine"), strict=True):
            model = DBSCAN(eps=eps / EARTH_RADIUS_KM, min_samples=3, metric="haversine", algorithm="ball_tree")
            expected = model.fit(np.radians(degrees))
            assert np.array_equal(found.labels, expected.labels_), (seed, eps)
            assert np.array_equal(found.core, expected.core_sample_indices_)


def test_a_distance_of_exactly_eps_on_the_sphere_is_left_to_scikit_learn() -> None:
    degrees = np.column_stack([np.zeros(20), np.arange(20.0)])
    one_degree = EARTH_RADIUS_KM * np.pi / 180
    for found, eps in zip(dbscan(degrees, [one_degree], 2, "haversine"), [one_degree], strict=True):
        model = DBSCAN(eps=eps / EARTH_RADIUS_KM, min_samples=2, metric="haversine", algorithm="ball_tree")
        assert np.array_equal(found.labels, model.fit_predict(np.radians(degrees)))
