"""DBCV: how dense the clusters of a clustering are inside, and how sparse the space between them is.

Noise counts against a clustering, and clusters may have any shape. Several clusterings of the same records share the distances.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from penguins.clustering.clusters import NOISE, Members, count_labels, parts
from penguins.clustering.core_distances import all_points_core_distances
from penguins.clustering.distances import Distances
from penguins.clustering.spanning_trees import Edges, spanning_forest, spanning_tree

# Beyond this number of clustered records, the index is estimated on a sample of as many records.
MOST_RECORDS = 20_000
ROWS_AT_ONCE = 512
# Up to this number of pairs of records of a cluster, the trees of all clusters are made at once.
MOST_PAIRS = 1 << 15
# Makes the trees of clusters, given the distances, the members of the clusters, their squared core distances, and where in the
# members each cluster begins.
TreeMaker = Callable[[Distances, np.ndarray, np.ndarray, np.ndarray], Edges]
TOO_FEW_CLUSTERS = "dbcv: fewer than two clusters of two records or more"


@dataclass(frozen=True)
class Dbcv:
    """The `value` of one clustering, NaN where it is undefined for `reason`, and how it was `estimated`, empty if exact."""

    value: float
    reason: str = ""
    estimated: str = ""


def dbcv(X: np.ndarray, labels: Sequence[np.ndarray] | np.ndarray, seed: int = 0, metric: str = "euclidean") -> list[Dbcv]:
    """Compute DBCV, in [-1, 1], of several clusterings of the same records; it is highest for dense, well separated clusters.

    X, finite, has shape (n_records, n_features); each item of labels, of shape (n_records,), holds the cluster of each
    record, or -1 for noise. For a record x of a cluster C, the all-points core distance a(x) is the mean of
    d(x, y)^-n_features over the other records y of C, to the power of -1/n_features; the mutual reachability of x and y is the
    largest of a(x), a(y) and d(x, y). The sparseness of a cluster is the largest edge between two internal records of its
    minimum spanning tree of the mutual reachability; internal records have two edges or more. The separation of two clusters is
    the smallest mutual reachability between their internal records. DBCV is the mean over all records, noise included with 0,
    of (separation - sparseness) / max(separation, sparseness) of their cluster, with the separation from the nearest cluster.

    As in the authors' code, a cluster of one record counts as noise, and where no edge is internal, all edges count; where no
    record is, all records do. A record that has a duplicate in its cluster has a(x) = 0. Most edges of the tree weigh a(x) of
    one end, so ties are the rule. Records are ordered by a(x), and where it is equal by their coordinates; of edges of equal
    weight the one to the first record is taken, that is, to the densest one. So the order of the rows does not matter.

    With the metric haversine, the features are latitude and longitude in degrees. `seed` chooses the sample of very many
    records; since the index depends on their density, the estimate is a rough one.
    D. Moulavi et al., "Density-based clustering validation", SDM 2014.
    """
    all_labels = np.array(labels)
    n, n_clustered = len(X), int((all_labels != NOISE).sum(axis=1).max(initial=0))
    estimated = ""
    if n_clustered > MOST_RECORDS:
        sample = np.random.default_rng(seed).choice(n, MOST_RECORDS, replace=False)
        X, all_labels = X[sample], all_labels[:, sample]
        estimated = f"dbcv: on {MOST_RECORDS} of {n} records (seed {seed})"
    order = np.lexsort(X.T[::-1])
    rows: dict[bytes, int] = {}
    canonical = _canonical(all_labels[:, order])
    positions = [rows.setdefault(one.tobytes(), len(rows)) for one in canonical]
    distinct = canonical[[positions.index(row) for row in rows.values()]]
    is_used = (distinct != NOISE).any(axis=0)
    points = Distances(np.asarray(X, dtype=float)[order][is_used], metric)
    values = _values(points, distinct[:, is_used]) * (is_used.sum() / max(1, len(X)))
    return [
        Dbcv(np.nan, TOO_FEW_CLUSTERS) if np.isnan(values[position]) else Dbcv(float(values[position]), "", estimated)
        for position in positions
    ]


def _canonical(labels: np.ndarray) -> np.ndarray:
    """Renumber the clusters of two records or more in each row by their first records; all other records become noise."""
    n_records, sizes = labels.shape[1], count_labels(labels)
    codes = labels + (sizes.shape[1] * np.arange(len(labels)) + 1)[:, None]
    first = np.full(sizes.size, n_records)
    np.minimum.at(first, codes.ravel(), np.tile(np.arange(n_records), len(labels)))
    is_cluster = sizes > 1
    is_cluster[:, 0] = False
    ranks = np.where(is_cluster, first.reshape(sizes.shape), n_records).argsort(axis=1).argsort(axis=1)
    return np.asarray(np.where(is_cluster, ranks, NOISE).ravel()[codes])


def _values(points: Distances, labels: np.ndarray) -> np.ndarray:
    """Compute DBCV, relative to these records, of each clustering in labels, of shape (n_clusterings, n_records)."""
    values = np.full(len(labels), np.nan)
    eligible = np.flatnonzero(labels.max(axis=1, initial=NOISE) >= 1)
    if not len(eligible):
        return values
    labels = labels[eligible]
    core_squares = all_points_core_distances(points, labels)
    n_pairs = (count_labels(labels)[:, 1:] ** 2).sum(axis=1) // 2
    known: dict[bytes, Edges] = {}  # Many values of eps have the same cluster.
    for start, stop in parts(n_pairs, MOST_PAIRS):
        are_few = points.are_in_memory and n_pairs[start:stop].sum() <= MOST_PAIRS
        make_trees = spanning_forest if are_few else partial(_trees_of_clusters, known)
        values[eligible[start:stop]] = _values_of(points, labels[start:stop], core_squares[start:stop], make_trees)
    return values


def _values_of(points: Distances, labels: np.ndarray, all_core_squares: np.ndarray, make_trees: TreeMaker) -> np.ndarray:
    """Compute DBCV of some clusterings, of two clusters or more each."""
    members = Members.from_labels(labels)
    core_squares = all_core_squares[members.clusterings[members.clusters], members.records]
    order = np.lexsort((core_squares, members.clusters))  # by cluster, core distance and position
    records, core_squares, clusters = members.records[order], core_squares[order], members.clusters
    edges = make_trees(points, records, core_squares, members.starts)
    is_internal = np.bincount(np.concatenate([edges.first, edges.second]), minlength=len(records)) > 1
    sparseness = np.sqrt(_sparseness(edges, is_internal, clusters))
    is_internal |= np.bincount(clusters[is_internal], minlength=len(members))[clusters] == 0
    internal = np.flatnonzero(is_internal)
    cuts = np.searchsorted(clusters[internal], members.offsets)
    separation = np.empty(len(members))
    for one, (begin, end) in enumerate(pairwise(members.offsets.tolist())):
        own = internal[cuts[one] : cuts[one + 1]]
        separation[begin:end] = _separations(points, core_squares[own], records[own], clusters[own] - begin)
    separation = np.sqrt(separation)
    largest = np.maximum(separation, sparseness)
    validity = (separation - sparseness) / np.where(largest > 0, largest, 1)
    return np.asarray(np.bincount(members.clusterings, weights=members.sizes * validity) / labels.shape[1])


def _trees_of_clusters(
    known: dict[bytes, Edges], points: Distances, members: np.ndarray, core_squares: np.ndarray, starts: np.ndarray
) -> Edges:
    """Return the edges of the trees of all clusters, which begin at `starts` of `members`, made one by one.

    `known` holds by their records the trees of clusters of other clusterings, and gets these, too.
    """
    found = []
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(members)], strict=True):
        of_cluster = members[start:stop]
        key = of_cluster.tobytes()
        if key not in known:
            known[key] = spanning_tree(points, of_cluster, core_squares[start:stop])
        first, second, squares = known[key]
        found.append((first + start, second + start, squares))
    return Edges(*[np.concatenate(arrays) for arrays in zip(*found, strict=True)])


def _sparseness(edges: Edges, is_internal: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the squared sparseness of each cluster: its largest internal edge, or its largest where none is internal."""
    largest = np.full((2, clusters[-1] + 1), -np.inf)
    of_internal, of_edges = is_internal[edges.first] & is_internal[edges.second], clusters[edges.first]
    np.maximum.at(largest[0], of_edges[of_internal], edges.squares[of_internal])
    np.maximum.at(largest[1], of_edges, edges.squares)
    return np.asarray(np.where(largest[0] >= 0, largest[0], largest[1]))


def _separations(points: Distances, core_squares: np.ndarray, records: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the squared separation of each cluster from the nearest other one; `records` are internal, sorted by cluster."""
    starts = np.searchsorted(clusters, np.arange(clusters[-1] + 1))
    stops = np.append(starts[1:], len(records))
    nearest = np.empty(len(records))
    for begin in range(0, len(records), ROWS_AT_ONCE):
        end = min(begin + ROWS_AT_ONCE, len(records))
        reachability = points.squares(records[begin:end], records)
        np.maximum(reachability, core_squares, out=reachability)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            if start < end and stop > begin:
                reachability[max(start - begin, 0) : stop - begin, start:stop] = np.inf
        reachability.min(axis=1, out=nearest[begin:end])
    return np.asarray(np.minimum.reduceat(np.maximum(nearest, core_squares), starts))
