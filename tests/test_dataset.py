"""Tables: what is read, from where, and what counts as missing."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import Store
from pyspark.sql import SparkSession

from common import dataset, spark_table
from common.options import InputError

COLUMNS = {"kind": "group_by", "size": "features"}


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"kind": ["a", "b", None, "b"], "size": [1.0, np.nan, 3.0, 4.0], "other": [None, None, None, 1]})


@pytest.fixture(params=["csv", "csv.gz", "parquet", "folder", "absolute", "uri", "artifact"])
def written(request: pytest.FixtureRequest, rows: pd.DataFrame, tmp_path: Path, store: Store) -> str:
    """The same table in each form that a step reads."""
    if request.param == "parquet":
        rows.to_parquet(tmp_path / "t.parquet")
        return "t.parquet"
    if request.param == "folder":
        (tmp_path / "t").mkdir()
        rows.iloc[:2].to_parquet(tmp_path / "t" / "1.parquet")
        rows.iloc[2:].to_parquet(tmp_path / "t" / "2.parquet")
        return "t"
    name = "t.csv.gz" if request.param == "csv.gz" else "t.csv"
    rows.to_csv(tmp_path / name, index=False)
    if request.param == "artifact":
        with mlflow.start_run() as run:
            mlflow.log_artifact(str(tmp_path / name))
        return f"runs:/{run.info.run_id}/{name}"
    return {"absolute": str(tmp_path / name), "uri": (tmp_path / name).as_uri()}.get(request.param, name)


def test_the_complete_rows_in_the_columns_in_use_are_kept_and_the_others_counted(written: str) -> None:
    table = dataset.load(written, COLUMNS, names=["kind"])
    assert table.frame.to_dict("list") == {"kind": ["a", "b"], "size": [1.0, 4.0]}
    assert table.left_out == 2
    assert table.numbers(["size", "kind"]) == ["size"]
    assert table.texts(["size", "kind"]) == ["kind"]


def test_spark_reads_the_same_table(written: str, store: Store, session: SparkSession) -> None:
    with mlflow.start_run():
        table = spark_table.load(session, written, COLUMNS, "kind")
    assert sorted(map(tuple, table.frame.collect())) == [("a", 1.0), ("b", 4.0)]
    assert (table.rows, table.left_out, table.numbers, table.texts) == (2, 2, ["size"], ["kind"])


def test_spark_reads_a_table_of_its_catalogue(store: Store, session: SparkSession, rows: pd.DataFrame) -> None:
    session.createDataFrame(rows).createOrReplaceTempView("sizes")
    with mlflow.start_run() as run:
        table = spark_table.load(session, "sizes", COLUMNS, "kind")
    assert (table.rows, table.left_out) == (2, 2)
    assert store.client.get_run(run.info.run_id).data.metrics == {"n_rows": 2, "n_rows_left_out": 2}


def test_of_the_bundled_penguins_the_incomplete_records_are_left_out_whatever_the_columns() -> None:
    table = dataset.load("penguins", {"bill_depth_mm": "features", "island": "group_by"}, names=["island"])
    assert (len(table.frame), table.left_out) == (333, 11)


def test_a_group_may_be_called_na_while_a_number_may_not(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("kind,size\nNA,1\nnull,2\n,3\nNone,NA\n")
    table = dataset.load(str(tmp_path / "t.csv"), COLUMNS, names=["kind"])
    assert table.frame.to_dict("list") == {"kind": ["NA", "null"], "size": [1.0, 2.0]}
    assert table.left_out == 2


def test_group_names_keep_their_zeros_and_numbers_their_shortest_form(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("kind,size\n007,1\n7,2\n")
    assert dataset.load(str(tmp_path / "t.csv"), COLUMNS, names=["kind"]).frame["kind"].tolist() == ["007", "7"]
    pd.DataFrame({"kind": [7.0, 2010.0], "size": [1, 2]}).to_parquet(tmp_path / "t.parquet")
    assert dataset.load(str(tmp_path / "t.parquet"), COLUMNS, names=["kind"]).frame["kind"].tolist() == ["7", "2010"]


def test_a_column_in_two_roles_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"The 'target' parameter must not name a column of the 'features' parameter. Got 'sex'"
    ):
        dataset.used(features=["island", "sex"], target="sex")
