"""A step's run: its name, its end, its place, and the progress bar."""

import io
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import logistic_regression
import mlflow
import pytest
from conftest import Store
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer

from common import tracking
from common.options import InputError, WorkError

PARAMETERS = logistic_regression.Parameters()


@pytest.mark.parametrize(
    ("error", "status", "noted"),
    [
        (WorkError("it broke\nin two"), "FAILED", "it broke in two"),
        (ZeroDivisionError("by zero"), "FAILED", "ZeroDivisionError: by zero"),
        (SystemExit(3), "FAILED", "SystemExit: 3"),
        (KeyboardInterrupt(), "KILLED", "interrupted"),
    ],
)
def test_a_run_that_is_left_early_is_not_left_running(store: Store, error: BaseException, status: str, noted: str) -> None:
    with pytest.raises(type(error)), tracking.step_run("logistic_regression", PARAMETERS):
        raise error
    run = store.only("logistic_regression")
    assert run.info.status == status
    assert run.data.tags.get("error") == noted
    assert mlflow.active_run() is None


def test_parameters_that_mlflow_has_logged_quoted_are_not_logged_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = store.client.create_run(store.client.get_experiment_by_name("penguins").experiment_id)
    store.client.log_param(opened.info.run_id, "features", "'a b'")
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    with tracking.step_run("logistic_regression", PARAMETERS):
        pass
    run = store.only("logistic_regression")
    assert run.info.run_id == opened.info.run_id
    assert run.data.params["features"] == "'a b'"
    assert run.data.params["target"] == "sex"


@pytest.mark.parametrize(
    ("name", "kept"), [("gentle-ant-12", False), ("my-run-1", True), ("gentle-ant", True), ("ridge", True)]
)
def test_only_a_generated_name_gives_way_to_the_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, kept: bool
) -> None:
    experiment = store.client.get_experiment_by_name("penguins").experiment_id
    monkeypatch.setenv("MLFLOW_RUN_ID", store.client.create_run(experiment, run_name=name).info.run_id)
    with tracking.step_run("logistic_regression", PARAMETERS):
        pass
    [run] = store.runs()
    assert run.info.run_name == (name if kept else "logistic_regression")


def test_the_names_that_mlflow_makes_up_are_known_for_such(store: Store) -> None:
    experiment = store.client.get_experiment_by_name("penguins").experiment_id
    for _ in range(30):
        assert tracking._is_generated(store.client.create_run(experiment).info.run_name)


@pytest.mark.parametrize(
    ("option", "variables", "expected"),
    [
        ("", {}, "penguins"),
        ("mine", {"MLFLOW_EXPERIMENT_NAME": "theirs"}, "mine"),
        ("", {"MLFLOW_EXPERIMENT_NAME": "theirs"}, "theirs"),
    ],
)
def test_the_experiment_is_the_options_the_environments_or_penguins(
    store: Store, monkeypatch: pytest.MonkeyPatch, option: str, variables: dict[str, str], expected: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert store.client.get_experiment(tracking.experiment_id(option)).name == expected


def test_an_experiment_may_be_given_by_its_id(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = store.client.create_experiment("by id")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", mine)
    assert tracking.experiment_id("") == mine


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_is_for_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with tracking.progress(3, "logging") as bar:
        bar.update()
    assert ("logging" in stream.getvalue()) == terminal


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:////a/mlflow.db", "sqlite:////a/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("./mlruns", "{here}/mlruns"),
        ("databricks", "databricks"),
    ],
)
def test_a_store_is_named_as_it_reads_from_any_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: object, uri: str, absolute: str
) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: uri)
    assert tracking.absolute_uri() == absolute.format(here=tmp_path)


@pytest.mark.parametrize(("form", "trusted"), [("cloudpickle", None), ("pickle", None), ("skops", ["builtins.eval"])])
def test_a_model_that_may_run_code_is_loaded_only_where_the_user_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, trusted: list[str] | None
) -> None:
    more = {"skops_trusted_types": trusted} if trusted else {}
    model = FunctionTransformer(eval) if trusted else Ridge().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(model, tmp_path / "m", serialization_format=form, pip_requirements=[], **more)
    monkeypatch.delenv(tracking.ALLOW_PICKLE, raising=False)
    with pytest.raises(InputError, match=f"must be stored in skops.*set {tracking.ALLOW_PICKLE} to true"):
        tracking.load_sklearn_model(str(tmp_path / "m"))
    monkeypatch.setenv(tracking.ALLOW_PICKLE, "true")
    assert type(tracking.load_sklearn_model(str(tmp_path / "m"))) is type(model)


def test_a_model_in_skops_is_loaded_even_where_pickle_is_forbidden(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Ridge().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(model, tmp_path / "m", serialization_format="skops", pip_requirements=[])
    monkeypatch.setenv(tracking.ALLOW_PICKLE, "false")
    assert tracking.load_sklearn_model(str(tmp_path / "m")).predict([[1.0]]) == model.predict([[1.0]])


def test_a_library_without_a_record_of_its_installation_is_required_as_it_calls_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(tracking, "version", missing)
    monkeypatch.setattr("pyspark.__version__", "4.0.0.dev0")
    assert tracking.requirements("pyspark") == ["pyspark==4.0.0"]
