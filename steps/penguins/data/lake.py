"""Recognise the tables of data lakes: folders whose Parquet files also hold rows that the table no longer has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Generic, TypeVar

from penguins.text import PLAIN_PATH

P = TypeVar("P", bound=PurePath)


@dataclass(frozen=True)
class LakeFormat:
    """A format of tables: a folder is one if it holds `marker`, a pattern of paths.

    `files` names the subfolder of the table's files, where the format has one. `package` and `code` write the current rows of
    the table `{root}`, whose newest marker is `{newest}`, to the Parquet file `{name}.parquet`.
    """

    name: str
    marker: str
    package: str
    code: str
    files: str = ""


FORMATS = (
    LakeFormat(
        "a Delta table",
        "_delta_log",
        "deltalake",
        "from deltalake import DeltaTable; DeltaTable('{root}').to_pandas().to_parquet('{name}.parquet')",
    ),
    LakeFormat(
        "an Iceberg table",
        "metadata/*.metadata.json",
        "pyiceberg",
        "from pyiceberg.table import StaticTable as T; "
        "T.from_metadata('{root}/{newest}').scan().to_pandas().to_parquet('{name}.parquet')",
        files="data",
    ),
    LakeFormat(
        "a Hudi table",
        ".hoodie",
        "hudi",
        "import pyarrow as a, pyarrow.parquet as p; from hudi import HudiTableBuilder as T; "
        "p.write_table(a.Table.from_batches(T.from_base_uri('{root}').build().read()), '{name}.parquet')",
    ),
)


@dataclass(frozen=True)
class LakeTable(Generic[P]):
    """A folder that is, or would be, a table of a format; `newest` is the path of its newest marker in it."""

    format: LakeFormat
    root: P
    newest: str = "metadata/NEWEST.metadata.json"

    def advice(self, root: str = "") -> str:
        """Say why the files are not read and how to read the table, which commands call `root`."""
        root = root or str(self.root)
        plain = root if PLAIN_PATH.fullmatch(root) else "TABLE"
        code = self.format.code.format(root=plain, name=PurePath(plain).name, newest=self.newest)
        return (
            "whose files also hold rows that it no longer has. Give a Spark step the table's name in Spark's catalogue "
            f"(data=catalog.schema.table), or write its rows to a Parquet file (pip install {self.format.package}): "
            f'python -c "{code}"'
        )


def possible_tables(path: P) -> Iterator[LakeTable[P]]:
    """Yield each table that `path` might be or lie in, from the inside to the outside."""
    for root in (path, *path.parents):
        inner = path.relative_to(root).parts
        for lake_format in FORMATS:
            if not inner or lake_format.files in ("", inner[0]):
                yield LakeTable(lake_format, root)


def find_lake_table(path: Path) -> LakeTable[Path] | None:
    """Return the table of a data lake that the file or folder `path` on this machine is or lies in."""
    return next((found for table in possible_tables(path.resolve()) if (found := _with_marker(table))), None)


def lake_table_at(folder: Path) -> LakeTable[Path] | None:
    """Return the table of a data lake that `folder` on this machine is."""
    tables = (LakeTable(lake_format, folder.resolve()) for lake_format in FORMATS)
    return next((found for table in tables if (found := _with_marker(table))), None)


def _with_marker(table: LakeTable[Path]) -> LakeTable[Path] | None:
    """Return `table` with its newest marker, or nothing where its folder holds none."""
    markers = list(table.root.glob(table.format.marker))
    if not markers:
        return None
    newest = max(markers, key=lambda path: [int(digits) for digits in re.findall("[0-9]+", path.name)[:1]])
    return replace(table, newest=newest.relative_to(table.root).as_posix())
