"""The silhouette of many clusterings of the same records, from one walk over their distances in bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from clustering.threads import threads

NOISE = -1
# A tile of distances stays in a core's second-level cache; the sums of a block of rows stay within a budget of memory.
TILE = 512
WIDEST_BLOCK = 256
SUMS_IN_MEMORY = 4_000_000
# Up to here each clustering is scored on its own, in the very matrix that scikit-learn makes: the order in which a library
# multiplies small matrices depends on their size, and where records coincide, the index shows the rounding.
SMALL = 1_000


@dataclass(frozen=True)
class _Tile:
    """Records from `start` to `stop`; `members`, of shape (n_atoms_here, n_here), tells to which of the `atoms` they belong."""

    start: int
    stop: int
    atoms: slice
    members: csr_array


@dataclass(frozen=True)
class _Atoms:
    """Records that no clustering tells apart, as neighbours: what they sum up to is summed once for all clusterings.

    `X`, of shape (n, n_features), is sorted by atom, and so are `squares`, the squared norms, `labels` and `scored`, of shape
    (n_clusterings, n). Atom i begins at `starts[i]`; `clusters`, of shape (n_clusters of all clusterings, n_atoms), says
    which belong together, those of clustering c between `offsets[c]` and `offsets[c + 1]`.
    """

    X: np.ndarray
    squares: np.ndarray
    labels: np.ndarray
    scored: np.ndarray
    starts: np.ndarray
    clusters: csr_array
    offsets: np.ndarray
    tiles: list[_Tile]


def mean_silhouettes(X: np.ndarray, labels: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """The mean silhouette coefficient of each clustering over the records that are `scored`, of shape (n_clusterings,).

    X has the shape (n_records, n_features), labels (n_clusterings, n_records), with -1 for noise and 0, 1 … for clusters, of
    which each clustering has two or more; scored, a boolean array of the same shape, chooses some that are not noise, each
    still compared with all that are not. With all of them, equal to scikit-learn's `silhouette_score`, whose formulas are
    followed to the order of their operations: P. J. Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20, 53 (1987).
    """
    clustered = labels != NOISE
    small = clustered.sum(axis=1) <= SMALL
    means = np.empty(len(labels))
    means[small] = [_small(X, *one) for one in zip(labels[small], scored[small], strict=True)]
    if not small.all():
        means[~small] = _together(X, labels[~small], scored[~small])
    return means


def _together(X: np.ndarray, labels: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """As `mean_silhouettes`, from sums that the clusterings share."""
    clustered = (labels != NOISE).any(axis=0)
    atoms = _atoms(X[clustered], labels[:, clustered], scored[:, clustered])
    rows = np.flatnonzero(atoms.scored.any(axis=0))
    width = min(WIDEST_BLOCK, max(1, SUMS_IN_MEMORY // max(len(atoms.starts), atoms.offsets[-1])))
    blocks = np.array_split(rows, -(-len(rows) // width))
    totals, counts = np.zeros(len(labels)), np.zeros(len(labels))
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads(len(rows))) as pool:
        for sums, members in pool.map(lambda block: _block(atoms, block), blocks):
            totals += sums
            counts += members
    return np.asarray(totals / counts)


def _atoms(X: np.ndarray, labels: np.ndarray, scored: np.ndarray) -> _Atoms:
    order = np.lexsort(labels)
    X, labels, scored = X[order], labels[:, order], scored[:, order]
    new = np.ones(len(X), dtype=bool)
    new[1:] = (labels[:, 1:] != labels[:, :-1]).any(axis=0)
    starts = np.flatnonzero(new)
    of_atoms = labels[:, starts]
    offsets = np.concatenate([[0], np.cumsum(of_atoms.max(axis=1) + 1)])
    clustering, atom = np.nonzero(of_atoms != NOISE)
    places = offsets[clustering] + of_atoms[clustering, atom], atom
    clusters = csr_array((np.ones(len(atom)), places), shape=(offsets[-1], len(starts)))
    cuts = np.linspace(0, len(X), -(-len(X) // TILE) + 1).astype(int)
    tiles = [_tile(starts, start, stop) for start, stop in pairwise(cuts)]
    return _Atoms(X, np.einsum("ij,ij->i", X, X), labels, scored, starts, clusters, offsets, tiles)


def _tile(starts: np.ndarray, start: int, stop: int) -> _Tile:
    first, last = np.searchsorted(starts, [start, stop - 1], side="right") - 1
    cuts = np.concatenate([np.maximum(starts[first : last + 1], start), [stop]]) - start
    members = csr_array((np.ones(stop - start), np.arange(stop - start), cuts))
    return _Tile(start, stop, slice(first, last + 1), members)


def _block(atoms: _Atoms, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the silhouettes of `rows` and the number of them, both by clustering."""
    distances = atoms.clusters @ _sums_by_atom(atoms, rows)
    sizes = atoms.clusters @ np.diff(atoms.starts, append=len(atoms.X)).astype(float)
    sums, counts = np.zeros(len(atoms.labels)), np.zeros(len(atoms.labels))
    for clustering, (labels, scored) in enumerate(zip(atoms.labels[:, rows], atoms.scored[:, rows], strict=True)):
        here = slice(atoms.offsets[clustering], atoms.offsets[clustering + 1])
        columns = np.flatnonzero(scored)
        if not len(columns):
            continue
        sums[clustering] = _silhouettes(distances[here][:, columns], labels[columns], sizes[here]).sum()
        counts[clustering] = len(columns)
    return sums, counts


def _silhouettes(distances: np.ndarray, own: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The silhouettes of n records, from the sums of their distances to the records of each cluster.

    distances has the shape (n_clusters, n) and is written over, own, the records' clusters, (n,), and sizes (n_clusters,).
    """
    places = own, np.arange(len(own))
    with np.errstate(divide="ignore", invalid="ignore"):
        within = distances[places] / (sizes[own] - 1)
        distances /= sizes[:, None]
        distances[places] = np.inf
        nearest = distances.min(axis=0)
        return np.asarray(np.nan_to_num((nearest - within) / np.maximum(within, nearest)))


def _small(X: np.ndarray, labels: np.ndarray, scored: np.ndarray) -> float:
    """The mean silhouette of one clustering, from the matrix of all distances."""
    clustered = labels != NOISE
    own, records = labels[clustered], X[clustered]
    distances = euclidean_distances(records, records)
    np.fill_diagonal(distances, 0)
    members = csr_array((np.ones(len(own)), (own, np.arange(len(own)))))
    silhouettes = _silhouettes(members @ distances, own, np.bincount(own))
    return float(silhouettes[scored[clustered]].mean())


def euclidean_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of shape (len(a), len(b)) in scikit-learn's formula and order of operations, for its rounding."""
    distances = -2 * (a @ b.T)
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)
    return np.asarray(np.sqrt(np.maximum(distances, 0, out=distances), out=distances))


def _sums_by_atom(atoms: _Atoms, rows: np.ndarray) -> np.ndarray:
    """The sums of the distances from each of `rows` to the records of each atom, of shape (n_atoms, n_rows)."""
    sums = np.zeros((len(atoms.starts), len(rows)))
    doubled, squares = np.ascontiguousarray(-2 * atoms.X[rows].T), atoms.squares[rows]
    buffer = np.empty((TILE, len(rows)))
    for tile in atoms.tiles:
        distances = buffer[: tile.stop - tile.start]
        np.dot(atoms.X[tile.start : tile.stop], doubled, out=distances)
        distances += squares
        distances += atoms.squares[tile.start : tile.stop, None]
        itself = np.flatnonzero((rows >= tile.start) & (rows < tile.stop))
        distances[rows[itself] - tile.start, itself] = 0
        if distances.min() < 0:  # by rounding, where two records all but coincide
            np.maximum(distances, 0, out=distances)
        np.sqrt(distances, out=distances)
        sums[tile.atoms] += tile.members @ distances
    return sums
