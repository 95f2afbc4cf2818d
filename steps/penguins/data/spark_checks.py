"""Check the columns of a table in Spark before anything is fitted, as `checks` does of one in pandas."""

from collections.abc import Sequence

from pyspark.sql import functions as F

from penguins.data.checks import (
    LARGEST,
    refuse_fractions,
    refuse_identifiers,
    refuse_infinite,
    refuse_no_degrees,
    rule_of_columns,
)
from penguins.data.column_types import LARGEST_CLASS
from penguins.data.spark_columns import estimate_distinct, quote_column
from penguins.data.spark_table import SparkTable
from penguins.errors import InputError
from penguins.text import format_number, quote


def require_spark_numbers(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError that names the first of `columns` that holds text, with an example."""
    for name in columns:
        if name in table.texts:
            field = F.col(quote_column(name))
            first = table.frame.where(field.try_cast("double").isNull()).select(field).head()
            example = f", for example {quote(first[0])}" if first else ""
            raise InputError(f"{rule_of_columns(parameter, 'numbers')} Got {quote(name)}, which holds text{example}.")


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


def require_spark_categories(table: SparkTable, parameter: str, columns: Sequence[str]) -> dict[str, int]:
    """Print and return how many categories each of `columns` has that holds text; Spark estimates large numbers.

    Raises InputError that names the first one with nearly as many categories as rows.
    """
    texts = [name for name in columns if name in table.texts]
    counts = table.frame.select(*[estimate_distinct(F.col(quote_column(name))) for name in texts]).head() or ()
    n_distinct = dict(zip(texts, counts, strict=True))
    refuse_identifiers(n_distinct, table.rows, parameter)
    return n_distinct


def require_spark_degrees(table: SparkTable, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError where the first of two `columns` is no latitude or the second no longitude in degrees."""
    fields = [F.col(quote_column(name)) for name in columns]
    found = table.frame.select(*[F.min(field) for field in fields], *[F.max(field) for field in fields]).head() or (0, 0, 0, 0)
    refuse_no_degrees(parameter, columns, found[:2], found[2:])
