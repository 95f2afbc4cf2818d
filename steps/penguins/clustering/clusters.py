"""Records sorted by cluster, with the statistics of each cluster that several indices need."""

from dataclasses import dataclass

import numpy as np

NOISE = -1


@dataclass(frozen=True)
class Clusters:
    """Records `X`, of shape (n, n_features), sorted by cluster; `labels`, of shape (n,), are 0, 1 … n_clusters - 1.

    `sizes` and `starts`, of shape (n_clusters,), are the number of records in each cluster and the index of its first one.
    `means` and `standard_deviations` have shape (n_clusters, n_features). `squared_deviations`, of the shape of X, are the
    squared differences between each record and the mean of its cluster.
    """

    X: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    starts: np.ndarray
    means: np.ndarray
    standard_deviations: np.ndarray
    squared_deviations: np.ndarray

    @classmethod
    def from_labels(cls, X: np.ndarray, labels: np.ndarray) -> "Clusters":
        """Sort X, of shape (n, n_features), by labels, of shape (n,), which contain no noise."""
        order = np.argsort(labels, kind="stable")
        X = X[order]
        _, labels, sizes = np.unique(labels[order], return_inverse=True, return_counts=True)
        starts = np.cumsum(sizes) - sizes
        means = _cluster_sums(X, labels, starts) / sizes[:, None]
        squared_deviations = np.square(X - means[labels])
        standard_deviations = np.sqrt(_cluster_sums(squared_deviations, labels, starts) / sizes[:, None])
        return cls(X, labels, sizes, starts, means, standard_deviations, squared_deviations)

    def __len__(self) -> int:
        return len(self.sizes)

    def members(self, cluster: int) -> slice:
        """Return the slice of `X` that holds the records of `cluster`."""
        return slice(self.starts[cluster], self.starts[cluster] + self.sizes[cluster])


def _cluster_sums(values: np.ndarray, labels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum values, of shape (n, n_columns), over each cluster, with the rounding of NumPy's sum of the cluster's rows.

    On constant columns an index depends on the rounding: a spread that is 0 in one order of operations is not 0 in another.
    """
    if values.shape[1] == 1:
        return np.array([part.sum(axis=0) for part in np.split(values, starts[1:])])
    return np.stack([np.bincount(labels, weights=column) for column in values.T], axis=1)
