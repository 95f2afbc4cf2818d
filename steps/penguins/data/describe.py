"""Describe the columns of a table that pandas reads, before it is known which of them a step uses."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from pandas.api import types

from penguins.cli.read_options import DETECT, ReadOptions
from penguins.data.auto import Column, Kind
from penguins.data.column_types import is_boolean, to_numbers_or_text
from penguins.data.csv_file import open_csv, refuse_unreadable
from penguins.data.load import (
    UNREADABLE,
    arrow_names,
    index_names,
    is_parquet,
    parse_numbers,
    read_arrow,
    refuse_errors,
    require_no_options,
    to_lossless,
)
from penguins.data.locate import BUNDLED, BUNDLED_FILE, fetch_table
from penguins.data.numbers import unread_numbers

# The conversions name this parameter where they refuse a column, which is not shown.
PARAMETER = "features"
REPEATED = "which occurs more than once"
INDEX = "the index of a frame of pandas, which reads it as no column"


def describe_columns(data: str, read: ReadOptions = DETECT) -> list[Column]:
    """Read the table `data` once and describe each column as `load_table` reads it where it is a feature.

    A column that `load_table` refuses is of the kind "other". All rows count, those that miss a value in another column, too.
    Raises InputError where the table does not exist or cannot be read.
    """
    path = BUNDLED_FILE if data == BUNDLED else fetch_table(data)
    with refuse_errors(data):
        if is_parquet(path):
            require_no_options(data, read)
            names = arrow_names(path)
            index = index_names(path)
            return [
                _left_out(name, REPEATED)
                if names.count(name) > 1
                else _left_out(name, INDEX)
                if name in index
                else _describe_arrow(path, data, name)
                for name in names
            ]
        file = open_csv(path, data, read)
        if hint := file.layout_hint:
            refuse_unreadable(data, hint)
        options, frame = file.dialect.options, file.read()
        described = []
        for name in frame.columns:
            n_missing = int(frame[name].isna().sum())
            convert = partial(parse_numbers, frame[name], options)
            described.append(
                _left_out(name, REPEATED) if name in file.repeated else _describe(name, len(frame), n_missing, convert, options)
            )
        return described


def _left_out(name: str, why: str) -> Column:
    return Column(name, "other", n_rows=0, n_missing=0, n_distinct=0, note=why)


def _describe_arrow(path: Path, data: str, name: str) -> Column:
    """Describe one column of a Parquet table, read alone: another one may be of a type that cannot be read."""
    try:
        values = read_arrow(path, data, {name: PARAMETER}).column(0)
    except UNREADABLE:
        return Column(name, "other", n_rows=0, n_missing=0, n_distinct=0)

    def convert() -> pd.Series:
        converted: pd.Series = to_lossless(values, name, PARAMETER).to_pandas()
        return converted

    return _describe(name, len(values), values.null_count, convert, None)


def _describe(name: str, n_rows: int, n_missing: int, convert: Callable[[], pd.Series], options: ReadOptions | None) -> Column:
    """Describe a column that `convert` turns into one of pandas, or fails to; `n_missing` may leave out those that are NaN.

    `options` say how its CSV file is written, if it is of one.
    """
    try:
        present = convert().dropna()
        values = to_numbers_or_text(present, name, PARAMETER)
    except UNREADABLE:
        return Column(name, "other", n_rows, n_missing, n_distinct=0)
    n_missing = n_rows - len(present)
    if types.is_float_dtype(values):
        kind: Kind = "boolean" if is_boolean(present) else "number"
        return Column(name, kind, n_rows, n_missing, values.nunique())
    if found := unread_numbers(values, options):
        return Column(name, "other", n_rows, n_missing, n_distinct=0, note=f"which holds {found}")
    return Column(name, "text", n_rows, n_missing, len(set(values)))  # nunique cuts texts at a null character
