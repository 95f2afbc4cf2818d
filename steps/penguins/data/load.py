"""Read the table that a step works on: the complete rows in the columns that it uses."""

import bz2
import csv
import gzip
import io
import lzma
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
from pandas.api import types

from penguins.data.checks import require_columns, require_distinct_columns
from penguins.data.column_types import as_names, refuse_kind, to_classes, to_codes, to_numbers_or_text
from penguins.data.locate import BLOCK_BYTES, BUNDLED, BUNDLED_FILE, PARQUET, fetch_table, table_name
from penguins.data.table import Table, print_left_out
from penguins.errors import InputError
from penguins.resume.fingerprint import content_digest
from penguins.text import one_line, quote

if TYPE_CHECKING:
    import pyarrow as pa

# The texts of a CSV that stand for a missing value, except in a column of names, where only the empty text does.
MISSING = ["", "#N/A", "N/A", "NA", "NaN", "None", "n/a", "nan", "null", "NULL", "<NA>"]
# The errors of pandas, pyarrow, csv and the decompressors at a file that is not what its name says.
UNREADABLE = (ValueError, OSError, EOFError, RuntimeError, BadZipFile, ImportError, csv.Error, lzma.LZMAError, zlib.error)
# A text column of a CSV with so many different numbers holds numbers; the texts in it are mistakes.
FEWEST_NUMBERS = 10
OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
LONGEST_FIELD = 2**31 - 1
ENCODING = "utf-8-sig"


def load_table(
    data: str, columns: dict[str, str], names: Sequence[str] = (), classes: str = "", codes: Sequence[str] = ()
) -> Table:
    """Read the table `data` and keep the rows without a missing value in `columns`.

    `columns` maps each column that the step uses to the parameter that names it. Those in `names` hold the names of groups:
    they are read as text in which only an empty field is missing. The column `classes` holds classes and those in `codes`
    categories; both keep their type. Of the bundled penguins, the records that miss a value in any column are left out.
    Prints how many rows of another table are left out, and for which columns.
    Raises InputError where the table or a column does not exist, cannot be read or has no complete row.
    """
    path, name = (BUNDLED_FILE, BUNDLED) if data == BUNDLED else (fetch_table(data), table_name(data))
    everything = _read(path, data, columns, names, classes)
    relevant = everything if data == BUNDLED else everything[list(columns)]
    complete = relevant.dropna()[list(columns)].reset_index(drop=True)
    if complete.empty:
        raise InputError(
            f"The 'data' parameter must name a table with rows that miss no value in {', '.join(columns)}. "
            f"Got {quote(data)}, which has {len(everything)} rows and none that is complete."
        )
    converters = dict.fromkeys(codes, to_codes) | {classes: to_classes}
    frame = pd.DataFrame(
        {
            column: as_names(complete[column])
            if column in names
            else converters.get(column, to_numbers_or_text)(complete[column], column, parameter)
            for column, parameter in columns.items()
        }
    )
    numeric = [column for column in columns if types.is_numeric_dtype(frame[column]) and column != classes]
    numbers = [column for column in numeric if column not in codes]
    if data != BUNDLED:
        n_missing = {column: int(relevant[column].isna().sum()) for column in columns}
        print_left_out(len(everything), len(everything) - len(frame), n_missing)
    return Table(
        frame=frame,
        name=name,
        source=str(path),
        left_out=len(everything) - len(frame),
        digest=content_digest(path),
        numbers=numbers,
        texts=[column for column in columns if column not in numeric],
        codes=[column for column in numeric if column in codes],
    )


@contextmanager
def refuse_errors(data: str) -> Iterator[None]:
    """Raise InputError where reading the table `data` fails in the block."""
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as error:
        _refuse_unreadable(data, one_line(error)[:200])


def is_parquet(path: Path) -> bool:
    """Tell whether the table at `path` is one of Parquet rather than CSV."""
    return path.is_dir() or path.suffix in PARQUET


def _read(path: Path, data: str, columns: dict[str, str], names: Sequence[str], classes: str) -> pd.DataFrame:
    """Read `columns` of a Parquet table, or all columns of a CSV file."""
    with refuse_errors(data):
        return _read_parquet(path, data, columns, names, classes) if is_parquet(path) else _read_csv(path, data, columns, names)


def _refuse_unreadable(data: str, why: str) -> NoReturn:
    raise InputError(f"The 'data' parameter must name a readable CSV or Parquet table. Got {quote(data)}: {why}")


def _read_parquet(path: Path, data: str, columns: dict[str, str], names: Sequence[str], classes: str) -> pd.DataFrame:
    table = read_arrow(path, data, columns)
    converted = [to_lossless(table.column(column), column, columns[column], column in names) for column in columns]
    frame: pd.DataFrame = table.from_arrays(converted, names=list(columns)).to_pandas()
    for column, values in zip(columns, converted, strict=True):
        if column == classes and str(values.type).startswith(("int", "uint")):
            frame[column] = pd.array(values.to_pylist(), dtype="Int64" if str(values.type) != "uint64" else "UInt64")
    return frame


def read_arrow(path: Path, data: str, columns: Mapping[str, str] | None = None) -> "pa.Table":
    """Read `columns` (column to parameter) of a Parquet table, or all. Raises InputError where one is missing or repeated."""
    from pyarrow import parquet

    schema = parquet.ParquetDataset(path).schema
    require_distinct_columns(schema.names, data)
    require_columns(columns or {}, schema.names)
    return parquet.read_table(path, columns=None if columns is None else list(columns))


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


def _read_csv(path: Path, data: str, columns: dict[str, str], names: Sequence[str]) -> pd.DataFrame:
    table = read_whole_csv(path, data, names)
    require_columns(columns, list(table.columns))
    for column, parameter in columns.items():
        if column not in names:
            table[column] = parse_numbers(table[column], column, parameter)
    return table


def read_whole_csv(path: Path, data: str, names: Sequence[str] = ()) -> pd.DataFrame:
    """Read all columns of a CSV file as pandas types them, except those in `names`, which are text.

    Raises InputError where the header repeats a name, or a row has more or fewer fields than it.
    """
    _require_no_null_byte(path, data)
    first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding=ENCODING, index_col=False)
    header = [str(column) or f"Unnamed: {place}" for place, column in enumerate(first.iloc[0])]
    require_distinct_columns(header, data)
    table = _parse_csv(path, data, header, names)
    # pandas fills a row that is too short with missing values, so that its last one is missing.
    if table.iloc[:, -1].isna().any():
        _require_whole_rows(path, data, len(header))
    return table


def _require_no_null_byte(path: Path, data: str) -> None:
    """Raise InputError where a CSV file holds a null byte, because pandas would silently cut the field there."""
    with _open_decompressed(path) as file:
        if any(b"\0" in block for block in iter(lambda: file.read(BLOCK_BYTES), b"")):
            _refuse_unreadable(
                data, "it holds null bytes, as UTF-16 and binary files do: save it as CSV in UTF-8, or as Parquet."
            )


@contextmanager
def _open_decompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, and decompress it if its name says that it is compressed."""
    ending = path.suffix.lower()  # pandas ignores its case, too
    if ending != ".zip":
        with OPENERS.get(ending, open)(path, "rb") as file:
            yield file
        return
    with ZipFile(path) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"it holds {len(names)} files and should hold one.")
        with archive.open(names[0]) as file:
            yield file


def _parse_csv(path: Path, data: str, header: Sequence[str], names: Sequence[str]) -> pd.DataFrame:
    with warnings.catch_warnings():
        # Without an index, pandas warns where rows have more fields than the header. With one, it would shift them.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table: pd.DataFrame = pd.read_csv(
                path,
                encoding=ENCODING,
                keep_default_na=False,
                na_values={column: [""] if column in names else MISSING for column in header},
                dtype=dict.fromkeys(names, str),
                low_memory=False,
                index_col=False,
            )
        except pd.errors.ParserWarning:
            _refuse_unreadable(data, f"its rows have more fields than its header, which has {len(header)}.")
    return table


def _require_whole_rows(path: Path, data: str, n_columns: int) -> None:
    """Raise InputError with the line of the first row of a CSV file that has fewer fields than `n_columns`.

    Reads quotes and skips lines of blanks as pandas does.
    """
    last = ""

    def remember(line: str) -> str:
        nonlocal last
        last = line
        return line

    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        with _open_decompressed(path) as file, io.TextIOWrapper(file, encoding=ENCODING, newline="") as text:
            rows = csv.reader(map(remember, text))
            start = 1
            for row in rows:
                if len(row) < n_columns and last.strip(" \t\r\n"):
                    fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                    why = (
                        f"line {start} has {fields} where the header has {n_columns}: write a missing value as an empty field."
                    )
                    _refuse_unreadable(data, why)
                start = rows.line_num + 1
    finally:
        csv.field_size_limit(limit)


def parse_numbers(values: pd.Series, column: str, parameter: str) -> pd.Series:
    """Convert a column of a CSV that pandas left as text to numbers if each text is a number; some are too large for pandas.

    Raises InputError where most of it is numbers: the texts between them would turn the column into one of categories.
    """
    present = values.dropna()
    if not types.is_object_dtype(values) or not all(isinstance(value, str) for value in present):
        return values
    numbers = {text: _parse_number(text) for text in present.unique()}
    texts = present[[numbers[text] is None for text in present]]
    if texts.empty:
        return values.map(numbers).astype(np.float64)
    n_numbers = sum(number is not None for number in numbers.values())
    if n_numbers < FEWEST_NUMBERS or len(texts) > len(present) / 2:
        return values
    raise InputError(
        f"The {quote(parameter)} parameter must name columns of numbers or text. Got {quote(column)}, which holds numbers, "
        f"but in {len(texts)} of {len(present)} rows text, for example {quote(texts.iloc[0])}: mend them, or leave them empty."
    )


def _parse_number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None
