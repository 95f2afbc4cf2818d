"""Read and check the table of a Spark step: through pandas where only this machine can read it, else with Spark itself."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlparse

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.data.checks import LARGEST, refuse_beyond, refuse_fractions, refuse_infinite, require_columns
from penguins.data.column_types import LARGEST_CLASS
from penguins.data.load import load_table
from penguins.data.locate import BUNDLED, TABLE_NAME, uri_scheme
from penguins.data.table import print_left_out
from penguins.errors import InputError
from penguins.text import format_number, one_line, quote
from penguins.tracking.artifacts import log_external_table, log_table

# This machine fetches tables with these schemes; Spark reads those with any other.
FETCHED_SCHEMES = ("runs", "models", "mlflow-artifacts", "http", "https")
WHOLE_TYPES = ("tinyint", "smallint", "int", "bigint")
NUMBER_TYPES = (*WHOLE_TYPES, "float", "double", "boolean")
# In degrees; longitudes are written from -180 or from 0.
LATITUDES, LONGITUDES = (-90.0, 90.0), (-180.0, 360.0)
CASE_SENSITIVE = "spark.sql.caseSensitive"
ORDER = "(row number)"
# No column that a step uses has this name: the rules of parameters refuse it.
TOTAL = ""
# A cause with a message in the stack of a Java exception. The last one says most: which record, which file.
ROOT_CAUSE = re.compile(r"^Caused by: [\w.$]+: (.+)", re.MULTILINE)


@dataclass(frozen=True)
class SparkTable:
    """The complete rows of a table in the columns that a step uses.

    `numbers` names the columns of numbers, which are double, and `texts` the others, which are string. `left_out` is the
    number of rows that are not complete, `n_names` the number of distinct values in the column of names, or 1 without such a
    column, `digest` a digest of the content, and `order` the column that numbers the rows, where the table has one.
    """

    frame: DataFrame
    name: str
    source: str
    rows: int
    left_out: int
    numbers: list[str]
    texts: list[str]
    n_names: int
    digest: str
    order: str | None = None


def quote_column(name: str) -> str:
    """Quote the name of a column for Spark SQL."""
    return "`" + name.replace("`", "``") + "`"


def load_spark_table(
    session: SparkSession,
    data: str,
    columns: dict[str, str],
    names_column: str | None,
    ordered: bool = False,
    classes: str = "",
) -> SparkTable:
    """Read the table `data` in `columns` (column to parameter) and log it as the dataset of the active run.

    `names_column` is one of them: it holds the names of groups and is read as text. With None, no column does, and the table is
    one group. The column `classes` holds classes and keeps its type. If `ordered`, a table whose rows have an order gets a
    further column, `order`, that numbers them.
    Raises InputError where the table or a column does not exist, cannot be read or has no complete row.
    """
    _require_distinguishable(session, columns)
    if is_read_here(data):
        return _load_through_pandas(session, data, columns, names_column, ordered, classes)
    return _load_in_spark(session, data, columns, names_column, classes)


def require_spark_numbers(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError that names the first of `columns` that holds text, with an example."""
    for name in columns:
        if name in table.texts:
            field = F.col(quote_column(name))
            first = table.frame.where(field.try_cast("double").isNull()).select(field).head()
            example = f", for example {quote(first[0])}" if first else ""
            raise InputError(
                f"The {quote(parameter)} parameter must name columns of numbers. Got {quote(name)}, which holds text{example}."
            )


def require_spark_classes(table: SparkTable, parameter: str, column: str) -> None:
    """Raise InputError where the column of classes holds a number with a fraction, or one beyond 64 bits."""
    if column in table.numbers:
        field = F.col(quote_column(column))
        first = table.frame.where((field % 1 != 0) | (F.abs(field) >= LARGEST_CLASS)).select(field).head()
        if first:
            refuse_fractions(column, parameter, format_number(first[0]))


def require_spark_finite(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError that names the first of `columns` that holds a number beyond `LARGEST`."""
    numbers = [name for name in columns if name in table.numbers]
    counts = table.frame.select(*[F.count_if(F.abs(F.col(quote_column(name))) > LARGEST) for name in numbers]).head() or ()
    for name, n_infinite in zip(numbers, counts, strict=True):
        refuse_infinite(n_infinite, table.rows, parameter, name)


def require_spark_degrees(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError where the first of two `columns` is no latitude or the second no longitude in degrees."""
    fields = [F.col(quote_column(name)) for name in columns]
    low_latitude, low_longitude, high_latitude, high_longitude = table.frame.select(
        *[F.min(field) for field in fields], *[F.max(field) for field in fields]
    ).head() or (0, 0, 0, 0)
    refuse_beyond(parameter, columns[0], (low_latitude, high_latitude), LATITUDES)
    refuse_beyond(parameter, columns[1], (low_longitude, high_longitude), LONGITUDES)


def _require_distinguishable(session: SparkSession, columns: Mapping[str, str]) -> None:
    """Raise InputError where the session, which may not be ours, takes two of the columns for one."""
    if session.conf.get(CASE_SENSITIVE) == "true":
        return
    originals: dict[str, str] = {}
    for name, parameter in columns.items():
        other = originals.setdefault(name.lower(), name)
        if other != name:
            raise InputError(
                f"The {quote(parameter)} parameter must name columns that differ in more than upper and lower case. Got "
                f"{quote(other)} and {quote(name)}: rename one, or set {CASE_SENSITIVE} to true."
            )


def is_read_here(data: str) -> bool:
    """Tell whether this machine reads `data`, rather than Spark as a table of its catalogue or at a URI."""
    scheme = uri_scheme(data)
    if len(scheme) > 1:
        return scheme in FETCHED_SCHEMES
    return data == BUNDLED or os.path.exists(data) or not TABLE_NAME.fullmatch(data)


def _load_through_pandas(
    session: SparkSession, data: str, columns: dict[str, str], names_column: str | None, ordered: bool, classes: str
) -> SparkTable:
    table = load_table(data, columns, [] if names_column is None else [names_column], classes)
    log_table(table.frame, table.source, table.name, table.left_out)
    rows, order = table.frame, None
    if ordered:
        order = ORDER
        while order in columns:
            order += "'"
        rows = rows.assign(**{order: range(len(rows))})
    return SparkTable(
        frame=session.createDataFrame(rows),
        name=table.name,
        source=table.source,
        rows=len(rows),
        left_out=table.left_out,
        numbers=table.numbers,
        texts=table.texts,
        # nunique takes texts that differ after a null character for one.
        n_names=1 if names_column is None else len(set(rows[names_column])),
        digest=table.digest,
        order=order,
    )


def _load_in_spark(
    session: SparkSession, data: str, columns: dict[str, str], names_column: str | None, classes: str
) -> SparkTable:
    with refuse_spark_errors(data):
        everything = read_in_spark(session, data)
        selected = everything.select(*_convert_columns(everything, columns, names_column, classes))
        frame = selected.dropna()
        n_missing = _count_missing(selected)
        total = n_missing.pop(TOTAL)
        rows, n_names, digest = _count_rows(frame, columns, names_column)
    if not rows:
        raise InputError(
            f"The 'data' parameter must name a table with rows that miss no value in {', '.join(columns)}. "
            f"Got {quote(data)}, which has {total} rows and none that is complete."
        )
    log_external_table(data, rows, total - rows)
    print_left_out(total, total - rows, n_missing)
    numbers = [name for name, kind in frame.dtypes if kind == "double"]
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
    )


@contextmanager
def refuse_spark_errors(data: str) -> Iterator[None]:
    """Raise InputError where Spark fails to read `data` in the block."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        message = error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else error
        why = one_line([message, *ROOT_CAUSE.findall(str(error))][-1])[:200]
        raise InputError(f"The 'data' parameter must name a table that Spark can read. Got {quote(data)}: {why}") from error


def read_in_spark(session: SparkSession, data: str) -> DataFrame:
    """Read a table of the catalogue, or the CSV file or Parquet table at a URI. Raises InputError where it does not exist."""
    if TABLE_NAME.fullmatch(data):
        if not session.catalog.tableExists(data):
            raise InputError(
                f"The 'data' parameter must name a table that is there. Got {quote(data)}, which is neither a file in "
                f"{os.getcwd()} nor a table of Spark's catalogue."
            )
        return session.table(data)
    if urlparse(data).path.endswith((".csv", ".csv.gz")):
        # With column pruning, Spark would check only the columns in use and accept rows of any length.
        reader = session.read.option("columnPruning", "false")
        return reader.csv(data, header=True, inferSchema=True, mode="FAILFAST")
    return session.read.parquet(data)


def _convert_columns(everything: DataFrame, columns: Mapping[str, str], names_column: str | None, classes: str) -> list[Column]:
    """Give each of `columns` the type double or string; NaN becomes a missing value. Raises InputError at any other type.

    `classes` keeps its type, as far as `to_class_type` knows it.
    """
    require_columns(columns, everything.columns)
    types = dict(everything.dtypes)
    converted = []
    for name, parameter in columns.items():
        convert = to_class_type if name == classes else to_double_or_string
        field = convert(name, "string" if name == names_column else types[name])
        if field is None:
            raise InputError(
                f"The {quote(parameter)} parameter must name columns of numbers or text. "
                f"Got {quote(name)}, which holds {types[name]}."
            )
        converted.append(field)
    return converted


def to_double_or_string(name: str, kind: str) -> Column | None:
    """Convert the column of the type `kind` to double, with NaN as a missing value, or to string. Gives None for others.

    True and False are the numbers 1 and 0.
    """
    field = F.col(quote_column(name))
    if kind == "string":
        return field.cast("string").alias(name)
    if kind in NUMBER_TYPES or kind.startswith("decimal"):
        number = field.cast("double")
        return F.when(F.isnan(number), None).otherwise(number).alias(name)
    return None


def to_class_type(name: str, kind: str) -> Column | None:
    """Convert a column of classes of the type `kind` to bigint, boolean, double or string. Gives None for others."""
    field = F.col(quote_column(name))
    if kind in WHOLE_TYPES:
        return field.cast("bigint").alias(name)
    return field if kind == "boolean" else to_double_or_string(name, kind)


def _count_missing(frame: DataFrame) -> dict[str, int]:
    """Return in how many rows each column misses a value, and as `TOTAL` the number of rows."""
    counts = frame.agg(F.count("*"), *[F.count_if(F.col(quote_column(name)).isNull()) for name in frame.columns]).first()
    return dict(zip([TOTAL, *frame.columns], counts or (), strict=True))


def _count_rows(frame: DataFrame, columns: Mapping[str, str], names_column: str | None) -> tuple[int, int, int]:
    """Return the number of rows, the number of distinct names, and a sum of hashes that identifies the content."""
    # The sum does not depend on the order of the rows, and cannot overflow as one of bigints could.
    hashed = F.xxhash64(*[F.col(quote_column(name)) for name in columns]).cast("decimal(38,0)")
    n_names = F.lit(1) if names_column is None else F.count_distinct(quote_column(names_column))
    counts = frame.agg(F.count("*"), n_names, F.sum(hashed)).first()
    return (counts[0], counts[1], counts[2]) if counts else (0, 0, 0)
