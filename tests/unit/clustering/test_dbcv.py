"""DBCV equals a literal reading of the paper, and hdbscan's where the spanning tree is unique, in any order of the rows."""

import warnings
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs, make_moons

from penguins.clustering.dbcv import TOO_FEW_CLUSTERS, dbcv
from penguins.clustering.sphere import EARTH_RADIUS_KM

with warnings.catch_warnings():
    warnings.simplefilter("ignore", SyntaxWarning)
    from hdbscan.validity import validity_index

Edge = tuple[float, int, int, int, int, int]


def distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(((x - y) ** 2).sum()))


def great_circle(x: np.ndarray, y: np.ndarray) -> float:
    """The haversine formula, in kilometres."""
    (lat1, lon1), (lat2, lon2) = np.radians(x), np.radians(y)
    a = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return float(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(a)))


def core_distance(record: int, members: list[int], d: np.ndarray, power: int) -> float:
    others = [d[record, other] for other in members if other != record]
    if 0 in others:
        return 0.0
    nearest = min(others)
    mean = sum((nearest / one) ** power for one in others) / len(others)
    return float(f"{nearest * mean ** (-1 / power):.11g}")


def tree(members: list[int], a: dict[int, float], d: np.ndarray) -> list[Edge]:
    """Kruskal's algorithm; edges of equal weight come by the rank of the core distance, and then by the ranks of both ends."""
    ranks = {record: rank for rank, record in enumerate(sorted(members, key=lambda record: (a[record], record)))}
    edges = []
    for x, y in combinations(members, 2):
        lighter, heavier = sorted((x, y), key=lambda record: ranks[record])
        weight = max(a[x], a[y], d[x, y])
        edges.append((weight, ranks[heavier] if weight == a[heavier] else -1, ranks[lighter], ranks[heavier], x, y))
    component = {record: record for record in members}
    chosen = []
    for edge in sorted(edges):
        x, y = component[edge[4]], component[edge[5]]
        if x != y:
            chosen.append(edge)
            component = {record: x if of == y else of for record, of in component.items()}
    return chosen


def literal_dbcv(X: np.ndarray, labels: np.ndarray, measure: object = distance) -> float:
    """Read the paper word by word, over the records in the order of their coordinates."""
    order = np.lexsort(X.T[::-1])
    X, labels = np.asarray(X, dtype=float)[order], labels[order]
    d = np.array([[measure(x, y) for y in X] for x in X])  # type: ignore[operator]
    clusters = [np.flatnonzero(labels == one).tolist() for one in np.unique(labels[labels >= 0])]
    clusters = [members for members in clusters if len(members) > 1]
    if len(clusters) < 2:
        return float("nan")
    a, sparseness, internal = dict[int, float](), list[float](), list[list[int]]()
    for members in clusters:
        a |= {record: core_distance(record, members, d, X.shape[1]) for record in members}
        edges = tree(members, a, d)
        degrees = Counter(end for *_, x, y in edges for end in (x, y))
        inside = [record for record in members if degrees[record] > 1]
        of_internal = [edge[0] for edge in edges if edge[4] in inside and edge[5] in inside]
        sparseness.append(max(of_internal or [edge[0] for edge in edges]))
        internal.append(inside or members)
    total = 0.0
    for i, members in enumerate(clusters):
        separation = min(
            max(a[x], a[y], d[x, y]) for j in range(len(clusters)) if j != i for x in internal[i] for y in internal[j]
        )
        if largest := max(separation, sparseness[i]):
            total += len(members) / len(X) * (separation - sparseness[i]) / largest
    return total


def random_clusterings(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a table of 10 to 60 records, with duplicates or on a lattice at times, and clusterings of it."""
    random = np.random.default_rng(seed)
    n, features = int(random.integers(10, 60)), int(random.choice([1, 2, 3, 5, 12, 30]))
    X = make_blobs(n, features, centers=3, cluster_std=random.choice([0.5, 2.0]), random_state=seed)[0]
    if seed % 4 == 1:
        X[n // 2 : n // 2 + 4] = X[0]
    if seed % 4 == 2:
        X = np.round(X)
    distances = np.sort(np.linalg.norm(X[:, None] - X, axis=2), axis=1)[:, 2]
    eps_values = np.quantile(distances[distances > 0], [0.2, 0.5, 0.8, 0.95])
    clusterings = [DBSCAN(eps=eps, min_samples=2).fit_predict(X) for eps in eps_values]
    return X, [*clusterings, random.integers(-1, 4, n), random.integers(0, n // 2, n)]


@pytest.mark.parametrize("seed", range(40))
def test_the_index_is_that_of_a_literal_reading_of_the_paper(seed: int) -> None:
    X, clusterings = random_clusterings(seed)
    found = [one.value for one in dbcv(X, clusterings)]
    assert found == pytest.approx([literal_dbcv(X, labels) for labels in clusterings], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", range(12))
def test_clusterings_are_scored_the_same_alone_in_blocks_and_in_any_order_of_rows_and_labels(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, clusterings = random_clusterings(seed)
    found = [one.value for one in dbcv(X, clusterings)]
    assert [dbcv(X, [labels])[0].value for labels in clusterings] == pytest.approx(found, abs=1e-12, nan_ok=True)
    random = np.random.default_rng(seed)
    rows = random.permutation(len(X))
    names = np.append(random.permutation(len(X)), -1)
    permuted = [names[labels[rows]] for labels in clusterings]
    assert [one.value for one in dbcv(X[rows], permuted)] == pytest.approx(found, abs=1e-12, nan_ok=True)
    monkeypatch.setattr("penguins.clustering.distances.MOST_RECORDS_IN_MATRIX", 0)
    monkeypatch.setattr("penguins.clustering.core_distances.NUMBERS_IN_CACHE", 100)
    monkeypatch.setattr("penguins.clustering.dbcv.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("penguins.clustering.dbcv.MOST_PAIRS", 0)
    monkeypatch.setattr("penguins.clustering.spanning_trees.NUMBERS_IN_MEMORY", 30)
    monkeypatch.setattr("penguins.clustering.spanning_trees.FIRST_COLUMNS", 2)
    assert [one.value for one in dbcv(X, clusterings)] == pytest.approx(found, abs=1e-12, nan_ok=True)


def is_unique(X: np.ndarray, labels: np.ndarray) -> bool:
    """Tell whether no two edges of a cluster have the same mutual reachability, so that its tree is unique."""
    for one in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == one)
        d = np.linalg.norm(X[members][:, None] - X[members], axis=2)
        a = [core_distance(i, list(range(len(members))), d, X.shape[1]) for i in range(len(members))]
        weights = [max(a[x], a[y], d[x, y]) for x, y in combinations(range(len(members)), 2)]
        if len(np.unique(np.round(weights, 9))) < len(weights):
            return False
    return True


def test_the_index_is_that_of_hdbscan_where_the_tree_is_unique() -> None:
    n_unique = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        sizes = random.integers(3, 5, 3)
        labels = np.append(np.repeat(np.arange(3), sizes), [-1, -1])
        # Records on a curve at growing distances: each core distance is dominated by one other record.
        along = np.concatenate([np.cumsum(random.uniform(1, 3, size) * 2.0 ** np.arange(size)) for size in sizes])
        X = np.column_stack([along, 60.0 * np.append(labels[:-2], [])]) + random.normal(0, 0.1, (len(along), 2))
        X = np.vstack([X, random.normal(200, 1, (2, 2))])
        if is_unique(X, labels):
            n_unique += 1
            assert dbcv(X, [labels])[0].value == pytest.approx(validity_index(X, labels), abs=1e-9)
    assert n_unique >= 5


@pytest.mark.parametrize(("scale", "offset"), [(1e-8, 0.0), (1e8, 0.0), (1.0, 1e6)])
def test_neither_scale_nor_offset_changes_the_index(scale: float, offset: float) -> None:
    X, truth = make_blobs(80, 3, centers=3, random_state=0)
    labels = np.where(np.arange(80) % 9, truth, -1)
    [expected] = dbcv(X, [labels])
    [found] = dbcv(X * scale + offset, [labels])
    assert found.value == pytest.approx(expected.value, abs=1e-9 if offset == 0 else 1e-6)


def test_single_precision_is_computed_in_double_precision() -> None:
    X = make_blobs(80, 3, centers=3, random_state=0)[0].astype(np.float32)
    labels = DBSCAN(eps=1.0, min_samples=3).fit_predict(X)
    assert dbcv(X, [labels]) == dbcv(X.astype(float), [labels])


def test_a_hundred_features_neither_overflow_nor_vanish() -> None:
    X, truth = make_blobs(60, 100, centers=3, random_state=0)
    X[1] = X[0] + 1e-9  # much nearer than all others
    [found] = dbcv(X, [truth])
    assert found.value == pytest.approx(literal_dbcv(X, truth), abs=1e-9)


@pytest.mark.parametrize(
    "labels",
    [[0, 0, 0, 0], [-1, -1, -1, -1], [0, 0, 1, -1], [0, 1, 2, 3]],
    ids=["one", "noise", "single records", "all single"],
)
def test_fewer_than_two_clusters_have_no_index(labels: list[int]) -> None:
    [found] = dbcv(np.arange(4.0)[:, None], [np.array(labels)])
    assert np.isnan(found.value)
    assert found.reason == TOO_FEW_CLUSTERS


def test_clusters_of_equal_records_are_as_good_as_can_be_and_equal_clusters_are_not() -> None:
    X = np.repeat([[0.0, 0.0], [3.0, 4.0]], 5, axis=0)
    assert dbcv(X, [np.repeat([0, 1], 5)])[0].value == 1
    assert dbcv(np.zeros((8, 2)), [np.repeat([0, 1], 4)])[0].value == 0


def test_moons_are_better_apart_than_cut_across_and_noise_counts_by_its_share() -> None:
    X, truth = make_moons(300, noise=0.05, random_state=0)
    apart, cut = (one.value for one in dbcv(X, [truth, (X[:, 0] > 0.5).astype(int)]))
    assert apart > 0 > cut
    with_noise = np.vstack([X, np.random.default_rng(0).uniform(-3, 3, (100, 2))])
    [noisy] = dbcv(with_noise, [np.append(truth, np.full(100, -1))])
    assert noisy.value == pytest.approx(apart * 300 / 400, abs=1e-12)


def test_great_circle_distances_are_used_across_the_180th_meridian() -> None:
    random = np.random.default_rng(0)
    X = np.vstack([random.normal(town, 0.1, (12, 2)) for town in ([-17, 180], [-18, 179], [-17, 177])])
    X[:, 1] = (X[:, 1] + 180) % 360 - 180
    labels = np.repeat([0, 1, 2], 12)
    [found] = dbcv(X, [labels], metric="haversine")
    assert found.value == pytest.approx(literal_dbcv(X, labels, great_circle), abs=1e-8)


def test_many_records_are_estimated_on_a_sample_that_the_seed_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    X, truth = make_blobs(6_000, 2, centers=4, cluster_std=0.4, random_state=2)
    labels = np.where(np.arange(6_000) % 10, truth, -1)
    [exact] = dbcv(X, [labels])
    monkeypatch.setattr("penguins.clustering.dbcv.MOST_RECORDS", 2_000)
    [one], [same], [other] = (dbcv(X, [labels], seed) for seed in (0, 0, 1))
    assert one == same
    assert one.value != other.value
    assert one.estimated == "dbcv: on 2000 of 6000 records (seed 0)"
    assert [one.value, other.value] == pytest.approx([exact.value] * 2, abs=0.3)
