"""The eps values to try for one group, proposed from the distances of its records to their nearest neighbours."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from penguins.clustering.clusters import NOISE
from penguins.clustering.dbscan import dbscan
from penguins.clustering.sphere import kilometres, unit_vectors

# As many values are proposed unless a number is given.
N_PROPOSED = 40
# About this share of the records are core samples at the smallest eps, and in the largest cluster at the largest eps.
FEWEST_CORE, LARGEST_CLUSTER = 0.01, 0.99
# The largest eps is a little above that, since rounding may not take it below.
MARGIN = 1.05
# The values by which the largest eps is searched for: first over the whole range, then between two of them.
N_PROBES = 16
# More records are sampled for the search of the largest eps, and more points of the curve are left out.
MOST_RECORDS, MOST_POINTS = 3_000, 1_000
DIGITS = 3


@dataclass(frozen=True)
class EpsGrid:
    """The proposed `values` of eps, ascending, with the k-distances of the group and their knee, None where there is none.

    `distances`, of shape (n,) with n up to `MOST_POINTS`, are the k-distances in ascending order, evenly thinned where the
    group has more records. They and `values` are in the unit of eps.
    """

    values: tuple[float, ...]
    distances: np.ndarray
    knee: float | None


def propose_eps(X: np.ndarray, min_samples: int, n_values: int, metric: str = "euclidean", seed: int = 0) -> EpsGrid:
    """Propose `n_values` values of eps for X, finite, of shape (n_records, n_features), evenly spaced in log scale.

    The k-distance of a record is the distance to its `min_samples`-th nearest record, itself included: the smallest eps that
    makes it a core sample (M. Ester et al., KDD 1996, section 4.2). The values run from the eps at which nearly all records are
    noise to the one at which nearly all are in one cluster. They are rounded to three digits, so that there are fewer where
    the range is narrow. The knee is where the curve of the k-distances bends most: V. Satopaa et al., "Finding a 'kneedle' in
    a haystack", ICDCS 2011. With the metric haversine, X is latitude and longitude in degrees, and eps in kilometres.
    """
    distances = np.sort(k_distances(X, min_samples, metric))
    positive = distances[distances > 0]
    if not len(positive):
        return EpsGrid((1.0,), _thin(distances), None)
    lowest = float(max(np.quantile(distances, FEWEST_CORE), positive[0]))
    highest = MARGIN * max(_eps_of_one_cluster(X, min_samples, lowest, metric, seed), lowest)
    values = np.unique([_round(value) for value in np.geomspace(lowest, highest, n_values)])
    curve = _thin(distances)
    return EpsGrid(tuple(values.tolist()), curve, _knee(curve))


def k_distances(
    X: np.ndarray, min_samples: int, metric: str = "euclidean", places: np.ndarray | slice = slice(None)
) -> np.ndarray:
    """Return the distance of each record of X to its `min_samples`-th nearest one, itself included, in the unit of eps.

    X has shape (n_records, n_features), the result (n_records,), or that of `places` where only the records there are asked
    for. In a group of fewer records, the farthest one counts.
    """
    points = unit_vectors(X) if metric == "haversine" else X
    k = min(min_samples, len(X))
    distances, _ = cKDTree(points).query(points[places], [k])
    return kilometres(distances[:, 0]) if metric == "haversine" else np.asarray(distances[:, 0])


def _eps_of_one_cluster(X: np.ndarray, min_samples: int, lowest: float, metric: str, seed: int) -> float:
    """Find the eps, above `lowest`, from which the largest cluster holds nearly all records."""
    if len(X) > MOST_RECORDS:
        X = X[np.random.default_rng(seed).choice(len(X), MOST_RECORDS, replace=False)]
    highest = _diameter(X, metric)
    for _ in range(2):
        if highest <= lowest:
            break
        probes = np.geomspace(lowest, highest, N_PROBES)
        shares = [_share_of_largest_cluster(found.labels) for found in dbscan(X, probes.tolist(), min_samples, metric)]
        enough = np.flatnonzero(np.array(shares) >= LARGEST_CLUSTER)
        first = int(enough[0]) if len(enough) else N_PROBES - 1
        lowest, highest = float(probes[max(first - 1, 0)]), float(probes[first])
    return highest


def _diameter(X: np.ndarray, metric: str) -> float:
    """Return an upper bound of the distance between two records."""
    points = unit_vectors(X) if metric == "haversine" else X
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0)))
    return float(kilometres(np.array(min(diagonal, 2.0)))) if metric == "haversine" else diagonal


def _share_of_largest_cluster(labels: np.ndarray) -> float:
    return float(np.bincount(labels[labels != NOISE], minlength=1).max() / len(labels))


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _thin(distances: np.ndarray) -> np.ndarray:
    """Keep `MOST_POINTS` of the sorted distances, evenly spaced, the first and the last one included."""
    if len(distances) <= MOST_POINTS:
        return distances
    return np.asarray(distances[np.linspace(0, len(distances) - 1, MOST_POINTS).round().astype(int)])


def _knee(curve: np.ndarray) -> float | None:
    if len(curve) < 3 or curve[0] == curve[-1]:
        return None
    from kneed import KneeLocator  # here, because it imports pyplot, which takes half a second

    with warnings.catch_warnings():  # It warns where it finds no knee.
        warnings.simplefilter("ignore")
        found = KneeLocator(np.arange(len(curve)), curve, curve="convex", direction="increasing").knee_y
    return None if found is None else float(found)
