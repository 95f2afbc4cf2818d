"""Models of Spark ML by way of a Connect server, where MLflow's flavour, which wants a JVM here, cannot keep them.

They are stored as that flavour stores them, so that it loads them where it finds a JVM: for a serving container, for example.
"""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from mlflow.utils import databricks_utils
from pyspark.errors import PySparkException

from common import spark
from common.options import InputError, one_line, quoted

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from pyspark.ml import PipelineModel
    from pyspark.sql import SparkSession

# MLflow's own setting: a folder for models on their way to and from Spark.
SHARED = "MLFLOW_DFS_TMP"
HERE = ("localhost", "127.0.0.1", "::1")
# On Databricks: where Volumes are mounted, and the name of the one for models.
VOLUMES, VOLUME = Path("/Volumes"), "penguins"
DATA = "sparkml"


def shared_folder(where: str) -> str:
    """The folder that this process and the Connect server of the `spark` parameter both see; empty where MLflow needs none.

    Raises InputError where no such folder is known.
    """
    if where.startswith(spark.CONNECT_LOCAL):
        return tempfile.gettempdir()
    remote = os.environ.get("SPARK_REMOTE", "") if where == "active" else where
    if not remote.startswith("sc://") or "DATABRICKS_RUNTIME_VERSION" in os.environ:  # there, MLflow finds a way itself
        return ""
    given = os.environ.get(SHARED, "").removeprefix("file://")
    if given and os.path.isdir(given):
        return os.path.abspath(given)
    if not given and urlparse(remote).hostname in HERE:
        return tempfile.gettempdir()
    raise InputError(
        "The 'spark' parameter must name a Spark whose models can be fetched. "
        f"Got {quoted(where)}, a Connect server elsewhere: set {SHARED} to a folder that it and this machine both see"
        f"{f' (now {quoted(given)}, which is none here)' if given else ''}, or use local[*], spark://… or connect-local[2]."
    )


def find_volume(session: "SparkSession") -> None:
    """On Databricks, where Spark is reached by way of Connect, tells MLflow the Volume through which models pass.

    It is the one that `MLFLOW_DFS_TMP` names, or else the Volume `penguins` in the session's catalog and schema, which is made
    if need be. Raises InputError where it cannot be.
    """
    if not (
        databricks_utils.is_in_databricks_serverless_runtime() or databricks_utils.is_in_databricks_shared_cluster_runtime()
    ):
        return
    given = os.environ.get(SHARED, "").removeprefix("dbfs:")
    if Path(given).is_relative_to(VOLUMES):
        return
    catalog, schema = session.sql("SELECT current_catalog(), current_schema()").first() or ("", "")
    found = VOLUMES / catalog / schema / VOLUME
    if not found.is_dir():
        name = ".".join(f"`{part}`" for part in (catalog, schema, VOLUME))
        try:
            session.sql(f"CREATE VOLUME IF NOT EXISTS {name}")
        except PySparkException as error:
            raise InputError(
                f"The 'spark' parameter must name a Spark whose models can be fetched. Got one of Databricks that passes them "
                f"through a Volume, and {name} could not be made: {one_line(error)[:200]} Have it made, or set {SHARED} to the "
                f"path of another one, as in {VOLUMES}/main/birds/models."
            ) from error
    os.environ[SHARED] = str(found)


@contextmanager
def _passing_through(folder: str) -> Iterator[Path]:
    """A place in the shared folder for one model, cleared at the end."""
    place = Path(folder, f"model-{uuid.uuid4().hex}")
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def save_model(
    path: str,
    mlflow_model: "Model",
    spark_model: "PipelineModel",
    folder: str,
    signature: "ModelSignature",
    input_example: "pd.DataFrame",
    pip_requirements: Sequence[str],
    **_: Any,  # what MLflow hands through
) -> None:
    """Saves the model as MLflow's flavour of Spark does; called by `log`, as MLflow calls a flavour."""
    import mlflow.spark

    os.makedirs(path, exist_ok=True)
    with _passing_through(folder) as place:
        spark_model.save(f"file://{place}")
        shutil.copytree(place, Path(path, DATA))
    # MLflow has no public way to describe a model that Spark has saved already.
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


def log(model: "PipelineModel", folder: str, **described: Any) -> str:
    """Logs the model to the active run as its model `model`; returns its URI. `described` is what `save_model` takes more."""
    from mlflow.models import Model

    # Only where there is a JVM could the example be tried on the model.
    described |= {"spark_model": model, "folder": folder, "validate_serving_input": False}
    info = Model.log(artifact_path=None, name="model", flavor=sys.modules[__name__], **described)
    return str(info.model_uri)


def load(uri: str, folder: str) -> "PipelineModel":
    """Loads a model into the active session."""
    import mlflow
    from pyspark.ml import PipelineModel

    with _passing_through(folder) as place:
        shutil.copytree(Path(mlflow.artifacts.download_artifacts(artifact_uri=uri), DATA), place)
        return PipelineModel.load(f"file://{place}")
