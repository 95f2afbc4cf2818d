"""The table of a Spark step: read where it lies, or through pandas where only this machine can see it, and checked alike."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from common import dataset, tracking
from common.options import InputError, one_line, quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

THROUGH_MLFLOW = ("runs", "models", "mlflow-artifacts", "http", "https")
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")
TEXTS = ("string", "boolean")
CASE_SENSITIVE = "spark.sql.caseSensitive"
ORDER = "(place of the row)"


@dataclass(frozen=True)
class SparkTable:
    """The complete rows of a table in the columns that a step uses, numbers as double and everything else as string.

    `n_names` is how many distinct values the column of names has, `digest` one of the content of the table.
    """

    frame: "DataFrame"
    name: str
    source: str
    rows: int
    left_out: int
    numbers: list[str]
    texts: list[str]
    n_names: int
    digest: str
    order: str | None = None


def column(name: str) -> str:
    """`name` as Spark SQL reads it, whatever signs it holds."""
    return "`" + name.replace("`", "``") + "`"


def load(session: "SparkSession", data: str, columns: dict[str, str], names_column: str, ordered: bool = False) -> SparkTable:
    """Reads the table `data` in `columns` (column to the parameter that asked for it), as `dataset.load` does for pandas.

    `names_column` is one of them, the column of classes or groups, and read as text. If `ordered`, a table that has an order of
    rows gets a further column, `order`, with each row's place.
    Raises InputError where the table or a column is not there, cannot be read or has no complete row.
    """
    _require_told_apart(session, columns)
    if _seen_from_here(data):
        table = dataset.load(data, columns, [names_column])
        tracking.log_table_used(table)
        used = list(columns)
        order = ORDER + "'" * sum(name.startswith(ORDER) for name in used) if ordered else None
        rows = table.frame.assign(**{order: range(len(table.frame))}) if order else table.frame
        return SparkTable(
            frame=session.createDataFrame(rows),
            name=table.name,
            source=table.source,
            rows=len(table.frame),
            left_out=table.left_out,
            numbers=table.numbers(used),
            texts=table.texts(used),
            n_names=len(set(table.frame[names_column])),
            digest=table.digest,
            order=order,
        )
    return _load_where_it_lies(session, data, columns, names_column)


def _require_told_apart(session: "SparkSession", columns: dict[str, str]) -> None:
    """Raises InputError where two of the columns are one to a session that was started elsewhere."""
    if session.conf.get(CASE_SENSITIVE) == "true":
        return
    seen: dict[str, str] = {}
    for name, parameter in columns.items():
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise InputError(
                f"The {quoted(parameter)} parameter must name columns that differ in more than upper and lower case. Got "
                f"{quoted(other)} and {quoted(name)}: rename one, or set {CASE_SENSITIVE} to true."
            )


def _seen_from_here(data: str) -> bool:
    """Whether this machine is the one to read `data`; else Spark reads it, as a table of its catalogue or at a URI."""
    scheme = dataset.scheme_of(data)
    if len(scheme) > 1:
        return scheme in THROUGH_MLFLOW
    return data == dataset.BUNDLED or os.path.exists(data) or not dataset.TABLE_NAME.fullmatch(data)


def _load_where_it_lies(session: "SparkSession", data: str, columns: dict[str, str], names_column: str) -> SparkTable:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    try:
        everything = _read(session, data)
        dataset.require_columns(columns, everything.columns)
        types = dict(everything.dtypes)
        chosen = []
        for name, parameter in columns.items():
            field = F.col(column(name))
            if name == names_column or types[name] in TEXTS:
                chosen.append(field.cast("string").alias(name))
            elif types[name] in NUMBERS or types[name].startswith("decimal"):
                number = field.cast("double")
                chosen.append(F.when(F.isnan(number), None).otherwise(number).alias(name))
            else:
                raise InputError(
                    f"The {quoted(parameter)} parameter must name columns of numbers or text. "
                    f"Got {quoted(name)}, which holds {types[name]}."
                )
        selected = everything.select(*chosen)
        frame = selected.dropna()
        total = selected.count()
        # The sum does not depend on the order of the rows, and holds many more of them than a bigint would.
        hashed = F.xxhash64(*[F.col(column(name)) for name in columns]).cast("decimal(38,0)")
        figures = frame.agg(F.count("*"), F.count_distinct(column(names_column)), F.sum(hashed)).first()
        rows, n_names, digest = figures or (0, 0, 0)
    except (PySparkException, Py4JJavaError) as error:
        why = one_line(error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else error)[:200]
        raise InputError(f"The 'data' parameter must name a table that Spark can read. Got {quoted(data)}: {why}") from error
    if not rows:
        raise InputError(
            f"The 'data' parameter must name a table with rows that miss no value in {', '.join(columns)}. "
            f"Got {quoted(data)}, which has {total} rows and none that is complete."
        )
    numbers = [name for name, kind in frame.dtypes if kind == "double"]
    texts = [name for name in columns if name not in numbers]
    table = SparkTable(frame, data, data, rows, total - rows, numbers, texts, n_names, f"{rows} {total} {digest}")
    tracking.log_source_used(table.source, table.rows, table.left_out)
    return table


def _read(session: "SparkSession", data: str) -> "DataFrame":
    if dataset.TABLE_NAME.fullmatch(data):
        if not session.catalog.tableExists(data):
            raise InputError(
                f"The 'data' parameter must name a table that is there. Got {quoted(data)}, which is neither a file in "
                f"{os.getcwd()} nor a table of Spark's catalogue."
            )
        return session.table(data)
    if urlparse(data).path.endswith((".csv", ".csv.gz")):
        # Else Spark drops the fields that a row has beyond the header, and looks only at columns that are in use.
        reader = session.read.option("columnPruning", "false")
        return reader.csv(data, header=True, inferSchema=True, mode="FAILFAST")
    return session.read.parquet(data)


def require_numbers(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` that holds text, with an example."""
    from pyspark.sql import functions as F

    for name in columns:
        if name in table.texts:
            field = F.col(column(name))
            first = table.frame.where(field.try_cast("double").isNull()).select(field).head()
            example = f", for example {quoted(first[0])}" if first else ""
            raise InputError(
                f"The {quoted(parameter)} parameter must name columns of numbers. "
                f"Got {quoted(name)}, which holds text{example}."
            )


def require_finite(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` that holds a value which is infinite, or nearly so."""
    from pyspark.sql import functions as F

    numbers = [name for name in columns if name in table.numbers]
    counts = table.frame.select(*[F.count_if(F.abs(F.col(column(name))) > dataset.LARGEST) for name in numbers]).head() or ()
    for name, infinite in zip(numbers, counts, strict=True):
        dataset.refuse_infinite(infinite, table.rows, parameter, name)
