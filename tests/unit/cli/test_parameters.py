"""The parameters of a step: what is read, what is refused and in which words, and how a value is written."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import pytest

from penguins.cli.parameters import (
    DEFAULT_EPS,
    Data,
    Eps,
    Experiment,
    GroupBy,
    MinCoverage,
    MinSamples,
    Models,
    Parameter,
    Predictors,
    Resume,
    Seed,
    Spark,
    declared_parameters,
    is_auto,
    parse_parameters,
    require_target,
    to_texts,
)
from penguins.cli.rules import (
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
    to_text,
)
from penguins.errors import InputError
from penguins.text import quote

MODELS = Choice(("all", "best", "none"))


@dataclass(frozen=True)
class Parameters:
    """The parameters of a step that has one of each kind."""

    data: Data = "penguins"
    group_by: GroupBy = ("island",)
    kind: Annotated[str, Parameter(COLUMN, "a column")] = "kind"
    features: Predictors = ("a", "b")
    eps: Eps = DEFAULT_EPS
    min_samples: MinSamples = (3,)
    min_coverage: MinCoverage = 0.5
    models: Models = "all"
    resume: Resume = False
    seed: Seed = 0
    spark: Spark = "local[*]"
    experiment: Experiment = ""


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        (ListOf(POSITIVE), "0.1,0.2,0.5", (0.1, 0.2, 0.5)),
        (ListOf(POSITIVE), "[0.1, 0.2, 0.5]", (0.1, 0.2, 0.5)),
        (ListOf(POSITIVE), "1e-3", (0.001,)),
        (ListOf(POSITIVE), " .5 , 2 ", (0.5, 2.0)),
        (AutoOr(ListOf(POSITIVE)), "0.5,0.1", (0.5, 0.1)),
        (AutoOr(ListOf(POSITIVE)), " auto ", Auto()),
        (AutoOr(ListOf(POSITIVE)), "auto:20", Auto(20)),
        (COLUMNS, '["bill, in mm", "sex"]', ("bill, in mm", "sex")),
        (COLUMNS, "['a', b]", ("a", "b")),
        (Groups(COLUMNS), "island", ("island",)),
        (Groups(COLUMNS), " island", (" island",)),
        (Groups(COLUMNS), "country, month", ("country", "month")),
        (Groups(COLUMNS), "[country, month]", ("country", "month")),
        (Groups(COLUMNS), '["a,b"]', ("a,b",)),
        (Groups(COLUMNS), "auto", ("auto",)),
        (Groups(COLUMNS), " none ", ()),
        (Groups(COLUMNS), "[none]", ()),
        (Groups(COLUMNS), " ", ()),
        (ListOf(COLUMN, may_be_empty=True), "", ()),
        (ListOf(COLUMN, may_be_empty=True), " [] ", ()),
        (ListOf(COLUMN, may_be_empty=True), "a,b", ("a", "b")),
        (ListOf(MODELS), "[best, none]", ("best", "none")),
        (COLUMN, " a ", " a "),
        (MODELS, " best ", "best"),
        (Flag(), " True", True),
        (Flag(), "false", False),
        (SEED, " 4294967295 ", 4294967295),
        (Integer(-5, 5), "-5", -5),
        (Real(0, 1, closed=True), "1", 1.0),
        (FRACTION, "1e-9", 1e-9),
    ],
)
def test_a_value_is_read_in_each_way_of_writing_it(rule: Rule, text: str, value: object) -> None:
    assert rule.parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "-1,0.5",
        "0.5,-1",
        "0",
        "nan",
        "inf",
        "0.1,0.1",
        "0.1,0.10",
        "",
        ",",
        "0.1,,2",
        "1_0",
        "[]",
        "a",
        "[" * 5000 + "]",
        "auto:",
        "auto:1",
        "auto:201",
        "auto:x",
        "auto,1",
        "Auto",
    ],
)
def test_eps_must_be_positive_numbers_without_repetition(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^The 'eps' parameter must be auto, auto:N .*, or a list without repetition.* a float in \(0, inf\)"
    ):
        parse_parameters(Parameters, {"eps": text})


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("seed", "1.5", "an integer in [0, 4294967295]"),
        ("seed", "-1", "an integer in [0, 4294967295]"),
        ("seed", "05", "an integer in [0, 4294967295]"),
        ("seed", "9" * 5000, "an integer in [0, 4294967295]"),
        ("min_samples", "0", "a list without repetition, as in a,b or [a, b], each an integer in [1, 2147483647]"),
        ("min_coverage", "1.1", "a float in [0, 1]"),
        ("models", "some", "one of all, best, none"),
        ("models", "", "one of all, best, none"),
        ("resume", "maybe", "true or false"),
        ("features", "a,a", "a list without repetition"),
        ("kind", " ", "the name of a column"),
        ("group_by", "null\0byte", "auto, none, the name of a column, or a list without repetition"),
        ("data", "", "penguins, or the path or URI of a table"),
        ("spark", "local[0]", "a master such as local[*]"),
        ("spark", "laptop", "a master such as local[*]"),
        ("spark", "local[*]; rm -rf x", "a master such as local[*]"),
        ("experiment", "x" * 257, "the name of an experiment, of 256 characters at most"),
    ],
)
def test_a_refusal_names_the_parameter_the_rule_and_the_value(name: str, text: str, rule: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_parameters(Parameters, {name: text})
    message = str(refused.value)
    assert message.startswith(f"The '{name}' parameter must be {rule}")
    assert message.endswith(f"Got {quote(text)} instead.")
    assert "\n" not in message
    assert len(message) < 600


def test_a_number_may_not_be_at_an_open_bound() -> None:
    for text in ("0", "1"):
        with pytest.raises(ValueError, match=text):
            FRACTION.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "local", "local[*]", "local[4]", "local[2,3]", "local-cluster[2,1,1024]", "connect-local[2]", "connect-local",
        "spark://h:7077", "sc://h:15002", "active", "yarn", "k8s://https://h",
    ],
)  # fmt: skip
def test_every_place_where_spark_can_run_is_accepted(text: str) -> None:
    assert parse_parameters(Parameters, {"spark": text}).spark == text


@pytest.mark.parametrize(("name", "hint"), [("epz", "eps"), ("Features", "features"), ("minsamples", "min_samples"), ("x", "")])
def test_an_unknown_parameter_is_refused_with_the_most_similar_name(name: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_parameters(Parameters, {name: "1"})
    suffix = f" Did you mean '{hint}'?" if hint else ""
    assert str(refused.value) == f"The '{name}' parameter is not known.{suffix}"


def test_a_parameter_that_is_not_given_has_its_default() -> None:
    assert parse_parameters(Parameters, {"seed": "7"}) == Parameters(seed=7)


def test_all_parameters_except_the_experiment_are_written_and_read_back_the_same() -> None:
    changed = Parameters(eps=(0.5, 1.0), features=("a,b", "c"), resume=True, min_coverage=1.0)
    texts = to_texts(changed)
    assert "experiment" not in texts
    assert parse_parameters(Parameters, texts) == changed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1.0, "1"),
        (True, "true"),
        ((0.5, 1.0), "0.5,1"),
        ((), ""),
        (Auto(), "auto"),
        (Auto(20), "auto:20"),
        (["a", "b"], "a,b"),
        (["a,b", "c"], '["a,b", "c"]'),
        (["é,", "c"], '["é,", "c"]'),
        (3, "3"),
        ("text", "text"),
    ],
)
def test_a_value_is_written_in_its_shortest_form(value: object, text: str) -> None:
    assert to_text(value) == text


@pytest.mark.parametrize(
    "names",
    [
        ["a"], ["[a]"], ['"a"'], ["a", " a"], ["a,b"], ["[1"], ["1]"], ["'a'", "[b]"], ["\\n", "1e3"],
        ["line\nbreak", "tab\there"],
        ["[a, b]", '"double"', "'single'", "\\", " leading", "trailing ", "{brace}", "--seed", "#comment", "true", "-1", "🐧"],
    ],
)  # fmt: skip
def test_a_list_of_names_is_read_as_it_was_written(names: list[str]) -> None:
    assert COLUMNS.parse(to_text(tuple(names))) == tuple(names)
    assert Groups(COLUMNS).parse(to_text(tuple(names))) == tuple(names)


def test_a_parameter_is_declared_by_its_type_and_its_default() -> None:
    found = declared_parameters(Parameters)
    assert list(found) == [field.name for field in dataclasses.fields(Parameters)]
    assert (found["kind"].rule, found["kind"].help, found["kind"].default) == (COLUMN, "a column", "kind")
    assert (found["eps"].text, found["resume"].text, found["spark"].text) == (to_text(DEFAULT_EPS), "false", "local[*]")


@pytest.mark.parametrize(
    ("value", "expected"), [("auto", True), (("auto",), True), ("automatic", False), (("auto", "b"), False), ("", False)]
)
def test_a_column_or_a_list_of_columns_may_be_automatic(value: object, expected: bool) -> None:
    assert is_auto(value) == expected


def test_a_table_of_ones_own_needs_a_target() -> None:
    require_target("penguins", "auto")
    require_target("cars.csv", "price")
    with pytest.raises(InputError, match=r"^The 'target' parameter must name the column to predict .* for 'cars.csv'\.$"):
        require_target("cars.csv", "auto")
