"""DBCV: how dense the clusters of a clustering are inside, and how sparse the space between them is.

Noise counts against a clustering, and clusters may have any shape. Several clusterings of the same records share the distances.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penguins.clustering.clusters import NOISE
from penguins.clustering.core_distances import all_points_core_distances
from penguins.clustering.distances import Distances
from penguins.clustering.spanning_trees import SpanningTrees, spanning_trees

# Beyond this number of clustered records, the index is estimated on a sample of as many records.
MOST_RECORDS = 20_000
ROWS_AT_ONCE = 512
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
    one end, so ties are the rule: records of equal a(x) are ordered by their coordinates, and of edges of equal weight the one
    with the smaller distance comes first, then the one to the record with the smaller coordinates. So the order of the rows
    does not matter.

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
    distinct, positions = np.unique([_canonical(one) for one in all_labels[:, order]], axis=0, return_inverse=True)
    is_used = (distinct != NOISE).any(axis=0)
    points = Distances(np.asarray(X, dtype=float)[order][is_used], metric)
    values = _values(points, distinct[:, is_used]) * (is_used.sum() / max(1, len(X)))
    return [
        Dbcv(np.nan, TOO_FEW_CLUSTERS) if np.isnan(values[position]) else Dbcv(float(values[position]), "", estimated)
        for position in positions.ravel()
    ]


def _canonical(labels: np.ndarray) -> np.ndarray:
    """Renumber the clusters of two records or more by their first records; all other records become noise."""
    found, first, codes, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    is_cluster = (found != NOISE) & (sizes > 1)
    numbers = np.full(len(found), NOISE)
    clusters = np.flatnonzero(is_cluster)
    numbers[clusters[np.argsort(first[clusters])]] = np.arange(len(clusters))
    return numbers[codes]


def _values(points: Distances, labels: np.ndarray) -> np.ndarray:
    """Compute DBCV, relative to these records, of each clustering in labels, of shape (n_clusterings, n_records)."""
    values = np.full(len(labels), np.nan)
    eligible = np.flatnonzero(labels.max(axis=1, initial=NOISE) >= 1)
    if not len(eligible):
        return values
    core_squares = all_points_core_distances(points, labels[eligible])
    trees = spanning_trees(points, labels[eligible], core_squares)
    for clustering, of_clustering, squares in zip(eligible, trees, core_squares, strict=True):
        values[clustering] = _value(points, labels[clustering], squares, of_clustering)
    return values


def _value(points: Distances, labels: np.ndarray, core_squares: np.ndarray, tree: SpanningTrees) -> float:
    sizes = np.bincount(labels[labels != NOISE])
    degrees = np.bincount(np.concatenate([tree.first, tree.second]), minlength=len(labels))
    internal = degrees > 1
    has_internal = np.bincount(labels[internal], minlength=len(sizes)) > 0
    internal |= (labels != NOISE) & ~has_internal[labels]
    of_edge = labels[tree.first]
    is_internal = internal[tree.first] & internal[tree.second]
    has_edge = np.bincount(of_edge[is_internal], minlength=len(sizes)) > 0
    counts = is_internal | ~has_edge[of_edge]
    sparseness = np.zeros(len(sizes))
    np.maximum.at(sparseness, of_edge[counts], np.sqrt(tree.squares[counts]))
    separation = np.sqrt(_separations(points, labels, core_squares, np.flatnonzero(internal)))
    largest = np.maximum(separation, sparseness)
    validity = (separation - sparseness) / np.where(largest > 0, largest, 1)
    return float(sizes @ validity / len(labels))


def _separations(points: Distances, labels: np.ndarray, core_squares: np.ndarray, internal: np.ndarray) -> np.ndarray:
    """Return the squared separation of each cluster from the nearest one, of shape (n_clusters,)."""
    internal = internal[np.argsort(labels[internal], kind="stable")]
    own, squares = labels[internal], core_squares[internal]
    starts = np.searchsorted(own, np.arange(own[-1] + 2))
    separations = np.full(own[-1] + 1, np.inf)
    for start in range(0, len(internal), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        reachability = points.squares(internal[rows], internal)
        np.maximum(reachability, squares, out=reachability)
        for cluster in range(own[start], own[min(start + ROWS_AT_ONCE, len(own)) - 1] + 1):
            of_cluster = slice(max(starts[cluster] - start, 0), starts[cluster + 1] - start)
            reachability[of_cluster, starts[cluster] : starts[cluster + 1]] = np.inf
        nearest = np.maximum(reachability.min(axis=1), squares[rows])
        np.minimum.at(separations, own[rows], nearest)
    return separations
