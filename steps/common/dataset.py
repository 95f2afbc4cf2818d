"""The table that a step works on: found, read, and checked before anything is fitted."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
from pandas.api import types

from common import work
from common.options import PROJECT, InputError, nearest, one_line, quoted, shortest

BUNDLED = "penguins"
BUNDLED_FILE = PROJECT / "data" / "penguins.csv"
# What pandas takes for a missing value, but in a column of groups, where any text is a name.
MISSING = ["", "#N/A", "N/A", "NA", "NaN", "None", "n/a", "nan", "null", "NULL", "<NA>"]


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
    everything = _read(path, data, names)
    require_columns(columns, list(everything.columns))
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
    """The file or folder that `data` names on this machine, downloaded through MLflow where it is a URI."""
    scheme = urlparse(data).scheme
    if len(scheme) < 2:  # a path; one letter is a Windows drive
        path = Path(data).expanduser()
        if not path.exists():
            here = "" if path.is_absolute() else f" (looked for in {os.getcwd()}; give an absolute path if it is elsewhere)"
            also = nearest(data, [BUNDLED])
            raise InputError(f"The 'data' parameter must name a file that is there. Got {quoted(data)}{here}.{also}")
        return path
    import mlflow

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=data))
    except Exception as error:  # each kind of store raises its own
        why = one_line(error)[:300]
        raise InputError(f"The 'data' parameter must name a table that can be fetched. Got {quoted(data)}: {why}") from error


def digest(data: str) -> str:
    """A digest of the content of `data`, if it is the path to something that can be read here; else nothing."""
    try:
        return work.digest(BUNDLED_FILE if data == BUNDLED else Path(data).expanduser())
    except (OSError, ValueError):
        return ""


def absolute(data: str) -> str:
    """`data` as it reads from any working directory, if it is a path to something that is there."""
    path = Path(data).expanduser()
    return str(path.resolve()) if data != BUNDLED and path.exists() else data


def _stem(data: str) -> str:
    return Path(urlparse(data).path.rstrip("/") or data).name or "table"


def _read(path: Path, data: str, names: Sequence[str]) -> pd.DataFrame:
    try:
        if path.is_dir() or path.suffix in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
            if frame.columns.empty:
                raise ValueError("it holds no table")
            return frame
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        columns = [str(column) for column in header.iloc[0]]
        _require_distinct(columns, data)
        missing = {column: [""] if column in names else MISSING for column in columns}
        return pd.read_csv(
            path,
            encoding="utf-8-sig",
            keep_default_na=False,
            na_values=missing,
            dtype=dict.fromkeys(names, str),
            low_memory=False,
        )
    except InputError:
        raise
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parser errors are both
        why = one_line(error)[:200]
        message = f"The 'data' parameter must name a readable CSV or Parquet table. Got {quoted(data)}: {why}"
        raise InputError(message) from error


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
            hint = nearest(column, there) or f" It has {', '.join(map(str, there[:20]))}."
            raise InputError(
                f"The {quoted(parameter)} parameter must name columns of the table. "
                f"Got {quoted(column)}, which it does not have.{hint}"
            )


def require_other_names(columns: dict[str, str], taken: Sequence[str]) -> None:
    """Raises InputError where one of `columns` (column to parameter) has a name under which the step gives its results."""
    for column, parameter in columns.items():
        if column in taken:
            raise InputError(
                f"The {quoted(parameter)} parameter must not name a column that is called as a result is: "
                f"{', '.join(taken)}. Got {quoted(column)}: rename it in the table."
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
    raise InputError(
        f"The {quoted(parameter)} parameter must name columns of numbers or text. "
        f"Got {quoted(column)}, which holds {values.dtype}, for example {quoted(values.iloc[0])}."
    )


def as_names(values: pd.Series) -> pd.Series:
    """`values` as text by which people call classes and groups: 2007 rather than 2007.0."""
    return values.map(shortest) if types.is_float_dtype(values) else values.astype(str)


def require_numbers(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` that holds text, with an example."""
    for column in table.texts(columns):
        values = table.frame[column]
        example = quoted(values[pd.to_numeric(values, errors="coerce").isna()].iloc[0])
        raise InputError(
            f"The {quoted(parameter)} parameter must name columns of numbers. "
            f"Got {quoted(column)}, which holds text, for example {example}."
        )


def require_finite(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raises InputError that names the first of `columns` that holds an infinite value."""
    for column in table.numbers(columns):
        refuse_infinite(int((~np.isfinite(table.frame[column])).sum()), len(table.frame), parameter, column)


def refuse_infinite(infinite: int, rows: int, parameter: str, column: str) -> None:
    """Raises InputError if `infinite` of the `rows` of `column` are."""
    if infinite:
        raise InputError(
            f"The {quoted(parameter)} parameter must name columns of finite numbers. "
            f"Got {quoted(column)}, which is infinite in {infinite} of {rows} rows."
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


def require_rows(table: Table, parameter: str, number: int) -> None:
    """Raises InputError unless the table has at least `number` rows, which `parameter` asks for."""
    if len(table.frame) < number:
        raise InputError(
            f"The {quoted(parameter)} parameter must not be greater than the number of complete rows, "
            f"{len(table.frame)}. Got {number} instead."
        )
