"""DBSCAN for many values of eps, held to scikit-learn's: the same labels, the same cores, in every odd case."""

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from tables import random_table

from clustering import density
from clustering.density import DoubtError


def require_the_labels_of_scikit_learn(X: np.ndarray, eps_values: list[float], min_samples: int) -> None:
    for eps, found in zip(eps_values, density.dbscan(X, eps_values, min_samples), strict=True):
        plain = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
        assert np.array_equal(found.labels, plain.labels_), eps
        assert np.array_equal(found.core, plain.core_sample_indices_), eps


@pytest.mark.parametrize("seed", range(300))
def test_labels_and_cores_are_those_of_scikit_learn(seed: int) -> None:
    X, eps_values, min_samples = random_table(seed)
    require_the_labels_of_scikit_learn(X, eps_values, min_samples)


@pytest.mark.parametrize("min_samples", [1, 3, 10, 40])
@pytest.mark.parametrize(("spread", "features"), [(1.0, 4), (0.3, 2), (2.0, 8)])
def test_labels_are_those_of_scikit_learn_where_blocks_are_many(spread: float, features: int, min_samples: int) -> None:
    X, _ = make_blobs(5_000, features, centers=9, cluster_std=spread, random_state=1)
    require_the_labels_of_scikit_learn(X, [0.1 * spread, 0.3 * spread, 0.6 * spread, 1.2 * spread], min_samples)


def test_clusters_that_no_nearest_neighbours_link_are_found_through_blocks() -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(0, 0.01, (400, 2)), random.normal([0.5, 0], 0.01, (400, 2))
    X = random.permutation(np.vstack([left, right]))
    require_the_labels_of_scikit_learn(X, [0.05, 0.3, 0.49, 0.6], 3)
    assert [one.labels.max() for one in density.dbscan(X, [0.3, 0.6], 3)] == [1, 0]


@pytest.mark.parametrize("min_samples", [1, 30, 31, 2**31 - 1])
@pytest.mark.parametrize("copies", [1, 3])
def test_extreme_parameters_give_the_labels_of_scikit_learn(min_samples: int, copies: int) -> None:
    X = np.tile(np.random.default_rng(0).normal(size=(30 // copies, 2)), (copies, 1))
    require_the_labels_of_scikit_learn(X, [1e-200, 1e-9, 0.3, 1e9, 1e200], min_samples)


@pytest.mark.parametrize("step", [0.1, 0.3, 1.0])
def test_a_lattice_whose_step_is_eps_is_decided_as_by_scikit_learn(step: float) -> None:
    X = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) * step
    X = X[np.random.default_rng(0).permutation(len(X))]
    require_the_labels_of_scikit_learn(X, [step, step * np.sqrt(2), 2 * step], 4)


def test_a_distance_that_rounding_decides_is_left_to_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.arange(30)[:, None] * 0.1
    places = density._Places(X, min_samples=2)
    with pytest.raises(DoubtError):
        places.core(0.1)
    asked, plain = [], density._by_scikit_learn

    def noted(X: np.ndarray, eps: float, min_samples: int) -> density.Clustering:
        asked.append(eps)
        return plain(X, eps, min_samples)

    monkeypatch.setattr(density, "_by_scikit_learn", noted)
    density.dbscan(X, [0.05, 0.1, 0.15], 2)
    assert asked == [0.1]
