"""Tables of Spark's own catalogue are replaced as a whole, whatever a killed run has left beside them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from catalogs import tables_of
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.data.spark_output import replace_tables

NAMES = ["spark_catalog.whole.one", "spark_catalog.whole.two"]


@pytest.fixture
def catalog(session: SparkSession, tmp_path: Path) -> Iterator[SparkSession]:
    session.sql(f"CREATE DATABASE whole LOCATION '{tmp_path}/warehouse'")
    yield session
    session.sql("DROP DATABASE whole CASCADE")


def numbers(session: SparkSession, *of: int) -> DataFrame:
    return session.createDataFrame([(number,) for number in of], "number long")


def content(session: SparkSession, name: str) -> list[int]:
    return sorted(row[0] for row in session.table(name).collect())


def test_tables_are_replaced_with_a_comment(catalog: SparkSession) -> None:
    for start in (0, 10):
        frames = {name: numbers(catalog, start, start + place) for place, name in enumerate(NAMES, 1)}
        replace_tables(frames, f"It's version {start}")
    assert [content(catalog, name) for name in NAMES] == [[10, 11], [10, 12]]
    assert [str(catalog.catalog.getTable(name).description) for name in NAMES] == ["It's version 10"] * 2
    assert tables_of(catalog, "whole") == {"one", "two"}


def test_no_table_is_replaced_where_one_cannot_be_written(catalog: SparkSession) -> None:
    replace_tables({name: numbers(catalog, 1) for name in NAMES})
    broken = numbers(catalog, 2).select(F.raise_error(F.lit("no")).cast("long").alias("number"))
    with pytest.raises(PySparkException):
        replace_tables(dict(zip(NAMES, [numbers(catalog, 2), broken], strict=True)))
    assert [content(catalog, name) for name in NAMES] == [[1], [1]]
    replace_tables({name: numbers(catalog, 3) for name in NAMES})
    assert [content(catalog, name) for name in NAMES] == [[3], [3]]
    assert tables_of(catalog, "whole") == {"one", "two"}


def test_a_table_that_a_killed_run_has_renamed_is_put_back_until_a_new_one_is_there(catalog: SparkSession) -> None:
    name = NAMES[0]
    replace_tables({name: numbers(catalog, 1)})
    catalog.sql("ALTER TABLE whole.one RENAME TO whole.one_old")
    catalog.catalog.createTable(f"{name}_new", schema=numbers(catalog, 1).schema)
    numbers(catalog, 7).write.insertInto(f"{name}_new")
    with pytest.raises(PySparkException):
        replace_tables({name: numbers(catalog, 2).select(F.raise_error(F.lit("no")).cast("long").alias("number"))})
    assert content(catalog, name) == [1]
    replace_tables({name: numbers(catalog, 2)})
    assert content(catalog, name) == [2]
    assert tables_of(catalog, "whole") == {"one"}
