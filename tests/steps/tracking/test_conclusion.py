"""How a step ends: the description of its run, and where the terminal says to look."""

from collections.abc import Iterator

import mlflow
import pytest
from logistic_regression import Parameters as Classifier
from main import Parameters as Everything
from mlflow.entities import Run
from stores import Store

from penguins.tracking.addresses import NextStep
from penguins.tracking.conclusion import Conclusion, conclude, conclusion_of_classifier, print_end, resume_of

SCORE = NextStep("score", {"model_uri": "models:/m-1", "data": "penguins"})


@pytest.fixture
def run(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.delenv("PENGUINS_OUTPUT", raising=False)
    with mlflow.start_run(experiment_id="1") as started:
        yield started


def test_a_run_is_described_and_the_terminal_says_where_to_look_and_what_may_come_next(
    store: Store, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    conclude(run, Conclusion("asked", "result", rows=[("eval_acc", 0.5)], next_steps=[SCORE]), ["a line"])
    options = "-e score --env-manager local --experiment-id 1 -P model_uri=models:/m-1 -P data=penguins"
    note = store.client.get_run(run.info.run_id).data.tags["mlflow.note.content"]
    assert note.startswith("**result**\n\nasked\n\n| metric | value |\n| --- | --- |\n| eval_acc | 0.5 |\n\n")
    assert f"mlflow run . {options}" in note
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["a line", f"run: {run.info.run_id}", "look at it:"]
    assert lines[3] == f"  mlflow ui --backend-store-uri {store.uri} --port 5000"
    assert lines[4] == f"  http://127.0.0.1:5000/#/experiments/1/runs/{run.info.run_id}"
    assert lines[5] == "next:"
    assert lines[6].startswith("  mlflow run /")
    assert lines[6].endswith(options)


def test_a_step_of_main_leaves_it_to_main_to_say_where_to_look(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENGUINS_PARENT_RUN_ID", "abc")
    print_end(run, ["a line"], [SCORE])
    assert capsys.readouterr().out == f"a line\nrun: {run.info.run_id}\n"


@pytest.mark.parametrize("parent", ["", "abc"])
def test_a_quiet_output_is_the_id_of_the_run_that_was_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], parent: str
) -> None:
    monkeypatch.setenv("PENGUINS_PARENT_RUN_ID", parent)
    monkeypatch.setenv("PENGUINS_OUTPUT", "quiet")
    print_end(run, ["a line"], [SCORE])
    assert capsys.readouterr().out == ("" if parent else f"{run.info.run_id}\n")


def test_a_command_that_continues_has_the_parameters_that_are_not_the_defaults() -> None:
    found = resume_of("main", Everything(data="own.csv", eps=(0.5, 1.0), experiment="e"))
    assert found == NextStep("main", {"data": "own.csv", "eps": "0.5,1", "resume": "true"})


def test_a_classifier_that_is_no_better_than_the_largest_class_says_so() -> None:
    parameters = Classifier(data="own.csv", target="kind", features=("a", "b"))
    found = conclusion_of_classifier(parameters, {"eval_acc": 0.9, "baseline_acc": 0.5}, 67, "models:/m-1")
    assert found.result == (
        "The class is right for 90.0% of the 67 rows held out; always giving the largest class would be right for 50.0%."
    )
    assert found.warnings == []
    assert found.next_steps[0].parameters == {"model_uri": "models:/m-1", "data": "own.csv", "target": "kind"}
    [warning] = conclusion_of_classifier(parameters, {"eval_acc": 0.5, "baseline_acc": 0.5}, 67, "models:/m-1").warnings
    assert "not better than always giving the largest class" in warning
