"""DBSCAN of many records for ascending values of eps: core samples connected at one eps stay so at every larger one."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from penguins.clustering.clusters import NOISE
from penguins.clustering.threads import n_threads
from penguins.clustering.ties import Limits, TieError

# The number of nearest points, itself included, that stay in memory for each point.
N_NEAREST = 8
BLOCK_SIZE, MOST_BLOCKS = 64, 2048
# Threads search the pairs of blocks in steps that fit into the cache. After FIRST_STEPS steps, then after twice as many each
# time up to MOST_STEPS, the pairs whose points are connected by then are dropped.
FIRST_STEPS, MOST_STEPS = 16, 256
NUMBERS_IN_MEMORY, NUMBERS_IN_CACHE = 1 << 22, 1 << 16


def labels_from_blocks(X: np.ndarray, limits: Sequence[Limits], min_samples: int) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Return labels and core samples for each of the ascending `limits`, None where a tie leaves the result open.

    X has shape (n_records, n_features). The labels have shape (n_records,), -1 for noise; the core samples are a boolean array
    of the same shape.
    """
    points = _Points(X, min_samples)
    blocks = _Blocks(points.X, limits[-1])
    components = np.arange(len(points.X))
    found: list[tuple[np.ndarray, np.ndarray] | None] = []
    for limit in limits:
        try:
            core = points.is_core(limit)
            components = _connect_nearest(points, core, components, limit)
            components = blocks.connect(core & points.has_all_nearest_within(limit), components, limit)
            labels = _label_border_points(points, _label_core_points(components, core, points.first_record), core, limit)
            found.append((labels[points.point_of_record], core[points.point_of_record]))
        except TieError:
            found.append(None)
    return found


class _Points:
    """The distinct points of the records, in the order of a k-d tree, so that neighbours mostly have adjacent indices.

    `X`, of shape (n_points, n_features), are the points. `first_record` and `n_records`, of shape (n_points,), are the index
    of the first record at each point and the number of its records; `point_of_record`, of shape (n_records,), is the inverse.
    `nearest` and `nearest_squares`, of shape (n_points, k) with k up to `N_NEAREST`, are the nearest points of each point,
    itself first, and their squared distances. `core_squares`, of shape (n_points,), are the squared core distances: the
    smallest eps squared that makes each point a core point.
    """

    def __init__(self, records: np.ndarray, min_samples: int) -> None:
        order = np.lexsort(records.T[::-1])
        is_new = np.ones(len(order), dtype=bool)
        is_new[1:] = (records[order[1:]] != records[order[:-1]]).any(axis=1)
        first = order[is_new]  # The sort is stable: the first of several equal records comes first.
        tree_order = cKDTree(records[first], leafsize=BLOCK_SIZE // 4, balanced_tree=False).indices
        rank = np.empty(len(tree_order), dtype=np.intp)
        rank[tree_order] = np.arange(len(tree_order))
        self.first_record = first[tree_order]
        self.X = records[self.first_record]
        self.point_of_record = np.empty(len(records), dtype=np.intp)
        self.point_of_record[order] = rank[np.cumsum(is_new) - 1]
        self.n_records = np.bincount(self.point_of_record)
        self.tree = cKDTree(self.X)
        self.n_neighbours = min(len(self.X), max(min_samples, N_NEAREST))
        self.nearest = np.empty((len(self.X), min(self.n_neighbours, N_NEAREST)), dtype=np.intp)
        self.nearest_squares = np.empty(self.nearest.shape)
        self.core_squares = np.empty(len(self.X))
        for rows, neighbours, squares in self._query_tree(np.arange(len(self.X))):
            self.nearest[rows], self.nearest_squares[rows] = neighbours[:, :N_NEAREST], squares[:, :N_NEAREST]
            n_within = np.cumsum(self.n_records[neighbours], axis=1)
            self.core_squares[rows] = squares[np.arange(len(rows)), (n_within < min_samples).sum(axis=1)]

    def _query_tree(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield parts of `rows`, the `n_neighbours` nearest points of each row, itself first, and their squared distances."""
        step = max(1, NUMBERS_IN_MEMORY // self.n_neighbours)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            distances, neighbours = self.tree.query(self.X[part], self.n_neighbours, workers=n_threads(len(part)))
            shape = len(part), self.n_neighbours
            yield part, neighbours.reshape(shape), np.square(distances.reshape(shape))

    def neighbours(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the same as `_query_tree`, from memory if all neighbours are there."""
        if self.n_neighbours <= N_NEAREST:
            yield rows, self.nearest[rows], self.nearest_squares[rows]
        else:
            yield from self._query_tree(rows)

    def has_all_nearest_within(self, limit: Limits) -> np.ndarray:
        """Tell for each point whether all its `nearest` may be within eps, so that more neighbours may follow."""
        return np.asarray(self.nearest_squares[:, -1] <= limit.high)

    def is_core(self, limit: Limits) -> np.ndarray:
        """Tell for each point whether it is a core point: whether it has `min_samples` records within eps.

        Raises TieError where rounding decides.
        """
        within, tied = limit.compare(self.core_squares)
        if tied.any():
            raise TieError
        return within


def _connect_nearest(points: _Points, core: np.ndarray, components: np.ndarray, limit: Limits) -> np.ndarray:
    """Merge the components of core points that are within eps and among each other's nearest points."""
    within, tied = limit.compare(points.nearest_squares)
    both_core = core[points.nearest] & core[:, None]
    row, column = np.nonzero(within & both_core & (components[points.nearest] != components[:, None]))
    components = _merge_components(components, row, points.nearest[row, column])
    row, column = np.nonzero(tied & both_core)
    if (components[row] != components[points.nearest[row, column]]).any():
        raise TieError
    return components


def _merge_components(components: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Merge the component of point a[i] with that of point b[i] for every i, and return the new `components`."""
    if not len(a):
        return components
    size = len(components)
    edges = (np.ones(len(a), dtype=np.int8), (components[a], components[b]))
    _, merged = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    return np.asarray(merged[components], dtype=np.intp)


class _Blocks:
    """Blocks of points with adjacent indices, and the pairs of blocks that may hold two points within the largest eps.

    `pairs`, of shape (2, n_pairs), are in ascending order of `gaps`, the squared distances between the blocks' bounding boxes.
    """

    def __init__(self, X: np.ndarray, largest: Limits) -> None:
        n, n_features = X.shape
        self.size = max(BLOCK_SIZE, -(-n // MOST_BLOCKS))
        n_blocks = -(-n // self.size)
        # The last block is filled with the index n, a point of NaN: it is within eps of no point.
        self.members = np.full(n_blocks * self.size, n)
        self.members[:n] = np.arange(n)
        self.members = self.members.reshape(n_blocks, self.size)
        self.columns = np.vstack([X, np.full((1, n_features), np.nan)]).T.copy()
        starts = np.arange(0, n, self.size)
        low, high = np.minimum.reduceat(X, starts), np.maximum.reduceat(X, starts)
        gaps = np.zeros((n_blocks, n_blocks))
        for feature in range(n_features):
            gap = low[:, None, feature] - high[None, :, feature]
            gaps += np.square(np.maximum(np.maximum(gap, gap.T), 0))
        i, j = np.nonzero(np.triu(gaps <= largest.high))
        order = np.argsort(gaps[i, j], kind="stable")
        self.pairs, self.gaps = np.stack([i, j])[:, order], gaps[i, j][order]

    def connect(self, core: np.ndarray, components: np.ndarray, limit: Limits) -> np.ndarray:
        """Merge the components of all points of `core` that are within eps. Raises TieError where rounding decides."""
        i, j = self.pairs[:, : np.searchsorted(self.gaps, limit.high, side="right")]
        step = max(1, NUMBERS_IN_CACHE // self.size**2)
        at_once = FIRST_STEPS * step
        ties = []
        with ThreadPoolExecutor(n_threads(len(core))) as pool:
            while True:
                i, j = self._unconnected_pairs(core, components, i, j)
                if not len(i):
                    break
                parts = [(i[start : start + step], j[start : start + step]) for start in range(0, at_once, step)]
                edges = pool.map(partial(self._missing_edges, core, components, limit), parts)
                a, b, squares = (np.concatenate(arrays) for arrays in zip(*edges, strict=True))
                within, tied = limit.compare(squares)
                components = _merge_components(components, a[within], b[within])
                ties.append((a[tied], b[tied]))
                i, j = i[at_once:], j[at_once:]
                at_once = min(2 * at_once, MOST_STEPS * step)
        if any((components[a] != components[b]).any() for a, b in ties):
            raise TieError
        return components

    def _unconnected_pairs(
        self, core: np.ndarray, components: np.ndarray, i: np.ndarray, j: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Select the pairs of blocks whose core points are not all in one component."""
        none = len(components)
        component = np.append(np.where(core, components, none), none)[self.members]
        high = np.where(component == none, -1, component).max(axis=1)
        low = component.min(axis=1)
        unconnected = (high[i] >= 0) & (high[j] >= 0) & (np.minimum(low[i], low[j]) != np.maximum(high[i], high[j]))
        return i[unconnected], j[unconnected]

    def _missing_edges(
        self, core: np.ndarray, components: np.ndarray, limit: Limits, pairs: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the pairs of core points in different components that are within eps or tie, and their squared distances."""
        i, j = pairs
        squares = np.zeros((len(i), self.size, self.size))
        for values in self.columns:
            difference = values[self.members[i]][:, :, None] - values[self.members[j]][:, None, :]
            squares += np.square(difference, out=difference)
        pair, row, column = np.nonzero(squares <= limit.high)  # False for NaN.
        a, b = self.members[i[pair], row], self.members[j[pair], column]
        missing = core[a] & core[b] & (components[a] != components[b])
        return a[missing], b[missing], squares[pair, row, column][missing]


def _label_core_points(components: np.ndarray, core: np.ndarray, first_record: np.ndarray) -> np.ndarray:
    """Label the components of the core points in the order of their first records, and every other point as noise."""
    cores = np.flatnonzero(core)
    cores = cores[np.argsort(first_record[cores])]
    _, first, component = np.unique(components[cores], return_index=True, return_inverse=True)
    labels = np.full(len(core), NOISE)
    labels[cores] = np.argsort(np.argsort(first))[component]
    return labels


def _label_border_points(points: _Points, labels: np.ndarray, core: np.ndarray, limit: Limits) -> np.ndarray:
    """Give each point that is no core point the lowest label of a core point within eps, or leave it as noise.

    It has fewer than `min_samples` records within eps, so all of them are among its neighbours from the tree.
    """
    last = len(labels)
    core_labels = np.where(core, labels, last)
    for rows, neighbours, squares in points.neighbours(np.flatnonzero(~core)):
        within, tied = limit.compare(squares)
        lowest = np.where(within, core_labels[neighbours], last).min(axis=1)
        if (np.where(tied, core_labels[neighbours], last).min(axis=1) < lowest).any():
            raise TieError
        labels[rows] = np.where(lowest == last, NOISE, lowest)
    return labels
