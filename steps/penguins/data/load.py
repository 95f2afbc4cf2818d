"""Read the table that a step works on: the complete rows in the columns that it uses."""

import csv
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from pandas.api import types

from penguins.cli.read_options import DETECT, ReadOptions, na_numbers
from penguins.data.checks import refuse_empty, require_columns, require_single_columns
from penguins.data.column_types import (
    as_names,
    refuse_kind,
    refuse_unread_numbers,
    to_classes,
    to_codes,
    to_numbers_or_text,
)
from penguins.data.csv_file import CsvFile, open_csv, refuse_unreadable
from penguins.data.file_kinds import is_parquet_file
from penguins.data.ids import id_columns, to_ids
from penguins.data.locate import BUNDLED, BUNDLED_FILE, fetch_table, table_name, uri_scheme
from penguins.data.numbers import CERTAIN_POINT, integer_pattern, number_parser, readings_of_columns, unread_numbers
from penguins.data.table import Table, print_dialect, print_doubts, print_left_out
from penguins.errors import InputError
from penguins.redaction import redact
from penguins.resume.fingerprint import content_digest
from penguins.text import one_line, quote

if TYPE_CHECKING:
    import pyarrow as pa

# The errors of pandas, pyarrow, csv and the decompressors at a file that is not what its name says.
UNREADABLE = (ValueError, OSError, EOFError, RuntimeError, BadZipFile, ImportError, csv.Error, lzma.LZMAError, zlib.error)
# The texts that pandas takes for true and false, where a column holds nothing else.
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}


def load_table(
    data: str,
    columns: dict[str, str],
    names: Sequence[str] = (),
    read: ReadOptions = DETECT,
    classes: str = "",
    codes: Sequence[str] | None = None,
    ids: Sequence[str] = (),
    optional: str = "",
) -> Table:
    """Read the table `data` and keep the rows without a missing value in `columns`, except in the one that is `optional`.

    `columns` maps each column that the step uses to the parameter that names it. Those in `names` hold the names of groups:
    they are read as text in which only an empty field is missing. The column `classes` holds classes and those in `codes`
    categories, which may look like anything; both keep their type. Without `codes` (None), a step does not tell categories
    apart. The columns `ids` come along in `Table.whole`, whatever they hold. Of the bundled penguins, the records that miss a
    value in any column are left out. `read` says how a CSV file is written. Prints how another table is read, and how many of
    its rows are left out, for which columns.
    Raises InputError where the table or a column does not exist, cannot be read or has no complete row, or where a column of
    text holds numbers or dates that are not read as such.
    """
    path, name = (BUNDLED_FILE, BUNDLED) if data == BUNDLED else (fetch_table(data), table_name(data))
    others = id_columns(ids, columns)
    everything, options = _read(path, data, columns | others, (*names, *others), read, (classes, *others))
    if data != BUNDLED and options:
        print_dialect(name, options)
    for column, parameter in columns.items():
        if column not in (*names, classes, *(codes or ())):
            require_read_numbers(everything[column], column, parameter, options, has_codes=codes is not None)
    relevant = everything if data == BUNDLED else everything[list(columns)]
    required = relevant if data == BUNDLED else relevant.drop(columns=optional, errors="ignore")
    places = np.flatnonzero(required.notna().all(axis="columns"))
    complete = everything[list(columns)].iloc[places].reset_index(drop=True)
    if complete.empty:
        raise InputError(
            f"The 'data' parameter must name a table with rows that miss no value in {', '.join(columns)}. "
            f"Got {quote(data)}, which has {len(everything)} rows and none that is complete."
        )
    present = complete[complete[optional].notna()] if optional else complete
    frame = _convert(complete, {name: of for name, of in columns.items() if name != optional}, names, classes, codes or ())
    if optional:  # of any type, since a value may be missing
        if present.empty:
            refuse_empty(columns[optional], optional)
        target = _convert(present, {optional: columns[optional]}, names, classes, ())[optional]
        frame[optional] = target.astype(object).reindex(frame.index)
    numeric = [column for column in columns if types.is_numeric_dtype(frame[column]) and column != classes]
    of_codes = [column for column in numeric if column in (codes or ())]
    if data != BUNDLED:
        n_missing = {column: int(required[column].isna().sum()) for column in required.columns}
        print_left_out(len(everything), len(everything) - len(frame), n_missing)
    return Table(
        frame=frame,
        name=name,
        source=redact(data) if len(uri_scheme(data)) > 1 else str(path),
        left_out=len(everything) - len(frame),
        digest=content_digest(path),
        numbers=[column for column in numeric if column not in of_codes],
        texts=[column for column in columns if column not in numeric],
        places=places,
        whole=_whole_rows(everything, ids, names),
        codes=of_codes,
        read_as=str(options or ""),
    )


def _convert(
    complete: pd.DataFrame, columns: Mapping[str, str], names: Sequence[str], classes: str, codes: Sequence[str]
) -> pd.DataFrame:
    """Convert the columns of complete rows into the types that the steps work with."""
    converters = dict.fromkeys(codes, to_codes) | {classes: to_classes} | dict.fromkeys(names, _to_names)
    return pd.DataFrame(
        {
            column: converters.get(column, to_numbers_or_text)(complete[column], column, parameter)
            for column, parameter in columns.items()
        }
    )


def _to_names(values: pd.Series, _column: str, _parameter: str) -> pd.Series:
    return as_names(values)


def _whole_rows(everything: pd.DataFrame, ids: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    """Return the columns `ids` of all rows, then those of groups as text, None where one is missing."""
    columns = {column: to_ids(everything[column]) for column in ids if column not in names}
    for column in names:
        texts, present = np.full(len(everything), None, dtype=object), everything[column].notna().to_numpy()
        texts[present] = as_names(everything[column][present])
        columns[column] = pd.Series(texts)
    return pd.DataFrame(columns, index=everything.index)


@contextmanager
def refuse_errors(data: str) -> Iterator[None]:
    """Raise InputError where reading the table `data` fails in the block."""
    try:
        yield
    except InputError:
        raise
    except UnicodeDecodeError as error:
        refuse_unreadable(data, f"it is not written in {error.encoding}: leave encoding out of read, or give another one.")
    except UNREADABLE as error:
        refuse_unreadable(data, one_line(error)[:200])


def is_parquet(path: Path) -> bool:
    """Tell whether the table at `path` is one of Parquet, whatever its name, rather than CSV."""
    return path.is_dir() or is_parquet_file(path)


def require_no_options(data: str, read: ReadOptions) -> None:
    """Raise InputError where `read` says something of the table `data`, which is not CSV."""
    if read != DETECT:
        raise InputError(
            f"The 'read' parameter must be empty for a table that is not a CSV file. Got {quote(str(read))} for {quote(data)}."
        )


def _read(
    path: Path, data: str, columns: dict[str, str], names: Sequence[str], read: ReadOptions, exact: Sequence[str]
) -> tuple[pd.DataFrame, ReadOptions | None]:
    """Read `columns` of a Parquet table, or all columns of a CSV file; return also how that is written.

    Those in `names` are read as text from CSV; the whole numbers of Parquet are kept in those that are `exact`.
    """
    with refuse_errors(data):
        if is_parquet(path):
            require_no_options(data, read)
            return _read_parquet(path, data, columns, names, exact), None
        file = open_csv(path, data, read)
        return _read_csv(file, columns, names), file.dialect.options


def _read_parquet(path: Path, data: str, columns: dict[str, str], names: Sequence[str], exact: Sequence[str]) -> pd.DataFrame:
    table = read_arrow(path, data, columns)
    are_text = set(names).difference(exact)
    converted = [to_lossless(table.column(column), column, columns[column], column in are_text) for column in columns]
    frame: pd.DataFrame = table.from_arrays(converted, names=list(columns)).to_pandas()
    for column, values in zip(columns, converted, strict=True):
        if column in exact and str(values.type).startswith(("int", "uint")):
            frame[column] = pd.array(values.to_pylist(), dtype="Int64" if str(values.type) != "uint64" else "UInt64")
    return frame


def read_arrow(path: Path, data: str, columns: Mapping[str, str]) -> "pa.Table":
    """Read `columns` (column to parameter) of a Parquet table. Raises InputError where one is missing or repeated."""
    from pyarrow import parquet

    names = arrow_names(path)
    require_columns(columns, names)
    require_single_columns(columns, names, data)
    return parquet.read_table(path, columns=list(columns))


def arrow_names(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet table."""
    from pyarrow import parquet

    return list(parquet.ParquetDataset(path).schema.names)


def index_names(path: Path) -> set[str]:
    """Return the names of the columns of a Parquet table that pandas reads as the index of its frame."""
    from pyarrow import parquet

    described = parquet.ParquetDataset(path).schema.pandas_metadata or {}
    return {name for name in described.get("index_columns", ()) if isinstance(name, str)}


def to_lossless(values: "pa.ChunkedArray", column: str, parameter: str, is_name: bool = False) -> "pa.ChunkedArray":
    """Convert a column of Parquet to a type that pandas holds without loss; whole numbers that are names become text."""
    import pyarrow as pa
    from pyarrow import types as kinds

    kind = values.type
    if kinds.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = kind.value_type
    if kinds.is_nested(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        refuse_kind(parameter, column, str(kind), values[0] if len(values) else None)
    if is_name and kinds.is_integer(kind):
        return values.cast(pa.string())
    return values.cast(pa.float64()) if kinds.is_decimal(kind) else values


def _read_csv(file: CsvFile, columns: Mapping[str, str], names: Sequence[str]) -> pd.DataFrame:
    if hint := not set(columns) <= set(file.columns) and file.layout_hint:
        refuse_unreadable(file.data, hint)
    require_columns(columns, file.columns)
    require_single_columns(columns, file.header, file.data)
    print_doubts(table_name(file.data), file.header, file.points_doubt)
    table = file.read([name for name in names if name in file.columns])
    for column in columns:
        if column not in names:
            table[column] = parse_numbers(table[column], file.dialect.options)
    return table


def parse_numbers(values: pd.Series, options: ReadOptions) -> pd.Series:
    """Convert a column of a CSV that pandas left as text to numbers if each text is a number, or to booleans.

    Some numbers are too large for pandas, and others are written with other signs.
    """
    if types.is_object_dtype(values):
        present = values.dropna()
        if not all(isinstance(value, str) for value in present):
            return values
        texts = present.unique()
        if set(texts) <= BOOLEANS.keys():
            return values.map(BOOLEANS)
        for reading in readings_of_columns(options):
            parse = number_parser(reading)
            numbers = {text: parse(text) for text in texts}
            is_certain = reading == options or any(re.fullmatch(CERTAIN_POINT, text) for text in texts)
            if None not in numbers.values() and is_certain:
                values = _mapped_numbers(values, numbers, reading)
                break
    if types.is_numeric_dtype(values) and not types.is_bool_dtype(values) and (missing := na_numbers(options)):
        return values.mask(values.isin(missing))
    return values


def _mapped_numbers(values: pd.Series, numbers: Mapping[str, float | None], options: ReadOptions) -> pd.Series:
    """Return the numbers of a column of texts, as whole numbers if pandas would read it so in a plain file."""
    found = values.map(numbers).astype(np.float64)
    is_whole = integer_pattern(options)
    are_small = found.abs().max() < 2**53  # others are not exact as floats
    return found.astype(np.int64) if are_small and not found.hasnans and all(map(is_whole.fullmatch, numbers)) else found


def require_read_numbers(values: pd.Series, column: str, parameter: str, options: ReadOptions | None, has_codes: bool) -> None:
    """Raise InputError where a column of text holds numbers or dates that are not read as such.

    `options` say how its CSV file is written, None for a table of another kind. With `has_codes`, the step has a parameter for
    texts that are categories whatever they look like.
    """
    if types.is_object_dtype(values) or types.is_string_dtype(values):
        texts = values.dropna()
        if all(isinstance(value, str) for value in texts) and (found := unread_numbers(texts, options)):
            refuse_unread_numbers(found, column, parameter, "categorical_features" if has_codes else "")
