"""The `read` parameter: how a CSV file is written, in the names of `pandas.read_csv`."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from penguins.cli.rules import CHARACTER, Flag, Integer, Rule
from penguins.errors import InputError
from penguins.text import LONGEST_REASON, is_number, one_line, quote, suggestion

DECIMALS = (".", ",")
THOUSANDS = (".", ",", " ", "'", "’", "_", "\u00a0", "\u202f")


@dataclass(frozen=True)
class ReadOptions:
    """How a CSV file is written, with the names and the meanings of the arguments of `pandas.read_csv`.

    An empty text stands for what is found in the file (`sep`, `encoding`, `decimal`, `quotechar`) or for none (`thousands`).
    """

    sep: str = ""
    encoding: str = ""
    decimal: str = ""
    thousands: str = ""
    quotechar: str = ""
    skipinitialspace: bool = False
    na_values: tuple[str, ...] = ()
    keep_default_na: bool = True
    skiprows: int = 0

    @property
    def quote(self) -> str:
        """The sign around fields."""
        return self.quotechar or '"'

    def __str__(self) -> str:
        """Write the options that differ from the defaults as a JSON mapping, or an empty text where none does."""
        changed = {name: value for name, value in asdict(self).items() if value != getattr(DETECT, name)}
        return json.dumps(changed, ensure_ascii=False) if changed else ""


# Find out how the file is written.
DETECT = ReadOptions()


@dataclass(frozen=True)
class ReadRule:
    """A JSON or YAML mapping of the options, or an empty text."""

    phrase: str = 'a mapping with names of pandas.read_csv, as in {sep: ";", decimal: ",", encoding: latin-1, na_values: ["?"]}'

    def parse(self, text: str) -> ReadOptions:
        """Return the options that `text` stands for. Raises InputError that says what is wrong with it."""
        if not text.strip():
            return DETECT
        import yaml  # takes time, and is not needed for an empty text

        from penguins.cli.strict_yaml import load_yaml

        try:
            content = load_yaml(text)
        except (RecursionError, ValueError, yaml.YAMLError) as error:
            why = one_line(error)[:LONGEST_REASON]
            raise InputError(f"{why}: put signs into quotes and a blank after each colon") from error
        if not isinstance(content, dict):
            raise InputError("it is no mapping: put the names and values into braces")
        for name in content:
            if name not in CHECKS:
                hint = " A blank must follow each colon" if ":" in name else suggestion(name, CHECKS)
                raise InputError(f"it has no name {quote(name)}.{hint or ' The names are ' + ', '.join(CHECKS)}")
        options = ReadOptions(**{name: CHECKS[name](name, value) for name, value in content.items()})
        _require_distinct_signs(options)
        return options


def _one_sign(name: str, value: Any) -> str:
    sign = "\t" if value == "\\t" else value
    if not isinstance(sign, str) or len(sign) != 1 or not (sign == "\t" or sign.isprintable()) or sign.isalnum():
        raise InputError(f"{name} is {quote(value)}, and not one sign in quotes")
    return sign


def _one_of(signs: tuple[str, ...]) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in signs:
            raise InputError(f"{name} is {quote(value)}, and not one of {' '.join(map(repr, signs))} in quotes")
        return str(value)

    return check


def _check_with(rule: Rule) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        try:
            return rule.parse(value)
        except (AttributeError, ValueError) as error:  # a list is no text
            raise InputError(f"{name} is {quote(value)}, and not {rule.phrase}") from error

    return check


def _encoding(name: str, value: Any) -> str:
    try:
        "1".encode(value)
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(f"{name} is {quote(value)}, which Python does not know: try latin-1, cp1252 or utf-8") from error
    return str(value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        if not isinstance(one, str):
            raise InputError(f"{name} holds {quote(one)}, which is neither a number nor a text")
        if not re.fullmatch(rf"{CHARACTER}*", one):
            raise InputError(f"{name} holds {quote(one)}, which no tracking store takes")
    return tuple(values)


# How to check each option: a function of its name and its value that returns the value as `ReadOptions` holds it.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "sep": _one_sign,
    "encoding": _encoding,
    "decimal": _one_of(DECIMALS),
    "thousands": _one_of(THOUSANDS),
    "quotechar": _one_sign,
    "skipinitialspace": _check_with(Flag()),
    "na_values": _texts,
    "keep_default_na": _check_with(Flag()),
    "skiprows": _check_with(Integer(0, 1_000_000)),
}


def _require_distinct_signs(options: ReadOptions) -> None:
    """Raise InputError where one sign has two meanings."""
    if options.thousands and options.thousands == (options.decimal or "."):
        raise InputError(f"{quote(options.thousands)} cannot be both decimal and thousands: say which decimal is")
    if options.sep and options.sep == options.quote:
        raise InputError(f"{quote(options.sep)} cannot be both sep and quotechar")


def na_numbers(options: ReadOptions) -> tuple[float, ...]:
    """Return those of `na_values` that are numbers: they stand for a missing value however the file writes them."""
    return tuple(float(text) for text in options.na_values if is_number(text))
