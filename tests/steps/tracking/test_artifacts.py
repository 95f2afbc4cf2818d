"""Artifacts: models in skops and only those, their requirements, and datasets that two processes log at once."""

import warnings
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer
from stores import Store

from penguins.errors import InputError
from penguins.tracking.artifacts import (
    ALLOW_PICKLE,
    load_sklearn_model,
    log_dataset,
    log_figure,
    log_sklearn_model,
    model_requirements,
)

ROWS = pd.DataFrame({"x": [0.0, 1.0]})


def ridge() -> Ridge:
    return Ridge().fit(ROWS, [0, 1])


def test_a_logged_model_is_stored_in_skops_with_its_schema_example_and_pinned_requirements(store: Store) -> None:
    with mlflow.start_run():
        uri = log_sklearn_model(ridge(), "model", ROWS).model_uri
    info = mlflow.models.get_model_info(uri)
    assert info.flavors["sklearn"]["serialization_format"] == "skops"
    assert info.signature.inputs.input_names() == ["x"]
    assert info.saved_input_example_info is not None
    requirements = (Path(mlflow.artifacts.download_artifacts(uri)) / "requirements.txt").read_text().split()
    assert requirements == model_requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy")
    assert load_sklearn_model(uri).predict(ROWS).tolist() == ridge().predict(ROWS).tolist()


@pytest.mark.parametrize(("form", "trusted"), [("cloudpickle", None), ("pickle", None), ("skops", ["builtins.eval"])])
def test_a_model_that_may_run_code_is_loaded_only_with_the_users_consent(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, trusted: list[str] | None
) -> None:
    more = {"skops_trusted_types": trusted} if trusted else {}
    model = FunctionTransformer(eval) if trusted else ridge()
    mlflow.sklearn.save_model(model, tmp_path / "m", serialization_format=form, pip_requirements=[], **more)
    monkeypatch.delenv(ALLOW_PICKLE, raising=False)
    with pytest.raises(InputError, match=f"must be stored in skops.*set {ALLOW_PICKLE} to true"):
        load_sklearn_model(str(tmp_path / "m"))
    monkeypatch.setenv(ALLOW_PICKLE, "true")
    assert type(load_sklearn_model(str(tmp_path / "m"))) is type(model)


def test_a_model_in_skops_is_loaded_even_where_pickle_is_forbidden(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow.sklearn.save_model(ridge(), tmp_path / "m", serialization_format="skops", pip_requirements=[])
    monkeypatch.setenv(ALLOW_PICKLE, "false")
    assert load_sklearn_model(str(tmp_path / "m")).predict(ROWS).tolist() == ridge().predict(ROWS).tolist()


def test_a_library_without_a_record_of_its_installation_is_required_in_the_version_that_it_states(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr("penguins.tracking.artifacts.version", missing)
    for stated in ("4.0.0.dev0", "4.0.0+databricks.connect", "4.0.0"):
        monkeypatch.setattr("pyspark.__version__", stated)
        assert model_requirements("pyspark") == ["pyspark==4.0.0"]


@pytest.mark.parametrize(
    ("message", "attempts"),
    [
        ("UNIQUE constraint failed: datasets.name", 2),
        ("duplicate key value violates unique constraint", 2),
        ("Duplicate entry 'x' for key 'PRIMARY'", 2),
        ("disk I/O error", 1),
    ],
)
def test_a_dataset_that_another_process_has_just_logged_is_logged_once_more(
    store: Store, monkeypatch: pytest.MonkeyPatch, message: str, attempts: int
) -> None:
    real, tried = mlflow.log_input, []

    def log_input(*arguments: Any, **named: Any) -> None:
        tried.append(arguments)
        if len(tried) == 1:
            raise MlflowException(message)
        real(*arguments, **named)

    monkeypatch.setattr(mlflow, "log_input", log_input)
    with mlflow.start_run() as run:
        if attempts == 1:
            with pytest.raises(MlflowException, match=message):
                log_dataset(ROWS, "t.csv", "t")
        else:
            log_dataset(ROWS, "t.csv", "t")
            [logged] = store.client.get_run(run.info.run_id).inputs.dataset_inputs
            assert logged.dataset.name == "t"
    assert len(tried) == attempts


def test_a_character_that_no_font_has_is_drawn_without_a_warning(store: Store) -> None:
    figure = Figure()
    figure.suptitle("\U00013000")
    with mlflow.start_run() as run, warnings.catch_warnings():
        warnings.simplefilter("error")
        log_figure(figure, "figure.png")
    assert store.artifacts(run) == {"figure.png"}
