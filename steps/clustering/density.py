"""DBSCAN for many values of eps at once, from one search for neighbours: what is connected at one eps stays so at the next."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from sklearn.cluster import DBSCAN

from clustering.threads import threads

NOISE = -1
# Where scikit-learn compares all records with all, in matrix products of their own rounding: left to it.
FEWEST_RECORDS, MOST_FEATURES = 12, 15
# A squared distance this near to that of eps, relatively, may fall on either side of it by rounding.
DOUBT = 1e-13
# Pairs of blocks are looked at in steps that fit into the cache, more and more of them between two looks at what is left.
FIRST_STEPS, MOST_STEPS = 16, 256
LINKS = 8
BLOCK, MOST_BLOCKS = 64, 2048
NUMBERS_IN_MEMORY, NUMBERS_IN_CACHE = 1 << 22, 1 << 16


@dataclass(frozen=True)
class Clustering:
    """What DBSCAN found: `labels`, of shape (n_records,), -1 for noise, and the indices of the core records."""

    labels: np.ndarray
    core: np.ndarray


class DoubtError(ArithmeticError):
    """A distance is so near to eps that the order of the operations decides on which side of it the distance falls."""


def dbscan(X: np.ndarray, eps_values: Sequence[float], min_samples: int) -> list[Clustering]:
    """DBSCAN of X, of shape (n_records, n_features), finite, for each of the `eps_values`, which ascend.

    The same labels, border records included, as scikit-learn's `DBSCAN(eps, min_samples).fit(X)`, which visits the records in
    their order: a cluster's number is its rank by first core record, a border record goes to the lowest of its clusters. Where
    rounding could tell the two apart, scikit-learn is asked.
    M. Ester et al., "A density-based algorithm for discovering clusters", KDD 1996.
    """
    if len(X) < FEWEST_RECORDS or X.shape[1] > MOST_FEATURES:
        return [_by_scikit_learn(X, eps, min_samples) for eps in eps_values]
    nothing = Clustering(np.full(len(X), NOISE), np.empty(0, dtype=np.intp))
    if min_samples > len(X):
        return [nothing] * len(eps_values)
    places = _Places(X, min_samples)
    blocks = _Blocks(places, max(eps_values))
    components = np.arange(len(places.X))
    clusterings = []
    for eps in eps_values:
        try:
            core = places.core(eps)
            if not core.any():
                clusterings.append(nothing)
                continue
            components = _linked(places, core, components, eps)
            components = blocks.connected(core & places.may_have_further_neighbours(eps), components, eps)
            labels = _with_borders(places, _numbered(components, core, places.first), core, eps)
            clusterings.append(Clustering(labels[places.place_of], np.flatnonzero(core[places.place_of])))
        except DoubtError:
            clusterings.append(_by_scikit_learn(X, eps, min_samples))
    return clusterings


def _by_scikit_learn(X: np.ndarray, eps: float, min_samples: int) -> Clustering:
    fitted = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
    return Clustering(fitted.labels_, fitted.core_sample_indices_)


class _Places:
    """The distinct places of the records, in the order of a k-d tree, in which neighbours mostly stand near each other.

    `X`, of shape (n_places, n_features), are the places, `first` the first record at each, `weights` how many are there, and
    `place_of`, of shape (n_records,), is each record's.
    """

    def __init__(self, records: np.ndarray, min_samples: int) -> None:
        order = np.lexsort(records.T[::-1])
        new = np.ones(len(order), dtype=bool)
        new[1:] = (records[order[1:]] != records[order[:-1]]).any(axis=1)
        first = order[new]  # the sort is stable: the first of equal records comes first
        by_tree = cKDTree(records[first], leafsize=BLOCK // 4, balanced_tree=False).indices
        rank = np.empty(len(by_tree), dtype=np.intp)
        rank[by_tree] = np.arange(len(by_tree))
        self.first = first[by_tree]
        self.X = records[self.first]
        self.place_of = np.empty(len(records), dtype=np.intp)
        self.place_of[order] = rank[np.cumsum(new) - 1]
        self.weights = np.bincount(self.place_of)
        self.tree = cKDTree(self.X)
        self.k = min(len(self.X), max(min_samples, LINKS))
        self.links = np.empty((len(self.X), min(self.k, LINKS)), dtype=np.intp)
        self.squares = np.empty(self.links.shape)
        self.reach = np.empty(len(self.X))
        """The squared distance within which a place has `min_samples` records, its own included."""
        for rows, near, squares in self._search(np.arange(len(self.X))):
            self.links[rows], self.squares[rows] = near[:, :LINKS], squares[:, :LINKS]
            seen = np.cumsum(self.weights[near], axis=1)
            self.reach[rows] = squares[np.arange(len(rows)), (seen < min_samples).sum(axis=1)]

    def _search(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The `k` places nearest to each of `rows`, itself first, and their squared distances, in ascending order, in parts."""
        step = max(1, NUMBERS_IN_MEMORY // self.k)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            distances, near = self.tree.query(self.X[part], self.k, workers=threads(len(part)))
            shape = len(part), self.k
            yield part, near.reshape(shape), np.square(distances.reshape(shape))

    def neighbours(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """As `_search`, from memory where all of them are there."""
        if self.k <= LINKS:
            yield rows, self.links[rows], self.squares[rows]
        else:
            yield from self._search(rows)

    def may_have_further_neighbours(self, eps: float) -> np.ndarray:
        """Whether each place may have neighbours within eps beside its `links`."""
        return np.asarray(self.squares[:, -1] <= eps * eps * (1 + DOUBT))

    def core(self, eps: float) -> np.ndarray:
        """Whether each place is a core: it has `min_samples` records within eps."""
        within, doubtful = _compared(self.reach, eps)
        if doubtful.any():
            raise DoubtError
        return within


def _compared(squares: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether each squared distance is surely that of eps or less, and whether it is doubtful."""
    within = squares <= eps * eps * (1 - DOUBT)
    return within, ~within & (squares <= eps * eps * (1 + DOUBT))


def _linked(places: _Places, core: np.ndarray, components: np.ndarray, eps: float) -> np.ndarray:
    """`components` after core places that are among each other's nearest, and within eps, have become one."""
    within, doubtful = _compared(places.squares, eps)
    cores = core[places.links] & core[:, None]
    row, column = np.nonzero(within & cores & (components[places.links] != components[:, None]))
    components = _merged(components, row, places.links[row, column])
    row, column = np.nonzero(doubtful & cores)
    if (components[row] != components[places.links[row, column]]).any():
        raise DoubtError
    return components


def _merged(components: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`components` after those of each place of `a` and that of `b` in the same position have become one."""
    if not len(a):
        return components
    size = len(components)
    edges = (np.ones(len(a), dtype=np.int8), (components[a], components[b]))
    _, merged = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    return np.asarray(merged[components], dtype=np.intp)


class _Blocks:
    """Places in blocks of neighbours, and the pairs of blocks that are near enough to hold two places within eps.

    `pairs`, of shape (2, n_pairs), are in ascending order of `gaps`, the squared distances between the blocks' boxes.
    """

    def __init__(self, places: _Places, largest_eps: float) -> None:
        n, d = places.X.shape
        self.size = max(BLOCK, -(-n // MOST_BLOCKS))
        count = -(-n // self.size)
        self.members = np.full(count * self.size, n)
        self.members[:n] = np.arange(n)
        self.members = self.members.reshape(count, self.size)
        self.columns = np.vstack([places.X, np.full((1, d), np.nan)]).T.copy()
        """By feature, the places and one more, which is nowhere: it fills the last block, and is near to none."""
        starts = np.arange(0, n, self.size)
        low, high = np.minimum.reduceat(places.X, starts), np.maximum.reduceat(places.X, starts)
        gaps = np.zeros((count, count))
        for feature in range(d):
            apart = low[:, None, feature] - high[None, :, feature]
            gaps += np.square(np.maximum(np.maximum(apart, apart.T), 0))
        i, j = np.nonzero(np.triu(gaps <= largest_eps * largest_eps * (1 + DOUBT)))
        order = np.argsort(gaps[i, j], kind="stable")
        self.pairs, self.gaps = np.stack([i, j])[:, order], gaps[i, j][order]

    def connected(self, core: np.ndarray, components: np.ndarray, eps: float) -> np.ndarray:
        """`components` after all core places within eps of each other have become one."""
        i, j = self.pairs[:, : np.searchsorted(self.gaps, eps * eps * (1 + DOUBT), side="right")]
        step = max(1, NUMBERS_IN_CACHE // self.size**2)
        at_once = FIRST_STEPS * step
        doubts = []
        with ThreadPoolExecutor(threads(len(core))) as pool:
            while True:
                i, j = self._undecided(core, components, i, j)
                if not len(i):
                    break
                parts = [(i[start : start + step], j[start : start + step]) for start in range(0, at_once, step)]
                near = pool.map(partial(self._near, core, components, eps), parts)
                a, b, squares = (np.concatenate(found) for found in zip(*near, strict=True))
                within, doubtful = _compared(squares, eps)
                components = _merged(components, a[within], b[within])
                doubts.append((a[doubtful], b[doubtful]))
                i, j = i[at_once:], j[at_once:]
                at_once = min(2 * at_once, MOST_STEPS * step)
        if any((components[a] != components[b]).any() for a, b in doubts):
            raise DoubtError
        return components

    def _undecided(
        self, core: np.ndarray, components: np.ndarray, i: np.ndarray, j: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of blocks whose cores are not all of one component."""
        none = len(components)
        of_core = np.append(np.where(core, components, none), none)[self.members]
        high = np.where(of_core == none, -1, of_core).max(axis=1)
        low = of_core.min(axis=1)
        left = (high[i] >= 0) & (high[j] >= 0) & (np.minimum(low[i], low[j]) != np.maximum(high[i], high[j]))
        return i[left], j[left]

    def _near(
        self, core: np.ndarray, components: np.ndarray, eps: float, pairs: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Core places of different components in the pairs of blocks, within about eps, and their squared distances."""
        i, j = pairs
        squares = np.zeros((len(i), self.size, self.size))
        for values in self.columns:
            difference = values[self.members[i]][:, :, None] - values[self.members[j]][:, None, :]
            squares += np.square(difference, out=difference)
        pair, row, column = np.nonzero(squares <= eps * eps * (1 + DOUBT))  # not for a nan
        a, b = self.members[i[pair], row], self.members[j[pair], column]
        apart = core[a] & core[b] & (components[a] != components[b])
        return a[apart], b[apart], squares[pair, row, column][apart]


def _numbered(components: np.ndarray, core: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The labels of the core places: their components in the order of their first records."""
    places = np.flatnonzero(core)
    places = places[np.argsort(first[places])]
    _, earliest, component = np.unique(components[places], return_index=True, return_inverse=True)
    labels = np.full(len(core), NOISE)
    labels[places] = np.argsort(np.argsort(earliest))[component]
    return labels


def _with_borders(places: _Places, labels: np.ndarray, core: np.ndarray, eps: float) -> np.ndarray:
    """`labels`, of the core places alone, with the lowest label around it for each other place with a core within eps.

    A place that is no core has fewer than `min_samples` records within eps: they are all among the nearest.
    """
    last = len(labels)
    around = np.where(core, labels, last)
    for rows, near, squares in places.neighbours(np.flatnonzero(~core)):
        within, doubtful = _compared(squares, eps)
        lowest = np.where(within, around[near], last).min(axis=1)
        if (np.where(doubtful, around[near], last).min(axis=1) < lowest).any():
            raise DoubtError
        labels[rows] = np.where(lowest == last, NOISE, lowest)
    return labels
