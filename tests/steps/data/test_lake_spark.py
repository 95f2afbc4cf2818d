"""Tables of data lakes at URIs that Spark reads."""

import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from input_tables import file, folder_with, lake_folder
from pyspark.sql import SparkSession
from servers import environment
from stores import Store

from penguins.data.describe_spark import describe_spark_columns
from penguins.data.lake_spark import require_no_lake_table
from penguins.data.load import load_table
from penguins.data.spark_table import load_spark_table
from penguins.errors import InputError
from penguins.project import PROJECT

COLUMNS = {"size": "features"}
MARKERS = {
    "_delta_log/00000000000000000000.json": "a Delta table",
    "metadata/v1.metadata.json": "an Iceberg table",
    ".hoodie/hoodie.properties": "a Hudi table",
}


def uri_of(path: str) -> str:
    return Path(path).absolute().as_uri()


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize(
    ("path", "is_in"), [("sites", "is"), ("sites/data/day=1", "lies in"), ("sites/data/day=1/a.parquet", "lies in")]
)
def test_a_lake_table_at_a_uri_is_refused(store: Store, session: SparkSession, marker: str, path: str, is_in: str) -> None:
    lake_folder(marker)()
    for read in (
        lambda uri: load_spark_table(session, uri, COLUMNS, []),
        lambda uri: describe_spark_columns(session, uri),
    ):
        with pytest.raises(InputError) as refusal:
            read(uri_of(path))
        assert f"which {is_in} {MARKERS[marker]}, whose files also hold rows" in str(refusal.value)
        assert f"'{uri_of('sites')}" in str(refusal.value)  # in the command


def test_plain_tables_pass_and_are_not_slowed_down(store: Store, session: SparkSession) -> None:
    folder_with("_SUCCESS")()
    require_no_lake_table(session, uri_of("folder"))
    start = time.monotonic()
    for path in ("folder", "folder/a.parquet", "nowhere"):
        require_no_lake_table(session, uri_of(path))
    assert time.monotonic() - start < 3
    require_no_lake_table(session, "s3a://bucket")
    with mlflow.start_run():
        assert load_spark_table(session, uri_of("folder"), COLUMNS, []).rows == 60


@pytest.mark.parametrize("name", ["a,b", "a{b", "a b", "ä"])
def test_a_lake_table_is_recognised_under_any_name(session: SparkSession, store: Store, name: str) -> None:
    Path(lake_folder("_delta_log/0.json")()).rename(name)
    if "{" in name:  # Spark reads a brace as a part of a pattern
        name = name.replace("{", "\\{")
    with pytest.raises(InputError, match="is a Delta table"):
        require_no_lake_table(session, f"file://{Path.cwd()}/{name}")


def test_a_lake_table_is_recognised_on_a_connect_server(store: Store) -> None:
    lake_folder("_delta_log/0.json")()
    folder_with()()
    script = f"""
from penguins.data.lake_spark import require_no_lake_table
from penguins.errors import InputError
from penguins.spark.session import spark_session
from penguins.spark.target import SparkTarget
with spark_session(SparkTarget("connect-local[1]")) as session:
    require_no_lake_table(session, {uri_of("folder")!r})
    try:
        require_no_lake_table(session, {uri_of("sites")!r})
    except InputError as error:
        print(error)
"""
    more = environment(PYTHONPATH=str(PROJECT / "steps"))
    done = subprocess.run([sys.executable, "-c", script], env=more, capture_output=True, text=True, check=False, timeout=120)
    assert "which is a Delta table" in done.stdout, done.stderr


def test_a_lake_table_among_the_artifacts_of_a_run_is_refused(store: Store) -> None:
    with mlflow.start_run() as run:
        mlflow.log_artifacts(lake_folder("_delta_log/0.json")(), "sites")
    with pytest.raises(InputError, match=r"Got 'runs:/.*/sites', which is a Delta table"):
        load_table(f"runs:/{run.info.run_id}/sites", COLUMNS)


@pytest.mark.parametrize("name", ["t.json", "t.xlsx", "t.ndjson.gz", "t.orc"])
def test_a_file_at_a_uri_whose_name_says_that_it_is_no_table_is_refused(store: Store, session: SparkSession, name: str) -> None:
    file("{}", name)()
    with pytest.raises(InputError, match=rf"must name a CSV or Parquet table. Got 'file:.*{name}', which is .*to_csv"):
        load_spark_table(session, uri_of(name), COLUMNS, [])
