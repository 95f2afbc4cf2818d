"""The rules of parameters: how a text becomes a value, and a phrase that completes "must be …"."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from penguins.text import format_number, is_number

MOST_AUTO_VALUES = 200
AUTO, NONE = "auto", "none"
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
# Any character except NUL and the surrogates by which Python represents undecodable bytes: no tracking store takes those.
CHARACTER = r"[^\0\ud800-\udfff]"


class Rule(Protocol):
    """The values that a parameter may have: how to read one, and a phrase that completes "must be …"."""

    @property
    def phrase(self) -> str: ...

    def parse(self, text: str) -> Any:
        """Return the value that `text` stands for. Raise ValueError where it breaks the rule."""


@dataclass(frozen=True)
class Text:
    """Text that matches `pattern` as a whole. Surrounding blanks are stripped unless `exact`."""

    phrase: str
    pattern: str = rf"{CHARACTER}+"
    exact: bool = False

    def parse(self, text: str) -> str:
        stripped = text.strip()
        if not re.fullmatch(self.pattern, stripped, re.DOTALL):
            raise ValueError(text)
        return text if self.exact else stripped


@dataclass(frozen=True)
class Choice:
    """One of a few names."""

    names: tuple[str, ...]

    @property
    def phrase(self) -> str:
        return "one of " + ", ".join(self.names)

    def parse(self, text: str) -> str:
        if text.strip() not in self.names:
            raise ValueError(text)
        return text.strip()


@dataclass(frozen=True)
class Flag:
    """`true` or `false`."""

    phrase: str = "true or false"

    def parse(self, text: str) -> bool:
        if text.strip().lower() not in ("true", "false"):
            raise ValueError(text)
        return text.strip().lower() == "true"


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high` in plain decimal form, because other programs compare it as text."""

    low: int
    high: int

    @property
    def phrase(self) -> str:
        return f"an integer in [{self.low}, {self.high}]"

    def parse(self, text: str) -> int:
        digits = text.strip()
        if len(digits) > 20 or not INTEGER.fullmatch(digits) or not self.low <= int(digits) <= self.high:
            raise ValueError(text)
        return int(digits)


@dataclass(frozen=True)
class Real:
    """A finite number between `low` and `high`; the bounds themselves are allowed only if `closed`."""

    low: float
    high: float
    closed: bool = False

    @property
    def phrase(self) -> str:
        left, right = "[]" if self.closed else "()"
        return f"a float in {left}{self.low:g}, {self.high:g}{right}"

    def parse(self, text: str) -> float:
        if not is_number(text.strip()):
            raise ValueError(text)
        value = float(text)
        inside = self.low <= value <= self.high if self.closed else self.low < value < self.high
        if not inside:
            raise ValueError(text)
        return value


@dataclass(frozen=True)
class ListOf:
    """One or more distinct values: `0.1,0.2` or `[0.1, 0.2]`, or a JSON list where an item holds a comma.

    An empty text stands for no value if it `may_be_empty`.
    """

    item: Rule
    may_be_empty: bool = False

    @property
    def phrase(self) -> str:
        empty = "empty, or " if self.may_be_empty else ""
        return f"{empty}a list without repetition, as in a,b or [a, b], each {self.item.phrase}"

    def parse(self, text: str) -> tuple[Any, ...]:
        if self.may_be_empty and text.strip() in ("", "[]"):
            return ()
        values = tuple(self.item.parse(item) for item in _items(text.strip()))
        if not values or len(set(values)) < len(values):
            raise ValueError(text)
        return values


@dataclass(frozen=True)
class Auto:
    """Values that are proposed for each group from its own records: `n_values` at most, or the usual number."""

    n_values: int | None = None

    def __str__(self) -> str:
        return "auto" if self.n_values is None else f"auto:{self.n_values}"


@dataclass(frozen=True)
class AutoOr:
    """`auto`, `auto:N` for N values, or a list of values."""

    values: ListOf

    @property
    def phrase(self) -> str:
        return f"auto, auto:N with N in [2, {MOST_AUTO_VALUES}], or {self.values.phrase}"

    def parse(self, text: str) -> Auto | tuple[Any, ...]:
        name, colon, number = text.strip().partition(":")
        if name.strip() == AUTO:
            return Auto(Integer(2, MOST_AUTO_VALUES).parse(number)) if colon else Auto()
        return self.values.parse(text)


@dataclass(frozen=True)
class Groups:
    """The columns of groups: one or several names, `auto`, or `none` or an empty text for no columns.

    A single name is taken as it is, with the blanks around it.
    """

    columns: ListOf

    @property
    def phrase(self) -> str:
        return f"{AUTO}, {NONE}, the name of a column, or {self.columns.phrase} other than {AUTO} and {NONE}"

    def parse(self, text: str) -> tuple[str, ...]:
        if text.strip() in ("", NONE):
            return ()
        is_list = "," in text or _is_bracketed(text.strip())
        names: tuple[str, ...] = self.columns.parse(text) if is_list else (self.columns.item.parse(text),)
        if len(names) > 1 and {AUTO, NONE} & set(names):
            raise ValueError(text)
        return () if names == (NONE,) else names


def _is_bracketed(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")


def _items(text: str) -> list[str]:
    if not _is_bracketed(text):
        return [item.strip() for item in text.split(",")]
    try:
        return [item if isinstance(item, str) else json.dumps(item) for item in json.loads(text)]
    except RecursionError as error:
        raise ValueError(text) from error
    except json.JSONDecodeError:
        return [item.strip().strip("'\"") for item in text[1:-1].split(",")]


SEED = Integer(0, 2**32 - 1)
FRACTION = Real(0, 1)
POSITIVE = Real(0, float("inf"))
COLUMN = Text("the name of a column", exact=True)
COLUMNS = ListOf(COLUMN)


def to_text(value: Any) -> str:
    """Write `value` as a parameter is written: `0.1,0.2`, `true`, numbers in their shortest form, a mapping as JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list | tuple):
        if not value:
            return ""
        items = [to_text(item) for item in value]
        plain = ",".join(items)
        return plain if _items(plain) == items else json.dumps(items, ensure_ascii=False)
    return str(value)
