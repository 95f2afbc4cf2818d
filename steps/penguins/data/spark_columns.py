"""The columns of a table that Spark reads: quote their names, convert their types, look at their texts."""

from collections.abc import Mapping, Sequence

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from penguins.cli.read_options import ReadOptions
from penguins.data.checks import require_columns, rule_of_columns
from penguins.data.column_types import refuse_unread_numbers
from penguins.data.ids import NUMBER_ID, WHOLE_ID, to_whole_numbers
from penguins.data.numbers import NO_DATES, unread_numbers
from penguins.errors import InputError
from penguins.text import quote

WHOLE_TYPES = ("tinyint", "smallint", "int", "bigint")
NUMBER_TYPES = (*WHOLE_TYPES, "float", "double", "boolean")
# Enough rows to see what most texts of a column look like.
ROWS_IN_SAMPLE = 10_000
DATE_TYPES = ("date", "timestamp")


def quote_column(name: str) -> str:
    """Quote the name of a column for Spark SQL."""
    return "`" + name.replace("`", "``") + "`"


def require_read_spark_numbers(frame: DataFrame, columns: Mapping[str, str], options: ReadOptions | None) -> None:
    """Raise InputError where one of `columns` of text (column to parameter) holds numbers that are not read as such."""
    if columns:
        for name, texts in sample_texts(frame, list(columns)).items():
            if found := unread_numbers(texts, options):
                refuse_unread_numbers(found, name, columns[name])


def sample_texts(frame: DataFrame, columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the present values of columns of text in the first rows."""
    rows = frame.select(*[quote_column(name) for name in columns]).limit(ROWS_IN_SAMPLE).collect()
    return {name: [row[place] for row in rows if row[place] is not None] for place, name in enumerate(columns)}


def convert_columns(everything: DataFrame, columns: Mapping[str, str], names: Sequence[str], classes: str) -> list[Column]:
    """Give each of `columns` the type double or string; NaN becomes a missing value. Raises InputError at any other type.

    `classes` keeps its type, as far as `to_class_type` knows it.
    """
    require_columns(columns, everything.columns)
    types = dict(everything.dtypes)
    converted = []
    for name, parameter in columns.items():
        convert = to_class_type if name == classes else to_double_or_string
        field = convert(name, "string" if name in names else types[name])
        if field is None and types[name].startswith(DATE_TYPES):
            refuse_unread_numbers(f"dates: {NO_DATES}", name, parameter)
        if field is None:
            raise InputError(f"{rule_of_columns(parameter, 'numbers or text')} Got {quote(name)}, which holds {types[name]}.")
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
    """Convert a column of classes of the type `kind` to bigint, boolean, double or string, as dates become.

    Gives None for others.
    """
    field = F.col(quote_column(name))
    if kind in WHOLE_TYPES:
        return field.cast("bigint").alias(name)
    if kind.startswith(DATE_TYPES):
        return field.cast("string").alias(name)
    return field if kind == "boolean" else to_double_or_string(name, kind)


def to_exact_pandas(frame: DataFrame) -> pd.DataFrame:
    """Bring a frame to this process. Whole numbers, also with gaps, become Int64, and booleans boolean."""
    kinds = dict(frame.dtypes)
    whole = [name for name, kind in kinds.items() if kind in WHOLE_TYPES]
    fields = {name: F.col(quote_column(name)) for name in frame.columns}
    # pandas has no missing whole numbers beside exact large ones, so that they travel as text.
    found = frame.select(*[field.cast("string").alias(name) if name in whole else field for name, field in fields.items()])
    here: pd.DataFrame = found.toPandas()
    exact = {name: to_whole_numbers(here[name]) for name in whole}
    exact |= {name: here[name].astype("boolean") for name, kind in kinds.items() if kind == "boolean"}
    return here.assign(**exact)


def convert_ids(frame: DataFrame, columns: Sequence[str], is_csv: bool) -> list[Column]:
    """Return columns that tell records; those of CSV, which are texts, as numbers if that changes none, as `to_ids` does.

    Raises InputError where one holds lists or other nested values.
    """
    fields = [F.col(quote_column(name)) for name in columns]
    for name, kind in frame.select(*fields).dtypes:
        if kind.startswith(("array", "struct", "map", "variant")):
            raise InputError(f"The 'id' parameter must name columns of single values. Got {quote(name)}, which holds {kind}.")
    if not is_csv or not fields:
        return fields
    not_whole, not_numbers = ([~field.rlike(f"^(?:{pattern})$") for field in fields] for pattern in (WHOLE_ID, NUMBER_ID))
    n_others: tuple[int, ...] = frame.select(*map(F.count_if, [*not_whole, *not_numbers])).first() or ()
    kinds = ["string" if n_others[len(fields) + place] else "double" for place in range(len(fields))]
    kinds = ["bigint" if not n_others[place] else kind for place, kind in enumerate(kinds)]
    return [field.cast(kind).alias(name) for name, field, kind in zip(columns, fields, kinds, strict=True)]


def class_name(frame: DataFrame, column: str) -> Column:
    """Return the classes in a column as text, as people call them: True, and 2007 rather than 2007.0."""
    field, kind = F.col(quote_column(column)), dict(frame.dtypes)[column]
    text = (field.cast("bigint") if kind == "double" else field).cast("string")
    return F.initcap(text) if kind == "boolean" else text


def estimate_distinct(field: Column) -> Column:
    """Count the distinct values: exactly where they are few, which `approx_count_distinct` does not promise."""
    # A sketch takes no doubles, and the hash of a missing value would count.
    return F.hll_sketch_estimate(F.hll_sketch_agg(F.when(field.isNotNull(), F.xxhash64(field))))
