"""Every parameter of every step with each kind of value that breaks its rule, and command lines that cannot be read."""

from types import ModuleType

import dbscan_sweep
import pytest
import report
import score
from step_modules import STEPS

from penguins.cli.parameters import Declared, declared_parameters, parse_parameters
from penguins.cli.read_options import ReadRule
from penguins.cli.rules import AutoOr, Choice, Flag, Groups, Integer, ListOf, Real, Text
from penguins.cli.script import run_entry_point
from penguins.errors import InputError
from penguins.text import one_line, quote

UNSTORABLE = ["\0", "\udcff"]  # no store takes a text with one of these
TEXTS: dict[type, list[str]] = {
    Integer: [
        "", " ", "some", "1.5", "-1", "05", "1e3", "0x10", "٣", "inf", "1,2", "1_0", "None", str(2**63), "9" * 5000,
    ],
    Real: ["", " ", "half", "nan", "inf", "-0.5", "1.5", "1e999", "0,5", "50%", "0.2_0", "٠.5", "[0.2]", "1/5"],
    Choice: ["", " ", "All", "some", "all,none", "'all'"],
    Flag: ["", " ", "yes", "1", "maybe", "None"],
    ReadRule: [
        ";", "[]", "{sep}", "{sep: }", '{sep:";"}', '{a: ";"}', '{sep: "\\0"}', '{na_values: ["\\ud800"]}', *UNSTORABLE,
    ],
}  # fmt: skip
LISTS: dict[type, list[str]] = {
    Real: [
        "", " ", ",", "[]", "{}", "a", "0", "-1", "nan", "inf", "0.1,0.1", "0.1,0.10", "0.1,,2", "0.1;0.2", "[0.1", "[[0.1]]",
        "[null]", "[true]", "[0.1, 0.1]", '[{"a": 1}]', "1e-999", "1e999", "[NaN]", f"[1{'0' * 5000}]", "[" * 9999 + "]" * 9999,
    ],
    Text: ["", " ", ",", "[]", "a,a", "a,,b", '["a", "a"]', '[""]', '["\\ud800"]', "[" * 9999 + "]" * 9999, *UNSTORABLE],
    Choice: ["", "al", "all,all", "main", "[]", "ridge_search,", "Ridge_search", "[[]]"],
    Integer: ["", " ", ",", "[]", "0", "-1", "1.5", "3,3", "3,", "[3, 03]", "a", "[null]", "1e3", str(2**31)],
}  # fmt: skip
GROUPS = [",", "[]", "a,a", "a,,b", "none,a", "a,auto", "[a, none]", '["a", "a"]', '[""]', *UNSTORABLE]
AUTO = ["auto:", "auto:1", "auto:201", "auto:2.5", "auto:x", "auto,0.5", "Auto", "auto 20", "[auto]"]
# Names that MLflow does not register, or that no URI, filter or command line takes as they are.
NAMES = ["a/b", "a:b", ".", "..", "-a", "a@champion", "it's", 'a"b', "a%b", "a?b", "a#b", "$(touch x)", "a\nb", "x" * 201]
SPARKS = ["laptop", "local[0]", "local[-1]", "local[*", "local[*]; rm -rf x", "$(touch x)", "spark:/h", "http://h", "local [2]"]


def bad_texts(field: Declared) -> list[str]:
    """Return the texts that break the rule of a parameter."""
    rule = field.rule
    if isinstance(rule, AutoOr):
        return LISTS[type(rule.values.item)] + AUTO
    if isinstance(rule, Groups):
        return GROUPS
    if isinstance(rule, ListOf):
        return [text for text in LISTS[type(rule.item)] if not rule.may_be_empty or text.strip() not in ("", "[]")]
    if field.name == "spark":
        return [*UNSTORABLE, "", " ", *SPARKS]
    if isinstance(rule, Text):
        if field.name == "register":
            return UNSTORABLE + NAMES
        may_be_empty = field.name in ("config", "experiment", "output") or (field.text == "" and field.name == "target")
        return UNSTORABLE + ([] if may_be_empty else ["", " "]) + (["x" * 257] if field.name == "experiment" else [])
    return TEXTS[type(rule)]


def bad_parameters(module: ModuleType) -> list[tuple[str, str, str]]:
    """Return the name, a bad text and the rule, as a phrase, of each parameter of a step."""
    declared = declared_parameters(module.Parameters).values()
    return [(one.name, text, one.rule.phrase) for one in declared for text in bad_texts(one)]


REQUIRED = {score: {"model_uri": "models:/m-1"}, report: {"run_id": "abc"}}


def test_there_are_many_kinds_of_bad_parameters() -> None:
    assert sum(len(bad_parameters(module)) for module in STEPS) > 400


@pytest.mark.parametrize("module", STEPS)
def test_each_parameter_that_breaks_its_rule_is_refused_with_the_parameter_the_rule_and_the_value(module: ModuleType) -> None:
    for name, text, phrase in bad_parameters(module):
        with pytest.raises(InputError) as refusal:
            parse_parameters(module.Parameters, REQUIRED.get(module, {}) | {name: text})
        beginning, _, end = str(refusal.value).partition(quote(text))
        assert beginning == f"The {name!r} parameter must be {phrase}. Got "
        assert end.startswith(": ") if name == "read" else end == " instead."
        assert str(refusal.value).isprintable()
        assert one_line(refusal.value) == str(refusal.value)


@pytest.mark.parametrize("module", [module for module in STEPS if "seed" in declared_parameters(module.Parameters)])
@pytest.mark.parametrize("text", ["", "-1", "x\ny", "\x1b[2J", "\0", "9" * 5000])
def test_a_script_answers_a_bad_parameter_in_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: ModuleType, text: str
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    assert run_entry_point(module.NAME, module.main, module.Parameters, [f"--seed={text}"]) == 2
    assert capfd.readouterr().err == (
        f"error: The 'seed' parameter must be an integer in [0, 4294967295]. Got {quote(text)} instead.\n"
    )


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["--eps"], "error: The command line could not be read: argument --eps: expected one argument.\n"),
        (["--epz=1"], "error: The 'epz' parameter is not known. Did you mean 'eps'?\n"),
        (["penguins"], "error: The 'penguins' parameter is not known.\n"),
        (["--\x1b[2J=1"], "error: The '\\x1b[2J' parameter is not known.\n"),
        (["--"], "error: The '' parameter is not known.\n"),
        ([""], "error: The '' parameter is not known.\n"),
    ],
)
def test_a_command_line_that_cannot_be_read(capfd: pytest.CaptureFixture[str], argv: list[str], answer: str) -> None:
    assert run_entry_point(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv) == 2
    assert capfd.readouterr().err == answer
