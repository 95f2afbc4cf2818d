"""The models of a sweep on disk: the files that MLflow would write, each with its own model's example and ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.entities import LoggedModel
from mlflow.models import Model
from stores import Store

from penguins.errors import WorkError
from penguins.sweep.algorithm import ALGORITHMS
from penguins.sweep.fit import SweepModel, fit_grid, sweep
from penguins.sweep.model_files import (
    NEAREST_CODE,
    NEAREST_DATA,
    NEAREST_MODULE,
    save_model,
    signature_of_clusters,
    store_model,
)
from penguins.tracking import row_models
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


def kmeans_model() -> SweepModel:
    records = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["a", "b"])
    return fit_grid(ALGORITHMS["kmeans"], records, {"n_clusters": (3,)}).model_that_predicts(0)


def save_with_mlflow(folder: Path, one: SweepModel) -> None:
    """Save a model with MLflow's own functions alone."""
    path, example, description = str(folder), pd.DataFrame([example_of(one)], columns=["a", "b"]), Model()
    described = {
        "serialization_format": "skops",
        "skops_trusted_types": trusted_types_of_model(one.pipeline),
        "signature": signature_of_clusters(example.columns),
        "input_example": example,
        "pip_requirements": REQUIREMENTS,
    }
    if one.npz is None:
        row_models.save_model(path, description, one.pipeline, example, **described)
        return
    mlflow.sklearn.save_model(one.pipeline, path, mlflow_model=description, **described)
    Path(path, NEAREST_DATA).write_bytes(one.npz)
    (folder / "code").mkdir()
    for module, code in ((row_models.ROWS_MODULE, row_models.ROWS_CODE), (NEAREST_MODULE, NEAREST_CODE)):
        (folder / "code" / f"{module}.py").write_text(code, encoding="utf-8")
    environments = {"conda_env": "conda.yaml", "python_env": "python_env.yaml"}
    mlflow.pyfunc.add_to_model(description, NEAREST_MODULE, data=NEAREST_DATA, code="code", **environments)
    description.save(f"{path}/MLmodel")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [model, kmeans_model])
def test_a_saved_model_is_the_one_that_mlflow_itself_saves(tmp_path: Path, make: Callable[[], SweepModel]) -> None:
    one = make()
    save_with_mlflow(tmp_path / "mlflow", one)
    save(tmp_path / "ours", one)
    theirs, ours = (files_of(tmp_path / side) for side in ("mlflow", "ours"))
    assert set(ours) == set(theirs)
    for name, content in theirs.items():
        if name.endswith(".json"):
            assert json.loads(ours[name]) == json.loads(content)
        elif name not in ("MLmodel", "model.skops", NEAREST_DATA):  # the latter two are archives, with the time of writing
            assert ours[name] == content, name
    own = dict.fromkeys(("run_id", "model_id", "model_uuid", "utc_time_created", "model_size_bytes"))
    expected, found = (yaml.safe_load(files["MLmodel"]) | own for files in (theirs, ours))
    assert found == expected
    rows = pd.DataFrame(np.random.default_rng(1).normal(size=(50, 2)), columns=["a", "b"])
    answers = [mlflow.pyfunc.load_model(str(tmp_path / side)).predict(rows) for side in ("mlflow", "ours")]
    assert len(set(answers[0])) > 1
    assert np.array_equal(*answers)
    pipelines = [load_sklearn_model(str(tmp_path / side)) for side in ("mlflow", "ours")]
    assert np.array_equal(*[pipeline[-1].labels_ for pipeline in pipelines])


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


def test_a_model_that_skops_could_not_write_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"^The DBSCAN cannot be stored: why\.$"):
        save_model(SweepModel("kind", b"", failure="The DBSCAN cannot be stored: why."), [], [], str(tmp_path), "run", "m-1")
    assert not list(tmp_path.iterdir())
