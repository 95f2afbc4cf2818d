"""Say what each cluster is like, in the table's own units."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from penguins.clustering.clusters import NOISE

CLUSTER, SIZE, SHARE = "cluster", "size", "share"
# What a profile says of each feature: the first three as functions of pandas are called.
STATISTICS = ("mean", "std", "median", "typical")


def profile_columns(features: Sequence[str]) -> list[str]:
    """Return the columns of the profiles: the cluster, its size and share, then the statistics of each feature."""
    return [CLUSTER, SIZE, SHARE, *[f"{feature}_{name}" for feature in features for name in STATISTICS]]


def profile_clusters(
    records: pd.DataFrame, labels: np.ndarray, points: np.ndarray, is_sphere: bool
) -> tuple[pd.DataFrame, list[int | None]]:
    """Return a row of `profile_columns` for each cluster, noise included, and the place of its most typical record.

    `records`, of shape (n_records, n_features), are in the table's units; `labels` has the shape (n_records,). The most typical
    record of a cluster is the nearest one to the mean of its `points`, of shape (n_records, n_dimensions), which are the
    records in the space of the clustering; noise has none. The standard deviation has the divisor n - 1, and is missing in a
    cluster of one record. If `is_sphere`, the features are latitude and longitude in degrees, and those of a cluster are taken
    around its most typical record, on whichever side of the 180th meridian it is.
    """
    rows, typical = [], list[int | None]()
    for cluster in np.unique(labels):
        members = np.flatnonzero(labels == cluster)
        place = _most_typical(points, members)
        of_cluster = _around(records.iloc[members], records.iloc[place]) if is_sphere else records.iloc[members]
        typical.append(None if cluster == NOISE else place)
        row = [int(cluster), len(members), len(members) / len(labels)]
        for feature, values in of_cluster.items():
            mean, median = float(values.mean()), float(values.median())
            if is_sphere:
                mean, median = _in_range(mean, records[feature]), _in_range(median, records[feature])
            row += [mean, float(values.std()), median, np.nan if cluster == NOISE else float(records[feature].iloc[place])]
        rows.append(row)
    return pd.DataFrame(rows, columns=profile_columns(list(map(str, records.columns)))), typical


def _most_typical(points: np.ndarray, members: np.ndarray) -> int:
    """Return the place of the first of the `members` that are nearest to their mean."""
    distances = np.linalg.norm(points[members] - points[members].mean(axis=0), axis=1)
    return int(members[distances.argmin()])


def _around(positions: pd.DataFrame, center: pd.Series) -> pd.DataFrame:
    """Return positions whose longitudes are within 180 degrees of that of the center."""
    longitude = positions.columns[1]
    offset = (positions[longitude] - center[longitude] + 180) % 360 - 180
    return positions.assign(**{longitude: center[longitude] + offset})


def _in_range(degrees: float, values: pd.Series) -> float:
    """Return an angle as one within a full turn that begins with the lowest of the table's values, or at -180."""
    if values.min() <= degrees <= values.max():
        return degrees
    return (degrees + 180) % 360 - 180 if values.min() < 0 else degrees % 360
