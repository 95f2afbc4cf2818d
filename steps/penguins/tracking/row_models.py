"""Save models that take the rows of a table: MLflow's own flavours, and a python_function that checks and converts the rows."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from penguins.project import PROJECT

if TYPE_CHECKING:
    import pandas as pd

# The module by which MLflow loads the python_function. Its name tells its code: Python loads a module of a name once, and
# models with different code would share it.
ROWS_CODE = (PROJECT / "steps" / "penguins" / "tracking" / "table_rows.py").read_text(encoding="utf-8")
ROWS_MODULE = f"penguins_rows_{hashlib.sha256(ROWS_CODE.encode()).hexdigest()[:12]}"
ROWS_DATA, CODE_FOLDER = "columns.json", "code"
PYFUNC = mlflow.pyfunc.FLAVOR_NAME
# What a model predicts, by the kind of NumPy's type.
OUTPUTS = {"i": DataType.long, "b": DataType.boolean, "f": DataType.double, "O": DataType.string}


def save_model(path: str, mlflow_model: Model, model: Any, rows: "pd.DataFrame", **described: Any) -> None:
    """Save a fitted estimator of scikit-learn to `path`, as `add_rows` describes it. MLflow calls this for `Model.log`."""
    mlflow.sklearn.save_model(model, path, mlflow_model=mlflow_model, **described)
    texts = {str(name): sorted(set(values)) if values.dtype == object else None for name, values in rows.items()}
    add_rows(path, mlflow_model, texts)


def add_rows(path: str, mlflow_model: Model, columns: Mapping[str, Sequence[str] | None]) -> None:
    """Let the saved model at `path` predict as a python_function from rows of a table as pandas reads them.

    `columns` holds the features by name, and of each column of text its texts in training.
    """
    flavor = mlflow_model.flavors[PYFUNC]
    described = {
        "loader_module": flavor["loader_module"],
        "data": flavor.get("data", ""),
        "columns": [{"name": name, "texts": texts} for name, texts in columns.items()],
    }
    Path(path, ROWS_DATA).write_text(json.dumps(described), encoding="utf-8")
    Path(path, CODE_FOLDER).mkdir()
    Path(path, CODE_FOLDER, f"{ROWS_MODULE}.py").write_text(ROWS_CODE, encoding="utf-8")
    more = {"loader_module": ROWS_MODULE, "data": ROWS_DATA, "code": CODE_FOLDER}
    mlflow_model.add_flavor(PYFUNC, **(flavor | more))
    mlflow_model.save(str(Path(path, MLMODEL_FILE_NAME)))


def rows_signature(columns: Iterable[str], predictions: Any) -> ModelSignature:
    """Return the schema of a model of `add_rows`, which takes `columns` of any type and returns values like `predictions`."""
    output = OUTPUTS[np.asarray(predictions).dtype.kind.replace("U", "O")]
    return ModelSignature(inputs=Schema([ColSpec(AnyType(), name) for name in columns]), outputs=Schema([ColSpec(output)]))
