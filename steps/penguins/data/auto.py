"""Choose the features of a table by what its columns hold."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from penguins.errors import InputError
from penguins.text import one_line, print_lines, quote

# What pandas, pyarrow and Spark call a column to which the table gives no name. Most often it numbers the rows.
UNNAMED = re.compile(r"\s*|Unnamed: \d+(\.\d+)*|__index_level_\d+__|_c\d+")
Kind = Literal["number", "boolean", "text", "other"]
MOST_TEXTS, FEWEST_ROWS_PER_TEXT = 20, 2
MOST_LISTED, LONGEST_NAME = 20, 60


@dataclass(frozen=True)
class Column:
    """What a column of a table holds: numbers, booleans, text (categories are text) or something that no step takes.

    `n_distinct` does not count missing values; Spark estimates it. It is 0 for a column of the kind "other". `note` may say why
    no step takes it, as the end of a sentence that begins with its name.
    """

    name: str
    kind: Kind
    n_rows: int
    n_missing: int
    n_distinct: int
    note: str = ""


def choose_features(
    columns: Sequence[Column], excluded: Collection[str], with_texts: bool, included: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the names of the columns that serve as features, and print them and those that are left out.

    These are the columns of numbers and, if `with_texts`, of booleans and of text with few distinct values, except those in
    `excluded`, those without a name and those that are mostly missing; and all those in `included`. Raises InputError where
    no column serves.
    """
    candidates = [column for column in columns if column.name not in excluded]
    reasons = {column.name: "" if column.name in included else _reason_against(column, with_texts) for column in candidates}
    chosen = tuple(name for name, reason in reasons.items() if not reason)
    against = [f"{_display(name)}, {reason}" for name, reason in reasons.items() if reason]
    left_out = f" (left out: {_shorten(against, '; ')})" if against else ""
    if not chosen:
        texts = f", of booleans, or of text with at most {MOST_TEXTS} values" if with_texts else ""
        beside = f" beside {_shorten([quote(name) for name in sorted(excluded)], ', ')}" if excluded else ""
        raise InputError(
            f"The 'features' parameter must be auto only for a table with columns of numbers{texts}. "
            f"Got 'auto', which finds none{beside}{left_out}: name the columns, as in features=a,b, or use another table."
        )
    print_lines(f"features=auto: {_shorten([_display(name) for name in chosen], ', ')}{left_out}")
    return chosen


def _reason_against(column: Column, with_texts: bool) -> str:
    """Return why a column is no feature, as the end of a sentence that begins with its name, or an empty text."""
    n_present = column.n_rows - column.n_missing
    if column.note:
        return column.note
    if UNNAMED.fullmatch(column.name):
        return "which has no name"
    if column.n_missing > column.n_rows / 2:
        return "which is mostly missing"
    if column.kind == "other":
        return "which holds neither numbers alone nor text alone"
    if column.kind == "boolean" and not with_texts:
        return "a column of true and false"
    if column.kind == "text" and not with_texts:
        return "a column of text"
    if column.kind == "text" and (column.n_distinct > MOST_TEXTS or n_present < FEWEST_ROWS_PER_TEXT * column.n_distinct):
        return "a text with too many values"
    return ""


def _display(name: str) -> str:
    text = one_line(name) or quote(name)
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"


def _shorten(parts: Sequence[str], separator: str) -> str:
    """Join `parts`, and count those beyond `MOST_LISTED`."""
    listed = list(parts[:MOST_LISTED])
    n_more = len(parts) - len(listed)
    return separator.join([*listed, f"and {n_more} more"] if n_more else listed)
