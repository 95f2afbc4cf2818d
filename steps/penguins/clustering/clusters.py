"""The clusters of several clusterings in one list, with the statistics of each cluster that several indices need."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.distance import cdist

NOISE = -1


@dataclass(frozen=True)
class Members:
    """The members of all clusters of several clusterings, in one list: the clusters of the first clustering come first.

    `records` and `clusters`, of shape (n_members,), sorted by cluster, are the position of each member in its table and its
    cluster in the list. A record is a member of one cluster, or none, in each clustering. `starts` and `sizes`, of shape
    (n_clusters,), are the position of each cluster's first member and the number of its members; `clusterings`, of the same
    shape, are the clusterings they belong to. The clusters of clustering c are `offsets[c]` to `offsets[c + 1]`.
    """

    records: np.ndarray
    clusters: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    clusterings: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_labels(cls, labels: np.ndarray) -> "Members":
        """List the members in labels, of shape (n_clusterings, n_records): -1 for noise, and 0, 1 … without a gap."""
        n_clusters = labels.max(axis=1) + 1
        offsets = np.zeros(len(labels) + 1, dtype=int)
        np.cumsum(n_clusters, out=offsets[1:])
        clusterings, records = np.nonzero(labels != NOISE)
        clusters = labels[clusterings, records] + offsets[clusterings]
        order = sort_clusters(clusters, offsets[-1])
        sizes = np.bincount(clusters)
        of_clusters = np.repeat(np.arange(len(labels)), n_clusters)
        return cls(records[order], clusters[order], np.cumsum(sizes) - sizes, sizes, of_clusters, offsets)

    def __len__(self) -> int:
        """Return the number of clusters."""
        return len(self.sizes)


@dataclass(frozen=True)
class Clusters:
    """The clusters of several clusterings of the same records, with their statistics.

    `X`, of shape (n_members, n_features), are the records of the `members`, and `distances`, of shape (n_members,), their
    distances from the mean of their cluster. `means` and `standard_deviations` have shape (n_clusters, n_features).
    `clusterings`, of shape (n_members,), is the clustering of each member. `n_records`, of shape (n_clusterings,), is the
    number of clustered records; `centers` and `spreads`, of shape (n_clusterings, n_features), are their means and standard
    deviations.
    """

    members: Members
    X: np.ndarray
    distances: np.ndarray
    means: np.ndarray
    standard_deviations: np.ndarray
    clusterings: np.ndarray
    n_records: np.ndarray
    centers: np.ndarray
    spreads: np.ndarray

    @classmethod
    def from_labels(cls, X: np.ndarray, labels: np.ndarray) -> "Clusters":
        """Collect X, of shape (n_records, n_features), by labels, of shape (n_clusterings, n_records), as `Members` does."""
        members = Members.from_labels(labels)
        X = X[members.records]
        means, standard_deviations, deviations = _statistics(X, members.clusters, members.starts)
        # Which of two records is nearer to the mean shows in an index: the sum is that of cdist, whose operands these are.
        distances = cdist(deviations, np.zeros((1, X.shape[1])))[:, 0]
        clusterings = members.clusterings[members.clusters]
        starts = members.starts[members.offsets[:-1]]
        centers, spreads, _ = _statistics(X, clusterings, starts)
        n_records = segment_sizes(starts, len(X))
        return cls(members, X, distances, means, standard_deviations, clusterings, n_records, centers, spreads)


def _statistics(X: np.ndarray, segments: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mean and standard deviation of each segment of the rows of X, and the deviation of each row from the mean."""
    sizes = segment_sizes(starts, len(X))[:, None]
    means = _segment_sums(X, segments, starts) / sizes
    deviations = X - means[segments]
    return means, np.sqrt(_segment_sums(np.square(deviations), segments, starts) / sizes), deviations


def _segment_sums(values: np.ndarray, segments: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum values, of shape (n, n_columns), over each segment of rows, with the rounding of NumPy's sum of these rows alone.

    On constant columns an index depends on the rounding: a spread that is 0 in one order of operations is not 0 in another.
    """
    if values.shape[1] == 1:
        # NumPy sums a single column by halves, after a first 0.
        padded = np.zeros(len(values) + len(starts))
        padded[np.arange(len(values)) + segments + 1] = values[:, 0]
        return np.add.reduceat(padded, starts + np.arange(len(starts)))[:, None]
    return np.stack([np.bincount(segments, weights=column) for column in values.T], axis=1)


def sort_clusters(clusters: np.ndarray, n_clusters: int) -> np.ndarray:
    """Return the order that sorts clusters, from 0 to n_clusters - 1, and keeps that of the members of each cluster."""
    # NumPy sorts small integers in linear time.
    return np.argsort(clusters.astype(np.min_scalar_type(n_clusters)), kind="stable")


def count_labels(labels: np.ndarray) -> np.ndarray:
    """Count each label, from -1 in the first column on, in each row of labels, of shape (n_clusterings, n_records)."""
    width = int(labels.max(initial=NOISE)) + 2
    codes = labels + (width * np.arange(len(labels)) + 1)[:, None]
    return np.bincount(codes.ravel(), minlength=len(labels) * width).reshape(len(labels), width)


def segment_sizes(starts: np.ndarray, n: int) -> np.ndarray:
    """Return the sizes of the segments of `n` items that begin at `starts`."""
    return np.asarray(np.append(starts[1:], n) - starts)


def is_first(values: np.ndarray) -> np.ndarray:
    """Tell of each of the values whether it differs from the one before; the first one does."""
    found = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=found[1:])
    return found


def ranges(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `starts[i]`, `starts[i] + 1` … of each range i, one range after the other, and the range of each."""
    ends = np.cumsum(lengths)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return np.arange(ends[-1] if len(ends) else 0) + (starts - ends + lengths)[owners], owners


def parts(lengths: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Return the start and stop of parts of `lengths` whose sums are `most` or less, or which consist of a single length."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    cuts = [0]
    while cuts[-1] < len(lengths):
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(ends, ends[cuts[-1]] + most, side="right")) - 1))
    return pairwise(cuts)
