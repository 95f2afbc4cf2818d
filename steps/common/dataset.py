"""The table that a step works on: found, read, and checked before anything is fitted."""

import bz2
import gzip
import lzma
import math
import os
import re
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlparse
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from pandas.api import types

from common import work
from common.options import PROJECT, InputError, nearest, one_line, quoted, shortest

if TYPE_CHECKING:
    import pyarrow as pa

BUNDLED = "penguins"
BUNDLED_FILE = PROJECT / "data" / "penguins.csv"
# What pandas takes for a missing value, but in a column of groups, where any text is a name.
MISSING = ["", "#N/A", "N/A", "NA", "NaN", "None", "n/a", "nan", "null", "NULL", "<NA>"]
PARQUET = (".parquet", ".pq")
# What may be the name of a table of Spark's catalogue, and not of a file.
TABLE_NAME = re.compile(r"(?!.*\.(csv|parquet|pq|gz)$)\w+(\.\w+){0,2}")
HIDDEN = ("_", ".")  # with which the names begin of what Spark writes beside a table
OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# What pandas, pyarrow and the decompressors raise at a file that is not what its name says.
UNREADABLE = (ValueError, OSError, EOFError, BadZipFile, ImportError, lzma.LZMAError, zlib.error)
# The mean and the variance of numbers any larger are beyond what a float holds.
LARGEST = 1e150
# A column of a CSV with so many different numbers is one of numbers, whatever stands in a few of its rows.
NUMBERS_IN_CODES = 10
COLUMNS_LISTED, LONGEST_LIST = 20, 400
TIMEOUT_S = 30


@dataclass(frozen=True)
class Table:
    """The complete rows of a table in the columns that a step uses, numbers as float64 and everything else as text.

    `digest` is of the file's content.
    """

    frame: pd.DataFrame
    name: str
    source: str
    left_out: int
    digest: str

    def numbers(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that hold numbers."""
        return [column for column in columns if types.is_float_dtype(self.frame[column])]

    def texts(self, columns: Sequence[str]) -> list[str]:
        """Those of `columns` that hold text."""
        return [column for column in columns if not types.is_float_dtype(self.frame[column])]


def load(data: str, columns: dict[str, str], names: Sequence[str] = ()) -> Table:
    """Reads the table `data` and keeps the rows without a missing value in `columns`.

    `columns` maps each column that the step uses to the parameter that asked for it; those in `names` are read as text in
    which only an empty field is missing. Of the bundled penguins, the records that miss any value at all are left out.
    Raises InputError where the table or a column is not there, cannot be read or has no complete row.
    """
    path, name = (BUNDLED_FILE, BUNDLED) if data == BUNDLED else (fetch(data), _stem(data))
    everything = _read(path, data, columns, names)
    used = everything if data == BUNDLED else everything[list(columns)]
    complete = used.dropna()[list(columns)].reset_index(drop=True)
    if complete.empty:
        raise InputError(
            f"The 'data' parameter must name a table with rows that miss no value in {', '.join(columns)}. "
            f"Got {quoted(data)}, which has {len(everything)} rows and none that is complete."
        )
    frame = pd.DataFrame({column: _plain(complete[column], column, columns[column], names) for column in columns})
    return Table(frame, name, str(path), len(everything) - len(frame), work.digest(path))


def fetch(data: str) -> Path:
    """The file or folder that `data` names on this machine, downloaded where it is a URI."""
    scheme = scheme_of(data)
    path = _downloaded(data, scheme) if len(scheme) > 1 else _local(data)  # one letter is a Windows drive
    _require_kind(path, data)
    return path


def require_there(data: str) -> None:
    """Raises InputError where `data` is a path to nothing, or to what holds no table; a URI is left to who fetches it."""
    if data != BUNDLED and len(scheme_of(data)) < 2 and not TABLE_NAME.fullmatch(data):
        _require_kind(_local(data), data)


def scheme_of(data: str) -> str:
    """The scheme of `data` if it is a URI; else nothing."""
    try:
        return urlparse(data).scheme
    except ValueError as error:
        raise InputError(
            f"The 'data' parameter must name a table that can be fetched. Got {quoted(data)}: {one_line(error)}"
        ) from error


def _local(data: str) -> Path:
    rule = "The 'data' parameter must name a file that is there."
    try:
        path = Path(data).expanduser()
        there = path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a user that is not, a folder that is closed
        raise InputError(f"{rule} Got {quoted(data)}: {one_line(error)[:200]}") from error
    if not there:
        here = "" if path.is_absolute() else f" (looked for in {os.getcwd()}; give an absolute path if it is elsewhere)"
        raise InputError(f"{rule} Got {quoted(data)}{here}.{nearest(data, [BUNDLED])}")
    return path


def _downloaded(data: str, scheme: str) -> Path:
    import mlflow

    try:
        if scheme in ("http", "https") and "/mlflow-artifacts/" not in data:
            return _downloaded_from_web(data)
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=data))
    except Exception as error:  # each kind of store raises its own
        why = one_line(error)[:300]
        raise InputError(f"The 'data' parameter must name a table that can be fetched. Got {quoted(data)}: {why}") from error


def _downloaded_from_web(url: str) -> Path:
    """The file at `url`, which MLflow fetches from artifact servers only."""
    import requests

    endings = [ending for ending in Path(urlparse(url).path).suffixes if ending in (*PARQUET, *OPENERS)]
    path = Path(tempfile.mkdtemp(), "".join(["table", *endings]))
    with requests.get(url, stream=True, timeout=TIMEOUT_S) as answer, path.open("wb") as file:
        answer.raise_for_status()
        for block in answer.iter_content(work.BLOCK):
            file.write(block)
    return path


def _require_kind(path: Path, data: str) -> None:
    """Raises InputError unless it is a file, or a folder of Parquet files alone: a pipe might never end."""
    rule = f"The 'data' parameter must name a file, or a folder of Parquet files alone. Got {quoted(data)}, which"
    if path.is_file():
        return
    if not path.is_dir():
        raise InputError(f"{rule} is neither: write what it gives to a file first.")
    if (path / "MLmodel").exists():
        raise InputError(f"{rule} is a model of MLflow.")
    found = False
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        for name in sorted(name for name in files if not name.startswith(HIDDEN)):
            found = True
            if not name.endswith(PARQUET) or not Path(folder, name).is_file():
                raise InputError(f"{rule} holds {quoted(name)}.")
    if not found:
        raise InputError(f"{rule} holds no file.")


def digest(data: str) -> str:
    """A digest of the content of `data`, if it is the path to a table that can be read here; else nothing."""
    if data == BUNDLED:
        return work.digest(BUNDLED_FILE)
    try:
        path = Path(data).expanduser()
        _require_kind(path, data)
        return work.digest(path)
    except (OSError, RuntimeError, ValueError):
        return ""


def absolute(data: str) -> str:
    """`data` as it reads from any working directory, if it is a path to something that is there."""
    try:
        path = Path(data).expanduser()
        return str(path.resolve()) if data != BUNDLED and path.exists() else data
    except (OSError, RuntimeError, ValueError):
        return data


def _stem(data: str) -> str:
    return Path(urlparse(data).path.rstrip("/") or data).name or "table"


def _read(path: Path, data: str, columns: dict[str, str], names: Sequence[str]) -> pd.DataFrame:
    """The table at `path`: of Parquet the `columns` alone, of CSV, which has to be read whole, all."""
    try:
        if path.is_dir() or path.suffix in PARQUET:
            return _read_parquet(path, data, columns, names)
        return _read_csv(path, data, columns, names)
    except InputError:
        raise
    except UNREADABLE as error:
        _unreadable(data, one_line(error)[:200])


def _unreadable(data: str, why: str) -> NoReturn:
    raise InputError(f"The 'data' parameter must name a readable CSV or Parquet table. Got {quoted(data)}: {why}")


def _read_parquet(path: Path, data: str, columns: dict[str, str], names: Sequence[str]) -> pd.DataFrame:
    from pyarrow import parquet

    schema = parquet.ParquetDataset(path).schema
    _require_distinct(schema.names, data)
    require_columns(columns, schema.names)
    table = parquet.read_table(path, columns=list(columns))
    fields = [_plain_field(table.column(column), column, columns[column], column in names) for column in columns]
    frame: pd.DataFrame = table.from_arrays(fields, names=list(columns)).to_pandas()
    return frame


def _plain_field(values: "pa.ChunkedArray", column: str, parameter: str, is_name: bool) -> "pa.ChunkedArray":
    """A column of Parquet in a type that pandas holds without loss: of names, whole numbers as text."""
    import pyarrow as pa
    from pyarrow import types as kinds

    kind = values.type
    if kinds.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = kind.value_type
    if kinds.is_nested(kind) or kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        _refuse_kind(parameter, column, str(kind), values[0] if len(values) else None)
    if is_name and kinds.is_integer(kind):
        return values.cast(pa.string())
    return values.cast(pa.float64()) if kinds.is_decimal(kind) else values


def _refuse_kind(parameter: str, column: str, kind: str, example: object) -> NoReturn:
    raise InputError(
        f"The {quoted(parameter)} parameter must name columns of numbers or text. "
        f"Got {quoted(column)}, which holds {kind}, for example {quoted(str(example))}."
    )


def _read_csv(path: Path, data: str, columns: dict[str, str], names: Sequence[str]) -> pd.DataFrame:
    _require_text(path, data)
    header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False)
    there = [str(column) or f"Unnamed: {place}" for place, column in enumerate(header.iloc[0])]
    _require_distinct(there, data)
    missing = {column: [""] if column in names else MISSING for column in there}
    with warnings.catch_warnings():
        # Without an index, it warns where the rows have more fields than the header, and with one it would shift them.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                path,
                encoding="utf-8-sig",
                keep_default_na=False,
                na_values=missing,
                dtype=dict.fromkeys(names, str),
                low_memory=False,
                index_col=False,
            )
        except pd.errors.ParserWarning:
            _unreadable(data, f"its rows have more fields than its header, which has {len(there)}.")
    require_columns(columns, list(table.columns))
    for column, parameter in columns.items():
        if column not in names and types.is_object_dtype(table[column]):
            table[column] = _numbers_among(table[column], column, parameter)
    return table


def _require_text(path: Path, data: str) -> None:
    """Raises InputError where a CSV holds a null byte, at which pandas would cut a field without a word."""
    with OPENERS.get(path.suffix, open)(path, "rb") as file:
        if path.suffix != ".zip" and any(b"\0" in block for block in iter(lambda: file.read(work.BLOCK), b"")):
            _unreadable(data, "it holds null bytes, as UTF-16 and binary files do: save it as CSV in UTF-8, or as Parquet.")


def _numbers_among(values: pd.Series, column: str, parameter: str) -> pd.Series:
    """A column that pandas left as text, as numbers if it is all numbers, of which one is too large for a column of pandas.

    Raises InputError where it is one of numbers but for some rows, which would else be taken for as many categories.
    """
    there = values.dropna()
    if not all(isinstance(value, str) for value in there):
        return values
    numbers = {text: _number(text) for text in there.unique()}
    stray = there[[numbers[text] is None for text in there]]
    if stray.empty:
        return values.map(numbers).astype(np.float64)
    n_numbers = sum(number is not None for number in numbers.values())
    if n_numbers < NUMBERS_IN_CODES or len(stray) > len(there) / 2:
        return values
    raise InputError(
        f"The {quoted(parameter)} parameter must name columns of numbers or text. Got {quoted(column)}, which holds numbers, "
        f"but in {len(stray)} of {len(there)} rows text, for example {quoted(stray.iloc[0])}: mend them, or leave them empty."
    )


def _number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _require_distinct(columns: Sequence[str], data: str) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InputError(
            f"The 'data' parameter must name a table whose columns have distinct names. Got {quoted(data)}, "
            f"which has {quoted(twice[0])} more than once."
        )


def require_columns(columns: dict[str, str], there: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` (column to parameter) that is not among `there`."""
    for column, parameter in columns.items():
        if column not in there:
            listed = ", ".join(map(str, there[:COLUMNS_LISTED]))
            hint = (
                nearest(column, there) or f" It has {listed if len(listed) <= LONGEST_LIST else listed[:LONGEST_LIST] + '…'}."
            )
            raise InputError(
                f"The {quoted(parameter)} parameter must name columns of the table. "
                f"Got {quoted(column)}, which it does not have.{hint}"
            )


def require_other_names(columns: dict[str, str], taken: Sequence[str]) -> None:
    """Raises InputError where one of `columns` (column to parameter) has a name under which the step gives its results."""
    for column, parameter in columns.items():
        if column in taken:
            raise InputError(
                f"The {quoted(parameter)} parameter must not name a column that is called as a result is. "
                f"Got {quoted(column)}: rename it in the table."
            )


def used(**parameters: str | Iterable[str]) -> dict[str, str]:
    """Every column that the step uses with the parameter that asked for it, as in `used(features=[…], target="sex")`.

    Raises InputError where one column is asked for twice: a target among the features would be predicted from itself.
    """
    columns: dict[str, str] = {}
    for parameter, value in parameters.items():
        for column in [value] if isinstance(value, str) else value:
            if column in columns:
                raise InputError(
                    f"The {quoted(parameter)} parameter must not name a column of the "
                    f"{quoted(columns[column])} parameter. Got {quoted(column)} in both."
                )
            columns[column] = parameter
    return columns


def _plain(values: pd.Series, column: str, parameter: str, names: Sequence[str]) -> pd.Series:
    if column in names:
        return as_names(values)
    if types.is_bool_dtype(values) or isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(str)
    if types.is_numeric_dtype(values) and not types.is_complex_dtype(values):
        return values.astype(np.float64)
    if types.is_string_dtype(values) or all(isinstance(value, str | bool) for value in values):
        return values.astype(str)
    return _refuse_kind(parameter, column, str(values.dtype), values.iloc[0])


def as_names(values: pd.Series) -> pd.Series:
    """`values` as text by which people call classes and groups: 2007 rather than 2007.0."""
    return values.map(shortest) if types.is_float_dtype(values) else values.astype(str)


def require_numbers(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` that holds text, with an example."""
    for column in table.texts(columns):
        values = table.frame[column]
        text = values[pd.to_numeric(values, errors="coerce").isna()]
        example = quoted(values.iloc[0] if text.empty else text.iloc[0])
        raise InputError(
            f"The {quoted(parameter)} parameter must name columns of numbers. "
            f"Got {quoted(column)}, which holds text, for example {example}."
        )


def require_finite(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` that holds a value which is infinite, or nearly so."""
    for column in table.numbers(columns):
        refuse_infinite(int((table.frame[column].abs() > LARGEST).sum()), len(table.frame), parameter, column)


def refuse_infinite(infinite: int, rows: int, parameter: str, column: str) -> None:
    """Raises InputError if `infinite` of the `rows` of `column` are."""
    if infinite:
        raise InputError(
            f"The {quoted(parameter)} parameter must name columns of finite numbers. "
            f"Got {quoted(column)}, which is infinite in {infinite} of {rows} rows, where beyond {LARGEST:g} counts as such."
        )


def require_classes(counts: Mapping[str, int], target: str) -> None:
    """Raises InputError unless there are two classes or more with two rows or more, by their `counts` of rows."""
    rule = "The 'target' parameter must name a column with two classes or more, each with two rows or more."
    rows = sum(counts.values())
    if len(counts) < 2:
        only = quoted(next(iter(counts)))
        raise InputError(f"{rule} Got {quoted(target)}, which has only {only} in {rows} complete rows.")
    rarest = min(counts, key=lambda name: counts[name])
    if counts[rarest] < 2:
        raise InputError(f"{rule} Got {quoted(target)}, in which {quoted(rarest)} has one row of {rows}.")


def require_split(counts: Mapping[str, int], test_size: float) -> None:
    """Raises InputError unless a stratified split by `test_size` can leave a row of each class on both sides."""
    rows = sum(counts.values())
    held_out = math.ceil(rows * test_size)
    if min(held_out, rows - held_out) < len(counts):
        raise InputError(
            f"The 'test_size' parameter must leave a row of each of the {len(counts)} classes on both sides. "
            f"Got {test_size:g}, which holds out {held_out} of {rows} rows."
        )


def require_both_sides(train: Mapping[str, int], held_out: Mapping[str, int], test_size: float) -> None:
    """Raises InputError that names the first class without a row on one side of the split, by their counts of rows."""
    for name in sorted(train.keys() | held_out.keys()):
        rows = train.get(name, 0) + held_out.get(name, 0)
        for side, words in ((train, "trained on"), (held_out, "held out")):
            if not side.get(name):
                raise InputError(
                    f"The 'test_size' parameter must leave a row of each class on both sides. Got {test_size:g}, with which "
                    f"none of the {rows} rows of {quoted(name)} is {words}: try another seed or more rows."
                )


def require_variety(table: Table, column: str) -> None:
    """Raises InputError where the target `column` of numbers is the same in all rows, so that there is nothing to predict."""
    values = table.frame[column]
    if values.nunique() < 2:
        raise InputError(
            f"The 'target' parameter must name a column of numbers that differ. "
            f"Got {quoted(column)}, which is {shortest(values.iloc[0])} in all {len(values)} rows."
        )


def require_rows(table: Table, parameter: str, number: int) -> None:
    """Raises InputError unless the table has at least `number` rows, which `parameter` asks for."""
    if len(table.frame) < number:
        raise InputError(
            f"The {quoted(parameter)} parameter must not be greater than the number of complete rows, "
            f"{len(table.frame)}. Got {number} instead."
        )
