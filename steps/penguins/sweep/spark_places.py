"""Where Spark writes the tables of a sweep: to a folder or a URI, or as tables of its catalogue; each replaced as a whole."""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

from penguins.data.output import Output, report_errors
from penguins.data.spark_output import drop_table, quote_table, replace_tables
from penguins.data.spark_table import SparkTable
from penguins.data.table import GroupedTable
from penguins.data.versions import VERSION, begin_version, discard_version, put_in_place
from penguins.errors import WorkError
from penguins.spark.jobs import is_connect_session, spark_errors
from penguins.sweep.tables import COMMITS, TABLES, SweepTables, commit_line, is_in_use

# The nested rows, one a group, from which the tables are made; they are deleted at the end.
GROUPS = "groups"
# Signs with which Spark takes a path for a pattern, and folders of Databricks, which Spark knows without a scheme.
PATTERN_SIGNS, OF_DATABRICKS = re.compile(r"([\[\]{}*?\\])"), ("/Volumes/",)


class Place(Protocol):
    """A place for the two tables of a sweep, and until they are there for its nested rows."""

    def begin(self) -> None:
        """Delete what killed sweeps have left."""

    def write_groups(self, frame: DataFrame) -> DataFrame:
        """Write the nested rows, and return them as they are read."""

    def write_tables(self, frames: Mapping[str, DataFrame]) -> Mapping[str, DataFrame]:
        """Write the tables beside the earlier ones, and return them as they are read."""

    def put_in_place(self, frames: Mapping[str, DataFrame]) -> None:
        """Replace the earlier tables by those that `write_tables` returned."""

    def end(self, is_complete: bool) -> None:
        """Delete the nested rows and, unless the tables are complete, these, too."""


class Files:
    """Parquet files under a URI: `<address>/results` and others, where the address ends with the id of the sweep's run."""

    def __init__(self, session: SparkSession, address: str) -> None:
        self.session, self.address = session, address
        self.base, _, self.run_id = address.rpartition("/")

    def begin(self) -> None:
        """Delete what killed sweeps have left, where this process can look."""
        with suppress(*spark_errors()):
            for name in self._names():
                if VERSION.fullmatch(name) and name != self.run_id and not is_in_use(name):
                    self._delete(f"{self.base}/{name}/{GROUPS}")

    def write_groups(self, frame: DataFrame) -> DataFrame:
        """Write the nested rows, and return them as they are read."""
        return self._write(frame, GROUPS)

    def write_tables(self, frames: Mapping[str, DataFrame]) -> Mapping[str, DataFrame]:
        """Write the tables beside the earlier ones, and return them as they are read."""
        return {name: self._write(frame, name) for name, frame in frames.items()}

    def put_in_place(self, _frames: Mapping[str, DataFrame]) -> None:
        """Add the line that makes this version the current one. A store of objects shows a file only once it is whole."""
        line = self.session.createDataFrame([(json.dumps(commit_line(self.run_id)),)], "line string")
        line.coalesce(1).write.mode("append").text(f"{self.base}/{COMMITS}")

    def end(self, is_complete: bool) -> None:
        """Delete the nested rows and, unless the tables are complete, these, too."""
        with suppress(*spark_errors()):
            self._delete(f"{self.address}/{GROUPS}" if is_complete else self.address)

    def _write(self, frame: DataFrame, name: str) -> DataFrame:
        frame.write.mode("overwrite").parquet(f"{self.address}/{name}")
        address = PATTERN_SIGNS.sub(r"\\\1", self.address)
        return self.session.read.schema(frame.schema).parquet(f"{address}/{name}")

    def _names(self) -> list[str]:
        """Return the names of what lies under the URI, if this process has a JVM that tells it."""
        if is_connect_session(self.session):
            return []
        jvm, path = self._path(self.base)
        system = path.getFileSystem(jvm)
        return [str(one.getPath().getName()) for one in system.listStatus(path)] if system.exists(path) else []

    def _delete(self, address: str) -> None:
        if not is_connect_session(self.session):
            jvm, path = self._path(address)
            path.getFileSystem(jvm).delete(path, True)

    def _path(self, address: str):  # type: ignore[no-untyped-def]  # objects of the JVM
        context = self.session.sparkContext
        jvm: Any = context._jvm
        return context._jsc.hadoopConfiguration(), jvm.org.apache.hadoop.fs.Path(address)


class Folder(Files):
    """A folder that this machine and the workers see, whose current version is a link."""

    def __init__(self, session: SparkSession, folder: str, run_id: str) -> None:
        scheme = "" if folder.startswith(OF_DATABRICKS) else "file://"
        super().__init__(session, f"{scheme}{folder}/{run_id}")
        self.folder = Path(folder)

    def begin(self) -> None:
        """Delete what killed sweeps have left."""
        begin_version(self.folder, self.run_id, is_in_use)

    def write_tables(self, frames: Mapping[str, DataFrame]) -> Mapping[str, DataFrame]:
        """Write the tables beside the earlier ones. Raises WorkError where this machine does not see them."""
        written = super().write_tables(frames)
        if not all(any((self.folder / self.run_id / name).glob("*.parquet")) for name in frames):
            raise WorkError(
                f"Spark wrote the tables where this machine does not see them: {self.folder} is another folder there. Give as "
                "output a folder that both share, a URI or a table of the catalogue. Earlier tables stay as they were."
            )
        return written

    def put_in_place(self, frames: Mapping[str, DataFrame]) -> None:
        """Make the new version the current one."""
        put_in_place(self.folder, self.run_id, list(frames))

    def end(self, is_complete: bool) -> None:
        """Delete the nested rows and, unless the tables are complete, these, too."""
        discard_version(self.folder, os.path.join(self.run_id, GROUPS) if is_complete else self.run_id)


class CatalogTables:
    """The tables `<prefix>_results` and `<prefix>_clusters` of a catalogue."""

    def __init__(self, session: SparkSession, prefix: str, run_id: str) -> None:
        self.session, self.prefix, self.run_id = session, prefix, run_id

    def begin(self) -> None:
        """Drop the nested rows that killed sweeps have left."""
        schema, _, prefix = self.prefix.rpartition(".")
        for table in self.session.catalog.listTables(schema):
            stem, _, run_id = table.name.rpartition("_")
            if stem.lower() == prefix.lower() and VERSION.fullmatch(run_id) and not is_in_use(run_id):
                drop_table(self.session, f"{schema}.{table.name}")

    def write_groups(self, frame: DataFrame) -> DataFrame:
        """Write the nested rows, and return them as they are read."""
        drop_table(self.session, self._groups)
        self.session.catalog.createTable(self._groups, schema=frame.schema)
        frame.write.insertInto(quote_table(self._groups))
        return self.session.table(quote_table(self._groups))

    def write_tables(self, frames: Mapping[str, DataFrame]) -> Mapping[str, DataFrame]:
        """Return the frames: catalogues that replace a table in one step write it then."""
        return frames

    def put_in_place(self, frames: Mapping[str, DataFrame]) -> None:
        """Replace the tables, one right after the other."""
        replace_tables(
            {f"{self.prefix}_{name}": frame for name, frame in frames.items()}, f"Of the sweep whose run is {self.run_id}"
        )

    def end(self, is_complete: bool) -> None:  # noqa: ARG002  # tables that are not complete have no place of their own
        """Drop the nested rows."""
        with suppress(*spark_errors()):
            drop_table(self.session, self._groups)

    @property
    def _groups(self) -> str:
        return f"{self.prefix}_{self.run_id}"


def write_to_catalog(table: GroupedTable, tables: SweepTables, output: Output) -> None:
    """Write the tables that this process has to the catalogue of the session that holds `table`.

    Raises WorkError where that fails.
    """
    if not isinstance(table, SparkTable):
        raise TypeError("without Spark there is no catalogue: steps refuse such an output when they start")
    session = table.frame.sparkSession
    with report_errors(output, TABLES.what):
        frames = {name: session.createDataFrame(table) for name, table in tables.by_name().items()}
        CatalogTables(session, output.address, tables.run_id).put_in_place(frames)


def spark_place(session: SparkSession, output: Output, run_id: str) -> Place:
    """Return the place of `output`, where Spark writes the tables of the sweep whose run is `run_id`."""
    if output.kind == "table":
        return CatalogTables(session, output.address, run_id)
    if output.kind == "folder":
        return Folder(session, output.address, run_id)
    return Files(session, output.address)
