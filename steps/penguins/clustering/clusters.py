"""Records of one or several clusterings, sorted by cluster, with the statistics of each cluster that several indices need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NOISE = -1


@dataclass(frozen=True)
class Clusters:
    """The clusters of one or several clusterings of the same records, one after the other, numbered 0, 1 … n_clusters - 1.

    `X`, of shape (n, n_features), are the records of the first cluster of the first clustering, then of the second cluster …;
    `labels`, of shape (n,), are their clusters. `sizes`, `starts` and `clustering`, of shape (n_clusters,), are the number of
    records in each cluster, the index of its first one, and its clustering. `means` and `standard_deviations` have shape
    (n_clusters, n_features). `squared_deviations`, of the shape of X, are the squared differences between each record and the
    mean of its cluster. `blocks` are the slices of the clusters of each clustering.
    """

    X: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    starts: np.ndarray
    clustering: np.ndarray
    means: np.ndarray
    standard_deviations: np.ndarray
    squared_deviations: np.ndarray
    blocks: list[slice]

    @classmethod
    def from_labels(cls, X: np.ndarray, labels: Sequence[np.ndarray]) -> "Clusters":
        """Sort X, of shape (n_records, n_features), by each of `labels`, of shape (n_records,): 0, 1 … and -1 for noise.

        Each clustering has a record that is not noise, and no number is left out.
        """
        members = [np.argsort(one, kind="stable")[np.count_nonzero(one == NOISE) :] for one in labels]
        stops = np.cumsum([one.max() + 1 for one in labels])
        blocks = [slice(int(stop - one.max() - 1), int(stop)) for one, stop in zip(labels, stops, strict=True)]
        X = X[np.concatenate(members)]
        composite = [one[of_one] + block.start for one, of_one, block in zip(labels, members, blocks, strict=True)]
        all_labels = np.concatenate(composite)
        sizes = np.bincount(all_labels)
        starts = np.cumsum(sizes) - sizes
        clustering = np.repeat(np.arange(len(blocks)), [block.stop - block.start for block in blocks])
        means = _cluster_sums(X, all_labels, starts) / sizes[:, None]
        squared_deviations = np.square(X - means[all_labels])
        deviations = np.sqrt(_cluster_sums(squared_deviations, all_labels, starts) / sizes[:, None])
        return cls(X, all_labels, sizes, starts, clustering, means, deviations, squared_deviations, blocks)

    def __len__(self) -> int:
        return len(self.sizes)

    def members(self, cluster: int) -> slice:
        """Return the slice of `X` that holds the records of `cluster`."""
        return slice(self.starts[cluster], self.starts[cluster] + self.sizes[cluster])

    def records(self, block: slice) -> np.ndarray:
        """Return the records of a clustering, whose clusters are `block`."""
        return self.X[self.starts[block.start] : self.starts[block.stop - 1] + self.sizes[block.stop - 1]]


def _cluster_sums(values: np.ndarray, labels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum values, of shape (n, n_columns), over each cluster, with the rounding of NumPy's sum of the cluster's rows.

    On constant columns an index depends on the rounding: a spread that is 0 in one order of operations is not 0 in another.
    """
    if values.shape[1] == 1:
        return np.array([part.sum(axis=0) for part in np.split(values, starts[1:])])
    return np.stack([np.bincount(labels, weights=column) for column in values.T], axis=1)
