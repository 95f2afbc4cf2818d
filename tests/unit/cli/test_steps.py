"""What scripts declare of themselves is read without running them."""

import pytest

from penguins.cli.steps import Step, _read_step, declared_steps


@pytest.mark.parametrize("assignment", ["STEP = Step(", "STEP: Step = Step(", "STEP = steps.Step("])
def test_a_declaration_is_read_with_its_literal_arguments(assignment: str) -> None:
    arguments = '"a", "why?", holds="one " "text", headline="acc", in_all=True, weight=2'
    script = f"import nowhere\n{assignment}{arguments})\nNAME = STEP.name\n"
    assert _read_step(script) == Step("a", "why?", "one text", "acc", in_all=True, weight=2)


def test_a_script_without_a_declaration_has_none() -> None:
    assert _read_step("NAME = 'a'\nOTHER = Step('a', 'b', 'c')\n") is None


def test_an_argument_that_is_no_literal_is_refused() -> None:
    with pytest.raises(ValueError, match="malformed node"):
        _read_step("STEP = Step(NAME, 'b', 'c')\n")


def test_main_comes_first_and_then_what_it_runs_by_default_the_lightest_first() -> None:
    steps = list(declared_steps().values())
    assert steps[0].name == "main"
    assert [step.in_all for step in steps[1:]] == sorted((step.in_all for step in steps[1:]), reverse=True)
    weights = [step.weight for step in steps if step.in_all]
    assert weights == sorted(weights)
