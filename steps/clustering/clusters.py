"""The records of a clustering, sorted by cluster, with what more than one index asks of each cluster."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clusters:
    """Records `X`, of shape (n, n_features), sorted by cluster; `labels`, of shape (n,), are 0, 1 … n_clusters - 1.

    `sizes` and `starts`, of shape (n_clusters,), say where each cluster's records are; `means` and `deviations`, the standard
    ones, have the shape (n_clusters, n_features); `from_means`, of the shape of X, holds each record less its cluster's mean,
    squared.
    """

    X: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    starts: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    from_means: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, labels: np.ndarray) -> "Clusters":
        """Sorts X, of shape (n, n_features), by labels, of shape (n,), none of which is noise."""
        order = np.argsort(labels, kind="stable")
        X = X[order]
        _, labels, sizes = np.unique(labels[order], return_inverse=True, return_counts=True)
        starts = np.cumsum(sizes) - sizes
        means = _sums(X, labels, starts) / sizes[:, None]
        from_means = np.square(X - means[labels])
        deviations = np.sqrt(_sums(from_means, labels, starts) / sizes[:, None])
        return cls(X, labels, sizes, starts, means, deviations, from_means)

    def __len__(self) -> int:
        return len(self.sizes)

    def members(self, cluster: int) -> slice:
        """Where the cluster's records stand in `X`."""
        return slice(self.starts[cluster], self.starts[cluster] + self.sizes[cluster])


def _sums(values: np.ndarray, labels: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The sums over each cluster of values, of shape (n, n_columns), rounded as NumPy's sum of the cluster's rows is.

    On constant columns an index hangs on the rounding: a spread that is 0 in one order of operations is not in another.
    """
    if values.shape[1] == 1:
        return np.array([part.sum(axis=0) for part in np.split(values, starts[1:])])
    return np.stack([np.bincount(labels, weights=column) for column in values.T], axis=1)
