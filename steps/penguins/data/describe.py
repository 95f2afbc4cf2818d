"""Describe the columns of a table that pandas reads, before it is known which of them a step uses."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from pandas.api import types

from penguins.data.auto import Column, Kind
from penguins.data.column_types import is_boolean, to_numbers_or_text
from penguins.data.load import (
    UNREADABLE,
    is_parquet,
    parse_numbers,
    read_arrow,
    read_whole_csv,
    refuse_errors,
    to_lossless,
)
from penguins.data.locate import BUNDLED, BUNDLED_FILE, fetch_table

if TYPE_CHECKING:
    import pyarrow as pa

# The conversions name this parameter where they refuse a column, which is not shown.
PARAMETER = "features"


def describe_columns(data: str) -> list[Column]:
    """Read the table `data` once and describe each column as `load_table` reads it where it is a feature.

    A column that `load_table` refuses is of the kind "other". All rows count, those that miss a value in another column, too.
    Raises InputError where the table does not exist, cannot be read, or has two columns of the same name.
    """
    path = BUNDLED_FILE if data == BUNDLED else fetch_table(data)
    with refuse_errors(data):
        if is_parquet(path):
            table = read_arrow(path, data)
            return [
                _describe(name, len(values), values.null_count, partial(_convert_arrow, values, name))
                for name, values in zip(table.column_names, table.columns, strict=True)
            ]
        frame = read_whole_csv(path, data)
        return [
            _describe(name, len(frame), int(frame[name].isna().sum()), partial(parse_numbers, frame[name], name, PARAMETER))
            for name in frame.columns
        ]


def _convert_arrow(values: "pa.ChunkedArray", name: str) -> pd.Series:
    converted: pd.Series = to_lossless(values, name, PARAMETER).to_pandas()
    return converted


def _describe(name: str, n_rows: int, n_missing: int, convert: Callable[[], pd.Series]) -> Column:
    """Describe a column that `convert` turns into one of pandas, or fails to; `n_missing` may leave out those that are NaN."""
    try:
        present = convert().dropna()
        values = to_numbers_or_text(present, name, PARAMETER)
    except UNREADABLE:
        return Column(name, "other", n_rows, n_missing, n_distinct=0)
    is_number = types.is_float_dtype(values)
    n_distinct = values.nunique() if is_number else len(set(values))  # nunique cuts texts at a null character
    kind: Kind = "boolean" if is_boolean(present) else "number" if is_number else "text"
    return Column(name, kind, n_rows, n_rows - len(present), n_distinct)
