"""DBSCAN for many values of eps gives scikit-learn's labels and core samples in every odd case."""

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from tables import random_table

from penguins.clustering.dbscan import Clustering, TieError, _Points, _sklearn_dbscan, dbscan


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


@pytest.mark.parametrize("step", [0.1, 0.3, 1.0])
def test_a_lattice_whose_step_is_eps_gets_the_labels_of_scikit_learn(step: float) -> None:
    X = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) * step
    X = X[np.random.default_rng(0).permutation(len(X))]
    require_sklearn_labels(X, [step, step * np.sqrt(2), 2 * step], 4)


def test_scikit_learn_decides_only_the_values_of_eps_that_tie_with_a_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.arange(30)[:, None] * 0.1
    with pytest.raises(TieError):
        _Points(X, min_samples=2).is_core(0.1)
    delegated = []

    def record_call(X: np.ndarray, eps: float, min_samples: int) -> Clustering:
        delegated.append(eps)
        return _sklearn_dbscan(X, eps, min_samples)

    monkeypatch.setattr("penguins.clustering.dbscan._sklearn_dbscan", record_call)
    dbscan(X, [0.05, 0.1, 0.15], 2)
    assert delegated == [0.1]
