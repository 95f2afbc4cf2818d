"""Parameters of the steps: each is declared once, by its type, which carries its rule and a sentence of help, and its default.

A step declares its parameters as the fields of a frozen dataclass, as in `eps: Eps = (0.1, 0.2)`. The files that repeat names
and defaults, MLproject for one, are generated from these declarations by docs/generate.py.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_type_hints

from penguins.cli.environment import text_from_environment
from penguins.cli.read_options import ReadOptions, ReadRule
from penguins.cli.rules import AUTO as AUTO
from penguins.cli.rules import (
    CHARACTER,
    COLUMN,
    COLUMNS,
    FRACTION,
    POSITIVE,
    SEED,
    Auto,
    AutoOr,
    Choice,
    Flag,
    Groups,
    Integer,
    ListOf,
    Real,
    Rule,
    Text,
    to_text,
)
from penguins.cli.rules import NONE as NONE
from penguins.errors import InputError
from penguins.text import quote, suggestion

LONGEST_EXPERIMENT = 256
# A name with other signs is none that `models:/name@champion` and a command line take as it is.
LONGEST_REGISTERED = 200
LARGEST_NUMBER = 2**31 - 1
BUNDLED = "penguins"
# What two entry points have in common.
DEFAULT_ALPHAS = (0.05, 0.1, 0.5, 1.0, 2.0, 5.0)
DEFAULT_EPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
SPARK_TARGET = (
    r"(connect-)?local(\[([1-9][0-9]*|\*)(,[1-9][0-9]*)?\])?|local-cluster\[[1-9][0-9]*,[1-9][0-9]*,[1-9][0-9]*\]"
    r"|(spark|k8s|sc)://.+|yarn|active"
)
SPARK_PHRASE = "a master such as local[*] or spark://host:7077, a Connect URL (sc://host:15002), connect-local[2] or active"


@dataclass(frozen=True)
class Parameter:
    """What the type of a parameter carries: its rule, and a sentence of help."""

    rule: Rule
    help: str


Data = Annotated[
    str,
    Parameter(
        Text("penguins, or the path or URI of a table"), "the table: penguins (bundled), or a path or URI of CSV or Parquet"
    ),
]
Read = Annotated[
    ReadOptions,
    Parameter(
        ReadRule(),
        'how a CSV file is written, as in {sep: ";", decimal: ",", na_values: ["?"]}; empty: found out, as far as possible',
    ),
]
Predictors = Annotated[
    tuple[str, ...],
    Parameter(
        COLUMNS,
        "the columns to predict it from, numbers or text; auto: those of the penguins, or all of numbers, booleans, few texts",
    ),
]
CategoricalFeatures = Annotated[
    tuple[str, ...],
    Parameter(
        ListOf(COLUMN, may_be_empty=True), "those of the features whose numbers are codes of categories, encoded as text is"
    ),
]
SweptFeatures = Annotated[
    tuple[str, ...],
    Parameter(COLUMNS, "the columns of numbers to cluster by; auto: the penguins' four measures, or all columns of numbers"),
]
GroupBy = Annotated[
    tuple[str, ...],
    Parameter(
        Groups(COLUMNS),
        "the column of groups, or several, as in country,month; none: one group; auto: island for the penguins, else none",
    ),
]
Id = Annotated[
    tuple[str, ...],
    Parameter(
        ListOf(COLUMN, may_be_empty=True), "the columns that tell the records, which come along into the table of each record"
    ),
]
TestSize = Annotated[float, Parameter(FRACTION, "share of the rows that is held out for evaluation, in (0, 1)")]
Seed = Annotated[int, Parameter(SEED, "seed of every random choice")]
Encoding = Annotated[
    str,
    Parameter(Choice(("onehot", "ordinal")), "how text columns become numbers: onehot, or ordinal (plain label encoding)"),
]
Alphas = Annotated[tuple[float, ...], Parameter(ListOf(POSITIVE), "strengths of the ridge penalty, each above 0")]
Eps = Annotated[
    Auto | tuple[float, ...],
    Parameter(
        AutoOr(ListOf(POSITIVE)),
        "DBSCAN's eps values, each above 0, in the scaled space; auto or auto:20: proposed for each group",
    ),
]
MinSamples = Annotated[
    tuple[int, ...],
    Parameter(
        ListOf(Integer(1, LARGEST_NUMBER)),
        "min_samples, one or several: how many records, itself included, a core sample has near it, 1 or more",
    ),
]
MinClusterSize = Annotated[
    Auto | tuple[int, ...],
    Parameter(
        AutoOr(ListOf(Integer(2, LARGEST_NUMBER))),
        "HDBSCAN's smallest clusters, in records, 2 or more; auto or auto:20: proposed for each group from its size",
    ),
]
NClusters = Annotated[
    tuple[int, ...], Parameter(ListOf(Integer(2, LARGEST_NUMBER)), "the numbers of clusters to try, each 2 or more")
]
Metric = Annotated[
    str,
    Parameter(Choice(("euclidean", "haversine")), "distance: euclidean, or haversine (latitude, longitude; eps in km)"),
]
Scale = Annotated[
    str,
    Parameter(
        Choice(("standard", "none")), "standard: mean 0 and variance 1 in each group; none: distances in the features' unit"
    ),
]
DensityRule = Annotated[
    str,
    Parameter(
        Choice(("stability", "dbcv", "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw")),
        "rule that chooses a group's best value: stability over the values, or the best value of an index",
    ),
]
MinCoverage = Annotated[
    float,
    Parameter(Real(0, 1, closed=True), "least share of a group's records that the best value must keep, in [0, 1]"),
]
Runs = Annotated[
    str,
    Parameter(
        Choice(("auto", "all", "groups", "none")),
        "all: a run for each group and each value; groups: for each group; none: tables alone; auto: all up to 10,000 values",
    ),
]
Models = Annotated[str, Parameter(Choice(("all", "best", "none")), "which models to log: all, best or none")]
LogFrom = Annotated[
    str,
    Parameter(Choice(("driver", "executors")), "where runs are logged: driver, or executors (inside the workers)"),
]
Resume = Annotated[bool, Parameter(Flag(), "true: continue an interrupted run with the same data, parameters and code")]
Register = Annotated[
    str,
    Parameter(
        Text(
            f"empty, or a name of letters, digits, blanks and the signs . _ -, of {LONGEST_REGISTERED} characters at most",
            rf"(\w[\w .-]{{0,{LONGEST_REGISTERED - 1}}})?",
        ),
        "the name under which MLflow's registry gets the model, as champion if it beats the present one; empty: none",
    ),
]
Spark = Annotated[
    str,
    Parameter(Text(SPARK_PHRASE, SPARK_TARGET), "where Spark runs: local[*], spark://…, sc://…, connect-local[2], or active"),
]
SparkOrNone = Annotated[
    str,
    Parameter(
        Text(f"{NONE}, {SPARK_PHRASE}", rf"{NONE}|{SPARK_TARGET}"),
        "where Spark runs: local[*], spark://…, sc://…, connect-local[2], or active; none: without Spark and Java",
    ),
]
SweepOutput = Annotated[
    str,
    Parameter(
        Text("empty, a folder, a URI or catalog.schema.prefix", rf"{CHARACTER}*"),
        "where the tables results and clusters go: a folder, a URI, with Spark catalog.schema.prefix; empty: to the run alone",
    ),
]
# An option of the scripts only, because `mlflow run` has its own.
Experiment = Annotated[
    str,
    Parameter(
        Text(
            f"the name of an experiment, of {LONGEST_EXPERIMENT} characters at most",
            rf"{CHARACTER}{{0,{LONGEST_EXPERIMENT}}}",
        ),
        "MLflow experiment, where neither mlflow run nor the environment names one",
    ),
]


@dataclass(frozen=True)
class Declared:
    """A parameter as a step declares it."""

    name: str
    rule: Rule
    help: str
    default: Any

    @property
    def is_required(self) -> bool:
        """Whether the parameter has no default."""
        return self.default is dataclasses.MISSING

    @property
    def text(self) -> str:
        """The default as it is written, or an empty text."""
        return "" if self.is_required else to_text(self.default)


P = TypeVar("P")


def declared_parameters(declared: type) -> dict[str, Declared]:
    """Return the parameters that a step declares with the fields of the dataclass `declared`, by name."""
    hints = get_type_hints(declared, include_extras=True)
    found = {}
    for field in dataclasses.fields(declared):
        [parameter] = [one for one in hints[field.name].__metadata__ if isinstance(one, Parameter)]
        found[field.name] = Declared(field.name, parameter.rule, parameter.help, field.default)
    return found


def parse_parameters(declared: type[P], texts: Mapping[str, str]) -> P:
    """Return the parameters of type `declared` from `texts` by name; a name that is missing keeps its default.

    Raises InputError that names the parameter, the rule and the value, or a parameter that is missing and has no default.
    """
    texts = {name: text_from_environment(name, text) for name, text in texts.items()}
    known = declared_parameters(declared)
    values = {}
    for name, text in texts.items():
        if name not in known:
            raise InputError(f"The {quote(name)} parameter is not known.{suggestion(name, known)}")
        rule = known[name].rule
        try:
            values[name] = rule.parse(text)
        except ValueError as error:
            why = f": {error}" if isinstance(error, InputError) else " instead"
            message = f"The {quote(name)} parameter must be {rule.phrase}. Got {quote(text)}{why}"
            raise InputError(message if message.endswith("?") else f"{message}.") from error
    for name, one in known.items():
        if one.is_required and name not in values:
            raise InputError(f"The {quote(name)} parameter must be {one.rule.phrase}. It is missing, and has no default.")
    return declared(**values)


def to_texts(parameters: Any) -> dict[str, str]:
    """Return every parameter except `experiment` as text, as it is logged and as MLproject would pass it."""
    return {
        field.name: to_text(getattr(parameters, field.name))
        for field in dataclasses.fields(parameters)
        if field.name != "experiment"
    }


def require_target(data: str, target: str) -> None:
    """Raise InputError where a table of one's own has no target: `auto` is known for the penguins only."""
    if target == AUTO and data != BUNDLED:
        raise InputError(
            "The 'target' parameter must name the column to predict in a table of your own. Got 'auto' instead, which is for "
            f"the penguins: give, for example, target=price for {quote(data)}."
        )


def is_auto(value: Any) -> bool:
    """Tell whether a parameter that names columns is `auto`."""
    return value in (AUTO, (AUTO,))
