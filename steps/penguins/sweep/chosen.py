"""The chosen clustering of a group: the cluster of each of its records, the profile of each cluster, and how it predicts."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from penguins.clustering.profiles import profile_clusters
from penguins.sweep.algorithm import Clustering, Space
from penguins.sweep.nearest import NearestRecords

CLUSTER, IS_CORE = "cluster", "is_core"


@dataclass(frozen=True)
class ChosenClustering:
    """What a sweep gives back of a group.

    `records` has a row for each clustered record: what tells the record (its place in the table, or its ids), its `cluster`
    (Int64, -1 for noise) and whether it `is_core` (boolean). The last two are missing in a group without a best value, and
    `is_core` also where the algorithm knows no core samples. `profiles` and `typical`, the places among these records, are
    those of `profile_clusters`; `nearest` assigns new records, and is None in a group without a best value.
    """

    records: pd.DataFrame
    profiles: Sequence[Sequence[float]] = ()
    typical: Sequence[int | None] = ()
    nearest: NearestRecords | None = None

    def without_clusters(self) -> "ChosenClustering":
        """Return the records alone, as those of a group without a best value."""
        nothing = [None] * len(self.records)
        missing = {CLUSTER: pd.array(nothing, dtype="Int64"), IS_CORE: pd.array(nothing, dtype="boolean")}
        return ChosenClustering(self.records.assign(**missing))

    def to_bytes(self) -> bytes:
        """Pickle this as objects of pandas and NumPy alone: pickle cannot name a class that was shipped to a worker."""
        return pickle.dumps((self.records, self.profiles, self.typical, self.nearest and vars(self.nearest)))

    @classmethod
    def from_bytes(cls, pickled: bytes) -> "ChosenClustering":
        """Read what `to_bytes` wrote in one of our workers."""
        records, profiles, typical, nearest = pickle.loads(pickled)  # noqa: S301  # our workers'
        return cls(records, profiles, typical, NearestRecords(**nearest) if nearest else None)


def chosen_clustering(
    clustering: Clustering, space: Space, nearest: NearestRecords | None, X: pd.DataFrame, identity: pd.DataFrame
) -> ChosenClustering:
    """Return the clustering of the records of `space` as the sweep gives it to the user.

    `X`, of shape (n_records, n_features), are the records in the table's units, and `identity`, of shape (n_records,
    n_columns), their places in the table or their ids.
    """
    labels = pd.array(clustering.labels, dtype="Int64")
    core = pd.array([None] * len(X), dtype="boolean")
    if clustering.core is not None:
        core = pd.array(np.isin(np.arange(len(X)), clustering.core), dtype="boolean")
    profiles, typical = profile_clusters(X.to_numpy(float), clustering.labels, space.points, space.is_sphere)
    return ChosenClustering(
        identity.assign(**{CLUSTER: labels, IS_CORE: core}),
        profiles,
        typical,
        nearest,
    )


def clustering_without_choice(identity: pd.DataFrame) -> ChosenClustering:
    """Return the records of a group without a best value, which belong to no cluster; see `chosen_clustering`."""
    return ChosenClustering(identity).without_clusters()
