"""Artifacts: models in skops and only those, their requirements, and datasets that two processes log at once."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.exceptions import MlflowException
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import export_text
from stores import Store

from penguins.errors import InputError, WorkError
from penguins.temporary import delete_temporary_folders
from penguins.tracking.artifacts import (
    ALLOW_PICKLE,
    fetch_artifact,
    load_sklearn_model,
    log_dataset,
    log_external_table,
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


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=3, random_state=0),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=1),
        GridSearchCV(KNeighborsClassifier(n_neighbors=1), {"p": [1, 2]}, scoring="accuracy", cv=2),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_with_internal_types_is_loaded_by_the_project_and_by_mlflow(store: Store, estimator: Any) -> None:
    rows = pd.DataFrame({"x": np.arange(20.0), "z": np.arange(20.0) % 7})
    model = make_pipeline(StandardScaler(), estimator).fit(rows, rows["x"] > 9)
    with mlflow.start_run():
        uri = log_sklearn_model(model, "model", rows).model_uri
    for load in (load_sklearn_model, mlflow.sklearn.load_model, mlflow.pyfunc.load_model):
        assert load(uri).predict(rows).tolist() == model.predict(rows).tolist()


def test_a_model_with_a_type_that_is_not_scikit_learns_is_refused_by_its_name_and_leaves_nothing(store: Store) -> None:
    model = make_pipeline(FunctionTransformer(pd.DataFrame), Ridge()).fit(ROWS, [0, 1])
    with mlflow.start_run() as run, pytest.raises(WorkError, match=r"holds \S*DataFrame, which is not a type of scikit-learn"):
        log_sklearn_model(model, "model", ROWS)
    assert store.client.search_logged_models([run.info.experiment_id]) == []


def test_the_types_that_a_model_declares_for_itself_are_not_trusted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ALLOW_PICKLE, raising=False)
    model = FunctionTransformer(export_text)
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    mlflow.sklearn.save_model(
        model, tmp_path / "m", serialization_format="skops", pip_requirements=[], skops_trusted_types=trusted
    )
    with pytest.raises(InputError, match=r"holds more than skops trusts \(Untrusted types found .*export_text"):
        load_sklearn_model(str(tmp_path / "m"))


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

    monkeypatch.setattr("penguins.tracking.versions.version", missing)
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


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("https://h/t.csv?X-Amz-Signature=5ecret", '{"url": "https://h/t.csv?***"}'),
        ("s3://me:5ecret@bucket/t.csv", '{"uri": "s3://***@bucket/t.csv"}'),
        ("runs:/0123/t.csv", '{"tags": {"mlflow.source.name": "runs:/0123/t.csv"}}'),
    ],
)
def test_the_source_of_a_dataset_is_its_uri_without_secrets(store: Store, source: str, shown: str) -> None:
    with mlflow.start_run() as run:
        log_dataset(ROWS, source, "t.csv")
    [logged] = store.client.get_run(run.info.run_id).inputs.dataset_inputs
    assert logged.dataset.source == shown


def test_a_table_that_spark_reads_is_logged_without_secrets(store: Store) -> None:
    with mlflow.start_run() as run:
        log_external_table("s3a://me:5ecret@bucket/t.csv", 2, 0, "")
    [logged] = store.client.get_run(run.info.run_id).inputs.dataset_inputs
    assert logged.dataset.name == "s3a://***@bucket/t.csv"
    assert "5ecret" not in str(logged)


def test_a_fetched_artifact_is_deleted_and_one_of_this_machine_stays(store: Store, tmp_path: Path) -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("a", "t.csv")
    (tmp_path / "t.csv").write_text("b")
    with delete_temporary_folders():
        fetched = Path(fetch_artifact(f"runs:/{run.info.run_id}/t.csv"))
        assert fetched.read_text() == "a"
        assert fetch_artifact("t.csv") == "t.csv"
        assert fetch_artifact((tmp_path / "t.csv").as_uri()) == str(tmp_path / "t.csv")
    assert not fetched.exists()
    assert (tmp_path / "t.csv").read_text() == "b"
    assert store.artifacts(run) == {"t.csv"}
