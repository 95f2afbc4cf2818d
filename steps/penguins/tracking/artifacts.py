"""Artifacts of the active run: its dataset, its figures, and models of scikit-learn without pickle.

Before it logs one of them, a step looks for a signal that is to end it.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.model import ModelInfo
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME

from penguins.cli.signals import raise_if_interrupted
from penguins.errors import InputError
from penguins.redaction import redact
from penguins.temporary import temporary_folder
from penguins.text import csv_text, one_line, quote
from penguins.tracking import row_models
from penguins.tracking.row_models import rows_signature
from penguins.tracking.sklearn_types import trusted_types_in_file, trusted_types_of_model
from penguins.tracking.store import repeat_if_taken
from penguins.tracking.versions import installed_version

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

EXAMPLE_ROWS = 5
# A longer table of predictions or clusters is several files.
ROWS_IN_FILE = 1_000_000
# The parameter of a run that says how its CSV file was read; `read` is what the user asked for.
READ_AS = "read_as"
# The beginning of MLflow's advice to declare whole numbers as doubles; our models check their columns themselves.
INTEGERS_HINT = "Hint: Inferred schema contains integer column"
ALLOW_PICKLE = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"


def log_table(
    frame: "pd.DataFrame", source: str, name: str, left_out: int, target: str | None = None, read_as: str = ""
) -> None:
    """Log the rows of `frame` as the active run's dataset, how many rows were left out, and how a CSV file was read."""
    log_dataset(frame, source, name, target)
    _log_reading(len(frame), left_out, read_as)


def log_dataset(frame: "pd.DataFrame", source: str, name: str, target: str | None = None) -> None:
    """Log `frame`, which came from `source`, as a dataset of the active run."""
    with warnings.catch_warnings():
        # MLflow registers its source of local files twice, and warns about the two on each use.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        dataset = mlflow.data.from_pandas(frame, source=_dataset_source(redact(source)), name=name, targets=target)
    _log_input(dataset)


def _dataset_source(source: str) -> DatasetSource:
    try:
        return resolve_dataset_source(source)
    except MlflowException:  # MLflow has no kind of source for its own artifacts
        return CodeDatasetSource({MLFLOW_SOURCE_NAME: source})


def log_external_table(source: str, rows: int, left_out: int, read_as: str) -> None:
    """Log a table that Spark reads itself as the active run's dataset, without looking at its rows."""
    source = redact(source)
    _log_input(MetaDataset(CodeDatasetSource({MLFLOW_SOURCE_NAME: source}), name=source))
    _log_reading(rows, left_out, read_as)


def _log_reading(n_rows: int, n_left_out: int, read_as: str) -> None:
    mlflow.log_metrics({"n_rows": n_rows, "n_rows_left_out": n_left_out})
    if read_as:
        mlflow.log_param(READ_AS, read_as)


def _log_input(dataset: Dataset) -> None:
    """Log a dataset of the active run, and once more if another process has logged the same one in between.

    A store first looks whether it has the dataset and then writes it. Of two processes one is refused; on its second attempt
    the dataset is there.
    """
    raise_if_interrupted()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=INTEGERS_HINT)
        repeat_if_taken(lambda: mlflow.log_input(dataset, context="training"))


def log_parquet(frame: "pd.DataFrame", name: str) -> None:
    """Log a table to the active run as the Parquet file `name`, or, if it is long, as a folder `name` of several files.

    `pandas.read_parquet` reads both alike.
    """
    raise_if_interrupted()
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        if len(frame) <= ROWS_IN_FILE:
            frame.to_parquet(path, index=False)
            mlflow.log_artifact(str(path))
        else:
            write_parquet_files(frame, path)
            mlflow.log_artifacts(str(path), name)


def write_parquet_files(frame: "pd.DataFrame", folder: Path) -> None:
    """Write a table to a new folder as Parquet files of up to `ROWS_IN_FILE` rows."""
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, max(len(frame), 1), ROWS_IN_FILE)):
        frame.iloc[start : start + ROWS_IN_FILE].to_parquet(folder / f"part-{number:05}.parquet", index=False)


def log_csv(lines: Sequence[Sequence[object]], name: str) -> None:
    """Log lines of cells, the first of which are the names of the columns, to the active run as the CSV file `name`."""
    raise_if_interrupted()
    mlflow.log_text(csv_text(lines), name)


def log_figure(figure: "Figure", name: str) -> None:
    """Log a figure to the active run."""
    raise_if_interrupted()
    mlflow.log_figure(figure, name)


def log_sklearn_model(model: Any, name: str, rows: "pd.DataFrame") -> ModelInfo:
    """Log a fitted pipeline to the active run, stored with skops. `rows` are those that it was fitted on.

    Raises WorkError if the pipeline holds a type that is not scikit-learn's own.
    """
    from sklearn.base import is_classifier

    raise_if_interrupted()
    example = rows.head(EXAMPLE_ROWS)
    return repeat_if_taken(
        lambda: Model.log(
            artifact_path=None,
            name=name,
            model_type="classifier" if is_classifier(model) else "regressor",
            flavor=row_models,
            model=model,
            rows=rows,
            serialization_format="skops",
            skops_trusted_types=trusted_types_of_model(model),
            signature=rows_signature(example.columns, model.predict(example)),
            input_example=example,
            pip_requirements=model_requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy"),
        )
    )


def fetch_artifact(uri: str) -> str:
    """Return the path of a file or folder, or of a copy of the artifact at `uri`, which is deleted when the step ends."""
    path = str(local_file_uri_to_path(uri)) if uri.startswith("file:") else uri
    if os.path.exists(path):
        return path
    return str(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=temporary_folder()))


def load_sklearn_model(uri: str) -> Any:
    """Load a model of scikit-learn that is stored with skops, which runs no code.

    Types are trusted by their names, not by what the model declares as MLflow's own loader does, which also refuses skops
    where pickle is forbidden.
    Raises InputError at any other model; MLflow loads it where the user allows pickle.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    folder = Path(fetch_artifact(uri))
    flavor = Model.load(str(folder)).flavors.get("sklearn", {})
    if os.environ.get(ALLOW_PICKLE, "").lower() in ("true", "1"):
        return mlflow.sklearn.load_model(str(folder))
    why = f"is stored in {flavor.get('serialization_format', 'pickle')}"
    if flavor.get("serialization_format") == "skops":
        try:
            path = folder / flavor["pickled_model"]
            return skops.io.load(path, trusted=trusted_types_in_file(path))
        except (UntrustedTypesFoundException, TypeError) as error:
            why = f"holds more than skops trusts ({one_line(error)[:300]})"
    raise InputError(
        f"The model must be stored in skops, since others may run any code when they are loaded. Got {quote(uri)}, which "
        f"{why}: if you trust where it comes from, set {ALLOW_PICKLE} to true."
    )


def model_requirements(*packages: str) -> list[str]:
    """Return the packages that a model needs, pinned to the installed versions; MLflow takes 13 s a model to infer them."""
    return [f"{package}=={installed_version(package)}" for package in packages]
