"""The command line: parameters declared once, read and checked before anything heavy is imported.

A step declares its parameters as the fields of a frozen dataclass, each made by `parameter` from a default, a rule and a
sentence of help. MLproject repeats the names and the defaults for `mlflow run`; a test holds it to these declarations.
"""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from common import processes

PROJECT = Path(__file__).parents[2]
WRONG_INPUT, FAILED_WORK = 2, 1
SAID = "error: "
# The libraries whose failures are those of a store or a network rather than this project's: they are said in one line.
STORES = ("alembic", "mlflow", "requests", "sqlalchemy", "urllib3")

LONGEST_QUOTE, LONGEST_REASON, LONGEST_EXPERIMENT = 120, 500, 256
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
STATEMENT = re.compile(r" (\[SQL: |\(Background on this error at: ).*")
REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Any character but NUL, and but the surrogates by which Python stands in for bytes that are no text: no store takes either.
SIGN = r"[^\0\ud800-\udfff]"
# Set in the environment of a script that is only to read its parameters, as JSON from its standard input.
TRIAL = "PENGUINS_TRIAL"


class InputError(ValueError):
    """What the user gave is wrong, a parameter or the data: one line that says what to do, and exit code 2."""


class WorkError(RuntimeError):
    """The work failed for a reason that is known and said in one line: exit code 1."""


def quoted(value: object) -> str:
    """`value` as it stands in a message: on one line, in quotes, never longer than a line can bear."""
    text = visible(repr(value))
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}… ({len(text)} characters)"


def nearest(name: str, names: Iterable[str]) -> str:
    """A question to append to a message: the one of `names` that `name` may have been meant to be, or nothing."""
    import difflib

    folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean {quoted(folded[close[0]])}?" if close else ""


class Rule(Protocol):
    """What a parameter's value must be: read from text, with a phrase that completes "must be …"."""

    @property
    def phrase(self) -> str: ...

    def parse(self, text: str) -> Any:
        """The value that `text` stands for. Raises ValueError where it breaks the rule."""


@dataclass(frozen=True)
class Text:
    """Text that matches `pattern` as a whole, with the blanks around it if `exact`; `phrase` says what it is of."""

    phrase: str
    pattern: str = rf"{SIGN}+"
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
        return {"true": True, "false": False}[text.strip().lower()]


@dataclass(frozen=True)
class Integer:
    """A whole number from `low` to `high`, in its plain decimal form, as other programs will compare it as text."""

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
    """A finite number between `low` and `high`, the bounds themselves left out unless `closed`."""

    low: float
    high: float
    closed: bool = False

    @property
    def phrase(self) -> str:
        left, right = "[]" if self.closed else "()"
        return f"a float in {left}{self.low:g}, {self.high:g}{right}"

    def parse(self, text: str) -> float:
        if not REAL.fullmatch(text.strip()):
            raise ValueError(text)
        value = float(text)
        inside = self.low <= value <= self.high if self.closed else self.low < value < self.high
        if not inside:
            raise ValueError(text)
        return value


@dataclass(frozen=True)
class ListOf:
    """One value or more without repetition: `0.1,0.2` or `[0.1, 0.2]`; a JSON list where an item holds a comma."""

    item: Rule

    @property
    def phrase(self) -> str:
        one = self.item.phrase
        return f"a list without repetition, as in a,b or [a, b], each {one}"

    def parse(self, text: str) -> tuple[Any, ...]:
        values = tuple(self.item.parse(item) for item in _items(text.strip()))
        if not values or len(set(values)) < len(values):
            raise ValueError(text)
        return values


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
    """A field of a step's parameters: `default` as MLproject writes it, `rule` for its values, `meaning` in one sentence."""
    return dataclasses.field(default=rule.parse(default), metadata={"default": default, "rule": rule, "help": meaning})


SEED = Integer(0, 2**32 - 1)
FRACTION = Real(0, 1)
POSITIVE = Real(0, float("inf"))
COLUMN = Text("the name of a column", exact=True)
COLUMNS = ListOf(COLUMN)
SPARK = (
    r"(connect-)?local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|local-cluster\[[1-9][0-9]*,[1-9][0-9]*,[1-9][0-9]*\]"
    r"|(spark|k8s|sc)://.+|yarn|active"
)
ENCODINGS = Choice(("onehot", "ordinal"))


def data() -> Any:
    """The table that a step works on."""
    rule = Text("penguins, or the path or URI of a table")
    return parameter("penguins", rule, "the table: penguins (bundled), or a path or URI of CSV or Parquet")


def test_size() -> Any:
    """The share of the rows to hold out."""
    return parameter("0.2", FRACTION, "share of the rows that is held out for evaluation, in (0, 1)")


def seed() -> Any:
    """The seed of every random choice."""
    return parameter("0", SEED, "seed of every random choice")


def encoding() -> Any:
    """How text columns become numbers."""
    return parameter("onehot", ENCODINGS, "how text columns become numbers: onehot, or ordinal (plain label encoding)")


def alphas() -> Any:
    """The grid of the ridge regression."""
    return parameter("0.05,0.1,0.5,1,2,5", ListOf(POSITIVE), "strengths of the ridge penalty, each above 0")


def eps() -> Any:
    """The values that the sweep tries."""
    rule = ListOf(POSITIVE)
    return parameter("0.1,0.2,0.3,0.5,0.7,0.9,1.1,1.3,1.5", rule, "DBSCAN's eps values, each above 0, in the scaled space")


def min_samples() -> Any:
    """DBSCAN's other parameter."""
    return parameter("3", Integer(1, 2**31 - 1), "DBSCAN's min_samples: records within eps that make a core, 1 or more")


def resume() -> Any:
    """Whether to take up interrupted work."""
    return parameter("false", Flag(), "true: take up an interrupted run of the same work")


def spark() -> Any:
    """Where Spark runs."""
    phrase = "a master such as local[*] or spark://host:7077, a Connect URL (sc://host:15002), connect-local[2] or active"
    return parameter(
        "local[*]", Text(phrase, SPARK), "where Spark runs: local[*], spark://…, sc://…, connect-local[2], or active"
    )


def experiment() -> Any:
    """The MLflow experiment; a script's option only, since `mlflow run` has its own."""
    rule = Text(f"the name of an experiment, of {LONGEST_EXPERIMENT} characters at most", rf"{SIGN}{{0,{LONGEST_EXPERIMENT}}}")
    return parameter("", rule, "MLflow experiment, where neither mlflow run nor the environment names one")


P = TypeVar("P")


def read(declared: type[P], given: dict[str, str]) -> P:
    """The parameters of type `declared` from texts by name; what is not given keeps its default.

    Raises InputError that names the parameter, the rule and the value.
    """
    fields = {field.name: field for field in dataclasses.fields(declared)}  # type: ignore[arg-type]  # P is a dataclass
    values = {}
    for name, text in given.items():
        if name not in fields:
            raise InputError(f"The {quoted(name)} parameter is not known.{nearest(name, fields)}")
        rule: Rule = fields[name].metadata["rule"]
        try:
            values[name] = rule.parse(text)
        except (ValueError, KeyError) as error:
            message = f"The {quoted(name)} parameter must be {rule.phrase}. Got {quoted(text)} instead."
            raise InputError(message) from error
    return declared(**values)


def given(declared: type, argv: Sequence[str]) -> dict[str, str]:
    """The texts on the command line by name: `--name value` or `--name=value`, where a value may begin with a dash.

    Raises InputError at what no parameter takes.
    """
    fields = dataclasses.fields(declared)
    names = {f"--{field.name}" for field in fields}
    joined: list[str] = []
    for token in argv:
        if joined and joined[-1] in names and token not in names:
            joined[-1] += f"={token}"
        else:
            joined.append(token)

    parser = _Parser(prog=os.path.basename(sys.argv[0]), allow_abbrev=False, description=_first_line(declared.__doc__))
    for field in fields:
        shown = field.metadata["default"] or "empty"
        text = f"{field.metadata['help']} (default: {shown})".replace("%", "%%")
        parser.add_argument(f"--{field.name}", metavar=field.name.upper(), default=argparse.SUPPRESS, help=text)
    known, unknown = parser.parse_known_args(joined)
    for token in unknown:
        name = token.lstrip("-").partition("=")[0]
        known_names = [field.name for field in fields]
        raise InputError(f"The {quoted(name)} parameter is not known.{nearest(name, known_names)}")
    return dict(vars(known))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"The command line could not be read: {message}.")


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def as_texts(parameters: Any) -> dict[str, str]:
    """Every parameter but `experiment` as text, as it is logged and as MLproject would be given it."""
    return {
        field.name: as_text(getattr(parameters, field.name))
        for field in dataclasses.fields(parameters)
        if field.name != "experiment"
    }


def as_text(value: Any) -> str:
    """`value` in the form in which a parameter is written: `0.1,0.2`, `true`, numbers at their shortest."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return shortest(value)
    if isinstance(value, list | tuple):
        items = [as_text(item) for item in value]
        plain = ",".join(items)
        return plain if _items(plain) == items else json.dumps(items, ensure_ascii=False)
    return str(value)


def shortest(number: float) -> str:
    """`number` at its shortest: 0.1, 1 rather than 1.0."""
    return repr(float(number)).removesuffix(".0")


def check(entry_point: str, declared: type[P]) -> P:
    """Reads the command line of a script that is starting, so that what is wrong is said before its heavy imports.

    From here on a signal to end waits until it can be written on the run.
    """
    processes.listen()
    try:
        if os.environ.get(TRIAL):
            read(declared, json.load(sys.stdin))
            sys.exit()
        return read(declared, given(declared, sys.argv[1:]))
    except InputError as error:
        sys.exit(_refuse(entry_point, error))


def refusal(step: str, texts: dict[str, str]) -> str:
    """Why the step called `step` would refuse these parameters, as its own script says it; empty where it takes them."""
    variables = {name: value for name, value in os.environ.items() if name != "MLFLOW_RUN_ID"} | {TRIAL: "true"}
    command = [sys.executable, str(PROJECT / "steps" / f"{step}.py")]
    done = subprocess.run(command, env=variables, input=json.dumps(texts), capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return done.stderr.strip().removeprefix(SAID)


def _refuse(entry_point: str, error: InputError) -> int:
    """Says what is wrong, notes it on the run that `mlflow run` has opened, and gives the exit code."""
    _say(error)
    if os.environ.get("MLFLOW_RUN_ID"):
        from common import tracking

        tracking.note_failure(os.environ["MLFLOW_RUN_ID"], entry_point, one_line(error))
    return WRONG_INPUT


def run(entry_point: str, step: Callable[[P], None], declared: type[P], argv: Sequence[str] | None = None) -> int:
    """Runs `step` on the parameters that `argv` gives, and returns the exit code: a known failure is said in one line."""
    try:
        parameters = read(declared, given(declared, sys.argv[1:] if argv is None else argv))
    except InputError as error:
        return _refuse(entry_point, error)
    try:
        with processes.interruptible():
            step(parameters)
    except KeyboardInterrupt as error:
        return _say_interrupted(error)
    except Exception as error:
        if processes.was_told_to_end():
            return _say_interrupted(processes.interruption())
        if isinstance(error, InputError | WorkError):
            _say(error)
            return WRONG_INPUT if isinstance(error, InputError) else FAILED_WORK
        if not _is_of_store(error):
            raise
        why = f"{type(error).__name__}: {one_line(error)[:LONGEST_REASON]}"
        _say(f"The tracking store did not take or give what it should: {why}")
        return FAILED_WORK
    return 0


def script(entry_point: str, step: Callable[[P], None], declared: type[P]) -> None:
    """Runs `step` on the command line and ends this process with its exit code, where that is not 0.

    On success it returns rather than exits: Databricks takes any exit for a failure.
    """
    if code := run(entry_point, step, declared):
        sys.exit(code)


def _say_interrupted(error: KeyboardInterrupt) -> int:
    print(one_line(error) or "interrupted", file=sys.__stderr__, flush=True)
    return processes.exit_code()


def _is_of_store(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in STORES


def _say(error: object) -> None:
    print(f"{SAID}{one_line(error)}", file=sys.stderr, flush=True)


def say(*lines: str) -> None:
    """Prints `lines` in one piece, since steps that run side by side share the output."""
    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines))
    sys.stdout.flush()


def one_line(error: object) -> str:
    """The text of `error` on one line, with what is no sign as its code, and without the statement that a database refused."""
    return visible(STATEMENT.sub("", " ".join(str(error).split())))


def visible(text: str) -> str:
    """`text` with what is no sign in it, but line breaks, as its code: it may steer a terminal, or turn a line around."""
    return "".join(sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in text)
