"""Log and load Spark ML models, also through a Connect server, where MLflow's own flavour fails because it wants a JVM here."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.utils import databricks_utils
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from penguins.cli.combinations import is_catalog_table
from penguins.errors import InputError
from penguins.spark.target import SparkTarget
from penguins.temporary import temporary_folder
from penguins.text import one_line, quote
from penguins.tracking.artifacts import fetch_artifact
from penguins.tracking.row_models import add_rows
from penguins.tracking.store import repeat_if_taken

if TYPE_CHECKING:
    import pandas as pd

# MLflow's own setting: a folder for models on their way to and from Spark.
SHARED = "MLFLOW_DFS_TMP"
# On Databricks: where Volumes are mounted, and the name of the Volume for models.
VOLUMES, VOLUME = Path("/Volumes"), "penguins"
# The folder of the Spark model inside an MLflow model, as MLflow's own flavour calls it.
DATA = "sparkml"
NAME = "model"


def shared_folder(target: SparkTarget) -> str:
    """Return a folder that this process and the Connect server of `target` both see; empty where MLflow needs none.

    Raises InputError where no such folder is known.
    """
    if target.is_connect_local:
        return tempfile.gettempdir()
    if not target.is_connect or "DATABRICKS_RUNTIME_VERSION" in os.environ:  # see `use_volume`
        return ""
    folder = os.environ.get(SHARED, "").removeprefix("file://")
    if folder and os.path.isdir(folder):
        return os.path.abspath(folder)
    if not folder and target.has_local_connect_server:
        return tempfile.gettempdir()
    raise InputError(
        "The 'spark' parameter must name a Spark whose models can be fetched. "
        f"Got {quote(target.text)}, a Connect server elsewhere: set {SHARED} to a folder that it and this machine both see"
        f"{f' (now {quote(folder)}, which is none here)' if folder else ''}, or use local[*], spark://… or connect-local[2]."
    )


def use_volume(session: SparkSession, result: str) -> None:
    """On Databricks compute that is reached through Connect, set the Volume through which MLflow passes models.

    This is the Volume that `MLFLOW_DFS_TMP` names, or else `penguins` in the catalog and schema of `result`, the name
    catalog.schema.name of what the step registers or writes, or else in those of the session. It is created if it does not
    exist. Raises InputError where it cannot be created.
    """
    if not (
        databricks_utils.is_in_databricks_serverless_runtime() or databricks_utils.is_in_databricks_shared_cluster_runtime()
    ):
        return
    if Path(os.environ.get(SHARED, "").removeprefix("dbfs:")).is_relative_to(VOLUMES):
        return
    if is_catalog_table(result):
        catalog, schema, _ = result.split(".")
    else:
        catalog, schema = session.sql("SELECT current_catalog(), current_schema()").first() or ("", "")
    volume = VOLUMES / catalog / schema / VOLUME
    if not volume.is_dir():
        name = ".".join(f"`{part}`" for part in (catalog, schema, VOLUME))
        try:
            session.sql(f"CREATE VOLUME IF NOT EXISTS {name}")
        except PySparkException as error:
            raise InputError(
                f"The 'spark' parameter must name a Spark whose models can be fetched. Got one of Databricks that passes them "
                f"through a Volume, and {name} could not be made: {one_line(error)[:200]} Have it made, or set {SHARED} to the "
                f"path of another one, as in {VOLUMES}/main/birds/models."
            ) from error
    os.environ[SHARED] = str(volume)


@contextmanager
def _temporary_path(folder: str) -> Iterator[Path]:
    """Provide a path in `folder` for one model; delete the model after the block."""
    path = Path(folder, f"model-{uuid.uuid4().hex}")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def save_model(
    path: str,
    mlflow_model: Model,
    spark_model: PipelineModel,
    folder: str,
    signature: ModelSignature,
    input_example: "pd.DataFrame",
    pip_requirements: Sequence[str],
    columns: Mapping[str, Sequence[str] | None],
    **_: Any,  # MLflow's other arguments
) -> None:
    """Save the model to `path` as MLflow's Spark flavour does. MLflow calls this function for `log_spark_model`."""
    os.makedirs(path, exist_ok=True)
    with _temporary_path(folder) as saved:
        spark_model.save(f"file://{saved}")
        shutil.copytree(saved, Path(path, DATA))
    # MLflow has no public function that describes a model which Spark has saved already.
    mlflow.spark._save_model_metadata(
        path,
        spark_model,
        mlflow_model,
        conda_env=None,
        code_paths=None,
        signature=signature,
        input_example=input_example,
        pip_requirements=list(pip_requirements),
    )
    add_rows(path, mlflow_model, columns)


def log_spark_model(model: PipelineModel, folder: str, columns: Mapping[str, Sequence[str] | None], **described: Any) -> str:
    """Log the model to the active run under the name `model` and return its URI.

    `folder` is that of `shared_folder`, `columns` those of `add_rows`; `described` holds the signature, the input example and
    the requirements.
    """
    if folder:
        # MLflow would try the example on the model, which takes a JVM here.
        described |= {"spark_model": model, "folder": folder, "columns": columns, "validate_serving_input": False}
        module = sys.modules[__name__]
        return str(repeat_if_taken(lambda: Model.log(artifact_path=None, name=NAME, flavor=module, **described)).model_uri)
    uri = str(repeat_if_taken(lambda: mlflow.spark.log_model(model, artifact_path=NAME, **described)).model_uri)
    with tempfile.TemporaryDirectory() as copy:
        mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/{MLMODEL_FILE_NAME}", dst_path=copy)
        add_rows(copy, Model.load(copy), columns)
        mlflow.log_artifacts(copy, NAME)
    return uri


def load_spark_model(uri: str, folder: str) -> PipelineModel:
    """Load the model at `uri` into the active session, through the folder of `shared_folder`."""
    if not folder:
        return cast(PipelineModel, mlflow.spark.load_model(uri, dst_path=temporary_folder()))
    with _temporary_path(folder) as copy:
        shutil.copytree(Path(fetch_artifact(uri), DATA), copy)
        return PipelineModel.load(f"file://{copy}")
