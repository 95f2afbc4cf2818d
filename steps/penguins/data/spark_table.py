"""Read and check the table of a Spark step: through pandas where only this machine can read it, else with Spark itself."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlparse

import pandas as pd
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.cli.read_options import DETECT, ReadOptions
from penguins.data.checks import require_columns
from penguins.data.file_kinds import describe_name
from penguins.data.ids import id_columns
from penguins.data.lake_spark import require_no_lake_table
from penguins.data.load import UNREADABLE, is_parquet, load_table, require_no_options
from penguins.data.locate import BUNDLED, TABLE_NAME, is_read_here, table_name
from penguins.data.spark_columns import (
    WHOLE_TYPES,
    convert_columns,
    convert_ids,
    quote_column,
    require_read_spark_numbers,
    to_exact_pandas,
)
from penguins.data.spark_csv import is_csv_name, read_spark_csv
from penguins.data.table import GroupedTable, count_names, print_dialect, print_left_out
from penguins.errors import InputError
from penguins.spark.jobs import setting
from penguins.text import one_line, quote
from penguins.tracking.artifacts import log_external_table, log_table

# Where a sweep writes its tables by Spark, larger ones are read by Spark, too.
MOST_ROWS_HERE = 1_000_000
PATTERN_SIGNS = frozenset("[]{}*?\\")
CASE_SENSITIVE = "spark.sql.caseSensitive"
ORDER = "(row number)"
# A cause with a message in the stack of a Java exception. The last one says most: which record, which file.
ROOT_CAUSE = re.compile(r"^Caused by: [\w.$]+: (.+)", re.MULTILINE)
# What helps where a message of Spark has these words.
SPARK_REMEDIES = {
    "MALFORMED_CSV_RECORD": "Spark takes one line for each row, with as many fields as the header: mend this one, or give the "
    "table as Parquet",
    "TIMESTAMP(NANOS": "write its times in microseconds, as in pandas' to_parquet(…, coerce_timestamps='us')",
    "is not a Parquet file": "the name of a CSV file must end in .csv, .tsv, .txt or .csv.gz, and Spark unpacks no zip",
}


@dataclass(frozen=True, kw_only=True)
class SparkTable(GroupedTable):
    """The complete rows of a table in the columns that a step uses.

    `numbers` names the columns of numbers, which are double, and `texts` the others, which are string. `order` is the column
    with the place of each row in the user's table, from 0, where the table has one; then it has `whole`. Where Spark reads the
    table itself, `frame` has the columns `ids`, too, and `incomplete` has them and those of names of the rows that are left
    out.
    """

    frame: DataFrame
    name: str
    source: str
    numbers: list[str]
    texts: list[str]
    order: str | None = None
    incomplete: DataFrame | None = None

    @property
    def whole_ids(self) -> Sequence[str]:
        kinds = dict(self.frame.dtypes)
        return [name for name in self.ids if kinds[name] in WHOLE_TYPES]

    def rows_left_out(self) -> pd.DataFrame | None:
        return to_exact_pandas(self.incomplete) if self.incomplete is not None and self.left_out else None


def load_spark_table(
    session: SparkSession,
    data: str,
    columns: dict[str, str],
    names: Sequence[str],
    ordered: bool = False,
    read: ReadOptions = DETECT,
    classes: str = "",
    ids: Sequence[str] = (),
    optional: str = "",
) -> SparkTable:
    """Read the table `data` in `columns` (column to parameter) and log it as the dataset of the active run.

    Those in `names` hold the names of groups and are read as text. Without any, the table is one group. The column `classes`
    holds classes and keeps its type. If `ordered`, a table whose rows have an order gets a further column, `order`, with their
    places. `read` says how a CSV file is written. The columns `ids` come along. Of a table that
    Spark reads, the rows that miss a value in the column `optional` alone are kept.
    Raises InputError where the table or a column does not exist, cannot be read or has no complete row.
    """
    _require_distinguishable(session, columns)
    if is_read_here(data):
        return _load_through_pandas(session, data, columns, names, ordered, read, classes, ids)
    return _load_in_spark(session, data, columns, names, read, classes, ids, optional)


def _require_distinguishable(session: SparkSession, columns: Mapping[str, str]) -> None:
    """Raise InputError where the session, which may not be ours, takes two of the columns for one."""
    if setting(session, CASE_SENSITIVE) == "true":
        return
    originals: dict[str, str] = {}
    for name, parameter in columns.items():
        other = originals.setdefault(name.lower(), name)
        if other != name:
            raise InputError(
                f"The {quote(parameter)} parameter must name columns that differ in more than upper and lower case. Got "
                f"{quote(other)} and {quote(name)}: rename one, or set {CASE_SENSITIVE} to true."
            )


def spark_uri(data: str) -> str:
    """Return the URI at which Spark of this machine reads a large Parquet table of it, else `data` as it is.

    A table of times in nanoseconds, which Spark does not read, and one whose path Spark takes for a pattern, stay here.
    """
    path = Path(data).expanduser()
    if data == BUNDLED or not path.exists() or PATTERN_SIGNS.intersection(str(path)):
        return data
    from pyarrow import dataset

    with suppress(*UNREADABLE):  # whoever reads it says why
        if is_parquet(path):
            table = dataset.dataset(path, format="parquet")
            if table.count_rows() > MOST_ROWS_HERE and not any("[ns" in str(kind) for kind in table.schema.types):
                return f"file://{path.absolute()}"
    return data


def _load_through_pandas(
    session: SparkSession,
    data: str,
    columns: dict[str, str],
    names: Sequence[str],
    ordered: bool,
    read: ReadOptions,
    classes: str,
    ids: Sequence[str],
) -> SparkTable:
    table = load_table(data, columns, names, read, classes, ids=ids)
    log_table(table.frame, table.source, table.name, table.left_out, read_as=table.read_as)
    rows, order = table.frame, None
    if ordered:
        order = ORDER
        while order in columns:
            order += "'"
        rows = rows.assign(**{order: table.places})
    return SparkTable(
        frame=session.createDataFrame(rows),
        name=table.name,
        source=table.source,
        rows=len(rows),
        left_out=table.left_out,
        numbers=table.numbers,
        texts=table.texts,
        n_names=count_names(rows, names),
        digest=table.digest,
        order=order,
        whole=table.whole,
    )


def _load_in_spark(
    session: SparkSession,
    data: str,
    columns: dict[str, str],
    names: Sequence[str],
    read: ReadOptions,
    classes: str,
    ids: Sequence[str],
    optional: str,
) -> SparkTable:
    others, ids = id_columns(ids, columns), [name for name in ids if name not in names]
    with refuse_spark_errors(data):
        everything, options = read_in_spark(session, data, read, columns | others, (*names, *others))
        require_columns(others, everything.columns)
        of_ids = convert_ids(everything, list(others), is_csv=options is not None)
        with_ids = everything.select(*convert_columns(everything, columns, names, classes), *of_ids)
        is_complete = reduce(and_, [F.col(quote_column(name)).isNotNull() for name in columns if name != optional])
        frame = with_ids.where(is_complete)
        total, rows, n_names, digest, n_missing = _count_rows(with_ids, columns, names, is_complete)
    if options:
        print_dialect(table_name(data), options)
    if not rows:
        raise InputError(
            f"The 'data' parameter must name a table with rows that miss no value in {', '.join(columns)}. "
            f"Got {quote(data)}, which has {total} rows and none that is complete."
        )
    numbers = [name for name, kind in frame.dtypes if kind == "double" and name in columns]
    require_read_spark_numbers(
        frame, {name: columns[name] for name in columns if name not in (*numbers, *names, classes)}, options
    )
    log_external_table(data, rows, total - rows, str(options or ""))
    print_left_out(total, total - rows, {name: n for name, n in n_missing.items() if name != optional})
    return SparkTable(
        frame=frame,
        name=data,
        source=data,
        rows=rows,
        left_out=total - rows,
        numbers=numbers,
        texts=[name for name in columns if name not in numbers],
        n_names=n_names,
        digest=f"{rows} {total} {digest}",
        ids=ids,
        incomplete=with_ids.where(~is_complete).select(*[quote_column(name) for name in dict.fromkeys((*ids, *names))]),
    )


@contextmanager
def refuse_spark_errors(data: str) -> Iterator[None]:
    """Raise InputError where Spark fails to read `data` in the block."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        message = error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else error
        why = one_line([message, *ROOT_CAUSE.findall(str(error))][-1])[:200]
        why += next((f": {remedy}." for sign, remedy in SPARK_REMEDIES.items() if sign in why), "")
        raise InputError(f"The 'data' parameter must name a table that Spark can read. Got {quote(data)}: {why}") from error


def read_in_spark(
    session: SparkSession, data: str, read: ReadOptions, columns: Mapping[str, str] | None = None, names: Collection[str] = ()
) -> tuple[DataFrame, ReadOptions | None]:
    """Read a table of the catalogue, or the CSV file or Parquet table at a URI; return also how a CSV file is written.

    Of a CSV file, `columns` (column to parameter) or all whose names occur once are read, those in `names` as text.
    Raises InputError where the table does not exist or is of another kind, or a CSV file has not one of the columns, or twice.
    """
    if is_csv_name(urlparse(data).path) and not TABLE_NAME.fullmatch(data):
        return read_spark_csv(session, data, read, columns, names)
    require_no_options(data, read)
    if TABLE_NAME.fullmatch(data):
        if not session.catalog.tableExists(data):
            raise InputError(
                f"The 'data' parameter must name a table that is there. Got {quote(data)}, which is neither a file in "
                f"{os.getcwd()} nor a table of Spark's catalogue."
            )
        return session.table(data), None
    require_no_lake_table(session, data)
    kind = describe_name(PurePosixPath(urlparse(data).path))
    if kind:
        raise InputError(f"The 'data' parameter must name a CSV or Parquet table. Got {quote(data)}, which {kind}.")
    return session.read.parquet(data), None


class _Counts(NamedTuple):
    """The number of all rows of a table; of its complete ones the number, that of the distinct names, and a sum of hashes.

    `missing` is the number of rows in which each column misses a value.
    """

    total: int
    rows: int
    names: int
    digest: int
    missing: dict[str, int]


def _count_rows(frame: DataFrame, columns: Collection[str], names: Sequence[str], is_complete: Column) -> _Counts:
    """Count, in one pass over the table, what a step has to know of it before it begins."""
    fields = {name: F.col(quote_column(name)) for name in columns}
    # A sum of hashes does not depend on the order of the rows. One of halves overflows beyond two billion rows at the earliest,
    # and is missing then.
    hashed = F.xxhash64(*fields.values())
    halves = F.shiftright(hashed, 32), hashed.bitwiseAND(F.lit(0xFFFFFFFF))
    n_names = F.count_distinct(*[F.when(is_complete, fields[name]) for name in names]) if names else F.lit(1)
    counts = [F.count("*"), F.count_if(is_complete), n_names, *[F.try_sum(F.when(is_complete, half)) for half in halves]]
    of_columns = [F.count_if(field.isNull()) for field in fields.values()]
    total, rows, n_distinct, high, low, *missing = frame.agg(*counts, *of_columns).collect()[0]
    digest = ((high or 0) << 32) + (low or 0)
    return _Counts(total, rows, n_distinct, digest, dict(zip(fields, missing, strict=True)))
