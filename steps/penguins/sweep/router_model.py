"""The router of a sweep as a model in MLflow, logged to the sweep's own run."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from penguins.project import PROJECT
from penguins.sweep.model_files import NEAREST_CODE, NEAREST_MODULE
from penguins.sweep.router import CLUSTER, REASON, Router
from penguins.tracking.row_models import ROWS_CODE, ROWS_MODULE
from penguins.tracking.store import repeat_if_taken

ROUTER = "router"
ROUTER_DATA = "router.npz"


def carried_modules(code: str) -> dict[str, str]:
    """Return the code of the modules that the model of a router carries, by name; first that of the router, `code`.

    The name of a module tells its code: Python loads a module of a name once, and models with different code would share it.
    """
    code = code.replace("penguins.sweep.nearest", NEAREST_MODULE).replace("penguins.tracking.table_rows", ROWS_MODULE)
    module = f"penguins_router_{hashlib.sha256(code.encode()).hexdigest()[:12]}"
    return {module: code, NEAREST_MODULE: NEAREST_CODE, ROWS_MODULE: ROWS_CODE}


MODULES = carried_modules((PROJECT / "steps" / "penguins" / "sweep" / "router.py").read_text(encoding="utf-8"))


def log_router(
    router: Router,
    algorithm: str,
    example: Mapping[str, Any],
    requirements: Sequence[str],
    name: str = ROUTER,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
) -> ModelInfo:
    """Log a router to the active run under `name`, so that `runs:/<run id>/<name>` is its URI.

    `algorithm` is the name of the one that made the clusters, and becomes the model's type; `example` is a row of the table, by
    column. `params` and `tags` are those of the logged model, which has the params of the run as well.
    Raises RuntimeError where no run is active, since MLflow would log a model of no run.
    """
    if mlflow.active_run() is None:
        raise RuntimeError("a router is logged to the active run, and there is none")
    inputs = list(dict.fromkeys([*router.group_by, *router.columns]))
    with tempfile.TemporaryDirectory() as folder:
        router.save(f"{folder}/{ROUTER_DATA}")
        for module, code in MODULES.items():
            Path(folder, f"{module}.py").write_text(code, encoding="utf-8")
        return repeat_if_taken(
            lambda: mlflow.pyfunc.log_model(
                name=name,
                loader_module=next(iter(MODULES)),
                data_path=f"{folder}/{ROUTER_DATA}",
                code_paths=[f"{folder}/{module}.py" for module in MODULES],
                signature=router_signature(inputs),
                input_example=pd.DataFrame([example])[inputs],
                pip_requirements=list(requirements),
                metadata={"model_kind": ROUTER, "group_by": list(router.group_by), "features": list(router.columns)},
                model_type=algorithm,
                params=dict(params or {}),
                tags=dict(tags or {}),
            )
        )


def router_signature(inputs: Sequence[str]) -> ModelSignature:
    """Return the schema of a router that takes `inputs` of any type.

    Its clusters are declared as double, because Spark makes a UDF's type of this, and whole numbers with gaps fail there. From
    pandas and over HTTP they are whole numbers all the same, and missing ones null.
    """
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name) for name in inputs]),
        outputs=Schema([ColSpec(DataType.double, CLUSTER, required=False), ColSpec(DataType.string, REASON)]),
    )
