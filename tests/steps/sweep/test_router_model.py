"""The router as a model of MLflow: in the sweep's own run, without this project, without pickle, and in Spark."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.types import DataType
from pyspark.sql import SparkSession
from routers import FEATURES, GRIDS, REASONS, REQUIREMENTS, ROWS, example_of, log_small_router, small_router
from stores import Store

import penguins.sweep.router_model as router_model
from penguins.sweep.router import Router
from penguins.sweep.router_model import log_router

# What a process needs to predict, and what it must do without.
ELSEWHERE = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("penguins", "skops", "pyspark"):
            raise ModuleNotFoundError(f"{name} must not be needed")

sys.meta_path.insert(0, Refuse())
import mlflow
import pandas as pd

rows = pd.read_json(sys.argv[2], orient="split")
found = mlflow.pyfunc.load_model(sys.argv[1]).predict(rows)
print(found.to_json(orient="split"))
"""


def test_a_router_belongs_to_its_run_and_says_what_it_is(store: Store) -> None:
    run_id = store.client.create_run("1").info.run_id
    store.client.log_param(run_id, "group_by", "island,year")
    with mlflow.start_run(run_id=run_id):
        example = example_of(ROWS)
        info = log_router(small_router(), "dbscan", example, REQUIREMENTS, params={"n_groups": 3}, tags={"data": "penguins"})
    [output] = store.client.get_run(run_id).outputs.model_outputs
    assert output.model_id == info.model_id
    logged = mlflow.get_logged_model(info.model_id)
    assert (logged.name, logged.model_type, logged.source_run_id, logged.experiment_id) == ("router", "dbscan", run_id, "1")
    assert logged.params == {"n_groups": "3", "group_by": "island,year"}
    assert logged.tags["data"] == "penguins"
    described = mlflow.models.get_model_info(f"runs:/{run_id}/router")
    assert described.model_id == info.model_id
    assert described.metadata == {"model_kind": "router", "group_by": ["island", "year"], "features": list(FEATURES)}
    assert described.signature.inputs.input_names() == ["island", "year", *FEATURES]
    outputs = described.signature.outputs
    assert (outputs.input_names(), outputs.input_types()) == (["cluster", "reason"], [DataType.double, DataType.string])


@pytest.mark.parametrize("algorithm", GRIDS)
def test_a_loaded_router_predicts_as_the_one_that_was_logged(store: Store, algorithm: str) -> None:
    uri, _ = log_small_router(algorithm)
    loaded = mlflow.pyfunc.load_model(uri)
    expected = small_router(algorithm).predict(ROWS)
    assert expected["reason"].tolist() == REASONS
    assert expected["cluster"].isna().tolist() == [False, False, True, True, True]
    assert expected["cluster"][0] != expected["cluster"][1]
    for rows in (ROWS, ROWS.astype({"year": float}), ROWS.astype({"year": object}), ROWS.astype({"island": "category"})):
        pd.testing.assert_frame_equal(loaded.predict(rows), expected)
    pd.testing.assert_frame_equal(loaded.predict(ROWS.iloc[:, ::-1].assign(more=1)), expected)
    example = loaded.input_example
    assert loaded.predict(example)["reason"].tolist() == [""]


def test_a_router_without_groups_takes_the_features_alone(store: Store) -> None:
    one = small_router().groups[("Biscoe", "2007")]
    with mlflow.start_run(run_id=store.client.create_run("1").info.run_id):
        info = log_router(Router((), FEATURES, False, {(): one}), "dbscan", example_of(ROWS), REQUIREMENTS)
    found = mlflow.pyfunc.load_model(info.model_uri).predict(ROWS[list(FEATURES)])
    assert found["cluster"].notna().all()


def test_another_process_predicts_without_this_project_and_without_pickle(store: Store, tmp_path: Path) -> None:
    uri, _ = log_small_router()
    ROWS.to_json("rows.json", orient="split")
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, uri, str(tmp_path / "rows.json")],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "MLFLOW_TRACKING_URI": store.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout.splitlines()[-1]), small_router().predict(ROWS)
    assert found["data"] == json.loads(expected.to_json(orient="split"))["data"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.drop(columns="year"), "year"),
        (ROWS.drop(columns="body_mass_g"), "body_mass_g"),
        (ROWS.assign(body_mass_g="12"), "column 'body_mass_g' must hold numbers, got '12' in row 0"),
        (ROWS.assign(body_mass_g=ROWS["year"]), r"column 'body_mass_g' misses a value in row 4"),
    ],
)
def test_what_the_model_cannot_use_is_refused_with_its_column(store: Store, rows: pd.DataFrame, message: str) -> None:
    uri, _ = log_small_router()
    with pytest.raises(Exception, match=message):
        mlflow.pyfunc.load_model(uri).predict(rows)


def test_two_routers_with_different_code_do_not_share_a_module(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = log_small_router()
    [code, *_] = router_model.MODULES.values()
    monkeypatch.setattr(router_model, "MODULES", router_model.carried_modules(code.replace("misses a value", "is empty")))
    second, _ = log_small_router()
    answers = [mlflow.pyfunc.load_model(uri).predict(ROWS)["reason"].iloc[-1] for uri in (first, second, first)]
    assert answers == ["column 'year' misses a value", "column 'year' is empty", "column 'year' misses a value"]


def test_a_router_is_logged_to_a_run_or_not_at_all(store: Store) -> None:
    with pytest.raises(RuntimeError, match="there is none"):
        log_router(small_router(), "dbscan", example_of(ROWS), REQUIREMENTS)
    assert not MlflowClient().search_logged_models(experiment_ids=["0", "1"])


def test_a_router_of_a_thousand_groups_is_small_and_soon_loaded(store: Store) -> None:
    one = small_router().groups[("Biscoe", "2007")]
    router = Router(("g",), FEATURES, False, {(f"group {place}",): one for place in range(1_000)})
    with mlflow.start_run(run_id=store.client.create_run("1").info.run_id):
        info = log_router(router, "dbscan", example_of(ROWS.assign(g="group 7")), REQUIREMENTS)
    [file] = Path(mlflow.artifacts.download_artifacts(info.model_uri)).rglob("router.npz")
    assert file.stat().st_size < 1.2 * 1_000 * 60 * 8 * (2 + 2)  # of each record two features, its cluster and its reach
    rows = pd.concat([ROWS.assign(g=f"group {place}") for place in range(1_000)])
    assert mlflow.pyfunc.load_model(info.model_uri).predict(rows)["cluster"].notna().all()


@pytest.mark.parametrize("kind", ["struct<cluster: double, reason: string>", None])
def test_a_spark_udf_gives_clusters_as_double_null_where_unknown(store: Store, session: SparkSession, kind: Any) -> None:
    uri, _ = log_small_router()
    more = {"result_type": kind} if kind else {}
    udf = mlflow.pyfunc.spark_udf(session, uri, env_manager="local", **more)
    rows = session.createDataFrame(ROWS)
    predicted = rows.select(udf(*ROWS.columns).alias("found")).select("found.*")
    assert dict(predicted.dtypes) == {"cluster": "double", "reason": "string"}
    expected = small_router().predict(ROWS)
    found = [tuple(row) for row in predicted.collect()]
    assert found == [
        (None if cluster is pd.NA else float(cluster), reason)
        for cluster, reason in expected[["cluster", "reason"]].itertuples(index=False)
    ]
    all_known, all_unknown = (
        rows.where(f"island = '{name}'").select(udf(*ROWS.columns).alias("found")) for name in ("Biscoe", "Atlantis")
    )
    assert [row["found"]["cluster"] for row in all_known.collect()] == [float(expected["cluster"][0])]
    assert [row["found"]["cluster"] for row in all_unknown.collect()] == [None]
