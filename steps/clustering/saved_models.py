"""The models of a sweep on disk: as MLflow saves them, but written from one template, since MLflow takes long over each."""

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import skops.io
import yaml
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@dataclass(frozen=True)
class _Template:
    """What the saved models of a sweep have in common: MLflow's description, the name of the model's file, all other files."""

    description: dict[str, Any]
    model_file: str
    files: dict[str, bytes]


_templates: dict[tuple[str, ...], _Template] = {}


def _template(model: Pipeline, requirements: Sequence[str]) -> _Template:
    """What models like this one have in common, as MLflow saves it; kept, for that takes long.

    Two threads that come first at the same time may both make it; no lock, which could not travel to a worker.
    """
    scaler = model["scaler"]
    key = (*scaler.feature_names_in_, *requirements)
    if key in _templates:
        return _templates[key]
    example = pd.DataFrame([scaler.mean_], columns=scaler.feature_names_in_)
    description = Model()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.sklearn.save_model(
            model,
            f"{folder}/model",
            mlflow_model=description,
            serialization_format="skops",
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.double, name) for name in example.columns])),
            input_example=example,
            pip_requirements=list(requirements),
        )
        files = {path.name: path.read_bytes() for path in Path(folder, "model").iterdir()}
    model_file = description.flavors["sklearn"]["pickled_model"]
    others = {name: content for name, content in files.items() if name not in (model_file, MLMODEL_FILE_NAME)}
    return _templates.setdefault(key, _Template(description.to_dict(), model_file, others))


def _with_example(content: bytes, model: Pipeline) -> bytes:
    """An input example of MLflow's, with the means of the model's own group as its row."""
    document = json.loads(content)
    document.get("dataframe_split", document)["data"] = [model["scaler"].mean_.tolist()]
    return json.dumps(document).encode()


def save(model: Pipeline, requirements: Sequence[str], folder: str, run_id: str, model_id: str) -> None:
    """Saves the model as MLflow does, in skops, under the ids that it has in the store."""
    template = _template(model, requirements)
    for name, content in template.files.items():
        example = name.endswith("input_example.json")
        Path(folder, name).write_bytes(_with_example(content, model) if example else content)
    skops.io.dump(model, Path(folder, template.model_file))
    description = template.description | {
        "run_id": run_id,
        "model_id": model_id,
        "model_uuid": model_id,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
        "model_size_bytes": sum(file.stat().st_size for file in os.scandir(folder)),
    }
    Path(folder, MLMODEL_FILE_NAME).write_text(yaml.dump(description, Dumper=DUMPER), encoding="utf-8")
