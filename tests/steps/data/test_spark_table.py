"""Tables in Spark: read through pandas, or by Spark itself from its catalogue and from URIs."""

import bz2
import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from input_tables import GOOD_CSV, Recipe, file, good_table, parquet_with, path, pipe, spoiled_table
from pyspark.sql import SparkSession
from stores import Store

from penguins.data.spark_checks import require_spark_finite, require_spark_numbers
from penguins.data.spark_columns import quote_column, to_exact_pandas
from penguins.data.spark_table import CASE_SENSITIVE, ORDER, SparkTable, load_spark_table
from penguins.errors import InputError

COLUMNS = {"kind": "group_by", "size": "features"}
ALL_COLUMNS = {"kind": "group_by", "size": "features", "weight": "features"}
UNREADABLE = "must name a table that Spark can read. Got 'file:"


def rows() -> pd.DataFrame:
    return pd.DataFrame({"kind": ["a", "b", None, "b"], "size": [1.0, np.nan, 3.0, 4.0], "other": [None, None, None, 1]})


def csv_file() -> str:
    rows().to_csv("t.csv", index=False)
    return "t.csv"


def parquet_folder() -> str:
    Path("t").mkdir()
    rows().iloc[:2].to_parquet("t/1.parquet")
    rows().iloc[2:].to_parquet("t/2.parquet")
    return "t"


def artifact() -> str:
    mlflow.log_artifact(csv_file())
    run = mlflow.active_run()
    assert run is not None
    return f"runs:/{run.info.run_id}/t.csv"


def uri_of(make: Recipe) -> Recipe:
    return lambda: Path(make()).absolute().as_uri()


def csv_of_bzip2() -> str:
    return file(bz2.compress(Path(csv_file()).read_bytes()), "t.csv.bz2")()


def compressed_csv() -> str:
    return file(gzip.compress(Path(csv_file()).read_bytes()), "t.csv.gz")()


FORMS: dict[str, Recipe] = {
    "a CSV file": csv_file,
    "a folder of Parquet files": parquet_folder,
    "an artifact": artifact,
    "the URI of a CSV file": uri_of(csv_file),
    "the URI of a compressed CSV file": uri_of(compressed_csv),
    "the URI of a CSV file of bzip2": uri_of(csv_of_bzip2),
    "the URI of a folder of Parquet files": uri_of(parquet_folder),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_complete_rows_in_the_columns_in_use_are_kept_and_the_others_counted(
    store: Store, session: SparkSession, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with mlflow.start_run() as run:
        table = load_spark_table(session, FORMS[form](), COLUMNS, ["kind"])
    assert sorted(map(tuple, table.frame.collect())) == [("a", 1.0), ("b", 4.0)]
    assert (table.rows, table.left_out, table.numbers, table.texts, table.n_names) == (2, 2, ["size"], ["kind"], 2)
    assert "rows left out: 2 of 4, which miss a value in kind (1), size (1)\n" in capsys.readouterr().out
    logged = store.client.get_run(run.info.run_id)
    assert logged.data.metrics == {"n_rows": 2, "n_rows_left_out": 2}
    assert len(logged.inputs.dataset_inputs) == 1


@pytest.mark.parametrize("form", FORMS)
def test_without_a_column_of_names_the_table_is_one_group(store: Store, session: SparkSession, form: str) -> None:
    with mlflow.start_run():
        table = load_spark_table(session, FORMS[form](), {"size": "features"}, [])
    assert sorted(map(tuple, table.frame.collect())) == [(1.0,), (3.0,), (4.0,)]
    assert (table.rows, table.left_out, table.numbers, table.texts, table.n_names) == (3, 1, ["size"], [], 1)


def test_without_a_column_of_names_none_is_read_as_names(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text("x,y\nNA,2\n1,NA\n1,3\n")
    with mlflow.start_run():
        table = load_spark_table(session, "t.csv", {"x": "features", "y": "features"}, [], ordered=True)
    assert [tuple(row) for row in table.frame.collect()] == [(1.0, 3.0, 2)]
    assert (table.numbers, table.left_out, table.order, table.n_names) == (["x", "y"], 2, ORDER, 1)


ID_CSV = "id,kind,size,code\n1,a,1,007\n,b,,8\n9007199254740993,,3,\n4,b,4,9\n"


@pytest.mark.parametrize("form", ["here", "spark"])
def test_the_columns_of_ids_come_along_for_all_rows(store: Store, session: SparkSession, form: str) -> None:
    Path("t.csv").write_text(ID_CSV)
    data = "t.csv" if form == "here" else Path("t.csv").resolve().as_uri()
    with mlflow.start_run():
        table = load_spark_table(session, data, COLUMNS, ["kind"], ordered=True, ids=("id", "code", "kind", "size"))
    complete = [(1, "007", "a"), (4, "9", "b")]
    left_out = [(None, "8", "b"), (9007199254740993, None, None)]
    if form == "here":
        assert table.whole is not None
        rows_of_ids = table.whole[["id", "code", "kind"]].itertuples(index=False)
        found = [tuple(None if pd.isna(value) else value for value in row) for row in rows_of_ids]
        assert found == [complete[0], *left_out, complete[1]]
        assert list(table.whole) == ["id", "code", "size", "kind"]
        assert sorted(row[2] for row in table.frame.collect()) == [0, 3]
    else:
        assert table.incomplete is not None
        assert sorted(map(tuple, table.frame.select("id", "code", "kind").collect())) == complete
        assert list(map(tuple, table.incomplete.select("id", "code", "kind").collect())) == left_out
        assert list(table.ids) == ["id", "code", "size"]


def test_ids_with_nested_values_are_refused(store: Store, session: SparkSession) -> None:
    session.createDataFrame([("a", 1.0, [1])], "kind string, size double, parts array<int>").createOrReplaceTempView("nested")
    with mlflow.start_run(), pytest.raises(InputError, match=r"'id' parameter must name columns of single values.*array<int>"):
        load_spark_table(session, "nested", COLUMNS, ["kind"], ids=("parts",))


def test_whole_numbers_and_booleans_with_gaps_come_back_exactly(session: SparkSession) -> None:
    rows = [(2**60 + 1, True, "x"), (None, None, None), (2**60 + 3, False, "y")]
    found = to_exact_pandas(session.createDataFrame(rows, "a bigint, `b.c` boolean, d string"))
    assert list(found) == ["a", "b.c", "d"]
    assert found["a"].tolist() == [2**60 + 1, pd.NA, 2**60 + 3]
    assert found["b.c"].tolist() == [True, pd.NA, False]


def test_spark_reads_a_table_of_its_catalogue(store: Store, session: SparkSession) -> None:
    session.createDataFrame(rows()).createOrReplaceTempView("sizes")
    with mlflow.start_run() as run:
        table = load_spark_table(session, "sizes", COLUMNS, ["kind"])
    assert (table.rows, table.left_out) == (2, 2)
    assert store.client.get_run(run.info.run_id).data.metrics == {"n_rows": 2, "n_rows_left_out": 2}


def test_the_digest_of_a_table_of_the_catalogue_follows_its_content_and_not_its_order(
    store: Store, session: SparkSession
) -> None:
    def digest(table: pd.DataFrame) -> str:
        session.createDataFrame(table).createOrReplaceTempView("sizes")
        with mlflow.start_run():
            return load_spark_table(session, "sizes", COLUMNS, ["kind"]).digest

    assert digest(rows()) == digest(rows().iloc[::-1]) != digest(rows().replace(4.0, 5.0))


def test_the_rows_of_a_file_are_numbered_where_that_is_asked_for(store: Store, session: SparkSession) -> None:
    table_with_such_a_column = good_table().rename(columns={"size": ORDER, "weight": ORDER + "''"})
    table_with_such_a_column.to_csv("t.csv", index=False)
    columns = {"kind": "group_by", ORDER: "features", ORDER + "''": "features"}
    with mlflow.start_run():
        table = load_spark_table(session, "t.csv", columns, ["kind"], ordered=True)
    assert table.order == ORDER + "'"
    collected = table.frame.toPandas()
    assert collected.sort_values(table.order)[ORDER].tolist() == pytest.approx(table_with_such_a_column[ORDER].tolist())


def test_names_that_differ_after_a_null_character_are_counted_apart(store: Store, session: SparkSession) -> None:
    pd.DataFrame({"kind": ["a", "a\0", "a\0b"], "size": [1.0, 2.0, 3.0]}).to_parquet("t.parquet")
    with mlflow.start_run():
        assert load_spark_table(session, "t.parquet", COLUMNS, ["kind"]).n_names == 3


BAD_TABLES: dict[str, tuple[Recipe, str]] = {
    "no file": (path("nope.csv"), UNREADABLE),
    "CSV called Parquet": (file(GOOD_CSV, "t.parquet"), UNREADABLE),
    "an empty file": (file(""), "No columns to parse from file"),
    "another column": (file(GOOD_CSV.replace("size", "sized")), "Did you mean 'sized'?"),
    "a column twice": (file(GOOD_CSV.replace("weight", "size")), "which it does not have"),
    "a longer row": (file(GOOD_CSV.replace("b,3.5,3", "b,3.5,3,4")), UNREADABLE),
    "a shorter row": (file(GOOD_CSV.replace("b,3.5,3", "b,3.5")), "Malformed CSV record: b,3.5 "),
    "a field with a line break": (
        file(GOOD_CSV.replace("b,3.5,3", '"b\nb",3.5,3')),
        "mend this one, or give the table as Parquet.",
    ),
    "nanoseconds": (
        parquet_with(size=pa.array([0] * 60, pa.timestamp("ns"))),
        "write its times in microseconds, as in pandas' to_parquet(…, coerce_timestamps='us').",
    ),
    "a zip": (file(b"PK\x03\x04" + b"\0" * 99, "t.csv.zip"), "Spark unpacks no zip."),
    "a row of one field": (file(GOOD_CSV + "c"), UNREADABLE),
    "a shorter row, compressed": (
        file(gzip.compress(GOOD_CSV.replace("b,3.5,3", "b,3.5").encode()), "t.csv.gz"),
        UNREADABLE,
    ),
    "lists": (parquet_with(size=pa.array([[1.0]] * 60)), "Got 'size', which holds array<double>"),
    "no complete row": (parquet_with(size=pa.nulls(60, pa.float64())), "which has 60 rows and none that is complete"),
    "a pipe": (pipe("p"), UNREADABLE),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_at_a_uri_that_cannot_be_used_is_refused(store: Store, session: SparkSession, case: str) -> None:
    make, rule = BAD_TABLES[case]
    with mlflow.start_run(), pytest.raises(InputError) as refusal:
        load_spark_table(session, uri_of(make)(), ALL_COLUMNS, ["kind"])
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_short_row_is_refused_where_it_misses_a_column_that_is_not_in_use(store: Store, session: SparkSession) -> None:
    data = uri_of(file(GOOD_CSV.replace("b,3.5,3", "b,3.5")))()
    with mlflow.start_run(), pytest.raises(InputError, match="Malformed CSV record"):
        load_spark_table(session, data, COLUMNS, ["kind"])


def test_a_row_that_ends_in_an_empty_field_is_whole_and_a_line_of_blanks_is_no_row(store: Store, session: SparkSession) -> None:
    data = uri_of(file(GOOD_CSV.replace("b,3.5,3", "\n  \nb,3.5,")))()
    with mlflow.start_run():
        table = load_spark_table(session, data, ALL_COLUMNS, ["kind"])
    assert (table.rows, table.left_out) == (59, 1)


def test_a_name_that_is_neither_a_file_nor_a_table_of_the_catalogue_is_refused(store: Store, session: SparkSession) -> None:
    with pytest.raises(InputError, match=r"Got 'nowhere', which is neither a file in .* nor a table of Spark's catalogue"):
        load_spark_table(session, "nowhere", COLUMNS, ["kind"])


def test_columns_that_a_session_takes_for_one_are_refused(store: Store, session: SparkSession) -> None:
    insensitive = session.newSession()
    insensitive.conf.set(CASE_SENSITIVE, "false")
    with pytest.raises(InputError, match=r"differ in more than upper and lower case. Got 'kind' and 'Kind'"):
        load_spark_table(insensitive, "t.csv", {"kind": "group_by", "Kind": "features"}, ["kind"])


def load_from_catalogue(session: SparkSession, change: str) -> SparkTable:
    session.createDataFrame(spoiled_table(change)).createOrReplaceTempView("spoiled")
    with mlflow.start_run():
        return load_spark_table(session, "spoiled", ALL_COLUMNS, ["kind"])


def load_from_file(session: SparkSession, change: str) -> SparkTable:
    spoiled_table(change).to_parquet("t.parquet")
    with mlflow.start_run():
        return load_spark_table(session, "t.parquet", ALL_COLUMNS, ["kind"])


Check = Callable[[SparkTable], None]
RULES: dict[str, tuple[str, Check, str]] = {
    "text": (
        "",
        lambda table: require_spark_numbers(table, "features", ["size", "kind"]),
        "The 'features' parameter must name columns of numbers. Got 'kind', which holds text, for example 'a'.",
    ),
    "numbers written as text": (
        "numbers as text",
        lambda table: require_spark_numbers(table, "features", ["weight"]),
        "Got 'weight', which holds text.",
    ),
    "an infinite number": (
        "infinite",
        lambda table: require_spark_finite(table, "features", ["kind", "weight", "size"]),
        "The 'features' parameter must name columns of finite numbers. Got 'size', which is infinite in 1 of 60 rows",
    ),
    "numbers too large to square": (
        "too large to square",
        lambda table: require_spark_finite(table, "features", ["size"]),
        "which is infinite in 60 of 60 rows",
    ),
}


@pytest.mark.parametrize("load", [load_from_catalogue, load_from_file])
@pytest.mark.parametrize("case", RULES)
def test_a_table_that_breaks_a_rule_is_refused(
    store: Store, session: SparkSession, case: str, load: Callable[[SparkSession, str], SparkTable]
) -> None:
    change, check, rule = RULES[case]
    with pytest.raises(InputError) as refusal:
        check(load(session, change))
    assert rule in str(refusal.value)


def test_text_among_the_numbers_of_a_csv_file_at_a_uri_is_refused(store: Store, session: SparkSession) -> None:
    data = uri_of(file(GOOD_CSV.replace("b,3.5,3", "b,7 cm,3")))()
    with mlflow.start_run(), pytest.raises(InputError, match="Got 'size', which holds numbers, but in 1 of 60 rows text"):
        load_spark_table(session, data, ALL_COLUMNS, ["kind"])


@pytest.mark.parametrize("load", [load_from_catalogue, load_from_file])
def test_text_among_numbers_is_refused(
    store: Store, session: SparkSession, load: Callable[[SparkSession, str], SparkTable]
) -> None:
    with pytest.raises(InputError, match="Got 'size', which holds numbers, but in 1 of 60 rows text, for example '7 cm'"):
        load(session, "text in numbers")


def test_a_good_table_passes_every_check(store: Store, session: SparkSession) -> None:
    table = load_from_catalogue(session, "")
    require_spark_numbers(table, "features", ["size", "weight"])
    require_spark_finite(table, "features", ["kind", "size", "weight"])


@pytest.mark.parametrize("name", ["a.b", "back`tick", "*", "${x}", " x "])
def test_a_quoted_column_is_found_whatever_its_name(session: SparkSession, name: str) -> None:
    assert session.createDataFrame([(1,)], [name]).select(quote_column(name)).columns == [name]


@pytest.mark.parametrize("name", ["a.b", "back`tick", "*", "${x}", " x "])
def test_spark_reads_a_column_whatever_its_name(store: Store, session: SparkSession, name: str) -> None:
    rows = pd.DataFrame({name: [1.0, None, 3.0], "kind": ["a", "b", None]})
    rows.to_csv("t.csv", index=False)
    session.createDataFrame(rows).createOrReplaceTempView("named")
    for data in (Path("t.csv").absolute().as_uri(), "named"):
        with mlflow.start_run():
            table = load_spark_table(session, data, {name: "features", "kind": "target"}, [])
        assert (table.frame.columns, table.frame.collect(), table.left_out) == ([name, "kind"], [(1.0, "a")], 2)


def test_days_as_classes_are_the_texts_that_csv_has(store: Store, session: SparkSession) -> None:
    days = pd.DataFrame({"x": [date(2026, 1, 31), date(2026, 2, 1)]})
    days.to_parquet("t.parquet")
    days.to_csv("t.csv", index=False)
    for name in ("t.parquet", "t.csv"):
        for data in (name, Path(name).absolute().as_uri()):
            with mlflow.start_run():
                table = load_spark_table(session, data, {"x": "target"}, [], classes="x")
            assert sorted(row["x"] for row in table.frame.collect()) == ["2026-01-31", "2026-02-01"]
