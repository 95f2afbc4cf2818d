"""The evidence of a group: a sample of its records with their cluster at every value, and how far its records are apart."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# How many records of all groups are sampled, and of one group at least and at most, if it has so many.
MOST_RECORDS, FEWEST_OF_GROUP, MOST_OF_GROUP = 60_000, 50, 2_000
# Of more groups, some so many have evidence.
MOST_GROUPS = 2_000
# The features and labels of all groups together: of wide tables, fewer records are sampled.
MOST_NUMBERS = 10_000_000
MOST_DISTANCES = 64
# In many features, the search for the nearest of very many records would take as long as the sweep.
MOST_MEASURED = 2_000
# Columns of the tables of evidence.
LABELS, DISTANCE_COLUMNS = "labels", ("min_samples", "share", "distance")


@dataclass(frozen=True)
class Evidence:
    """A sample of a group's records with their labels, and the curves of its distances.

    `places`, of shape (n_sampled,), are the places of the sampled records among those of the group, ascending. `X`, of shape
    (n_sampled, n_features), are these records in the table's units, and `labels`, of shape (n_sampled, n_values), their labels
    at each value in the order of the group's outcomes, -1 for noise. `curves`, of shape (n_points, 3), holds min_samples, a
    share and a distance in each row, those of `distance_curve`; it is empty where the algorithm has no min_samples.
    """

    places: np.ndarray
    X: np.ndarray
    labels: np.ndarray
    curves: np.ndarray

    def to_lists(self) -> dict[str, list[Any]]:
        """Return the fields as lists, which JSON holds with every bit."""
        return {name: values.tolist() for name, values in vars(self).items()}


def evidence_from_lists(places: list[int], X: list[Any], labels: list[Any], curves: list[Any]) -> Evidence:
    """Return the evidence that `to_lists` wrote."""
    return Evidence(np.array(places, int), np.array(X, float), np.array(labels, np.int32), np.reshape(curves, (-1, 3)))


def n_sampled(n_groups: int, width: int) -> int:
    """Return how many records of a group are sampled at most, where a record has `width` features and labels."""
    wanted = min(max(MOST_RECORDS // n_groups, FEWEST_OF_GROUP), MOST_OF_GROUP)
    return min(wanted, max(1, MOST_NUMBERS // (min(n_groups, MOST_GROUPS) * width)))


def sample_places(key: Sequence[str], n_records: int, most: int, n_groups: int, seed: int) -> np.ndarray | None:
    """Return the ascending places of up to `most` of a group's records, or None where the group is not in the sample.

    Of more than `MOST_GROUPS` groups, each is in it by chance. Both draws depend on the group's `key` and `seed` alone.
    """
    of_key = int.from_bytes(hashlib.sha256(json.dumps([seed, *key]).encode()).digest())
    if of_key * n_groups >= MOST_GROUPS << 256:
        return None
    return np.sort(np.random.default_rng(of_key).choice(n_records, min(most, n_records), replace=False))


def measured_places(n_records: int, seed: int) -> np.ndarray:
    """Return the places of the records whose distances are measured: all, or of very many a sample."""
    if n_records <= MOST_MEASURED:
        return np.arange(n_records)
    return np.random.default_rng(seed).choice(n_records, MOST_MEASURED, replace=False)


def distance_curve(distances: np.ndarray) -> np.ndarray:
    """Return up to `MOST_DISTANCES` points of the sorted distances: share, evenly spaced from 0 to 1, and distance.

    `distances`, of shape (n_records,), may have any order. The share is that of the other records whose distances come before.
    """
    last = len(distances) - 1
    ranks = np.linspace(0, last, min(len(distances), MOST_DISTANCES)).round().astype(int)
    return np.column_stack([ranks / max(last, 1), np.sort(distances)[ranks]])
