"""Text for people: quotes, numbers and messages on one line."""

import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TextIO

from penguins.redaction import redact

LONGEST_QUOTE, LONGEST_REASON = 120, 500
# Comparing a name with so many similar ones takes a quarter of a second.
MOST_COMPARED = 1_000
# The SQL statement that SQLAlchemy appends to its errors.
STATEMENT = re.compile(r" (\[SQL: |\(Background on this error at: ).*")
# A path that can stand in a command as it is.
PLAIN_PATH = re.compile(r"[\w./:@=+-]{1,200}")
# The environment variable that says how much is printed, which the steps of `main` inherit, and its values.
OUTPUT = "PENGUINS_OUTPUT"
QUIET, NORMAL, VERBOSE = "quiet", "normal", "verbose"
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def quote(value: object) -> str:
    """Quote `value` for a message: on one line, without secrets and cut to `LONGEST_QUOTE` characters."""
    text = escape_unprintable(repr(redact(value)) if isinstance(value, str) else redact(repr(value)))
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}… ({len(text)} characters)"


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean …?" with the entry of `names` that is most similar to `name`, or an empty text."""
    similar = similar_name(name, names)
    return f" Did you mean {quote(similar)}?" if similar else ""


def similar_name(name: str, names: Iterable[str]) -> str:
    """Return the entry of `names` that is most similar to `name`, or an empty text where none is similar.

    Of many names, one that differs in more than capitals and blanks is looked for among the first `MOST_COMPARED`.
    """
    import difflib

    folded = {other.strip().casefold(): other for other in names}
    wanted = name.strip().casefold()
    if wanted in folded or len(wanted) > LONGEST_QUOTE:
        return folded.get(wanted, "")
    close = difflib.get_close_matches(wanted, islice(folded, MOST_COMPARED), n=1)
    return folded[close[0]] if close else ""


def format_number(number: float) -> str:
    """Write `number` in its shortest exact form: 0.1, and 1 rather than 1.0."""
    return repr(float(number)).removesuffix(".0")


def is_number(text: str) -> bool:
    """Tell whether `text` is a decimal number such as 12, -0.5 or 1e-3."""
    return NUMBER.fullmatch(text) is not None


def csv_text(lines: Sequence[Sequence[object]]) -> str:
    """Write lines of cells as CSV.

    The csv module quotes a name with a carriage return only if lines end in one, so in that case they do.
    """
    text = io.StringIO()
    has_return = any("\r" in cell for line in lines for cell in line if isinstance(cell, str))
    writer = csv.writer(text, lineterminator="\r\n" if has_return else "\n")
    writer.writerows(lines)
    return text.getvalue()


def print_lines(*lines: str) -> None:
    """Print `lines`, without secrets, unless the output is to be quiet."""
    if output() != QUIET:
        print_always(*lines)


def print_warnings(*lines: str) -> None:
    """Print warnings that deserve doubt: among the other lines or, where the output is quiet, on standard error."""
    print_always(*[f"warning: {line}" for line in lines], file=sys.stderr if output() == QUIET else sys.stdout)


def print_always(*lines: str, file: TextIO | None = None) -> None:
    """Print `lines`, without secrets, with a single write, because steps that run side by side share the output."""
    file = file or sys.stdout
    file.write("".join(f"{escape_unprintable(redact(line))}\n" for line in lines))
    file.flush()


def output() -> str:
    """Return how much is to be printed: `QUIET`, `NORMAL` or `VERBOSE`."""
    return os.environ.get(OUTPUT) or NORMAL


def count(number: int, noun: str) -> str:
    """Write a number with its noun: 1 group, 2 groups."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(error: object) -> str:
    """Return the text of `error` on one line, with unprintable characters escaped and without SQL statements and secrets."""
    return escape_unprintable(redact(STATEMENT.sub("", " ".join(str(error).split()))))


def escape_unprintable(text: str) -> str:
    """Escape every unprintable character except line breaks: it could steer a terminal or reverse a line."""
    return "".join(sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in text)
