"""The silhouette of many clusterings of the same records, from a single pass over the distances in bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from penguins.clustering.clusters import NOISE, Members, parts, segment_sizes
from penguins.clustering.sphere import arcs
from penguins.clustering.threads import n_threads

# A tile of distances stays in a core's second-level cache; the sums of a block of rows stay within a memory budget.
TILE = 512
WIDEST_BLOCK = 256
SUMS_IN_MEMORY = 4_000_000
# Up to this number of records, clusterings share one matrix of distances.
MOST_RECORDS_IN_MATRIX = 1_000
# The rounding of scikit-learn's formula for squared distances, relative to the squared norms, and the effect on an index that
# is accepted.
PRECISION, NEGLIGIBLE = 4 * float(np.finfo(float).eps), 1e-10


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
    the distances are those along great circles, from differences of the coordinates: scikit-learn's show no rounding there.
    """
    is_small = (labels != NOISE).sum(axis=1) <= MOST_RECORDS_IN_MATRIX
    means = np.empty(len(labels))
    if is_small.any():
        means[is_small] = _means_from_matrix(X, labels[is_small], scored[is_small], is_sphere)
    if not is_small.all():
        means[~is_small] = _means_from_shared_sums(X, labels[~is_small], scored[~is_small], is_sphere)
    return means


def _means_from_matrix(X: np.ndarray, labels: np.ndarray, scored: np.ndarray, is_sphere: bool) -> np.ndarray:
    """Compute the same as `mean_silhouettes` from one matrix of distances, or from one for each clustering where that shows."""
    clustered = labels != NOISE
    is_used = clustered.any(axis=0)
    n_used = np.count_nonzero(is_used)
    if n_used <= MOST_RECORDS_IN_MATRIX:
        means, errors = _means_and_errors(X[is_used], labels[:, is_used], scored[:, is_used], is_sphere)
    else:
        means, errors = np.empty(len(labels)), np.full(len(labels), np.inf)
    # The order of operations in the product of small matrices depends on their size, and where records coincide, the index
    # shows the rounding: there, a clustering has scikit-learn's own matrix, that of its clustered records.
    for one in np.flatnonzero((errors > NEGLIGIBLE * np.abs(means)) & (clustered.sum(axis=1) < n_used)).tolist():
        own = clustered[one]
        means[one] = _means_and_errors(X[own], labels[one : one + 1, own], scored[one : one + 1, own], is_sphere)[0][0]
    return means


def _means_and_errors(X: np.ndarray, labels: np.ndarray, scored: np.ndarray, is_sphere: bool) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean silhouette of each clustering from the matrix of all distances, and a bound of its rounding error."""
    if is_sphere:
        distances, errors = arcs(cdist(X, X)), np.zeros(len(X))
    else:
        distances = euclidean_distances(X, X)
        errors = _largest_errors(distances, X)
    np.fill_diagonal(distances, 0)
    means, bounds = np.empty(len(labels)), np.empty(len(labels))
    for start, stop in parts(labels.max(axis=1) + 1, SUMS_IN_MEMORY // len(X)):
        members = Members.from_labels(labels[start:stop])
        cuts = np.append(members.starts, len(members.records))
        of_members = csr_array((np.ones(len(members.records)), members.records, cuts), shape=(len(members), len(X)))
        is_scored = scored[start:stop][members.clusterings[members.clusters], members.records]
        own, records = members.clusters[is_scored], members.records[is_scored]
        clusterings = members.clusterings[own]
        silhouettes, larger = _silhouettes(of_members @ distances, members.sizes, members.offsets, own, clusterings, records)
        with np.errstate(divide="ignore", invalid="ignore"):
            of_silhouettes = np.nan_to_num(2 * errors[records] / larger)
        counts = np.bincount(clusterings)
        means[start:stop] = np.bincount(clusterings, weights=silhouettes) / counts
        bounds[start:stop] = np.bincount(clusterings, weights=of_silhouettes) / counts
    return means, bounds


def _largest_errors(distances: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return a bound of the rounding errors in each row of the matrix of distances between the records X."""
    rounding = PRECISION * np.einsum("ij,ij->i", X, X)
    np.fill_diagonal(distances, np.inf)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nan_to_num(rounding / np.maximum(distances.min(axis=1), np.sqrt(rounding))))


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
    sizes = refinement.clusters @ segment_sizes(refinement.starts, len(refinement.X)).astype(float)
    clusterings, columns = np.nonzero(refinement.scored[:, rows])
    own = refinement.labels[clusterings, rows[columns]] + refinement.offsets[clusterings]
    silhouettes, _ = _silhouettes(distances, sizes, refinement.offsets, own, clusterings, columns)
    n_clusterings = len(refinement.labels)
    return np.bincount(clusterings, silhouettes, n_clusterings), np.bincount(clusterings, minlength=n_clusterings)


def _cell_sums(refinement: _Refinement, rows: np.ndarray) -> np.ndarray:
    """Sum the distances from each of `rows` to the records of each cell, of shape (n_cells, n_rows)."""
    sums = np.zeros((len(refinement.starts), len(rows)))
    minus_doubled = np.ascontiguousarray(-2 * refinement.X[rows].T)
    squared_norms = refinement.squared_norms[rows]
    buffer = np.empty((TILE, len(rows)))
    for tile in refinement.tiles:
        if refinement.is_sphere:
            distances = arcs(cdist(refinement.X[tile.start : tile.stop], refinement.X[rows]))
        else:
            distances = buffer[: tile.stop - tile.start]
            np.dot(refinement.X[tile.start : tile.stop], minus_doubled, out=distances)
            distances += squared_norms
            distances += refinement.squared_norms[tile.start : tile.stop, None]
            itself = np.flatnonzero((rows >= tile.start) & (rows < tile.stop))
            distances[rows[itself] - tile.start, itself] = 0
            if distances.min() < 0:  # Rounding, where two records almost coincide.
                np.maximum(distances, 0, out=distances)
            np.sqrt(distances, out=distances)
        sums[tile.cells] += tile.members @ distances
    return sums


def _silhouettes(
    sums: np.ndarray, sizes: np.ndarray, offsets: np.ndarray, own: np.ndarray, clusterings: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute silhouettes from sums of distances, and the larger of the two mean distances in each; both of shape (n,).

    sums, of shape (n_clusters of all clusterings, n_columns), are those of the distances from the record of each column to all
    records of each cluster; they are overwritten. sizes has shape (n_clusters,); the clusters of clustering c are `offsets[c]`
    to `offsets[c + 1]`. The silhouettes are those of the records of `columns` in `clusterings`, whose clusters are `own`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        within = sums[own, columns] / (sizes[own] - 1)
        sums /= sizes[:, None]
        sums[own, columns] = np.inf
        nearest = np.minimum.reduceat(sums, offsets[:-1])[clusterings, columns]
        larger = np.maximum(within, nearest)
        return np.nan_to_num((nearest - within) / larger), larger


def euclidean_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute distances, of shape (len(a), len(b)), with scikit-learn's formula and order of operations, for its rounding."""
    distances = -2 * (a @ b.T)
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)
    return np.asarray(np.sqrt(np.maximum(distances, 0, out=distances), out=distances))
