"""Describe the columns of the table of a Spark step, before it is known which of them it uses."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.cli.read_options import DETECT, ReadOptions
from penguins.data.auto import Column, Kind
from penguins.data.describe import describe_columns
from penguins.data.locate import is_read_here
from penguins.data.numbers import unread_numbers
from penguins.data.spark_columns import estimate_distinct, quote_column, sample_texts, to_double_or_string
from penguins.data.spark_table import read_in_spark, refuse_spark_errors

# What the columns of these types hold; those of all other types that a step takes hold numbers.
KINDS: dict[str, Kind] = {"string": "text", "boolean": "boolean"}


def describe_spark_columns(session: SparkSession, data: str, read: ReadOptions = DETECT) -> list[Column]:
    """Describe each column of the table `data` as `load_spark_table` reads it where it is a feature.

    A column that `load_spark_table` refuses is of the kind "other". Raises InputError where the table cannot be read.
    """
    if is_read_here(data):
        return describe_columns(data, read)
    with refuse_spark_errors(data):
        return _describe_in_spark(*read_in_spark(session, data, read))


def _describe_in_spark(table: DataFrame, options: ReadOptions | None) -> list[Column]:
    """Count the rows, and each column's present and distinct values, in one aggregation; look at the first texts."""
    counts = [F.count("*")]
    kinds: list[Kind] = []
    for name, spark_type in table.dtypes:
        field = to_double_or_string(name, spark_type)
        counts.append(F.count(F.col(quote_column(name)) if field is None else field))
        counts.append(F.lit(0) if field is None else estimate_distinct(field))
        kinds.append("other" if field is None else KINDS.get(spark_type, "number"))
    notes = {
        name: f"which holds {found}"
        for name, texts in sample_texts(table, [name for name, kind in table.dtypes if kind == "string"]).items()
        if (found := unread_numbers(texts, options))
    }
    n_rows, *counted = table.agg(*[count.alias(str(place)) for place, count in enumerate(counts)]).collect()[0]
    return [
        Column(name, kind, n_rows, n_rows - n_present, n_distinct, notes.get(name, ""))
        for name, kind, n_present, n_distinct in zip(table.columns, kinds, counted[::2], counted[1::2], strict=True)
    ]
