"""Text for people: quotes, numbers and messages on one line."""

import re
import sys
from collections.abc import Iterable

LONGEST_QUOTE, LONGEST_REASON = 120, 500
# The SQL statement that SQLAlchemy appends to its errors.
STATEMENT = re.compile(r" (\[SQL: |\(Background on this error at: ).*")
# A path that can stand in a command as it is.
PLAIN_PATH = re.compile(r"[\w./:@=+-]{1,200}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def quote(value: object) -> str:
    """Quote `value` for a message: on one line and cut to `LONGEST_QUOTE` characters."""
    text = escape_unprintable(repr(value))
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}… ({len(text)} characters)"


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean …?" with the entry of `names` that is most similar to `name`, or an empty text."""
    similar = similar_name(name, names)
    return f" Did you mean {quote(similar)}?" if similar else ""


def similar_name(name: str, names: Iterable[str]) -> str:
    """Return the entry of `names` that is most similar to `name`, or an empty text where none is similar."""
    import difflib

    folded = {other.strip().casefold(): other for other in names}
    close = difflib.get_close_matches(name.strip().casefold(), folded, n=1)
    return folded[close[0]] if close else ""


def format_number(number: float) -> str:
    """Write `number` in its shortest exact form: 0.1, and 1 rather than 1.0."""
    return repr(float(number)).removesuffix(".0")


def is_number(text: str) -> bool:
    """Tell whether `text` is a decimal number such as 12, -0.5 or 1e-3."""
    return NUMBER.fullmatch(text) is not None


def print_lines(*lines: str) -> None:
    """Print `lines` with a single write, because steps that run side by side share the output."""
    sys.stdout.write("".join(f"{escape_unprintable(line)}\n" for line in lines))
    sys.stdout.flush()


def one_line(error: object) -> str:
    """Return the text of `error` on one line, with unprintable characters escaped and without SQL statements."""
    return escape_unprintable(STATEMENT.sub("", " ".join(str(error).split())))


def escape_unprintable(text: str) -> str:
    """Escape every unprintable character except line breaks: it could steer a terminal or reverse a line."""
    return "".join(sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in text)
