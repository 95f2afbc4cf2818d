"""The minimum spanning trees of clusters under the mutual reachability of DBCV."""

from typing import NamedTuple

import numpy as np

from penguins.clustering.clusters import is_first, ranges, segment_sizes
from penguins.clustering.distances import Distances

# Records are compared with the densest ones first, then with four times as many each time.
FIRST_COLUMNS, GROWTH = 64, 4
NUMBERS_IN_MEMORY = 1 << 22


class Edges(NamedTuple):
    """The edges of trees, each array of shape (n_edges,): their two ends, and their `squares`, the squared weights."""

    first: np.ndarray
    second: np.ndarray
    squares: np.ndarray


def spanning_tree(points: Distances, members: np.ndarray, core_squares: np.ndarray) -> Edges:
    """Return the edges of the minimum spanning tree of a cluster.

    members are the cluster's records, and core_squares their squared core distances, both of shape (n,), in ascending order of
    the core distance and, where it is equal, of the coordinates. The ends are positions in members, of shape (n - 1,). The
    weight of an edge is the largest of the two core distances and the distance. Most weights are a core distance of a record x
    that has many such edges; the one to the record with the smallest core distance is taken, so that the tree branches at the
    densest records.

    No edge of x weighs less than its core distance a(x). So if any record with a smaller core distance is within a(x), the
    first of those gives the smallest edge of x, which belongs to the tree. Since a(x) is no less than the distance to the
    nearest record of the cluster, few records are left, the roots; the trees below them are joined by their smallest edges.
    """
    parents = _parents(points, members, core_squares)
    children = np.flatnonzero(parents >= 0)
    edges = [(children, parents[children], core_squares[children])]
    if len(children) < len(members) - 1:
        edges += _joining_edges(points, members, core_squares, parents)
    return Edges(*[np.concatenate(arrays) for arrays in zip(*edges, strict=True)])


def _parents(points: Distances, members: np.ndarray, core_squares: np.ndarray) -> np.ndarray:
    """Return for each record the first one within its core distance, if that comes before it in members; else -1."""
    parents = np.full(len(members), -1)
    left = np.arange(1, len(members))
    start, width = 0, FIRST_COLUMNS
    while len(left):
        columns = np.arange(start, min(start + width, len(members)))
        open_rows = []
        step = max(1, NUMBERS_IN_MEMORY // len(columns))
        for part in (left[at : at + step] for at in range(0, len(left), step)):
            fits = points.squares(members[part], members[columns]) <= core_squares[part, None]
            fits &= columns < part[:, None]
            column = fits.argmax(axis=1)
            is_found = fits[np.arange(len(part)), column]
            parents[part[is_found]] = columns[column[is_found]]
            open_rows.append(part[~is_found & (part > columns[-1] + 1)])
        left = np.concatenate(open_rows)
        start, width = start + width, GROWTH * width
    return parents


def _trees_of(parents: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Return which of the `roots` is above each record, by doubling the steps until nothing changes."""
    above = np.where(parents >= 0, parents, np.arange(len(parents)))
    while ((higher := above[above]) != above).any():
        above = higher
    return np.searchsorted(roots, above)


def _joining_edges(
    points: Distances, members: np.ndarray, core_squares: np.ndarray, parents: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Join the trees: the smallest one by its smallest edge to the others, until one is left."""
    edges = []
    roots = np.flatnonzero(parents < 0)
    trees = _trees_of(parents, roots)
    sizes = np.bincount(trees).astype(float)
    for _ in range(len(roots) - 1):
        smallest = int(sizes.argmin())
        inside, outside = np.flatnonzero(trees == smallest), np.flatnonzero(trees != smallest)
        step = max(1, NUMBERS_IN_MEMORY // len(outside))
        square, *_, a, b = min(
            _smallest_edge(points, members, core_squares, inside[start : start + step], outside)
            for start in range(0, len(inside), step)
        )
        edges.append((np.array([a]), np.array([b]), np.array([square])))
        other = trees[b]
        trees[inside] = other
        sizes[other] += sizes[smallest]
        sizes[smallest] = np.inf
    return edges


def _smallest_edge(
    points: Distances, members: np.ndarray, core_squares: np.ndarray, inside: np.ndarray, outside: np.ndarray
) -> tuple[float, int, int, int, int, int]:
    """Return the smallest edge from `inside` to `outside`, which are positions in members.

    The tuple is in the order of edges: squared weight, position of the record whose core distance it is (-1 for a distance),
    the positions in ascending order; then the position inside and the one outside.
    """
    weights = points.squares(members[inside], members[outside])
    np.maximum(weights, core_squares[outside], out=weights)
    np.maximum(weights, core_squares[inside, None], out=weights)
    row, column = np.nonzero(weights == weights.min())
    a, b, square = inside[row], outside[column], weights[row, column]
    low, high = np.minimum(a, b), np.maximum(a, b)
    of_core = np.where(core_squares[high] == square, high, -1)
    first = np.lexsort((high, low, of_core))[0] if len(a) > 1 else 0
    return tuple(array[first].item() for array in (square, of_core, low, high, a, b))


def spanning_forest(points: Distances, members: np.ndarray, core_squares: np.ndarray, starts: np.ndarray) -> Edges:
    """Return the edges of the trees of many clusters of few records, which are those of `spanning_tree`.

    The clusters, which begin at `starts` of members, may be those of several clusterings. Each is in the order of
    `spanning_tree`, and so are members and core_squares, both of shape (n,). The ends are positions in members; the edges of
    all clusters come in one list.
    """
    first_of_cluster = np.repeat(starts, segment_sizes(starts, len(members)))
    # Each two records of a cluster once: `n_before` each second one, which has the larger core distance.
    n_before = np.arange(len(members)) - first_of_cluster
    first, second = ranges(first_of_cluster, n_before)
    core = np.repeat(core_squares, n_before)
    places = np.flatnonzero(points.of_pairs(members.take(first), np.repeat(members, n_before)) <= core)
    places = places[is_first(second[places])]
    children, parents = second[places], np.full(len(members), -1)
    parents[children] = first[places]
    edges = [Edges(children, parents[children], core[places])]
    roots = np.flatnonzero(parents < 0)
    if len(roots) > len(starts):
        edges.append(_edges_between_trees(points, members, core_squares, _trees_of(parents, roots), first, n_before))
    return Edges(*[np.concatenate(arrays) for arrays in zip(*edges, strict=True)])


def _edges_between_trees(
    points: Distances,
    members: np.ndarray,
    core_squares: np.ndarray,
    trees: np.ndarray,
    first: np.ndarray,
    n_before: np.ndarray,
) -> Edges:
    """Join the trees of each cluster by Kruskal's algorithm, given the tree of each record, from 0 on, cluster by cluster.

    Each record makes pairs with those `n_before` it in its cluster, whose positions are `first`. Only the smallest edge between
    two trees can belong to the result. The order of edges is that of `_smallest_edge`.
    """
    by_tree = np.argsort(trees, kind="stable")  # A cluster keeps its positions, and so its pairs.
    second = np.repeat(np.arange(len(trees)), n_before)
    sorted_members, sorted_core, sorted_trees = members[by_tree], core_squares[by_tree], trees[by_tree]
    weights = points.of_pairs(sorted_members.take(first), np.repeat(sorted_members, n_before))
    np.maximum(weights, sorted_core.take(first), out=weights)
    np.maximum(weights, np.repeat(sorted_core, n_before), out=weights)
    of_first = sorted_trees.take(first)
    # The smallest edge of each record to each tree before it, and of those the smallest one between two trees.
    starts = np.flatnonzero(is_first(second) | is_first(of_first))
    of_record = np.minimum.reduceat(weights, starts)
    tree, tree_before = sorted_trees[second[starts]], of_first[starts]
    trees_of_record = tree * len(trees) + tree_before
    order = np.argsort(trees_of_record, kind="stable")
    firsts = np.flatnonzero(is_first(trees_of_record[order]))
    smallest = np.empty(len(starts))
    smallest[order] = np.repeat(np.minimum.reduceat(of_record[order], firsts), segment_sizes(firsts, len(starts)))
    smallest[tree == tree_before] = -np.inf  # within a tree
    kept = np.flatnonzero(weights == np.repeat(smallest, segment_sizes(starts, len(weights))))
    a, b, squares = by_tree[first[kept]], by_tree[second[kept]], weights[kept]
    return _kruskal(Edges(np.minimum(a, b), np.maximum(a, b), squares), core_squares, trees)


def _kruskal(edges: Edges, core_squares: np.ndarray, trees: np.ndarray) -> Edges:
    """Return those of the edges that join the trees."""
    low, high, squares = edges
    order = np.lexsort((high, low, np.where(core_squares[high] == squares, high, -1), squares))
    joined, chosen = list(range(trees.max() + 1)), []
    for edge, one, other in zip(order.tolist(), trees[low[order]].tolist(), trees[high[order]].tolist(), strict=True):
        while one != joined[one]:
            one = joined[one]
        while other != joined[other]:
            other = joined[other]
        if one != other:
            chosen.append(edge)
            joined[one] = other
    return Edges(low[chosen], high[chosen], squares[chosen])
