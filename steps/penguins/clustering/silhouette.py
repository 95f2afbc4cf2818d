"""The silhouette of many clusterings of the same records, from a single pass over the distances in bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from penguins.clustering.clusters import NOISE
from penguins.clustering.sphere import arcs
from penguins.clustering.threads import n_threads

# A tile of distances stays in a core's second-level cache; the sums of a block of rows stay within a memory budget.
TILE = 512
WIDEST_BLOCK = 256
SUMS_IN_MEMORY = 4_000_000
# Up to this number of records, a clustering is scored alone, from the same distance matrix as scikit-learn's: the order of
# operations in the product of small matrices depends on their size, and where records coincide, the index shows the rounding.
MOST_RECORDS_IN_MATRIX = 1_000
# Records whose squared distance, relative to their squared distance from the origin, is below this value nearly coincide.
COINCIDENCE = 1e-9


@dataclass(frozen=True)
class _Tile:
    """Records `start` to `stop`. `members`, of shape (n_cells_here, n_here), marks the records of each of the `cells`."""

    start: int
    stop: int
    cells: slice
    members: csr_array


@dataclass(frozen=True)
class _Refinement:
    """The common refinement of the clusterings: a cell holds the records that have equal labels in every clustering.

    Distances are summed once for each cell, and these sums serve all clusterings. `X`, of shape (n, n_features), is sorted by
    cell, as are `squared_norms`, of shape (n,), `labels` and `scored`, of shape (n_clusterings, n). Cell i starts at
    `starts[i]`. `clusters`, of shape (n_clusters of all clusterings, n_cells), marks the cells of each cluster; the clusters of
    clustering c are rows `offsets[c]` to `offsets[c + 1]`.
    """

    X: np.ndarray
    squared_norms: np.ndarray
    labels: np.ndarray
    scored: np.ndarray
    starts: np.ndarray
    clusters: csr_array
    offsets: np.ndarray
    tiles: list[_Tile]
    is_sphere: bool


def mean_silhouettes(X: np.ndarray, labels: np.ndarray, scored: np.ndarray, is_sphere: bool = False) -> np.ndarray:
    """Compute the mean silhouette coefficient of each clustering, of shape (n_clusterings,).

    X has shape (n_records, n_features); labels, of shape (n_clusterings, n_records), are -1 for noise and 0, 1 … for clusters,
    of which each clustering has two or more. scored, a boolean array of the same shape, selects the records of the mean, none
    of them noise; each is compared with all records that are not noise. If all of these are scored, the value equals
    scikit-learn's `silhouette_score`, whose order of operations is followed: P. J. Rousseeuw, "Silhouettes", J. Comput. Appl.
    Math. 20, 53 (1987). If `is_sphere`, X are points around any origin on a sphere of the Earth's radius, in kilometres, and
    the distances are those along great circles.
    """
    is_small = (labels != NOISE).sum(axis=1) <= MOST_RECORDS_IN_MATRIX
    means = np.empty(len(labels))
    if is_small.any():
        means[is_small] = _means_from_matrix(X, labels[is_small], scored[is_small], is_sphere)
    if not is_small.all():
        means[~is_small] = _means_from_shared_sums(X, labels[~is_small], scored[~is_small], is_sphere)
    return means


def _means_from_matrix(X: np.ndarray, labels: np.ndarray, scored: np.ndarray, is_sphere: bool) -> list[float]:
    """Compute the same as `mean_silhouettes` from one matrix of all distances, or from one for each clustering.

    One matrix serves all clusterings unless records nearly coincide.
    """
    used = (labels != NOISE).any(axis=0)
    X, labels, scored = X[used], labels[:, used], scored[:, used]
    shared = None
    if len(labels) > 1 and len(X) <= MOST_RECORDS_IN_MATRIX:
        distances = _distance_matrix(X, is_sphere)
        is_apart = _smallest_distance(distances) ** 2 > COINCIDENCE * np.einsum("ij,ij->i", X, X).max()
        shared = distances if is_apart else None
    means = []
    for own, of_clustering in zip(labels, scored, strict=True):
        clustered = own != NOISE
        if shared is None:
            distances = _distance_matrix(X[clustered], is_sphere)
        else:
            distances = shared if clustered.all() else shared[np.ix_(clustered, clustered)]
        means.append(_mean_of_clustering(distances, own[clustered], of_clustering[clustered]))
    return means


def _distance_matrix(X: np.ndarray, is_sphere: bool) -> np.ndarray:
    distances = euclidean_distances(X, X)
    np.fill_diagonal(distances, 0)
    return arcs(distances) if is_sphere else distances


def _smallest_distance(distances: np.ndarray) -> float:
    """Return the smallest distance between two records; distances has shape (n, n), with 0 on its diagonal."""
    n = len(distances)
    # Without its last element, the matrix in rows of n + 1 has the diagonal as its first column.
    return float(distances.ravel()[:-1].reshape(n - 1, n + 1)[:, 1:].min())


def _mean_of_clustering(distances: np.ndarray, own: np.ndarray, scored: np.ndarray) -> float:
    members = csr_array((np.ones(len(own)), (own, np.arange(len(own)))))
    silhouettes = _silhouettes(members @ distances, own, np.bincount(own))
    return float(silhouettes[scored].mean())


def _means_from_shared_sums(X: np.ndarray, labels: np.ndarray, scored: np.ndarray, is_sphere: bool) -> np.ndarray:
    """Compute the same as `mean_silhouettes` from sums of distances that the clusterings share."""
    clustered = (labels != NOISE).any(axis=0)
    refinement = _refine(X[clustered], labels[:, clustered], scored[:, clustered], is_sphere)
    rows = np.flatnonzero(refinement.scored.any(axis=0))
    width = min(WIDEST_BLOCK, max(1, SUMS_IN_MEMORY // max(len(refinement.starts), refinement.offsets[-1])))
    blocks = np.array_split(rows, -(-len(rows) // width))
    sums, counts = np.zeros(len(labels)), np.zeros(len(labels))
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(n_threads(len(rows))) as pool:
        for block_sums, block_counts in pool.map(lambda block: _score_block(refinement, block), blocks):
            sums += block_sums
            counts += block_counts
    return np.asarray(sums / counts)


def _refine(X: np.ndarray, labels: np.ndarray, scored: np.ndarray, is_sphere: bool) -> _Refinement:
    order = np.lexsort(labels)
    X, labels, scored = X[order], labels[:, order], scored[:, order]
    is_first = np.ones(len(X), dtype=bool)
    is_first[1:] = (labels[:, 1:] != labels[:, :-1]).any(axis=0)
    starts = np.flatnonzero(is_first)
    cell_labels = labels[:, starts]
    offsets = np.concatenate([[0], np.cumsum(cell_labels.max(axis=1) + 1)])
    clustering, cell = np.nonzero(cell_labels != NOISE)
    positions = offsets[clustering] + cell_labels[clustering, cell], cell
    clusters = csr_array((np.ones(len(cell)), positions), shape=(offsets[-1], len(starts)))
    cuts = np.linspace(0, len(X), -(-len(X) // TILE) + 1).astype(int)
    tiles = [_tile(starts, start, stop) for start, stop in pairwise(cuts)]
    return _Refinement(X, np.einsum("ij,ij->i", X, X), labels, scored, starts, clusters, offsets, tiles, is_sphere)


def _tile(starts: np.ndarray, start: int, stop: int) -> _Tile:
    first, last = np.searchsorted(starts, [start, stop - 1], side="right") - 1
    cuts = np.concatenate([np.maximum(starts[first : last + 1], start), [stop]]) - start
    members = csr_array((np.ones(stop - start), np.arange(stop - start), cuts))
    return _Tile(start, stop, slice(first, last + 1), members)


def _score_block(refinement: _Refinement, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the silhouettes of the scored records among `rows`, and count these records, both by clustering."""
    distances = refinement.clusters @ _cell_sums(refinement, rows)
    sizes = refinement.clusters @ np.diff(refinement.starts, append=len(refinement.X)).astype(float)
    sums, counts = np.zeros(len(refinement.labels)), np.zeros(len(refinement.labels))
    for clustering, (labels, scored) in enumerate(zip(refinement.labels[:, rows], refinement.scored[:, rows], strict=True)):
        clusters = slice(refinement.offsets[clustering], refinement.offsets[clustering + 1])
        columns = np.flatnonzero(scored)
        if not len(columns):
            continue
        sums[clustering] = _silhouettes(distances[clusters][:, columns], labels[columns], sizes[clusters]).sum()
        counts[clustering] = len(columns)
    return sums, counts


def _cell_sums(refinement: _Refinement, rows: np.ndarray) -> np.ndarray:
    """Sum the distances from each of `rows` to the records of each cell, of shape (n_cells, n_rows)."""
    sums = np.zeros((len(refinement.starts), len(rows)))
    minus_doubled = np.ascontiguousarray(-2 * refinement.X[rows].T)
    squared_norms = refinement.squared_norms[rows]
    buffer = np.empty((TILE, len(rows)))
    for tile in refinement.tiles:
        distances = buffer[: tile.stop - tile.start]
        np.dot(refinement.X[tile.start : tile.stop], minus_doubled, out=distances)
        distances += squared_norms
        distances += refinement.squared_norms[tile.start : tile.stop, None]
        itself = np.flatnonzero((rows >= tile.start) & (rows < tile.stop))
        distances[rows[itself] - tile.start, itself] = 0
        if distances.min() < 0:  # Rounding, where two records almost coincide.
            np.maximum(distances, 0, out=distances)
        np.sqrt(distances, out=distances)
        if refinement.is_sphere:
            distances = arcs(distances)
        sums[tile.cells] += tile.members @ distances
    return sums


def _silhouettes(distances: np.ndarray, own: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Compute the silhouettes of n records from the sums of their distances to the records of each cluster.

    distances, of shape (n_clusters, n), is overwritten; own, of shape (n,), are the records' clusters; sizes has shape
    (n_clusters,).
    """
    positions = own, np.arange(len(own))
    with np.errstate(divide="ignore", invalid="ignore"):
        within = distances[positions] / (sizes[own] - 1)
        distances /= sizes[:, None]
        distances[positions] = np.inf
        nearest = distances.min(axis=0)
        return np.asarray(np.nan_to_num((nearest - within) / np.maximum(within, nearest)))


def euclidean_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute distances, of shape (len(a), len(b)), with scikit-learn's formula and order of operations, for its rounding."""
    distances = a @ b.T  # NumPy computes a product with itself, as scikit-learn's, by a routine with a rounding of its own.
    distances *= -2
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)
    return np.asarray(np.sqrt(np.maximum(distances, 0, out=distances), out=distances))
