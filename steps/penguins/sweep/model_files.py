"""The models of a sweep on disk: what MLflow saves, written from a template.

MLflow's own functions take 29 ms of processor time for each of these models, most of it for descriptions that all of them
share; from a template it is 4 ms. `tests/steps/sweep/test_model_files.py` compares the two, file by file, for the installed
version.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from penguins.errors import WorkError
from penguins.project import PROJECT
from penguins.sweep.fit import SweepModel
from penguins.tracking.addresses import local_folder
from penguins.tracking.row_models import CODE_FOLDER, ROWS_CODE, ROWS_MODULE, add_rows
from penguins.tracking.sklearn_types import trusted_types_of_model
from penguins.tracking.store import repeat_if_broken

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class _Template:
    """The common part of a sweep's saved models: MLflow's description, the name of the model's file, and all other files."""

    description: dict[str, Any]
    model_file: str
    files: dict[str, bytes]


# The module by which MLflow loads a model that predicts by its nearest records. Its name tells its code: Python loads a module
# of a name once, and models with different code would share it. On a worker, the text stands here as it was on the driver.
NEAREST_CODE = (PROJECT / "steps" / "penguins" / "sweep" / "nearest.py").read_text(encoding="utf-8")
NEAREST_CODE = NEAREST_CODE.replace("penguins.tracking.table_rows", ROWS_MODULE)
NEAREST_MODULE = f"penguins_nearest_{hashlib.sha256(NEAREST_CODE.encode()).hexdigest()[:12]}"
NEAREST_DATA = "nearest.npz"

_templates: dict[tuple[str, ...], _Template] = {}


def store_model(
    client: MlflowClient,
    model: SweepModel,
    example: Sequence[float],
    requirements: Sequence[str],
    run_id: str,
    logged: LoggedModel,
) -> None:
    """Save a fitted pipeline as the artifacts of a logged model: in place on this machine, else through a temporary folder.

    `example` is a row of the model's features, in the units of the table.
    """
    if folder := local_folder(logged.artifact_location):
        os.makedirs(folder, exist_ok=True)
        save_model(model, example, requirements, folder, run_id, logged.model_id)
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, example, requirements, folder, run_id, logged.model_id)
        repeat_if_broken(client.log_model_artifacts, logged.model_id, folder)


def save_model(
    model: SweepModel, example: Sequence[float], requirements: Sequence[str], folder: str, run_id: str, model_id: str
) -> None:
    """Save the model as MLflow does, with skops, under the ids that it has in the store.

    Raises WorkError where skops could not write it.
    """
    if model.failure:
        raise WorkError(model.failure)
    template = _template(model, example, requirements)
    for name, content in template.files.items():
        is_example = name.endswith("input_example.json")  # and serving_input_example.json
        Path(folder, name).write_bytes(_replace_example(content, example) if is_example else content)
    Path(folder, template.model_file).write_bytes(model.skops)
    if model.npz:
        Path(folder, NEAREST_DATA).write_bytes(model.npz)
    description = template.description | {
        "run_id": run_id,
        "model_id": model_id,
        "model_uuid": model_id,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
        "model_size_bytes": sum(file.stat().st_size for file in os.scandir(folder) if file.is_file()),
    }
    os.makedirs(f"{folder}/{CODE_FOLDER}", exist_ok=True)
    Path(folder, CODE_FOLDER, f"{ROWS_MODULE}.py").write_text(ROWS_CODE, encoding="utf-8")
    if model.npz:
        Path(folder, CODE_FOLDER, f"{NEAREST_MODULE}.py").write_text(NEAREST_CODE, encoding="utf-8")
    Path(folder, MLMODEL_FILE_NAME).write_text(yaml.dump(description, Dumper=DUMPER), encoding="utf-8")


def _template(model: SweepModel, example: Sequence[float], requirements: Sequence[str]) -> _Template:
    """Return what all models of the kind of this one have in common.

    It is kept, because MLflow takes long to make it. Two threads that come first at the same time may both make it: a lock
    could not be shipped to a worker.
    """
    key = (model.kind, *requirements)
    if key in _templates:
        return _templates[key]
    pipeline, description = model.pipeline, Model()
    row = pd.DataFrame([example], columns=pipeline["scaler"].feature_names_in_)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.sklearn.save_model(
            pipeline,
            f"{folder}/model",
            mlflow_model=description,
            serialization_format="skops",
            skops_trusted_types=trusted_types_of_model(pipeline),
            signature=signature_of_clusters(row.columns),
            input_example=row,
            pip_requirements=list(requirements),
        )
        if not model.npz:
            add_rows(f"{folder}/model", description, dict.fromkeys(row.columns))
        files = {path.name: path.read_bytes() for path in Path(folder, "model").iterdir() if path.is_file()}
    if model.npz:
        mlflow.pyfunc.add_to_model(
            description,
            loader_module=NEAREST_MODULE,
            data=NEAREST_DATA,
            code=CODE_FOLDER,
            conda_env="conda.yaml",
            python_env="python_env.yaml",
        )
    model_file = description.flavors["sklearn"]["pickled_model"]
    others = {name: content for name, content in files.items() if name not in (model_file, MLMODEL_FILE_NAME)}
    return _templates.setdefault(key, _Template(description.to_dict(), model_file, others))


def signature_of_clusters(columns: Iterable[str]) -> ModelSignature:
    """Return the signature of a model that takes numbers of any type in `columns`, and returns clusters."""
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name) for name in columns]), outputs=Schema([ColSpec(DataType.long, "cluster")])
    )


def _replace_example(content: bytes, example: Sequence[float]) -> bytes:
    """Put the example of the model's own group into MLflow's input example as its row."""
    document = json.loads(content)
    document.get("dataframe_split", document)["data"] = [list(example)]
    return json.dumps(document).encode()
