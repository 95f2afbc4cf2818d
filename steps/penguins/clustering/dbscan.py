"""DBSCAN for many values of eps, with scikit-learn's labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import DBSCAN

from penguins.clustering.clusters import NOISE
from penguins.clustering.dbscan_blocks import labels_from_blocks
from penguins.clustering.dbscan_tree import labels_from_tree
from penguins.clustering.sphere import EARTH_RADIUS_KM, chord, unit_vectors
from penguins.clustering.ties import FEWEST_RECORDS, MOST_FEATURES, PRECISION, Limits, rounding_of_products

# Up to this number of records, in few and in many features, the matrix of all distances is faster than a search for neighbours.
MOST_RECORDS_IN_MATRIX, MOST_IN_MATRIX_OF_MANY_FEATURES = 4_000, 3_000
# For so many values of eps, the matrix serves more records in many features, where each value would be a search of its own.
MANY_VALUES, MOST_IN_MATRIX_FOR_MANY_VALUES = 20, 6_000


@dataclass(frozen=True)
class Clustering:
    """A result of DBSCAN: `labels`, of shape (n_records,), -1 for noise, and `core`, the indices of the core samples."""

    labels: np.ndarray
    core: np.ndarray


def dbscan(X: np.ndarray, eps_values: Sequence[float], min_samples: int, metric: str = "euclidean") -> list[Clustering]:
    """Cluster X, finite, of shape (n_records, n_features), with DBSCAN for each of `eps_values`, in ascending order.

    The labels, those of border points included, equal scikit-learn's `DBSCAN(eps, min_samples).fit(X)`, which visits the
    records in order: clusters are numbered by their first core sample, and a border point joins the lowest-numbered cluster
    within eps. A tie between a distance and eps makes scikit-learn compute the clustering of that eps.
    With the metric haversine, the features are latitude and longitude in degrees, and eps is in kilometres on a sphere; the
    labels equal those of `DBSCAN(eps / EARTH_RADIUS_KM, min_samples, metric="haversine").fit(np.radians(X))`.
    M. Ester et al., "A density-based algorithm for discovering clusters", KDD 1996.
    """
    if min_samples > len(X):
        return [Clustering(np.full(len(X), NOISE), np.empty(0, dtype=np.intp))] * len(eps_values)
    if metric == "euclidean":
        points = np.asarray(X, dtype=float)  # scikit-learn, too, computes in double precision.
        limits = _limits(points, eps_values)
    else:
        points, limits = unit_vectors(X), _limits_of_chords(eps_values)
    found: list[tuple[np.ndarray, np.ndarray] | None]
    has_few_features = points.shape[1] <= MOST_FEATURES
    if has_few_features:
        most_in_matrix = MOST_RECORDS_IN_MATRIX
    else:
        has_many_values = len(eps_values) >= MANY_VALUES
        most_in_matrix = MOST_IN_MATRIX_FOR_MANY_VALUES if has_many_values else MOST_IN_MATRIX_OF_MANY_FEATURES
    if len(X) <= most_in_matrix:
        labels, core, tied = labels_from_tree(points, limits, min_samples)
        found = [None if is_tied else (one, of_one) for one, of_one, is_tied in zip(labels, core, tied, strict=True)]
    elif has_few_features:
        found = labels_from_blocks(points, limits, min_samples)
    else:
        found = [None] * len(limits)
    return [
        Clustering(pair[0], np.flatnonzero(pair[1])) if pair else _sklearn_dbscan(X, eps, min_samples, metric)
        for eps, pair in zip(eps_values, found, strict=True)
    ]


def _limits(X: np.ndarray, eps_values: Sequence[float]) -> list[Limits]:
    through_products = len(X) < FEWEST_RECORDS or X.shape[1] > MOST_FEATURES
    rounding = rounding_of_products(X) if through_products else 0.0
    return [Limits.of_eps(eps, rounding) for eps in eps_values]


def _limits_of_chords(eps_values: Sequence[float]) -> list[Limits]:
    """Return the limits for distances of unit vectors, whose coordinates have an error up to the precision each."""
    chords = [chord(eps) for eps in eps_values]
    return [Limits.of_eps(length, 32 * PRECISION * length) for length in chords]


def _sklearn_dbscan(X: np.ndarray, eps: float, min_samples: int, metric: str) -> Clustering:
    if metric == "euclidean":
        fitted = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
    else:
        radians = eps / EARTH_RADIUS_KM
        fitted = DBSCAN(eps=radians, min_samples=min_samples, metric=metric, algorithm="ball_tree").fit(np.radians(X))
    return Clustering(fitted.labels_, fitted.core_sample_indices_)
