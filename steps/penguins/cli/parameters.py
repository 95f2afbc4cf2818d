"""Parameters of the steps: each is declared once, with its default, its rule and a sentence of help.

A step declares its parameters as the fields of a frozen dataclass, each made by `parameter`. MLproject repeats the names and
the defaults for `mlflow run`; a test holds it to these declarations.
"""

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from penguins.errors import InputError
from penguins.text import format_number, is_number, quote, suggestion

LONGEST_EXPERIMENT = 256
MOST_AUTO_VALUES = 200
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
    """One or more distinct values: `0.1,0.2` or `[0.1, 0.2]`, or a JSON list where an item holds a comma."""

    item: Rule

    @property
    def phrase(self) -> str:
        return f"a list without repetition, as in a,b or [a, b], each {self.item.phrase}"

    def parse(self, text: str) -> tuple[Any, ...]:
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
        if name.strip() == "auto":
            return Auto(Integer(2, MOST_AUTO_VALUES).parse(number)) if colon else Auto()
        return self.values.parse(text)


def _items(text: str) -> list[str]:
    if not (text.startswith("[") and text.endswith("]")):
        return [item.strip() for item in text.split(",")]
    try:
        return [item if isinstance(item, str) else json.dumps(item) for item in json.loads(text)]
    except RecursionError as error:
        raise ValueError(text) from error
    except json.JSONDecodeError:
        return [item.strip().strip("'\"") for item in text[1:-1].split(",")]


def parameter(default: str, rule: Rule, meaning: str) -> Any:
    """Declare a field of a step's parameters: `default` as MLproject writes it, the rule, and a sentence of help."""
    return dataclasses.field(default=rule.parse(default), metadata={"default": default, "rule": rule, "help": meaning})


SEED = Integer(0, 2**32 - 1)
FRACTION = Real(0, 1)
POSITIVE = Real(0, float("inf"))
COLUMN = Text("the name of a column", exact=True)
COLUMNS = ListOf(COLUMN)
SPARK_TARGET = (
    r"(connect-)?local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|local-cluster\[[1-9][0-9]*,[1-9][0-9]*,[1-9][0-9]*\]"
    r"|(spark|k8s|sc)://.+|yarn|active"
)
ENCODINGS = Choice(("onehot", "ordinal"))


def data_parameter() -> Any:
    """Declare `data`, the table that a step works on."""
    rule = Text("penguins, or the path or URI of a table")
    return parameter("penguins", rule, "the table: penguins (bundled), or a path or URI of CSV or Parquet")


def test_size_parameter() -> Any:
    """Declare `test_size`, the share of the rows that is held out."""
    return parameter("0.2", FRACTION, "share of the rows that is held out for evaluation, in (0, 1)")


def seed_parameter() -> Any:
    """Declare `seed`, the seed of every random choice."""
    return parameter("0", SEED, "seed of every random choice")


def encoding_parameter() -> Any:
    """Declare `encoding`, how text columns become numbers."""
    return parameter("onehot", ENCODINGS, "how text columns become numbers: onehot, or ordinal (plain label encoding)")


def alphas_parameter() -> Any:
    """Declare `alphas`, the grid of the ridge regression."""
    return parameter("0.05,0.1,0.5,1,2,5", ListOf(POSITIVE), "strengths of the ridge penalty, each above 0")


def eps_parameter() -> Any:
    """Declare `eps`, the values that the sweep tries."""
    meaning = "DBSCAN's eps values, each above 0, in the scaled space; auto or auto:20: proposed for each group"
    return parameter("0.1,0.2,0.3,0.5,0.7,0.9,1.1,1.3,1.5", AutoOr(ListOf(POSITIVE)), meaning)


def min_samples_parameter() -> Any:
    """Declare `min_samples`, DBSCAN's other parameter."""
    meaning = "DBSCAN's min_samples, one or several: records within eps that make a core sample, 1 or more"
    return parameter("3", ListOf(Integer(1, 2**31 - 1)), meaning)


def resume_parameter() -> Any:
    """Declare `resume`, whether to continue an interrupted run."""
    return parameter("false", Flag(), "true: continue an interrupted run with the same data, parameters and code")


def spark_parameter() -> Any:
    """Declare `spark`, where Spark runs."""
    phrase = "a master such as local[*] or spark://host:7077, a Connect URL (sc://host:15002), connect-local[2] or active"
    meaning = "where Spark runs: local[*], spark://…, sc://…, connect-local[2], or active"
    return parameter("local[*]", Text(phrase, SPARK_TARGET), meaning)


def experiment_parameter() -> Any:
    """Declare `experiment`, an option of the scripts only, because `mlflow run` has its own."""
    phrase = f"the name of an experiment, of {LONGEST_EXPERIMENT} characters at most"
    rule = Text(phrase, rf"{CHARACTER}{{0,{LONGEST_EXPERIMENT}}}")
    return parameter("", rule, "MLflow experiment, where neither mlflow run nor the environment names one")


P = TypeVar("P")


def parse_parameters(declared: type[P], texts: dict[str, str]) -> P:
    """Return the parameters of type `declared` from `texts` by name; a name that is missing keeps its default.

    Raises InputError that names the parameter, the rule and the value.
    """
    fields = {field.name: field for field in dataclasses.fields(declared)}  # type: ignore[arg-type]  # P is a dataclass
    values = {}
    for name, text in texts.items():
        if name not in fields:
            raise InputError(f"The {quote(name)} parameter is not known.{suggestion(name, fields)}")
        rule: Rule = fields[name].metadata["rule"]
        try:
            values[name] = rule.parse(text)
        except ValueError as error:
            message = f"The {quote(name)} parameter must be {rule.phrase}. Got {quote(text)} instead."
            raise InputError(message) from error
    return declared(**values)


def to_texts(parameters: Any) -> dict[str, str]:
    """Return every parameter except `experiment` as text, as it is logged and as MLproject would pass it."""
    return {
        field.name: to_text(getattr(parameters, field.name))
        for field in dataclasses.fields(parameters)
        if field.name != "experiment"
    }


def to_text(value: Any) -> str:
    """Write `value` as a parameter is written: `0.1,0.2`, `true`, numbers in their shortest form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format_number(value)
    if isinstance(value, list | tuple):
        items = [to_text(item) for item in value]
        plain = ",".join(items)
        return plain if _items(plain) == items else json.dumps(items, ensure_ascii=False)
    return str(value)
