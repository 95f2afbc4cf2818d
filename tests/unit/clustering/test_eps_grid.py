"""The eps values that are proposed for a group hold both ends, at every scale and for odd groups."""

import itertools

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.neighbors import NearestNeighbors

from penguins.clustering.eps_grid import propose_eps


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("centers", "features"), [(1, 2), (5, 4), (20, 2)])
@pytest.mark.parametrize("min_samples", [2, 3, 10])
def test_the_grid_runs_from_nearly_all_noise_to_nearly_one_cluster(
    scale: float, centers: int, features: int, min_samples: int
) -> None:
    X = make_blobs(600, features, centers=centers, random_state=1)[0] * scale
    values = propose_eps(X, min_samples, 40).values
    assert len(values) == 40
    first = DBSCAN(eps=values[0], min_samples=min_samples).fit_predict(X)
    last = DBSCAN(eps=values[-1], min_samples=min_samples).fit_predict(X)
    assert (first == -1).mean() >= 0.85
    assert np.bincount(last + 1)[1:].max() >= 0.99 * len(X)
    assert values == tuple(float(f"{value:.3g}") for value in values)
    ratios = np.diff(np.log(values))
    assert ratios.max() < 1.3 * ratios.min()


def test_the_distances_are_those_to_the_nearest_records_and_their_knee_lies_on_the_curve() -> None:
    X = np.vstack([make_blobs(300, 3, random_state=0)[0], np.random.default_rng(0).uniform(-30, 30, (20, 3))])
    found = propose_eps(X, 4, 10)
    distances, _ = NearestNeighbors(n_neighbors=4).fit(X).kneighbors(X)
    assert found.distances == pytest.approx(np.sort(distances[:, 3]))
    assert found.knee in found.distances
    assert np.quantile(found.distances, 0.7) < found.knee < found.distances[-1]


def test_many_records_have_a_thinned_curve() -> None:
    X = np.random.default_rng(0).normal(size=(6_000, 2))
    found = propose_eps(X, 3, 12)
    assert (len(found.distances), len(found.values)) == (1_000, 12)
    assert found == found


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_group_of_few_records_has_a_grid(n: int) -> None:
    values = propose_eps(np.arange(n, dtype=float)[:, None] ** 2, 3, 40).values
    assert all(0 < low < high for low, high in itertools.pairwise(values))
    assert values


def test_a_group_of_equal_records_has_one_value() -> None:
    found = propose_eps(np.ones((50, 2)), 3, 40)
    assert (found.values, found.knee) == ((1.0,), None)


def test_duplicates_do_not_make_eps_zero() -> None:
    X = np.repeat(np.random.default_rng(0).normal(size=(40, 2)), 5, axis=0)
    values = propose_eps(X, 3, 40).values
    assert values[0] > 0


@pytest.mark.parametrize("longitude", [0.0, 179.9])
def test_the_grid_of_latitude_and_longitude_is_in_kilometres_and_passes_the_180th_meridian(longitude: float) -> None:
    random = np.random.default_rng(0)
    towns = [random.normal([10, longitude], 0.05, (60, 2)), random.normal([11, longitude + 1], 0.05, (60, 2))]
    degrees = np.vstack(towns)
    degrees[:, 1] = (degrees[:, 1] + 180) % 360 - 180
    values = propose_eps(degrees, 3, 20, metric="haversine").values
    assert 0.05 < values[0] < 2
    assert 100 < values[-1] < 200
