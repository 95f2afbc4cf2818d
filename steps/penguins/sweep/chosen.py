"""The chosen clustering of a group: the cluster of each of its records, the profile of each cluster, and how it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from penguins.clustering.profiles import profile_clusters
from penguins.sweep.algorithm import Clustering, Space
from penguins.sweep.evidence import Evidence
from penguins.sweep.nearest import NearestRecords

CLUSTER, IS_CORE = "cluster", "is_core"


@dataclass(frozen=True)
class ChosenClustering:
    """What a sweep gives back of a group.

    `records` has a row for each clustered record: what tells the record (its place in the table, or its ids), its `cluster`
    (Int64, -1 for noise) and whether it `is_core` (boolean). The last two are missing in a group without a best value, and
    `is_core` also where the algorithm knows no core samples. `profiles` and `typical`, the places among these records, are
    those of `profile_clusters`; `nearest` assigns new records, and is None in a group without a best value. `evidence` is None
    in a group of which no records are sampled.
    """

    records: pd.DataFrame
    profiles: Sequence[Sequence[float]] = ()
    typical: Sequence[int | None] = ()
    nearest: NearestRecords | None = None
    evidence: Evidence | None = None

    def without_clusters(self) -> "ChosenClustering":
        """Return the records alone, as those of a group without a best value."""
        nothing = [None] * len(self.records)
        missing = {CLUSTER: pd.array(nothing, dtype="Int64"), IS_CORE: pd.array(nothing, dtype="boolean")}
        return ChosenClustering(self.records.assign(**missing))


def chosen_clustering(
    clustering: Clustering, space: Space, nearest: NearestRecords | None, X: pd.DataFrame, identity: pd.DataFrame
) -> ChosenClustering:
    """Return the clustering of the records of `space` as the sweep gives it to the user.

    `X`, of shape (n_records, n_features), are the records in the table's units, and `identity`, of shape (n_records,
    n_columns), their places in the table or their ids.
    """
    n, is_known = len(X), clustering.core is not None
    is_core = np.zeros(n, dtype=bool)
    is_core[clustering.core if is_known else []] = True
    columns = {name: identity[name].array for name in identity}
    columns[CLUSTER] = pd.arrays.IntegerArray(clustering.labels.astype(np.int64), np.zeros(n, dtype=bool))
    columns[IS_CORE] = pd.arrays.BooleanArray(is_core, np.full(n, not is_known))
    profiles, typical = profile_clusters(X.to_numpy(float), clustering.labels, space.points, space.is_sphere)
    return ChosenClustering(pd.DataFrame(columns, copy=False), profiles, typical, nearest)


def clustering_without_choice(identity: pd.DataFrame) -> ChosenClustering:
    """Return the records of a group without a best value, which belong to no cluster; see `chosen_clustering`."""
    return ChosenClustering(identity).without_clusters()
