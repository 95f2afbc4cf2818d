"""Minimum spanning trees of the clusters of many clusterings, under the mutual reachability of DBCV."""

from dataclasses import dataclass

import numpy as np

from penguins.clustering.clusters import NOISE
from penguins.clustering.distances import Distances

N_NEAREST = 16
ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class SpanningTrees:
    """The edges of the trees of one clustering: between the records `first` and `second`, with the squared weight `squares`."""

    first: np.ndarray
    second: np.ndarray
    squares: np.ndarray


def spanning_trees(points: Distances, labels: np.ndarray, core_squares: np.ndarray) -> list[SpanningTrees]:
    """Return the minimum spanning trees of the clusters of each clustering.

    labels, -1 for noise, and core_squares, the squared core distances, have shape (n_clusterings, n_records). The records are
    sorted by their coordinates. Edges are ordered by the largest of the two core distances and the distance, core distances
    that are equal by the position of the record; then by the distance, then by the positions of the records.

    No edge of a record x weighs less than its core distance a(x). So if any record with a smaller core distance is within a(x),
    the nearest of those gives the smallest edge of x, which belongs to the tree. Since a(x) is no less than the distance to the
    nearest record of the cluster, few records are left, the roots; the trees below them are joined by their smallest edges.
    """
    number = min(N_NEAREST, len(points) - 1)
    nearest, squares = points.nearest(number)
    is_complete = number == len(points) - 1
    trees = []
    for own, of_clustering in zip(labels, core_squares, strict=True):
        parents = _parents(points, own, of_clustering, nearest, squares, is_complete)
        trees.append(_join_roots(points, own, of_clustering, parents))
    return trees


def _ranks(core_squares: np.ndarray) -> np.ndarray:
    """Return the rank of each record by its core distance, then by its position, of shape (n_records,)."""
    ranks = np.empty(len(core_squares), dtype=np.intp)
    ranks[np.argsort(core_squares, kind="stable")] = np.arange(len(core_squares))
    return ranks


def _parents(
    points: Distances,
    labels: np.ndarray,
    core_squares: np.ndarray,
    nearest: np.ndarray,
    squares: np.ndarray,
    is_complete: bool,
) -> np.ndarray:
    """Return for each record the nearest one of its cluster with a smaller core distance, if it is within its own; else -1."""
    ranks = _ranks(core_squares)
    fits = (ranks[nearest] < ranks[:, None]) & (labels[nearest] == labels[:, None])
    column = fits.argmax(axis=1)
    rows = np.arange(len(labels))
    found = fits[rows, column]
    square = squares[rows, column]
    parents = np.where(found & (square <= core_squares), nearest[rows, column], -1)
    parents[labels == NOISE] = -1
    # Records outside the list are no nearer than its last one.
    last = squares[:, -1]
    is_open = np.where(found, square == last, last <= core_squares) & (labels != NOISE)
    if is_complete:
        return parents
    for cluster in np.unique(labels[is_open]):
        members = np.flatnonzero(labels == cluster)
        records = members[is_open[members]]
        for start in range(0, len(records), ROWS_AT_ONCE):
            part = records[start : start + ROWS_AT_ONCE]
            distances = points.squares(part, members)
            distances[ranks[members] >= ranks[part][:, None]] = np.inf
            best = distances.argmin(axis=1)
            within = distances[np.arange(len(part)), best] <= core_squares[part]
            parents[part] = np.where(within, members[best], -1)
    return parents


def _join_roots(points: Distances, labels: np.ndarray, core_squares: np.ndarray, parents: np.ndarray) -> SpanningTrees:
    children = np.flatnonzero(parents >= 0)
    edges = [(children, parents[children], core_squares[children])]
    roots = np.flatnonzero((parents < 0) & (labels != NOISE))
    n_roots = np.bincount(labels[roots])
    if (n_roots > 1).any():
        ranks, tree_of = _ranks(core_squares), _tree_of(parents)
        for cluster in np.flatnonzero(n_roots > 1):
            members = np.flatnonzero(labels == cluster)
            edges += _joining_edges(points, members, tree_of[members], core_squares[members], ranks[members])
    first, second, squares = (np.concatenate(arrays) for arrays in zip(*edges, strict=True))
    return SpanningTrees(first, second, squares)


def _tree_of(parents: np.ndarray) -> np.ndarray:
    """Return the root above each record, by doubling the steps until nothing changes."""
    above = np.where(parents >= 0, parents, np.arange(len(parents)))
    while not np.array_equal(higher := above[above], above):
        above = higher
    return above


def _joining_edges(
    points: Distances, members: np.ndarray, trees: np.ndarray, core_squares: np.ndarray, ranks: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Join the trees of one cluster: the smallest one by its smallest edge to the others, until one is left."""
    edges = []
    names, trees, sizes = np.unique(trees, return_inverse=True, return_counts=True)
    sizes = sizes.astype(float)
    for _ in range(len(names) - 1):
        smallest = int(sizes.argmin())
        inside, outside = np.flatnonzero(trees == smallest), np.flatnonzero(trees != smallest)
        best = min(
            _smallest_edge(points, members, core_squares, ranks, inside[start : start + ROWS_AT_ONCE], outside)
            for start in range(0, len(inside), ROWS_AT_ONCE)
        )
        square, *_, a, b = best
        edges.append((members[[a]], members[[b]], np.array([square])))
        other = trees[b]
        trees[inside] = other
        sizes[other] += sizes[smallest]
        sizes[smallest] = np.inf
    return edges


def _smallest_edge(
    points: Distances,
    members: np.ndarray,
    core_squares: np.ndarray,
    ranks: np.ndarray,
    inside: np.ndarray,
    outside: np.ndarray,
) -> tuple[float, int, float, int, int, int, int]:
    """Return the smallest edge from `inside` to `outside`, which are positions in `members`.

    The tuple is in the order of edges: squared weight, rank of the record whose core distance it is (-1 for a distance),
    squared distance, the positions in ascending order; then the position inside and the one outside.
    """
    distances = points.squares(members[inside], members[outside])
    weights = np.maximum(distances, np.maximum(core_squares[inside][:, None], core_squares[outside]))
    row, column = np.nonzero(weights == weights.min())
    a, b = inside[row], outside[column]
    square, distance = weights[row, column], distances[row, column]
    heavier = np.where(ranks[a] > ranks[b], a, b)
    rank = np.where(core_squares[heavier] == square, ranks[heavier], -1)
    low, high = np.minimum(a, b), np.maximum(a, b)
    first = np.lexsort((high, low, distance, rank))[0]
    return tuple(array[first].item() for array in (square, rank, distance, low, high, a, b))
