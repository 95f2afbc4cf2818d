"""The columns of tables that Spark reads are described as those that pandas reads."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from input_tables import GOOD_CSV, Recipe, file, path
from pyarrow import parquet
from pyspark.sql import SparkSession

from penguins.data.auto import Column, choose_features
from penguins.data.describe import describe_columns
from penguins.data.describe_spark import describe_spark_columns
from penguins.errors import InputError

N_ROWS = 40


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def repeat(*values: object, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([values[row % len(values)] for row in range(N_ROWS)], kind)


def write_folder() -> str:
    """Write a folder of two Parquet files with a column of each kind."""
    table = pa.table(
        {
            "kind": repeat("a", "b", "a", None),
            "name": pa.array([f"name {row}" for row in range(N_ROWS)]),
            "a.b `c`": repeat(1.5, float("nan"), None, 2.5),
            "month": repeat(1, 2, None, 3, kind=pa.int32()),
            "price": repeat(Decimal("1.25"), None),
            "gone": repeat(1.0, float("nan"), None),
            "wet": repeat(True, False, None, True),
            "constant": repeat(7),
            "since": repeat(date(2026, 1, 1), None),
            "seen": repeat(datetime(2026, 1, 1), datetime(2026, 1, 2)),
            "tags": repeat(["x"], None),
            "place": repeat({"x": 1.0}, {"x": 2.0}),
            "counts": repeat([("x", 1)], kind=pa.map_(pa.string(), pa.int64())),
            "raw": repeat(b"x", b"y"),
            "__index_level_0__": pa.array(range(N_ROWS)),
        }
    )
    Path("t").mkdir()
    parquet.write_table(table.slice(0, 15), "t/1.parquet")
    parquet.write_table(table.slice(15), "t/2.parquet")
    return "t"


def folder_here(_: SparkSession) -> str:
    return write_folder()


def folder_at_a_uri(_: SparkSession) -> str:
    return Path(write_folder()).absolute().as_uri()


def table_of_the_catalogue(session: SparkSession) -> str:
    session.read.parquet(folder_at_a_uri(session)).createOrReplaceTempView("described")
    return "described"


@pytest.mark.parametrize("write", [folder_here, folder_at_a_uri, table_of_the_catalogue])
def test_pandas_and_spark_give_the_same_answer(session: SparkSession, write: Callable[[SparkSession], str]) -> None:
    described = describe_spark_columns(session, write(session))
    assert described == describe_columns("t")
    assert {column.name: (column.kind, column.n_missing) for column in described if column.name != "name"} == {
        "kind": ("text", 10),
        "a.b `c`": ("number", 20),
        "month": ("number", 10),
        "price": ("number", 20),
        "gone": ("number", 26),
        "wet": ("boolean", 10),
        "constant": ("number", 0),
        "since": ("other", 20),
        "seen": ("other", 0),
        "tags": ("other", 20),
        "place": ("other", 0),
        "counts": ("other", 0),
        "raw": ("other", 0),
        "__index_level_0__": ("number", 0),
    }
    assert choose_features(described, ["kind"], with_texts=True) == ("a.b `c`", "month", "price", "wet", "constant")


def test_the_features_of_a_csv_file_at_a_uri_are_chosen_without_its_index(session: SparkSession) -> None:
    table = pd.DataFrame({"size": [0.5, None, 1.5, 2.5], "kind": ["a", "a", "b", "b"], "wet": [True, False, True, False]})
    table.to_csv("t.csv")
    described = describe_spark_columns(session, Path("t.csv").absolute().as_uri())
    assert described[1:] == [
        Column("size", "number", 4, n_missing=1, n_distinct=3),
        Column("kind", "text", 4, n_missing=0, n_distinct=2),
        Column("wet", "boolean", 4, n_missing=0, n_distinct=2),
    ]
    assert choose_features(described, ["kind"], with_texts=True) == ("size", "wet")


def test_an_empty_table_has_columns_without_rows(session: SparkSession) -> None:
    session.createDataFrame([], "x double, kind string").createOrReplaceTempView("empty")
    assert describe_spark_columns(session, "empty") == [Column("x", "number", 0, 0, 0), Column("kind", "text", 0, 0, 0)]


BAD_TABLES: dict[str, tuple[Recipe, str]] = {
    "no file": (lambda: Path("nope.csv").absolute().as_uri(), "must name a table that Spark can read. Got 'file:"),
    "a shorter row": (
        lambda: Path(file(GOOD_CSV.replace("b,3.5,3", "b,3.5"))()).absolute().as_uri(),
        "Malformed CSV record: b,3.5 ",
    ),
    "no table of the catalogue": (path("nowhere"), "nor a table of Spark's catalogue"),
    "no file here": (path("nope.csv"), "must name a file that is there"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_read_is_refused(session: SparkSession, case: str) -> None:
    make, rule = BAD_TABLES[case]
    with pytest.raises(InputError) as refusal:
        describe_spark_columns(session, make())
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)
