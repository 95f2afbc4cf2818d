"""The run of a step: its name, its parameters, its end, its place, its experiment, and the progress bar."""

import io
import os
import sys
from collections.abc import Callable

import logistic_regression
import mlflow
import pytest
from mlflow.exceptions import MlflowException
from stores import Store

from penguins.cli.signals import interruption
from penguins.errors import InputError, WorkError
from penguins.resume.step_run import step_run
from penguins.tracking.run import PARENT, _is_generated_name, find_experiment, open_run, progress_bar, record_failure
from penguins.tracking.store import RETRIES

NAME = "logistic_regression"
PARAMETERS = logistic_regression.Parameters()


@pytest.fixture
def experiment_id(store: Store) -> str:
    return str(store.client.get_experiment_by_name("penguins").experiment_id)


@pytest.fixture
def open_named_run(store: Store, experiment_id: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Open a run of this name as `mlflow run` does, and return its id."""

    def open_it(name: str) -> str:
        run_id = str(store.client.create_run(experiment_id, run_name=name).info.run_id)
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        return run_id

    return open_it


def test_a_run_has_the_name_of_the_step_and_all_its_parameters_and_ends_finished(store: Store) -> None:
    with open_run(NAME, PARAMETERS, {"a tag": "of the step"}) as run:
        assert store.only(NAME).info.status == "RUNNING"
        assert mlflow.active_run().info.run_id == run.info.run_id
    found = store.only(NAME)
    assert found.info.status == "FINISHED"
    assert found.data.params["test_size"] == "0.2"
    assert "experiment" not in found.data.params
    assert found.data.tags["a tag"] == "of the step"
    assert mlflow.active_run() is None


def test_a_run_shows_no_secret_of_a_url_and_the_names_of_columns_as_they_are(store: Store) -> None:
    url, column = "https://h/t.csv?token=5ecret", "a/b?token=1"
    parameters = logistic_regression.Parameters(data=url, target=column, features=(column,))
    with pytest.raises(WorkError), open_run(NAME, parameters, {}):
        raise WorkError(f"no answer of {url}")
    found = store.only(NAME).data
    assert (found.params["data"], found.params["target"], found.params["features"]) == (
        "https://h/t.csv?token=***",
        column,
        column,
    )
    assert found.tags["error"] == "no answer of https://h/t.csv?token=***"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (WorkError("it broke\nin two"), "FAILED", "it broke in two"),
        (InputError("the rule"), "FAILED", "the rule"),
        (ZeroDivisionError("by zero"), "FAILED", "ZeroDivisionError: by zero"),
        (MlflowException("no answer"), "FAILED", "MlflowException: no answer"),
        (WorkError("x" * 6000), "FAILED", "x" * 5000),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
        (KeyboardInterrupt(), "KILLED", "interrupted"),
        (interruption(), "KILLED", "interrupted by SIGINT"),
    ],
)
def test_a_run_whose_step_fails_ends_with_the_reason(store: Store, error: BaseException, status: str, reason: str) -> None:
    with pytest.raises(type(error)), step_run(NAME, PARAMETERS, ""):
        raise error
    run = store.only(NAME)
    assert run.info.status == status
    assert run.data.tags.get("error") == reason
    assert mlflow.active_run() is None


@pytest.mark.parametrize("retries", [None, "5"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), MlflowException("gone")])
def test_mlflows_number_of_retries_is_put_back_after_a_step(
    store: Store, monkeypatch: pytest.MonkeyPatch, retries: str | None, error: BaseException | None
) -> None:
    monkeypatch.delenv(RETRIES, raising=False)
    if retries:
        monkeypatch.setenv(RETRIES, retries)
    try:
        with open_run(NAME, PARAMETERS, {}):
            if error:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise
    assert os.environ.get(RETRIES) == retries


def test_a_store_that_failed_the_work_is_not_waited_for_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    retries = []
    monkeypatch.delenv(RETRIES, raising=False)
    monkeypatch.setattr("penguins.tracking.run._write_reason", lambda *_: retries.append(os.environ.get(RETRIES)))
    monkeypatch.setattr("penguins.tracking.run._is_generated_name", lambda _: False)
    for error in (MlflowException("gone"), WorkError("no")):
        with pytest.raises(type(error)), open_run(NAME, PARAMETERS, {}):
            raise error
    assert retries == ["2", None]


def test_a_run_does_not_stay_active_if_the_record_of_its_failure_is_interrupted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("penguins.tracking.run._is_generated_name", lambda _: False)
    monkeypatch.setattr("penguins.tracking.run._write_reason", interrupt)
    with pytest.raises(KeyboardInterrupt), open_run(NAME, PARAMETERS, {}):
        raise ValueError("boom")
    # An active run would end FINISHED when the process exits.
    assert mlflow.active_run() is None
    [run] = store.runs()
    assert run.info.status == "FAILED"


def test_parameters_that_mlflow_run_has_logged_with_quotes_are_not_logged_again(
    store: Store, open_named_run: Callable[[str], str]
) -> None:
    run_id = open_named_run("gentle-ant-12")
    store.client.log_param(run_id, "features", "'a b'")
    with open_run(NAME, PARAMETERS, {}):
        pass
    run = store.only(NAME)
    assert run.info.run_id == run_id
    assert run.data.params["features"] == "'a b'"
    assert run.data.params["target"] == "auto"


@pytest.mark.parametrize(
    ("name", "kept"), [("gentle-ant-12", False), ("my-run-1", True), ("gentle-ant", True), ("ridge", True)]
)
def test_only_a_generated_name_is_replaced_by_that_of_the_step(
    store: Store, open_named_run: Callable[[str], str], name: str, kept: bool
) -> None:
    open_named_run(name)
    with open_run(NAME, PARAMETERS, {}):
        pass
    [run] = store.runs()
    assert run.info.run_name == (name if kept else NAME)


def test_the_names_that_mlflow_generates_are_recognised(store: Store, experiment_id: str) -> None:
    for _ in range(10):
        assert _is_generated_name(store.client.create_run(experiment_id).info.run_name)


def test_a_run_goes_under_the_parent_in_the_environment_unless_it_has_one(
    store: Store, experiment_id: str, open_named_run: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = store.client.create_run(experiment_id).info.run_id
    monkeypatch.setenv(PARENT, parent)
    for before, expected in ((None, parent), ("another", "another")):
        run_id = open_named_run("gentle-ant-12")
        if before:
            store.client.set_tag(run_id, "mlflow.parentRunId", before)
        with open_run(NAME, PARAMETERS, {}):
            pass
        assert store.client.get_run(run_id).data.tags["mlflow.parentRunId"] == expected


def test_a_failure_before_the_step_began_is_recorded_on_its_run(store: Store, open_named_run: Callable[[str], str]) -> None:
    run_id = open_named_run("gentle-ant-12")
    record_failure(run_id, NAME, "why " * 2000)
    run = store.only(NAME)
    assert run.data.tags["error"] == ("why " * 2000)[:5000]
    assert run.info.status == "RUNNING", "mlflow run itself ends it"


@pytest.mark.parametrize(
    ("option", "variables", "expected"),
    [
        ("", {}, "penguins"),
        ("mine", {"MLFLOW_EXPERIMENT_NAME": "theirs"}, "mine"),
        ("mine", {"MLFLOW_EXPERIMENT_ID": "0"}, "mine"),
        ("", {"MLFLOW_EXPERIMENT_NAME": "theirs"}, "theirs"),
        ("", {"MLFLOW_EXPERIMENT_NAME": "theirs", "MLFLOW_EXPERIMENT_ID": "0"}, "theirs"),
        ("", {"MLFLOW_EXPERIMENT_ID": "0"}, "Default"),
    ],
)
def test_the_experiment_is_that_of_the_option_else_of_the_environment_else_penguins(
    store: Store, monkeypatch: pytest.MonkeyPatch, option: str, variables: dict[str, str], expected: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store.client.get_experiment(find_experiment(option)).name == expected


def test_an_experiment_that_another_process_creates_at_the_same_time_is_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = store.client.create_experiment("new")
    answers = iter([None, store.client.get_experiment(theirs)])
    monkeypatch.setattr("mlflow.MlflowClient.get_experiment_by_name", lambda *_: next(answers))
    assert find_experiment("new") == theirs


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_is_for_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(3, "logging") as bar:
        bar.update()
    assert ("logging" in stream.getvalue()) == terminal


def test_a_quiet_output_has_no_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("PENGUINS_OUTPUT", "quiet")
    with progress_bar(3, "logging") as bar:
        bar.update()
    assert stream.getvalue() == ""
