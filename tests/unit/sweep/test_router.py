"""The router: each record goes to a cluster of its own group, as by the model of its value, or to none with a reason."""

import ast
import time
import tracemalloc
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import Birch

from penguins.data.column_types import as_names
from penguins.project import PROJECT
from penguins.sweep.algorithm import ALGORITHMS, Algorithm, Params, Space
from penguins.sweep.fit import SweepFit, fit_grid
from penguins.sweep.nearest import NearestRecords, nearest_from_bytes
from penguins.sweep.router import Key, Router, load_router, to_names

NO_BEST = "no value has the index"
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "dbscan": {"eps": (0.4, 20.0), "min_samples": (3,)},
    "hdbscan": {"min_cluster_size": (5,), "min_samples": (3,)},
    "kmeans": {"n_clusters": (2, 4)},
}
OPTIONS: dict[str, dict[str, str]] = {"standard": {}, "none": {"scale": "none"}, "haversine": {"metric": "haversine"}}


def at(*points: float, reach: float = 1.0, columns: tuple[str, ...] = ("a",)) -> NearestRecords:
    """Return records at these places of a line, each of a cluster of its own."""
    n_points, n_columns = len(points), len(columns)
    X = np.repeat(np.reshape(points, (-1, 1)), n_columns, axis=1).astype(float)
    clusters, reaches = np.arange(n_points), np.full(n_points, reach)
    return NearestRecords(columns, np.zeros(n_columns), np.ones(n_columns), False, X, clusters, reaches)


def one_column(groups: dict[str, NearestRecords | str]) -> Router:
    return Router(("island",), ("a",), False, {(name,): group for name, group in groups.items()})


def clusters(found: pd.DataFrame) -> list[Any]:
    return [None if value is pd.NA else value for value in found["cluster"]]


def test_each_row_belongs_to_a_cluster_of_its_own_group_or_is_noise() -> None:
    router = one_column({"x": at(0, 10), "y": at(10, 0), "empty": at()})
    rows = pd.DataFrame({"a": [0.5, 0.5, 9, 5, 0, 10], "island": ["x", "y", "y", "x", "empty", "x"], "other": [None] * 6})
    found = router.predict(rows)
    assert clusters(found) == [0, 1, 0, -1, -1, 1]
    assert found["reason"].tolist() == [""] * 6
    assert found.dtypes.astype(str).tolist() == ["Int64", "object"]


def test_rows_keep_their_order_and_their_index() -> None:
    router = one_column({"x": at(0), "y": at(5)})
    rows = pd.DataFrame({"a": [5, 0, 5, 0], "island": ["y", "x", "x", "y"]}, index=["p", "p", "q", "a"])
    found = router.predict(rows)
    assert found.index.tolist() == ["p", "p", "q", "a"]
    assert clusters(found) == [0, 0, -1, -1]
    assert router.predict(rows.iloc[::-1]).equals(found.iloc[::-1])


def test_a_row_of_no_known_group_has_no_cluster_and_a_reason() -> None:
    router = one_column({"x": at(0), "bare": NO_BEST})
    found = router.predict(pd.DataFrame({"a": [0, 0, 0, 0], "island": ["z\0\n", "bare", None, "x"]}))
    assert clusters(found) == [None, None, None, 0]
    assert found["reason"].tolist() == [
        r"no group of the training has 'z\x00\n' in column 'island'",
        NO_BEST,
        "column 'island' misses a value",
        "",
    ]
    long = router.predict(pd.DataFrame({"a": [0], "island": ["z" * 10_000]}))
    assert len(long["reason"][0]) < 150


def test_groups_of_several_columns_are_told_apart() -> None:
    groups: dict[Key, NearestRecords | str] = {("a, b", "c"): at(0), ("a", "b, c"): at(5), ("2007", "c"): NO_BEST}
    router = Router(("year", "place"), ("a",), False, groups)
    rows = pd.DataFrame(
        {"place": ["c", "b, c", "c", "c", None, "b, c"], "year": ["a, b", "a", 2007.0, "a", None, np.nan], "a": [0] * 6}
    )
    found = router.predict(rows)
    assert clusters(found) == [0, -1, None, None, None, None]
    assert found["reason"].tolist() == [
        "",
        "",
        NO_BEST,
        "no group of the training has 'a' in column 'year', 'c' in column 'place'",
        "column 'year' misses a value",
        "column 'year' misses a value",
    ]


def test_without_groups_every_row_is_compared_with_the_same_records() -> None:
    rows = pd.DataFrame({"a": [0, 5, 3]})
    assert clusters(Router((), ("a",), False, {(): at(0, 5)}).predict(rows)) == [0, 1, -1]
    found = Router((), ("a",), False, {(): NO_BEST}).predict(rows)
    assert (clusters(found), found["reason"].tolist()) == ([None] * 3, [NO_BEST] * 3)


def test_no_rows_give_no_rows() -> None:
    for router in (one_column({"x": at(0)}), one_column({}), Router((), ("a",), False, {(): at(0)})):
        found = router.predict(pd.DataFrame({"a": [], "island": []}))
        assert (list(found), len(found)) == (["cluster", "reason"], 0)
        assert found.dtypes.astype(str).tolist() == ["Int64", "object"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a gap": ({"a": [1, None]}, "column 'a' misses a value in row 1"),
    "a gap in a row of an unknown group": ({"a": [None, 1], "island": ["?", "x"]}, "column 'a' misses a value in row 0"),
    "text for numbers": ({"a": ["1", 2]}, "column 'a' must hold numbers, got '1' in row 0"),
    "an infinite number": ({"a": [1, np.inf]}, "column 'a' must hold finite numbers, got inf in row 1"),
    "a list as a group": ({"island": ["x", ["x"]]}, "column 'island' must hold text, got ['x'] in row 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_column_may_not_hold_is_refused_with_its_name_and_row(case: str) -> None:
    columns, message = REFUSED[case]
    rows = pd.DataFrame({"a": [1, 2], "island": [None, "x"]}, index=[70, 80]).assign(**columns)
    with pytest.raises(ValueError, match=r"^column ") as refusal:
        one_column({"x": at(0)}).predict(rows)
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", ["a", "island"])
def test_a_missing_column_is_named(name: str) -> None:
    rows = pd.DataFrame({"a": [1], "island": ["x"]}).drop(columns=name)
    with pytest.raises(ValueError, match=f"^column '{name}' is missing$"):
        one_column({"x": at(0)}).predict(rows)


READINGS: dict[str, tuple[str, list[Any]]] = {
    "a year": ("2007", [2007, 2007.0, "2007", np.int16(2007), Decimal(2007), Decimal("2007.00"), np.float32(2007)]),
    "zeros in front": ("007", ["007", 7, 7.0]),
    "a fraction": ("0.1", [0.1, "0.1"]),
    "a boolean of pandas": ("True", [True, np.True_, "True"]),
    "a boolean of Spark": ("true", [True, np.True_, "true"]),
    "a boolean of a database": ("FALSE", [False, "FALSE"]),
    "a large number": ("9007199254740993", [9007199254740993, "9007199254740993"]),
    "a day": ("2024-02-29", [date(2024, 2, 29), datetime(2024, 2, 29), pd.Timestamp("2024-02-29"), "2024-02-29"]),
    "midnight": ("2024-02-29 00:00:00", [datetime(2024, 2, 29), pd.Timestamp("2024-02-29"), date(2024, 2, 29)]),
    "a moment": ("2024-02-29 10:30:00", [datetime(2024, 2, 29, 10, 30), pd.Timestamp("2024-02-29 10:30")]),
}


@pytest.mark.parametrize("case", READINGS)
def test_a_value_finds_its_group_however_it_was_read(case: str) -> None:
    text, values = READINGS[case]
    for value in values:
        for column in (pd.Series([value]), pd.Series([value, None], dtype=object), pd.Series([value, "text"])):
            assert to_names(column.dropna(), "year", [text, "text", "other"])[0] == text
            assert clusters(one_column({text: at(0)}).predict(pd.DataFrame({"a": 0, "island": column})))[0] == 0


@pytest.mark.parametrize("value", [9007199254740992, 9007199254740994, 1, 1.0, "True ", 2.0**53])
def test_a_value_finds_no_group_that_is_only_like_it(value: Any) -> None:
    router = one_column({"9007199254740993": at(0), "True": at(0)})
    assert clusters(router.predict(pd.DataFrame({"a": [0], "island": [value]}))) == [None]


COLUMNS: dict[str, Any] = {
    "text": ["b", "a", "b"],
    "nullable text": pd.array(["b", "a"], dtype="string"),
    "whole numbers": [3, 1, 2**60 + 1],
    "whole numbers beside a gap": [2007.0, np.nan, 2008.0],
    "nullable whole numbers": pd.array([2007, None, 2008], dtype="Int64"),
    "small whole numbers": np.array([1, 2], dtype="int8"),
    "fractions": [0.1, 1e22, -0.5, 1e-7, np.inf],
    "short fractions": np.array([0.1, 2.5], dtype="float32"),
    "nullable fractions": pd.array([0.5, None, 2.0], dtype="Float64"),
    "booleans": [True, False],
    "booleans beside a gap": pd.Series([True, None, False], dtype=object),
    "nullable booleans": pd.array([True, None], dtype="boolean"),
    "categories": pd.Categorical(["b", None, "a"]),
    "categories of numbers": pd.Categorical([2.0, 1.0]),
    "mixed": pd.Series([1, "1 a", 2.5, True, "x"], dtype=object),
    "days": pd.to_datetime(["2024-01-01", "2024-02-01"]),
    "moments": pd.to_datetime(["2024-01-01 00:00", "2024-02-01 10:30"]),
    "dates": pd.Series([date(2024, 1, 1), date(2024, 2, 1)], dtype=object),
    "decimals": pd.Series([Decimal("1.50"), Decimal(2)], dtype=object),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_a_group_is_found_under_the_name_that_the_training_gave_it(case: str) -> None:
    values = pd.Series(COLUMNS[case])
    present = values.dropna()
    names = list(dict.fromkeys(as_names(present)))
    router = one_column({name: at(100 * place) for place, name in enumerate(names)})
    expected = as_names(present).map({name: 100 * place for place, name in enumerate(names)})
    rows = pd.DataFrame({"island": values, "a": 0.0})
    rows.loc[present.index, "a"] = expected.astype(float)
    for one in (rows, rows.astype({"island": object}), rows.iloc[[0]]):
        found = router.predict(one)
        assert clusters(found) == [None if missing else 0 for missing in one["island"].isna()]


def fit_random(name: str, options: dict[str, str], seed: int) -> tuple[pd.DataFrame, SweepFit]:
    random = np.random.default_rng(seed)
    centers = random.uniform(-60, 60, size=(4, 2))
    X = np.vstack([random.normal(center, 0.1 if "metric" in options else 1, (25, 2)) for center in centers])
    records = pd.DataFrame(X, columns=["lat", "lon"]).sample(frac=1, random_state=seed, ignore_index=True)
    return records, fit_grid(ALGORITHMS[name], records, GRIDS[name], seed, **options)


def nearest_records(found: SweepFit, position: int) -> NearestRecords:
    params, clustering = found.outcomes[position].params, found.clusterings[position]
    return found.algorithm.nearest_records(clustering, params, found.space, found.scaler)


# k-means has no metric.
CASES = [(name, option) for name in ALGORITHMS for option in OPTIONS if (name, option) != ("kmeans", "haversine")]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_the_router_and_the_model_of_a_value_agree(name: str, option: str, tmp_path: Path) -> None:
    n_clusters = []
    fits = {(str(seed),): fit_random(name, OPTIONS[option], seed) for seed in range(4)}
    for position in range(len(fits[("0",)][1].outcomes)):
        groups: dict[Key, NearestRecords | str] = {key: nearest_records(found, position) for key, (_, found) in fits.items()}
        made = Router(("seed",), ("lat", "lon"), option == "haversine", groups)
        made.save(f"{tmp_path}/{position}.npz")
        router = load_router(f"{tmp_path}/{position}.npz")
        new = [records + np.random.default_rng(9).normal(0, 0.3, records.shape) for records, _ in fits.values()]
        rows = pd.concat([one.assign(seed=seed) for seed, one in enumerate(new)]).sample(frac=1, random_state=0)
        by_router = made.predict(rows)
        assert router.predict(rows).equals(by_router)
        for seed, (_, found) in enumerate(fits.values()):
            of_group = rows["seed"] == seed
            model = found.model_that_predicts(position)
            expected = (nearest_from_bytes(model.npz) if model.npz else model.pipeline).predict(
                rows.loc[of_group, ["lat", "lon"]]
            )
            assert by_router.loc[of_group, "cluster"].tolist() == expected.tolist()
        n_clusters.append(by_router["cluster"].nunique())
    assert max(n_clusters) > 2


def test_of_centers_that_coincide_the_first_is_meant_as_scikit_learn_does() -> None:
    records = pd.DataFrame({"a": [0.0] * 6 + [4.0] * 6 + [8.0] * 6})
    found = fit_grid(ALGORITHMS["kmeans"], records, {"n_clusters": (5,)}, scale="none")
    nearest = nearest_records(found, 0)
    assert len(nearest.points) == 3
    assert nearest.predict(records).tolist() == found.model(0).predict(records).tolist()


class BirchClusters(Algorithm):
    name, swept, words = "birch", "n_clusters", ALGORITHMS["kmeans"].words

    def estimator(self, params: Params, space: Space) -> Birch:  # noqa: ARG002
        return Birch(n_clusters=params["n_clusters"])


def test_an_algorithm_with_a_rule_of_its_own_has_to_say_by_what_new_records_are_assigned() -> None:
    records = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    found = fit_grid(BirchClusters(), records, {"n_clusters": (2,)})
    with pytest.raises(NotImplementedError, match="BirchClusters must override assignment"):
        nearest_records(found, 0)


def test_what_is_read_back_predicts_as_what_was_written(tmp_path: Path) -> None:
    names = ["null\0byte", "\ud800", "", "🐧\n", "'\"\\", "bare\0"]
    groups: dict[Key, NearestRecords | str] = {(name, "1"): at(*range(n), columns=("a", "b\0")) for n, name in enumerate(names)}
    groups[(names[-1], "1")] = NO_BEST
    router = Router(("island", "year"), ("a", "b\0"), False, groups)
    router.save(f"{tmp_path}/router.npz")
    found = load_router(f"{tmp_path}/router.npz")
    assert (found.group_by, found.columns, found.is_sphere) == (router.group_by, router.columns, False)
    assert set(found.groups) == set(groups)
    rows = pd.DataFrame({"island": [*names, "?"], "year": 1, "a": 2, "b\0": 2})
    assert found.predict(rows).equals(router.predict(rows))
    assert clusters(found.predict(rows)) == [-1, -1, -1, 2, 2, None, None]


def test_a_router_of_groups_without_clusters_is_read_back(tmp_path: Path) -> None:
    for router in (one_column({"x": NO_BEST}), one_column({}), Router((), ("lat", "lon"), True, {(): NO_BEST})):
        router.save(f"{tmp_path}/router.npz")
        assert load_router(f"{tmp_path}/router.npz") == router


@pytest.mark.parametrize(
    ("group_by", "groups", "message"),
    [
        (("g",), {("a", "b"): at(0)}, "does not fit"),
        ((), {("all",): at(0)}, "the only key is"),
        ((), {}, "the only key is"),
        (("g",), {("a",): ""}, "needs a reason"),
        (("g",), {("a",): at(0, columns=("b",))}, "other columns"),
    ],
)
def test_groups_that_do_not_fit_the_columns_are_refused(group_by: Any, groups: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Router(group_by, ("a",), False, groups)


def test_what_a_model_carries_imports_nothing_else_of_the_project() -> None:
    carried = {"penguins.sweep.router", "penguins.sweep.nearest", "penguins.tracking.table_rows"}
    others = {"collections", "dataclasses", "datetime", "decimal", "importlib", "io", "itertools", "json", "numbers"}
    others |= {"pathlib", "typing", "numpy", "pandas", "scipy"}
    for name in carried:
        tree = ast.parse((PROJECT / "steps" / f"{name.replace('.', '/')}.py").read_text())
        imports = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        imports += [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
        assert {one for one in imports if one.split(".")[0] not in others} <= carried


def random_records(n_points: int, seed: int = 0) -> NearestRecords:
    X = np.random.default_rng(seed).normal(size=(n_points, 4))
    return NearestRecords(
        ("a", "b", "c", "d"), np.zeros(4), np.ones(4), False, X, np.arange(n_points) % 5, np.full(n_points, 0.3)
    )


@pytest.mark.parametrize(("n_groups", "n_points"), [(1_000, 20), (1, 20_000)])
def test_many_rows_are_soon_predicted_and_no_matrix_of_distances_is_made(n_groups: int, n_points: int) -> None:
    router = Router(("g",), ("a", "b", "c", "d"), False, {(f"{g}",): random_records(n_points, g) for g in range(n_groups)})
    random = np.random.default_rng(1)
    rows = pd.DataFrame(random.normal(size=(20_000, 4)), columns=list("abcd")).assign(g=random.integers(0, n_groups, 20_000))
    start = time.perf_counter()
    assert router.predict(rows)["cluster"].notna().all()
    assert time.perf_counter() - start < 10
    tracemalloc.start()
    router.predict(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
