"""The models of a sweep on disk: the files that MLflow would write, each with its own model's example and ids."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.entities import LoggedModel
from mlflow.models import Model
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from stores import Store

from penguins.sweep.fit import SweepModel, sweep
from penguins.sweep.model_files import local_folder, save_model, store_model
from penguins.tracking.artifacts import load_sklearn_model, model_requirements
from penguins.tracking.sklearn_types import trusted_types_of_model

REQUIREMENTS = model_requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy")


def model(seed: int = 0, features: tuple[str, ...] = ("a", "b")) -> SweepModel:
    records = pd.DataFrame(np.random.default_rng(seed).normal(seed, size=(30, len(features))), columns=list(features))
    return sweep(records, (0.5,), min_samples=3).model_that_predicts(0)


def example_of(one: SweepModel) -> list[float]:
    return [float(number) for number in range(len(one.pipeline["scaler"].feature_names_in_))]


def save(folder: Path, one: SweepModel, name: str = "1") -> tuple[dict[str, bytes], dict[str, Any]]:
    """Save a model and return its files and its description."""
    folder.mkdir()
    save_model(one, example_of(one), REQUIREMENTS, str(folder), f"run {name}", f"m-{name}")
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return files, yaml.safe_load(files["MLmodel"])


def test_the_files_are_those_that_mlflow_itself_saves(tmp_path: Path) -> None:
    one, description = model(), Model()
    mlflow.sklearn.save_model(
        one.pipeline,
        tmp_path / "plain",
        mlflow_model=description,
        serialization_format="skops",
        skops_trusted_types=trusted_types_of_model(one.pipeline),
        signature=mlflow.models.ModelSignature(
            inputs=Schema([ColSpec(AnyType(), name) for name in ("a", "b")]),
            outputs=Schema([ColSpec(DataType.long, "cluster")]),
        ),
        input_example=pd.DataFrame([example_of(one)], columns=["a", "b"]),
        pip_requirements=REQUIREMENTS,
    )
    plain = {path.name: path.read_bytes() for path in (tmp_path / "plain").iterdir()}
    files, found = save(tmp_path / "ours", one)
    assert set(files) == set(plain) | {"nearest.npz"}
    for name, content in plain.items():
        if name.endswith(".json"):
            assert json.loads(files[name]) == json.loads(content)
        elif name not in ("MLmodel", "model.skops"):  # skops packs the time of writing
            assert files[name] == content
    expected = yaml.safe_load(plain["MLmodel"])
    ids = ("run_id", "model_id", "model_uuid", "utc_time_created", "model_size_bytes")
    ours = found["flavors"].pop("python_function")
    assert (ours["data"], ours["code"], ours["env"]) == (
        "nearest.npz",
        "code",
        {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
    )
    assert {key: found.get(key) for key in expected if key not in ids} == {
        key: expected[key] for key in expected if key not in ids
    }


def test_a_saved_model_has_its_own_ids_size_and_example(tmp_path: Path) -> None:
    for name in ("1", "2"):
        one = model(seed=int(name))
        files, found = save(tmp_path / name, one, name)
        assert (found["run_id"], found["model_id"], found["model_uuid"]) == (f"run {name}", f"m-{name}", f"m-{name}")
        assert found["model_size_bytes"] == sum(len(content) for key, content in files.items() if key != "MLmodel")
        example = json.loads(files["input_example.json"])
        assert example == {"columns": ["a", "b"], "data": [example_of(one)]}


def test_models_with_other_features_have_another_schema(tmp_path: Path) -> None:
    save(tmp_path / "1", model())
    _, found = save(tmp_path / "2", model(features=("x", "y", "z, in mm")))
    assert [column["name"] for column in json.loads(found["signature"]["inputs"])] == ["x", "y", "z, in mm"]


@pytest.mark.parametrize(
    "options",
    [{"scale": "none"}, {"metric": "haversine"}, {"scale": "standard"}],
    ids=lambda options: next(iter(options.values())),
)
def test_models_of_every_metric_and_scale_are_loaded_as_they_were_fitted(tmp_path: Path, options: dict[str, Any]) -> None:
    records = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    one = sweep(records, (0.5,), 3, **options).model_that_predicts(0)
    save(tmp_path / "1", one)
    loaded, plain = load_sklearn_model(str(tmp_path / "1")), one.pipeline
    assert np.array_equal(loaded["scaler"].transform(records), plain["scaler"].transform(records))
    assert loaded["dbscan"].get_params() == plain["dbscan"].get_params()
    assert np.array_equal(loaded["dbscan"].labels_, plain["dbscan"].labels_)
    assert np.array_equal(loaded["dbscan"].components_, plain["dbscan"].components_)


@pytest.mark.parametrize("where", ["a folder of this machine", "elsewhere"])
def test_a_stored_model_is_loaded_without_pickle_as_it_was_fitted(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "elsewhere":
        monkeypatch.setattr("penguins.sweep.model_files.local_folder", lambda _: "")
    one, run = model(), store.client.create_run("1")
    logged: LoggedModel = store.client.create_logged_model("1", "model", source_run_id=run.info.run_id)
    store_model(store.client, one, example_of(one), REQUIREMENTS, run.info.run_id, logged)
    store.client.finalize_logged_model(logged.model_id, "READY")
    loaded = load_sklearn_model(f"models:/{logged.model_id}")
    for name, value in vars(one.pipeline["dbscan"]).items():
        assert np.array_equal(getattr(loaded["dbscan"], name), value), name
    assert np.array_equal(loaded["scaler"].mean_, one.pipeline["scaler"].mean_)
    assert mlflow.models.get_model_info(f"models:/{logged.model_id}").run_id == run.info.run_id


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///a/b%20c", "/a/b c"),
        ("/a/b", "/a/b"),
        ("s3://bucket/a", ""),
        ("mlflow-artifacts:/1/models/m-1", ""),
        ("dbfs:/a", ""),
    ],
)
def test_only_a_file_uri_names_a_folder_of_this_machine(uri: str, expected: str) -> None:
    assert local_folder(uri) == expected
