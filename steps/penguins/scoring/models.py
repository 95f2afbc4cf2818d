"""Find the model that predicts: which columns it takes, and what it predicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelInput
from mlflow.models import Model
from mlflow.types import DataType

from penguins.errors import InputError
from penguins.text import one_line, quote
from penguins.tracking.artifacts import fetch_artifact, load_sklearn_model

Kind = Literal["classes", "numbers", "clusters"]
# The beginnings of the modules by which MLflow loads a model of this project, and how a router says what it is.
ROWS, NEAREST, ROUTER = "penguins_rows_", "penguins_nearest_", "router"
PREDICTION, CLUSTER, REASON = "prediction", "cluster", "reason"
# The types of predictions in Spark. A whole number that may be missing has to be a double in a UDF of MLflow.
SPARK_TYPES = {DataType.long: "long", DataType.boolean: "boolean", DataType.double: "double", DataType.string: "string"}


@dataclass(frozen=True)
class ScoredModel:
    """A model of this project in a folder of this machine: what it predicts, and the columns that it takes.

    `numbers` and `groups` name columns of numbers and of the names of groups, which a router takes; `texts` maps columns of
    categories to their texts in training.
    `spark_type` is the type of its predictions in a UDF. `model_id` is empty where the model has none.
    """

    uri: str
    folder: str
    model_id: str
    kind: Kind
    spark_type: str
    is_spark: bool = False
    is_router: bool = False
    numbers: tuple[str, ...] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    groups: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the model takes."""
        return (*self.groups, *self.numbers, *self.texts)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns that it predicts."""
        if self.is_router:
            return (CLUSTER, REASON)
        return (CLUSTER,) if self.kind == "clusters" else (PREDICTION,)


def find_model(uri: str) -> ScoredModel:
    """Fetch the model at `uri`, a URI of MLflow or a folder, and read what it is.

    Raises InputError where it does not exist, cannot be reached, or is no model of this project.
    """
    folder = _fetch(uri)
    try:
        description = Model.load(folder)
        model = _recognise(uri, folder, description)
    except InputError:
        raise
    except Exception as error:  # a file that is missing, or holds something else
        why = one_line(error)[:300]
        raise InputError(f"The 'model_uri' parameter must name a model of MLflow. Got {quote(uri)}: {why}") from error
    if model is None:
        flavors = ", ".join(description.flavors) or "none"
        raise InputError(
            f"The 'model_uri' parameter must name a model that a step of this project has logged. Got {quote(uri)}, a model of "
            f"the flavours {one_line(flavors)}: predict with MLflow itself, by mlflow models predict."
        )
    return model


def log_model_in_use(model: ScoredModel, run_id: str) -> None:
    """Log the model as an input of the run, and its id as a tag."""
    if model.model_id:
        client = MlflowClient()
        client.set_tag(run_id, "model_id", model.model_id)
        client.log_inputs(run_id, models=[LoggedModelInput(model.model_id)])


def load_estimator(model: ScoredModel) -> Any:
    """Return the fitted pipeline of scikit-learn behind the model."""
    return load_sklearn_model(model.folder)


def _fetch(uri: str) -> str:
    """Return the folder of the model on this machine. Raises InputError where there is none."""
    rule = "The 'model_uri' parameter must name a model that can be reached."
    try:
        if len(urlparse(uri).scheme) < 2 and not Path(uri).expanduser().exists():  # one letter is a Windows drive
            raise InputError(f"{rule} Got {quote(uri)}, and there is no such folder in {Path.cwd()}.")
        is_path = len(urlparse(uri).scheme) < 2
        folder = str(Path(uri).expanduser()) if is_path else fetch_artifact(uri)
    except InputError:
        raise
    except Exception as error:  # each kind of store raises its own errors
        raise InputError(f"{rule} Got {quote(uri)}: {one_line(error)[:300]}") from error
    if not Path(folder, "MLmodel").is_file():
        raise InputError(f"{rule} Got {quote(uri)}, which holds no file MLmodel.")
    return str(folder)


def _recognise(uri: str, folder: str, description: Model) -> ScoredModel | None:
    """Return what the model is, or None where it is not of this project."""
    flavor = description.flavors.get(mlflow.pyfunc.FLAVOR_NAME, {})
    loader = str(flavor.get("loader_module", ""))
    about: dict[str, Any] = {"uri": uri, "folder": folder, "model_id": description.model_id or ""}
    metadata: Mapping[str, Any] = description.metadata or {}
    if metadata.get("model_kind") == ROUTER and flavor:
        groups, features = tuple(metadata["group_by"]), tuple(metadata["features"])
        spark_type = f"{CLUSTER} double, {REASON} string"
        return ScoredModel(**about, kind="clusters", spark_type=spark_type, is_router=True, groups=groups, numbers=features)
    if loader.startswith(NEAREST):
        numbers = tuple(description.get_input_schema().input_names())
        return ScoredModel(**about, kind="clusters", spark_type="double", numbers=numbers)
    if not loader.startswith(ROWS):
        return None
    columns = json.loads(Path(folder, flavor["data"]).read_text(encoding="utf-8"))["columns"]
    about["numbers"] = tuple(column["name"] for column in columns if column["texts"] is None)
    about["texts"] = {column["name"]: column["texts"] for column in columns if column["texts"] is not None}
    [output] = description.get_output_schema().inputs
    if output.name == CLUSTER:
        return ScoredModel(**about, kind="clusters", spark_type="double")
    is_spark = "spark" in description.flavors
    kind: Kind = "classes" if is_spark or output.type != DataType.double or _is_classifier(folder) else "numbers"
    return ScoredModel(**about, kind=kind, spark_type=SPARK_TYPES[output.type], is_spark=is_spark)


def _is_classifier(folder: str) -> bool:
    """Tell whether a model of scikit-learn that predicts numbers has them for classes."""
    from sklearn.base import is_classifier

    return bool(is_classifier(load_sklearn_model(folder)))
