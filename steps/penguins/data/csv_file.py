"""Read a CSV file in any usual dialect."""

import csv
import io
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import pandas as pd

from penguins.cli.read_options import ReadOptions
from penguins.data.archives import open_decompressed
from penguins.data.dialect import SAMPLE_BYTES, Dialect, find_dialect, points_doubt, separator_hint, title_hint
from penguins.errors import InputError
from penguins.text import one_line, quote

# The texts that stand for a missing value, except in a column of names, where only the empty text does.
MISSING = ["", "#N/A", "N/A", "NA", "NaN", "None", "n/a", "nan", "null", "NULL", "<NA>"]
# What pandas calls a column without a name.
UNNAMED = "Unnamed: {}"
SKIP_LINES = "pass their number, as in read={skiprows: 4}"
# A first line with so many fields, all but one of which are empty, may be the title of a spreadsheet.
FEWEST_FIELDS_OF_TITLE = 3
LONGEST_FIELD = 2**31 - 1

Names = tuple[str, ...]


def refuse_unreadable(data: str, why: str) -> NoReturn:
    """Raise InputError that says why `data` is no table that can be read."""
    raise InputError(f"The 'data' parameter must name a readable CSV or Parquet table. Got {quote(data)}: {why}")


@dataclass(frozen=True)
class CsvFile:
    """A CSV file: where it is, what the user calls it, how it is written, and its columns.

    `columns` are the names that pandas gives: a name that occurs again in the `header` gets a number, as in `size.1`.
    """

    path: Path
    data: str
    dialect: Dialect
    header: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def repeated(self) -> set[str]:
        """The columns whose names occur more than once in the header."""
        return repeated_columns(self.header, self.columns)

    @property
    def layout_hint(self) -> str:
        """How to read the file if its header shows that it is not read rightly, as a sentence, or an empty text."""
        n_named = sum(name != UNNAMED.format(place) for place, name in enumerate(self.header))
        if len(self.header) == 1:
            return separator_hint(self._beginning(), self.dialect.options, 1) or self.title_hint
        return self.title_hint if len(self.header) >= FEWEST_FIELDS_OF_TITLE and n_named <= 1 else ""

    @property
    def title_hint(self) -> str:
        """How many lines stand before the header, if some seem to, as a sentence, or an empty text."""
        return title_hint(self._beginning(), self.dialect.options)

    @property
    def points_doubt(self) -> str:
        """Why the numbers of the file may be read wrongly, or an empty text."""
        return points_doubt(self._beginning(), self.dialect.options)

    def _beginning(self) -> str:
        with open_decompressed(self.path) as file:
            return file.read(SAMPLE_BYTES).decode(self.dialect.codec, errors="replace")

    def read(self, names: Sequence[str] = ()) -> pd.DataFrame:
        """Return all columns as pandas types them, but those in `names` as texts; all as texts with signs between thousands.

        Raises InputError where a row has more or fewer fields than the header.
        """
        table = self._parse(names)
        # pandas fills a row that is too short with missing values, so that its last one is missing.
        if len(table.columns) and table.iloc[:, -1].isna().any():
            self._require_whole_rows()
        return table

    def _parse(self, names: Sequence[str]) -> pd.DataFrame:
        options = self.dialect.options
        missing = [*(MISSING if options.keep_default_na else []), *options.na_values]
        of_names = [*([""] if options.keep_default_na else []), *options.na_values]
        with warnings.catch_warnings(), open_decompressed(self.path) as file:
            # Without an index, pandas warns where rows have more fields than the header. With one, it would shift them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            try:
                table: pd.DataFrame = pd.read_csv(
                    file,
                    keep_default_na=False,
                    na_values={column: of_names if column in names else missing for column in self.columns},
                    # With signs between thousands, pandas would take 31.12.2020 for a number.
                    dtype=dict.fromkeys(self.columns if options.thousands else names, str),
                    decimal=options.decimal,
                    low_memory=False,
                    **_arguments(self.dialect),
                )
            except pd.errors.ParserWarning:
                n_fields = len(self.header)
                refuse_unreadable(
                    self.data,
                    self.layout_hint
                    or self.title_hint
                    or f"its rows have more fields than its header, which has {n_fields}: if lines stand before the header, "
                    f"{SKIP_LINES}; if the first column has no name, as in tables of R, give it one.",
                )
            except pd.errors.ParserError as error:
                if "Expected" not in str(error):
                    raise
                hint = self.title_hint or f"mend this line; if lines stand before the header, {SKIP_LINES}."
                refuse_unreadable(self.data, f"{one_line(error)}: {hint}")
        return table

    def _require_whole_rows(self) -> None:
        """Raise InputError with the line of the first row that has fewer fields than the header.

        Reads quotes and skips lines of blanks as pandas does.
        """
        last = ""

        def remember(line: str) -> str:
            nonlocal last
            last = line
            return line

        options, n_columns = self.dialect.options, len(self.header)
        limit = csv.field_size_limit(LONGEST_FIELD)
        try:
            with open_decompressed(self.path) as file, _text(file, self.dialect) as text:
                for _ in range(options.skiprows):
                    text.readline()
                rows = csv.reader(
                    map(remember, text),
                    delimiter=options.sep,
                    quotechar=options.quote,
                    skipinitialspace=options.skipinitialspace,
                )
                start = 1
                for row in rows:
                    if len(row) < n_columns and last.strip(" \t\r\n"):
                        fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
                        refuse_unreadable(
                            self.data,
                            f"line {start + options.skiprows} has {fields} where the header has {n_columns}: write a missing "
                            "value as an empty field, or remove the line if it is no row of the table.",
                        )
                    start = rows.line_num + 1
        finally:
            csv.field_size_limit(limit)


def repeated_columns(header: Names, columns: Names) -> set[str]:
    """Return those of `columns` whose names occur more than once in the header."""
    counts = Counter(header)
    return {column for name, column in zip(header, columns, strict=True) if counts[name] > 1}


def open_csv(path: Path, data: str, read: ReadOptions) -> CsvFile:
    """Look at the CSV file at `path`, which the user calls `data`, and return how it is written.

    Raises InputError where it holds null bytes, at which pandas would silently cut a field.
    """
    with open_decompressed(path) as file:
        dialect = find_dialect(file, read)
    if dialect.has_null_byte:
        refuse_unreadable(data, "it holds null bytes, as binary files do: save it as CSV in UTF-8, or as Parquet.")
    header, columns = read_header(lambda: open_decompressed(path), dialect)
    return CsvFile(path, data, dialect, header, columns)


def read_header(open_file: Callable[[], AbstractContextManager[IO[bytes]]], dialect: Dialect) -> tuple[Names, Names]:
    """Return the names of the columns as the header of a CSV file has them, and as pandas calls them."""
    with open_file() as file:
        first = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False, **_arguments(dialect))
    with open_file() as file:
        columns = pd.read_csv(file, nrows=0, **_arguments(dialect)).columns
    header = tuple(str(column) or UNNAMED.format(place) for place, column in enumerate(first.iloc[0]))
    return header, tuple(map(str, columns))


def _arguments(dialect: Dialect) -> dict[str, Any]:
    """Return the arguments of `pandas.read_csv` that say how the file is written."""
    options = dialect.options
    return {
        "sep": options.sep,
        "quotechar": options.quote,
        "skipinitialspace": options.skipinitialspace,
        "skiprows": options.skiprows,
        "encoding": dialect.codec,
        "encoding_errors": dialect.errors,
        "index_col": False,
    }


def _text(file: IO[bytes], dialect: Dialect) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding=dialect.codec, errors=dialect.errors, newline="")
