"""DBSCAN of few records for all values of eps at once, from one minimum spanning tree of their mutual reachability."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from penguins.clustering.clusters import NOISE, segment_sizes
from penguins.clustering.ties import MOST_FEATURES, Limits, squares_by_products

# Within these bounds a k-d tree finds the nearest records faster than a search of the matrix.
FEWEST_RECORDS_IN_KD_TREE, MOST_FEATURES_IN_KD_TREE = 100, 8
NUMBERS_IN_MEMORY = 1 << 22


def labels_from_tree(X: np.ndarray, limits: Sequence[Limits], min_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, core samples and the values of eps for which a tie leaves the result open.

    X has shape (n_records, n_features). The labels, -1 for noise, and the core samples, which are boolean, have shape
    (n_limits, n_records); the ties are boolean, of shape (n_limits,). `min_samples` is n_records at most.

    The core distance of a record is the distance to its `min_samples`-th nearest record, itself included. The mutual
    reachability of two records is the largest of their core distances and their distance. Two core samples are in one cluster
    if and only if a path connects them in the minimum spanning tree whose edges are within eps: R. J. G. B. Campello et al.,
    "Density-based clustering based on hierarchical density estimates", PAKDD 2013.
    """
    squares = cdist(X, X, "sqeuclidean") if X.shape[1] <= MOST_FEATURES else squares_by_products(X)
    nearest, nearest_squares = _nearest_records(X, squares, min_samples)
    core_squares = nearest_squares.max(axis=1)
    np.maximum(squares, core_squares, out=squares)
    np.maximum(squares, core_squares[:, None], out=squares)
    order, heights = _spanning_tree(squares)
    low, high = (np.array([getattr(limit, name) for limit in limits])[:, None] for name in ("low", "high"))
    core = core_squares <= low
    tied = (((core_squares <= high) & ~core) | ((heights <= high) & (heights > low))).any(axis=1)
    labels = _label_core_samples(order, heights > low, core)
    tied |= _label_border_points(labels, core, nearest, nearest_squares, low, high)
    return labels, core, tied


def _nearest_records(X: np.ndarray, squares: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `number` nearest records of each record, itself included, and their squared distances."""
    if len(X) > FEWEST_RECORDS_IN_KD_TREE and X.shape[1] <= MOST_FEATURES_IN_KD_TREE:
        distances, nearest = cKDTree(X, balanced_tree=False).query(X, np.arange(1, number + 1))
        return nearest, np.square(distances)
    nearest = np.argpartition(squares, number - 1, axis=1)[:, :number]
    return nearest, np.take_along_axis(squares, nearest, axis=1)


def _spanning_tree(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the records in the order in which Prim's algorithm reaches them, and the weight of the edge by which it does.

    `weights` is a symmetric array of shape (n, n). Both results have shape (n,); the first edge weighs infinity. The records of
    each tree that is left without the edges beyond a height follow each other in this order.
    """
    n = len(weights)
    order, heights = np.zeros(n, dtype=np.intp), np.full(n, np.inf)
    nearest = np.minimum(weights[0], np.finfo(float).max)  # A weight that overflows differs from the mark of the tree.
    reached = np.full(n, -np.inf)
    reached[0] = np.inf
    for position in range(1, n):
        np.maximum(nearest, reached, out=nearest)  # infinity where the record is in the tree
        record = nearest.argmin()
        order[position], heights[position] = record, nearest[record]
        reached[record] = np.inf
        np.minimum(nearest, weights[record], out=nearest)
    return order, heights


def _label_core_samples(order: np.ndarray, is_apart: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Label the trees of core samples in the order of their first records, for each eps, and all other records as noise.

    `order`, of shape (n,), and `is_apart`, of shape (n_limits, n), are the records in the order of the tree and whether each
    is not connected with the one before. `core` and the result have shape (n_limits, n).
    """
    n_limits, n = core.shape
    starts = np.flatnonzero(is_apart)
    limit, first_of_tree = starts // n, np.minimum.reduceat(np.tile(order, n_limits), starts)
    of_core = core[limit, first_of_tree]
    ranks = np.argsort((limit * n + first_of_tree)[of_core])
    n_before = np.searchsorted(limit[of_core], np.arange(n_limits))
    label_of_tree = np.full(len(starts), NOISE)
    label_of_tree[np.flatnonzero(of_core)[ranks]] = np.arange(len(ranks)) - n_before[limit[of_core]]
    labels = np.empty((n_limits, n), dtype=np.intp)
    labels[:, order] = np.repeat(label_of_tree, segment_sizes(starts, n_limits * n)).reshape(n_limits, n)
    return labels


def _label_border_points(
    labels: np.ndarray, core: np.ndarray, nearest: np.ndarray, nearest_squares: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Give each record that is no core sample the lowest label of a core sample within eps, in place.

    It has fewer than `min_samples` records within eps, so all of them are among its `nearest`. Returns for each eps whether a
    tie could change a label, of shape (n_limits,).
    """
    last = labels.shape[1]
    core_labels = np.where(core, labels, last)
    tied = np.zeros(len(labels), dtype=bool)
    limits, records = np.nonzero(~core)
    step = max(1, NUMBERS_IN_MEMORY // nearest.shape[1])
    for start in range(0, len(limits), step):
        limit, record = limits[start : start + step], records[start : start + step]
        squares, of_nearest = nearest_squares[record], core_labels[limit[:, None], nearest[record]]
        lowest = np.where(squares <= low[limit], of_nearest, last).min(axis=1)
        possible = np.where(squares <= high[limit], of_nearest, last).min(axis=1)
        tied[limit[possible < lowest]] = True
        labels[limit, record] = np.where(lowest == last, NOISE, lowest)
    return tied
