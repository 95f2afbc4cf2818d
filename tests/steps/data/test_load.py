"""Tables that MLflow fetches: artifacts of runs, models, and URIs of other schemes."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from input_tables import Recipe, path
from sklearn.linear_model import Ridge
from stores import Store

from penguins.data.load import load_table
from penguins.errors import InputError

COLUMNS = {"kind": "group_by", "size": "features"}
NOT_FETCHED = "The 'data' parameter must name a table that can be fetched. Got "


def local_uri() -> str:
    return Path("t.csv").absolute().as_uri()


def artifact_of_a_run() -> str:
    with mlflow.start_run() as run:
        mlflow.log_artifact("t.csv")
    return f"runs:/{run.info.run_id}/t.csv"


def folder_of_a_run() -> str:
    with mlflow.start_run() as run:
        for place in range(2):
            pd.read_csv("t.csv").iloc[2 * place : 2 * place + 2].to_parquet(f"{place}.parquet")
            mlflow.log_artifact(f"{place}.parquet", "table")
    return f"runs:/{run.info.run_id}/table"


@pytest.mark.parametrize("make", [local_uri, artifact_of_a_run, folder_of_a_run])
def test_a_table_is_fetched_and_read(store: Store, make: Recipe) -> None:
    pd.DataFrame({"kind": ["a", "b", None, "b"], "size": [1.0, np.nan, 3.0, 4.0]}).to_csv("t.csv", index=False)
    table = load_table(make(), COLUMNS, names=["kind"])
    assert table.frame.to_dict("list") == {"kind": ["a", "b"], "size": [1.0, 4.0]}
    assert table.left_out == 2


def model_of_a_run() -> str:
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(Ridge().fit([[0.0], [1.0]], [0, 1]), name="model", pip_requirements=[])
    [output] = mlflow.get_run(run.info.run_id).outputs.model_outputs
    return f"models:/{output.model_id}"


def picture_of_a_run() -> str:
    with mlflow.start_run() as run:
        mlflow.log_text("\x89PNG\0\0", "picture.png")
    return f"runs:/{run.info.run_id}/picture.png"


CASES: dict[str, tuple[Recipe, str]] = {
    "a run that does not exist": (path("runs:/0123456789abcdef0123456789abcdef/x.csv"), NOT_FETCHED + "'runs:/0123"),
    "an unknown scheme": (path("nowhere://x/y.csv"), NOT_FETCHED + "'nowhere://x/y.csv'"),
    "no run at all": (path("runs:/"), NOT_FETCHED + "'runs:/'"),
    "a model that does not exist": (path("models:/m-0123456789abcdef0123456789abcdef"), NOT_FETCHED),
    "a model": (model_of_a_run, "which is a model of MLflow"),
    "a picture": (picture_of_a_run, "it holds null bytes"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_mlflow_cannot_fetch_or_is_no_table_is_refused(store: Store, case: str) -> None:
    make, rule = CASES[case]
    with pytest.raises(InputError) as refusal:
        load_table(make(), COLUMNS, ["kind"])
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)
