"""The tables `results` and `clusters` of a sweep at its `output`, written by this process, whole or not at all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from penguins.data.output import SUCCESS, Content, Output, report_errors, upload
from penguins.data.versions import begin_version, discard_version, holds_versions, put_in_place
from penguins.redaction import redact
from penguins.resume.heartbeat import is_alive
from penguins.sweep.algorithm import Algorithm
from penguins.sweep.results import COUNTS, result_columns
from penguins.text import count, print_lines

RESULTS, CLUSTERS = "results", "clusters"
TABLES = Content("results of sweeps", "tables as catalog.schema.prefix", (f"_{RESULTS}", f"_{CLUSTERS}"), holds_versions)
# Under a URI, a JSON line for each version that is whole; the latest one counts.
COMMITS = "commits"
# The tags of a sweep that say where its tables are, and of how many groups its own ones are a sample.
TABLES_TAG, SAMPLE = "tables", "sample"
TEXTS = ("model_path", "reason", "warning", "estimated")
# The types by their names in Spark, pandas and Arrow.
LONG, DOUBLE, BOOLEAN, STRING = "long", "double", "boolean", "string"
OF_ARROW = {LONG: pa.int64(), DOUBLE: pa.float64(), BOOLEAN: pa.bool_(), STRING: pa.string()}
ROWS_IN_FILE = 1_000_000


def swept_type(algorithm: Algorithm) -> str:
    """Return the type of the swept parameter in Spark."""
    return DOUBLE if algorithm.is_distance else LONG


def result_types(algorithm: Algorithm) -> dict[str, str]:
    """Return the type in Spark of each column of the table of results after those of the group."""
    types = dict.fromkeys(result_columns(algorithm), DOUBLE) | dict.fromkeys((*COUNTS, *algorithm.fixed, "n_records"), LONG)
    types |= {algorithm.swept: swept_type(algorithm), "best": BOOLEAN} | dict.fromkeys(TEXTS, STRING)
    return {name: types[name] for name in result_columns(algorithm)}


@dataclass(frozen=True)
class SweepTables:
    """The two tables of a sweep whose run is `run_id`, at this process."""

    run_id: str
    results: pa.Table
    clusters: pa.Table

    def by_name(self) -> dict[str, pa.Table]:
        """Return the tables by their names at the output."""
        return {CLUSTERS: self.clusters, RESULTS: self.results}


def sweep_tables(run_id: str, results: pd.DataFrame, clusters: pd.DataFrame, algorithm: Algorithm) -> SweepTables:
    """Return the tables with the types of their columns, which do not depend on the data."""
    types = result_types(algorithm)
    return SweepTables(run_id, _with_types(results, types), _with_types(clusters, {algorithm.swept: types[algorithm.swept]}))


def _with_types(frame: pd.DataFrame, types: Mapping[str, str]) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [field.with_type(OF_ARROW[types[field.name]]) if field.name in types else field for field in table.schema]
    return table.cast(pa.schema(fields)).replace_schema_metadata()


def write_tables(tables: SweepTables, output: Output) -> None:
    """Write the tables to a folder or a URI. Raises WorkError where that fails."""
    with report_errors(output, TABLES.what):
        if output.kind == "folder":
            _write_folder(tables, Path(output.address))
        else:
            _upload(tables, output.address)


def _write_folder(tables: SweepTables, folder: Path) -> None:
    new = begin_version(folder, tables.run_id, is_in_use)
    try:
        _write_files(tables, new)
    except BaseException:
        discard_version(folder, tables.run_id)
        raise
    put_in_place(folder, tables.run_id, list(tables.by_name()))  # from here on, readers may see it: nothing deletes it


def _upload(tables: SweepTables, address: str) -> None:
    """Upload the tables to the folder of this run, and then the line that makes them the current version."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_files(tables, folder)
        for name in tables.by_name():
            upload(folder / name, f"{address}/{name}")
        commit = folder / COMMITS / f"{tables.run_id}.json"
        commit.parent.mkdir()
        commit.write_text(json.dumps(commit_line(tables.run_id)) + "\n", encoding="utf-8")
        upload(commit.parent, f"{address.rpartition('/')[0]}/{COMMITS}")


def _write_files(tables: SweepTables, folder: Path) -> None:
    for name, table in tables.by_name().items():
        (folder / name).mkdir(parents=True)
        for number, start in enumerate(range(0, max(len(table), 1), ROWS_IN_FILE)):
            # A name that no other version has: nobody who reads files one by one gets those of two.
            path = folder / name / f"part-{number:05}-{tables.run_id}.parquet"
            pq.write_table(table.slice(start, ROWS_IN_FILE), path)
        (folder / name / SUCCESS).touch()


def commit_line(run_id: str) -> dict[str, str]:
    """Return what says that the version of this run is whole."""
    return {"version": run_id, "committed_at": datetime.now(UTC).isoformat(timespec="microseconds")}


def is_in_use(run_id: str) -> bool:
    """Tell whether a sweep may still write. One of another tracking store may."""
    try:
        return is_alive(MlflowClient().get_run(run_id))
    except MlflowException:
        return True


def report_tables(output: Output, n_results: int, n_clusters: int) -> None:
    """Print where the tables are, and log it as a tag."""
    mlflow.set_tag(TABLES_TAG, redact(output.where))
    rows = f"{RESULTS} ({count(n_results, 'row')}) and {CLUSTERS} ({count(n_clusters, 'row')})"
    print_lines(f"tables: {rows}, in {output.where}")
