"""The fingerprint of a step: every parameter that changes results counts, and no other one does."""

import dataclasses
from typing import Any

import pytest
from step_modules import BY_NAME, STEPS

from penguins.cli.parameters import declared_parameters
from penguins.cli.read_options import ReadOptions, ReadRule
from penguins.cli.rules import COLUMN, Auto, AutoOr, Choice, Flag, Groups, Integer, ListOf, Real, Rule, to_text
from penguins.resume.fingerprint import fingerprint_from_texts, step_fingerprint

# Where the work is done, where its data lie, and where it is logged change no result.
IRRELEVANT = {"data", "env_manager", "log_from", "resume", "spark", "experiment"}
# Other values for parameters whose rule is a pattern.
TEXTS = {
    "run_id": "other",
    "data": "other.csv",
    "spark": "local[1]",
    "config": "other.yaml",
    "experiment": "other",
    "model_uri": "models:/other/1",
    "output": "other",
    "register": "other",
    "target": "other",
}

FIELDS = [
    (module, name)
    for module in STEPS
    for name, declared in declared_parameters(module.Parameters).items()
    if declared.rule != Choice((declared.text,))  # one that has no other value
]


@pytest.fixture(autouse=True)
def _same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.resume.fingerprint.code_digest", lambda _: "code")


def with_named_columns(module: Any) -> Any:
    """Return the defaults of a step with names of columns in place of `auto`."""
    columns = {
        "model_uri": "models:/m-1",
        "run_id": "abc",
        "data": "own.csv",
        "target": "kind",
        "features": ("a", "b"),
        "group_by": ("g",),
    }
    return module.Parameters(**{name: columns[name] for name in columns.keys() & declared_parameters(module.Parameters)})


def other_value(name: str, rule: Rule, value: Any) -> Any:
    """Return a valid value of a parameter that differs from `value`."""
    if isinstance(rule, Flag):
        return not value
    if isinstance(rule, Choice):
        return next(other for other in rule.names if other != value)
    if isinstance(rule, Integer):
        return value + 1
    if isinstance(rule, Real):
        return value / 2
    if isinstance(rule, ReadRule):
        return ReadOptions(sep=";")
    if isinstance(rule, AutoOr):
        return Auto(20)
    if isinstance(rule, Groups):
        return ("other",)
    if isinstance(rule, ListOf):
        item = other_value(name, rule.item, value[0] if value else "")
        return (item,)
    # A rule that is a pattern of its own needs another valid value in TEXTS.
    return f"other {value}" if rule == COLUMN else TEXTS[name]


@pytest.mark.parametrize(("module", "name"), FIELDS, ids=[f"{module.NAME}-{name}" for module, name in FIELDS])
def test_a_parameter_changes_the_fingerprint_if_it_changes_results(module: Any, name: str) -> None:
    parameters = with_named_columns(module)
    rule = declared_parameters(module.Parameters)[name].rule
    other = other_value(name, rule, getattr(parameters, name))
    assert rule.parse(to_text(other)) == other != getattr(parameters, name)
    changed = step_fingerprint(module.NAME, dataclasses.replace(parameters, **{name: other}), "data")
    assert (changed.key == step_fingerprint(module.NAME, parameters, "data").key) == (name in IRRELEVANT)


@pytest.mark.parametrize("module", STEPS)
def test_a_fingerprint_holds_every_parameter_except_the_irrelevant_ones(module: Any) -> None:
    parameters = with_named_columns(module)
    logged = step_fingerprint(module.NAME, parameters, "data").parameters
    assert set(logged) == {field.name for field in dataclasses.fields(parameters)} - IRRELEVANT


def test_main_on_the_penguins_under_another_name_is_other_work() -> None:
    one, other = (fingerprint_from_texts("main", {"data": name, "config": ""}, "data") for name in ("penguins", "copy.csv"))
    assert one.key != other.key


@pytest.mark.parametrize(("eps", "features", "is_same"), [("auto", "auto", False), ("auto", "a,b", True), ("0.5", "a,b", True)])
def test_the_penguins_under_another_name_are_other_work_only_if_their_columns_are_automatic(
    eps: str, features: str, is_same: bool
) -> None:
    texts = {"group_by": "island", "eps": eps, "features": features}
    one, other = (fingerprint_from_texts("dbscan_sweep", texts | {"data": name}, "data") for name in ("penguins", "copy.csv"))
    assert (one.key == other.key) == is_same


def test_the_data_the_code_and_the_step_count(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep, ridge = BY_NAME["dbscan_sweep"], BY_NAME["ridge_search"]
    before = step_fingerprint(sweep.NAME, sweep.Parameters(), "data")
    assert step_fingerprint(sweep.NAME, sweep.Parameters(), "data") == before
    assert step_fingerprint(sweep.NAME, sweep.Parameters(), "other").key != before.key
    assert step_fingerprint(ridge.NAME, sweep.Parameters(), "data").key != before.key
    monkeypatch.setattr("penguins.resume.fingerprint.code_digest", lambda _: "other")
    assert step_fingerprint(sweep.NAME, sweep.Parameters(), "data").key != before.key
