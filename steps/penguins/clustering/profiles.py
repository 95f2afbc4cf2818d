"""Say what each cluster is like, in the table's own units."""

from collections.abc import Sequence

import numpy as np

from penguins.clustering.clusters import NOISE

CLUSTER, SIZE, SHARE = "cluster", "size", "share"
# What a profile says of each feature.
STATISTICS = ("mean", "std", "median", "typical")


def profile_columns(features: Sequence[str]) -> list[str]:
    """Return the columns of the profiles: the cluster, its size and share, then the statistics of each feature."""
    return [CLUSTER, SIZE, SHARE, *[f"{feature}_{name}" for feature in features for name in STATISTICS]]


def profile_clusters(
    X: np.ndarray, labels: np.ndarray, points: np.ndarray, is_sphere: bool
) -> tuple[list[list[float]], list[int | None]]:
    """Return a row of `profile_columns` for each cluster, noise first, and the place of its most typical record.

    `X`, of shape (n_records, n_features), are the records in the table's units; `labels` has the shape (n_records,). The most
    typical record of a cluster is the nearest one to the mean of its `points`, of shape (n_records, n_dimensions), which are
    the records in the space of the clustering; noise has none, and NaN as its typical values. The standard deviation has the
    divisor n - 1, and is NaN in a cluster of one record. If `is_sphere`, the features are latitude and longitude in degrees,
    and those of a cluster are taken around its most typical record, on whichever side of the 180th meridian it is.
    """
    rows, typical = [], list[int | None]()
    for cluster in np.unique(labels):
        members = np.flatnonzero(labels == cluster)
        place = _most_typical(points, members)
        of_cluster = _around(X[members], X[place]) if is_sphere else X[members]
        mean, median = of_cluster.mean(axis=0), np.median(of_cluster, axis=0)
        if is_sphere:
            mean[1], median[1] = _in_range(mean[1], X[:, 1]), _in_range(median[1], X[:, 1])
        deviation = of_cluster.std(axis=0, ddof=1) if len(members) > 1 else np.full(X.shape[1], np.nan)
        of_typical = np.full(X.shape[1], np.nan) if cluster == NOISE else X[place]
        statistics = np.column_stack([mean, deviation, median, of_typical]).ravel().tolist()
        rows.append([int(cluster), len(members), len(members) / len(labels), *statistics])
        typical.append(None if cluster == NOISE else place)
    return rows, typical


def _most_typical(points: np.ndarray, members: np.ndarray) -> int:
    """Return the place of the first of the `members` that are nearest to their mean."""
    distances = np.linalg.norm(points[members] - points[members].mean(axis=0), axis=1)
    return int(members[distances.argmin()])


def _around(positions: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return positions whose longitudes are within 180 degrees of that of the center."""
    offset = (positions[:, 1] - center[1] + 180) % 360 - 180
    return np.column_stack([positions[:, 0], center[1] + offset])


def _in_range(degrees: float, longitudes: np.ndarray) -> float:
    """Return a longitude as the table writes its own: from its lowest to its highest, else from -180 or from 0."""
    if longitudes.min() <= degrees <= longitudes.max():
        return degrees
    return (degrees + 180) % 360 - 180 if longitudes.min() < 0 else degrees % 360
