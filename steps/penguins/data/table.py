"""The table that a step works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from penguins.cli.read_options import ReadOptions
from penguins.data.dialect import WINDOWS
from penguins.text import is_number, one_line, print_lines, print_warnings, quote

MOST_COLUMNS_NAMED = 10


@dataclass(frozen=True)
class Table:
    """The complete rows of a table in the columns that a step uses.

    `numbers` names the columns of numbers, which are float64, `codes` those of numbers that stand for categories, and `texts`
    the others, which are text, or classes of any type. `left_out` is the number of rows that are not complete, `source` the
    path of the table, or its URI without secrets, and `digest` a digest of its content. `read_as` says, as the parameter `read`
    does, how CSV was read. `places`, of shape (n_complete_rows,), holds where each row stands in the user's table, from 0.
    `whole` has a row for each row of that table: the `id` columns, then those of groups as text, None where one is missing.
    """

    frame: pd.DataFrame
    name: str
    source: str
    left_out: int
    digest: str
    numbers: list[str]
    texts: list[str]
    places: np.ndarray
    whole: pd.DataFrame
    codes: list[str] = field(default_factory=list)
    read_as: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupedTable:
    """What a sweep knows of its table, whether Spark holds the complete rows or this process does.

    `rows` is the number of complete rows, `left_out` that of the others, `n_names` the number of distinct combinations of
    names, or 1 without columns of names, and `digest` a digest of the content. `whole` is that of `Table`, None where Spark
    reads the table itself; then the columns `ids` come along with the records.
    """

    rows: int
    left_out: int
    n_names: int
    digest: str
    whole: pd.DataFrame | None = None
    ids: Sequence[str] = ()

    @property
    def whole_ids(self) -> Sequence[str]:
        """Those of `ids` that are whole numbers, which travel as text: pandas has no missing ones beside exact large ones."""
        return ()

    def rows_left_out(self) -> pd.DataFrame | None:
        """Return `ids` and the names of groups of the rows left out; None where there are none, or `whole` has them."""
        return None


def count_names(frame: pd.DataFrame, names: Sequence[str]) -> int:
    """Return the number of distinct combinations of values in the columns `names`, or 1 without any."""
    # nunique takes texts that differ after a null character for one.
    return len(set(zip(*[frame[name] for name in names], strict=True))) if names else 1


def print_dialect(name: str, options: ReadOptions) -> None:
    """Print how the CSV file `name` is read."""
    doubt = f" ({options.encoding}, because it is not UTF-8)" if options.encoding == WINDOWS else ""
    print_lines(f"{one_line(name)} is read as {options}{doubt}")


def print_doubts(name: str, header: Sequence[str], doubt: str) -> None:
    """Print a warning if the names of the columns of the CSV file `name` look like its first row, and a further `doubt`."""
    if doubt:
        print_warnings(doubt)
    numbers = [column for column in header if is_number(column.strip())]
    n_fractions = sum("." in column for column in numbers)
    if len(header) > 1 and (len(numbers) == len(header) or n_fractions > len(header) / 2):
        print_warnings(
            f"the first line of {one_line(name)}, which is taken for the names of the columns, holds numbers, for "
            f"example {quote(numbers[0])}: if it is a row, write a line of names before it"
        )


def print_left_out(n_rows: int, n_left_out: int, n_missing: Mapping[str, int]) -> None:
    """Print how many of a table's rows are left out, if any, and in how many rows each column misses a value."""
    if not n_left_out:
        return
    named = sorted(((name, number) for name, number in n_missing.items() if number), key=lambda item: -item[1])
    columns = ", ".join(f"{one_line(name)} ({number})" for name, number in named[:MOST_COLUMNS_NAMED])
    more = f" and {len(named) - MOST_COLUMNS_NAMED} more columns" if len(named) > MOST_COLUMNS_NAMED else ""
    print_lines(f"rows left out: {n_left_out} of {n_rows}, which miss a value in {columns}{more}")
