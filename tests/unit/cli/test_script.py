"""A step as a script: how it reads its command line, and how each kind of end becomes an exit code and a line."""

import os
import re
import sys
from dataclasses import dataclass

import pytest

from penguins.cli.parameters import DEFAULT_EPS, Eps, MinSamples, Seed
from penguins.cli.script import parse_argv, read_command_line, run_entry_point, run_script
from penguins.errors import FAILED_WORK, WRONG_INPUT, InputError, WorkError
from penguins.text import output


@dataclass(frozen=True)
class Parameters:
    """A step with 100 % of what a test needs.

    Not part of the help.
    """

    eps: Eps = DEFAULT_EPS
    min_samples: MinSamples = (3,)
    seed: Seed = 0


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


@pytest.mark.parametrize(
    ("argv", "texts"),
    [
        (["--eps", "-1,0.5"], {"eps": "-1,0.5"}),
        (["--eps=-1,0.5"], {"eps": "-1,0.5"}),
        (["--seed=1", "--eps", "0.1"], {"seed": "1", "eps": "0.1"}),
        (["--eps="], {"eps": ""}),
        ([], {}),
        (["--check", "--seed=1"], {"seed": "1"}),
        (["--quiet", "--seed", "1"], {"seed": "1"}),
        (["--seed=1", "--verbose"], {"seed": "1"}),
    ],
)
def test_a_value_follows_its_name_and_may_begin_with_a_dash(argv: list[str], texts: dict[str, str]) -> None:
    assert parse_argv(Parameters, argv) == texts


def test_a_name_without_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="command line could not be read: argument --eps: expected one argument"):
        parse_argv(Parameters, ["--eps", "--seed"])


@pytest.mark.parametrize(
    ("argv", "hint"),
    [(["--epz", "1"], "eps"), (["--Seed=a"], "seed"), (["--minsamples=2"], "min_samples"), (["--ep=1"], "eps")],
)
def test_an_unknown_parameter_is_refused_with_the_most_similar_name(argv: list[str], hint: str) -> None:
    with pytest.raises(InputError, match=f"is not known. Did you mean '{hint}'"):
        parse_argv(Parameters, argv)


@pytest.mark.parametrize(
    ("variable", "argv", "expected"),
    [
        ("", [], "normal"),
        ("", ["--quiet"], "quiet"),
        ("", ["--verbose"], "verbose"),
        ("quiet", [], "quiet"),
        ("quiet", ["--verbose", "--seed=1"], "verbose"),
    ],
)
def test_an_option_or_the_environment_says_how_much_is_printed_also_to_the_steps_of_main(
    monkeypatch: pytest.MonkeyPatch, variable: str, argv: list[str], expected: str
) -> None:
    monkeypatch.setenv("PENGUINS_OUTPUT", variable)
    read_command_line(Parameters, argv)
    assert output() == expected
    assert os.environ["PENGUINS_OUTPUT"] in (expected, "")


@pytest.mark.parametrize(
    ("variable", "argv", "message"),
    [
        ("loud", [], "The environment variable PENGUINS_OUTPUT must be one of quiet, normal, verbose. Got 'loud' instead."),
        ("", ["--quiet", "--verbose"], "The options --quiet and --verbose exclude each other: give one of them."),
    ],
)
def test_a_wrong_amount_of_output_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, argv: list[str], message: str
) -> None:
    monkeypatch.setenv("PENGUINS_OUTPUT", variable)
    with pytest.raises(InputError, match=re.escape(message)):
        read_command_line(Parameters, argv)


def test_help_shows_each_parameter_with_its_meaning_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_argv(Parameters, ["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "A step with 100 % of what a test needs." in shown
    assert "Not part of the help" not in shown
    assert "--min_samples MIN_SAMPLES" in shown
    assert "seed of every random choice (default: 0)" in shown


ENDS: dict[str, tuple[BaseException | None, int, str]] = {
    "success": (None, 0, ""),
    "wrong input": (InputError("the rule\nand the value"), WRONG_INPUT, "error: the rule and the value\n"),
    "failed work": (WorkError("no"), FAILED_WORK, "error: no\n"),
    "a store that fails": (
        ConnectionError("gone"), FAILED_WORK, "error: The tracking store failed or refused a request: ConnectionError: gone\n",
    ),
    "an interruption": (KeyboardInterrupt(), 130, "interrupted\n"),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_each_end_of_a_step_has_its_exit_code_and_at_most_one_line(end: str, capfd: pytest.CaptureFixture[str]) -> None:
    error, code, line = ENDS[end]

    def step(parameters: Parameters) -> None:
        if error is not None:
            raise error

    assert run_entry_point("a_step", step, Parameters, []) == code
    assert capfd.readouterr() == ("", line)


def test_an_unknown_exception_is_not_hidden() -> None:
    def step(parameters: Parameters) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_entry_point("a_step", step, Parameters, [])


@pytest.mark.parametrize(("argument", "code"), [("--seed=0", None), ("--seed=1", FAILED_WORK), ("--seed=x", WRONG_INPUT)])
def test_a_script_exits_on_failure_and_returns_on_success(
    monkeypatch: pytest.MonkeyPatch, argument: str, code: int | None
) -> None:
    def step(parameters: Parameters) -> None:
        if parameters.seed:
            raise WorkError("no")

    monkeypatch.setattr(sys, "argv", ["a_step.py", argument])
    ended = None
    try:
        run_script("a_step", step, Parameters)
    except SystemExit as error:
        ended = error.code
    assert ended == code
