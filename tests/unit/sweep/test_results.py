"""The table of a sweep: what is written can be read back, whatever the groups are called."""

import csv
import dataclasses
import io
import math

import pandas as pd
import pytest

from penguins.sweep.algorithm import ALGORITHMS
from penguins.sweep.results import (
    LoggedGroup,
    ResultRow,
    SweepResults,
    failure_rows,
    key_order,
    result_columns,
)
from penguins.sweep.results import parse_table as parse_any_table
from penguins.sweep.results import table_text as any_table_text

DBSCAN, KMEANS = ALGORITHMS["dbscan"], ALGORITHMS["kmeans"]
RESULT_COLUMNS = result_columns(DBSCAN)
EPS, MANY_EPS = {"eps": 0.1, "min_samples": 3}, [{"eps": 0.1, "min_samples": 3}, {"eps": 0.5, "min_samples": 3}]
HOSTILE = [
    "", " ", "a,b", '"quoted"', "line\nbreak", "return\rhere", "both\r\nends", "\r", "\n", "null\0byte",
    "'; drop table runs; --", "=1+1", "NA", "nan", "🐧", "\u202eright to left", "a\u0301", "\\n", "x" * 200_000,
]  # fmt: skip


def table_text(columns: tuple[str, ...], rows: list[ResultRow]) -> str:
    return any_table_text(columns, DBSCAN, rows)


def parse_table(text: str) -> list[ResultRow]:
    return parse_any_table(text, DBSCAN)


def row(group: str, **metrics: float) -> ResultRow:
    named = {name.replace("_", "-"): value for name, value in metrics.items()}
    return ResultRow((group,), EPS, named, "models:/m-1", "", 10)


def odd_row(name: str) -> ResultRow:
    params = {"eps": 1e-300, "min_samples": 1}
    return ResultRow((name,), params, {}, "", f"why, of {'x' * 100}\n", 0, True, "doubt", "dbcv: on 5, of 9")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_is_read_back_as_it_was_written_whatever_its_groups_are_called(name: str) -> None:
    rows = [row(name), row("plain"), odd_row(name)]
    assert parse_table(table_text(("island",), rows)) == rows


@pytest.mark.parametrize("column", HOSTILE)
def test_the_column_of_groups_may_have_any_name(column: str) -> None:
    text = table_text((column,), [row("a"), row("b\rc")])
    assert [found.group for found in parse_table(text)] == ["a", "b\rc"]
    assert next(csv.reader(io.StringIO(text, newline="")))[0] == column


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, math.inf, -math.inf])
def test_a_metric_keeps_every_bit(value: float) -> None:
    [found] = parse_table(table_text(("g",), [row("a", silhouette=value)]))
    assert found.metrics["silhouette"].hex() == value.hex()


def test_an_undefined_metric_is_an_empty_cell_and_counts_are_whole_numbers() -> None:
    metrics = {"silhouette": math.nan, "n_clusters": 2.0, "n_clustered_records": 1e6}
    undefined = ResultRow(("a",), EPS, metrics, "", "why", 4_000_000)
    assert table_text(("g",), [undefined]).splitlines() == [
        ",".join(["g", *RESULT_COLUMNS]),
        "a,0.1,,,,,2,1000000,,why,,3,4000000,0.25,false,,",
    ]
    [found] = parse_table(table_text(("g",), [undefined]))
    assert found.metrics == {"n_clusters": 2, "n_clustered_records": 1e6}


def test_lines_end_as_on_unix_unless_a_name_holds_a_carriage_return() -> None:
    assert "\r" not in table_text(("g",), [row("a\nb")])
    assert table_text(("g",), [row("a\rb")]).endswith("\r\n")


@pytest.mark.parametrize("lost", [1, 5, 20])
def test_a_table_that_was_cut_short_is_refused_or_lacks_rows(lost: int) -> None:
    text = table_text(("g",), [row("a", silhouette=0.5), row("b", silhouette=0.5)])
    cut = text[: -len("models:/m-1,,,3,10,,false,,\n") - lost]
    with pytest.raises(ValueError, match="has"):
        parse_table(cut)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        parse_table("")


def logged_group(name: str, has_best: bool = False, warning: str = "", failure: str = "") -> LoggedGroup:
    rows = [dataclasses.replace(row(name, silhouette=0.5, n_clusters=2), best=has_best, warning=warning)]
    if failure:
        rows = failure_rows((name,), MANY_EPS, 10, failure)
    return LoggedGroup((name,), f"run of {name}", 10, rows, failure)


def results(*groups: LoggedGroup) -> SweepResults:
    found = SweepResults()
    for group in groups:
        found.add(group)
    return found


def test_groups_that_are_numbers_are_sorted_by_value_and_before_names() -> None:
    names = ["b", "10", "9", "a", "1e1", "-1", "10.0", "", "é"]
    assert sorted(names, key=lambda name: key_order([name])) == ["-1", "9", "10", "10.0", "1e1", "", "a", "b", "é"]
    assert [found.group for found in results(*map(logged_group, names)).rows()] == [
        "-1",
        "9",
        "10",
        "10.0",
        "1e1",
        "",
        "a",
        "b",
        "é",
    ]


def test_results_know_the_best_values_and_the_failures() -> None:
    groups = [logged_group("a", has_best=True, warning="doubt"), logged_group("b"), logged_group("c", failure="why")]
    found = results(*groups)
    assert found.best == {"a": groups[0].rows[0]}
    assert found.failures == {"c": "why"}
    assert found.warnings == {"a": "doubt"}
    assert found.table(("g",), DBSCAN)["best"].tolist() == [True, False, False, False]


def test_a_group_that_failed_has_a_row_for_each_eps_with_the_reason() -> None:
    table = results(logged_group("a", has_best=True), logged_group("c", failure="why")).table(("island",), DBSCAN)
    assert list(table.columns) == ["island", *RESULT_COLUMNS]
    failed = table[table["island"] == "c"]
    assert failed["eps"].tolist() == [0.1, 0.5]
    assert failed["reason"].tolist() == ["why", "why"]
    assert failed["n_clusters"].isna().all()


def test_the_types_of_the_table_do_not_depend_on_its_rows() -> None:
    full, empty = (
        results(logged_group("a")).table(("g",), DBSCAN),
        results(logged_group("c", failure="why")).table(("g",), DBSCAN),
    )
    for table in (full, empty):
        assert table["silhouette"].dtype == "float64"
        assert table["n_clusters"].dtype == pd.Int64Dtype()


def test_a_group_that_failed_before_it_had_an_eps_has_a_row_without_one() -> None:
    rows = failure_rows(("a",), [{"eps": math.nan, "min_samples": 3}], 10, "why")
    text = table_text(("g",), rows)
    assert text.splitlines()[1] == "a,,,,,,,,,why,,3,10,,false,,"
    [found] = parse_table(text)
    assert math.isnan(found.params["eps"])


def test_a_swept_count_stands_once_in_the_table_as_it_was_asked_for() -> None:
    columns = result_columns(KMEANS)
    assert columns[0] == "n_clusters"
    assert len(set(columns)) == len(columns)
    assert set(RESULT_COLUMNS) - set(columns) == {"eps", "min_samples"}
    rows = [ResultRow(("a",), {"n_clusters": 5}, {"n_clusters": 4.0, "silhouette": 0.5}, "models:/m-1", "", 10)]
    [found] = parse_any_table(any_table_text(("g",), KMEANS, rows), KMEANS)
    assert (found.params, found.metrics) == ({"n_clusters": 5}, {"silhouette": 0.5})
    assert isinstance(found.params["n_clusters"], int)
    table = results(LoggedGroup(("a",), "run", 10, rows)).table(("g",), KMEANS)
    assert (table["n_clusters"].tolist(), table["n_clusters"].dtype) == ([5], pd.Int64Dtype())
