"""Models at work without this project: `mlflow models predict` on a CSV file, MLflow's scoring server, and a Spark UDF."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kmeans_sweep
import logistic_regression
import mlflow
import numpy as np
import pandas as pd
import pytest
import ridge_search
import spark_logistic_regression
from pyspark.sql import SparkSession
from scoring import ask, scoring_server
from servers import LONGEST_S, environment
from stores import Steps, Store

N_ROWS = 60
FEATURES = ["age", "member", "size"]


def write_customers() -> pd.DataFrame:
    """Write a table of whole numbers, booleans and text with the classes `left`, and return it as pandas reads it."""
    random = np.random.default_rng(0)
    age, member = random.integers(18, 60, N_ROWS), random.random(N_ROWS) < 0.5
    table = pd.DataFrame({"age": age, "member": member, "size": random.choice(["4", "8", "f"], N_ROWS)})
    table["left"] = (age + 15 * member + random.normal(0, 5, N_ROWS) > 45).astype(int)
    table.to_csv("t.csv", index=False)
    return pd.read_csv("t.csv")


def call_models(*arguments: str, folder: Path, store: Store) -> subprocess.CompletedProcess[str]:
    """Call `mlflow models` in a folder without this project."""
    return subprocess.run(
        ["mlflow", "models", *arguments, "--env-manager", "local"],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=store.uri, PYSPARK_PYTHON=sys.executable),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )


@pytest.mark.parametrize("module", [logistic_regression, spark_logistic_regression, ridge_search, kmeans_sweep])
def test_a_model_takes_the_tables_rows_from_csv_and_over_http(store: Store, step: Steps, tmp_path: Path, module: Any) -> None:
    rows = write_customers()
    more: dict[str, Any] = {"target": "left", "features": ",".join(FEATURES)}
    if module is ridge_search:
        more = {"target": "age", "features": "member,size,left", "categorical_features": "left", "alphas": "1"}
    if module is kmeans_sweep:
        more = {"features": "age,member,left", "n_clusters": "2", "models": "best"}
    else:
        more["register"] = "left early"
    assert step(module, data="t.csv", **more) == 0
    uri = store.model_uri(store.only("all-n_clusters2")) if module is kmeans_sweep else "models:/left early@champion"
    expected = list(mlflow.pyfunc.load_model(uri).predict(rows))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    whole = call_models("predict", "-m", uri, "-i", str(tmp_path / "t.csv"), "-t", "csv", folder=elsewhere, store=store)
    found = json.loads(whole.stdout.splitlines()[-1])["predictions"]
    assert found == pytest.approx(expected)
    assert {type(one) for one in found} == ({float} if module is ridge_search else {int})
    number = "age" if module is not ridge_search else "left"
    with scoring_server(uri, elsewhere, store) as url:
        status, answer = ask(url, rows)
        assert (status, answer["predictions"]) == (200, pytest.approx(expected))
        for value, line in ((None, "misses a value in row 0"), ("12", "must hold numbers, got '12' in row 0")):
            status, answer = ask(url, rows.head(1).assign(**{number: value}))
            assert status == 400
            assert f"column '{number}' {line}" in answer
        status, answer = ask(url, rows.head(1).drop(columns=number))
        assert status == 400
        assert number in answer


@pytest.mark.parametrize(("target", "kind"), [(np.int64, "bigint"), (bool, "boolean"), (np.float64, "double"), (str, "string")])
def test_a_spark_udf_answers_in_the_targets_own_type(
    store: Store, step: Steps, session: SparkSession, target: Any, kind: str
) -> None:
    table = write_customers()
    table.astype({"left": target}).to_csv("t.csv", index=False)
    if target is str:
        table.assign(left=table["left"].map({0: "no", 1: "yes"})).to_csv("t.csv", index=False)
    rows = pd.read_csv("t.csv")
    assert step(logistic_regression, data="t.csv", target="left", features=",".join(FEATURES)) == 0
    uri = store.model_uri(store.only("logistic_regression"))
    udf = mlflow.pyfunc.spark_udf(session, uri, env_manager="local")
    predicted = session.createDataFrame(rows[FEATURES]).select(udf(*FEATURES).alias("left"))
    assert dict(predicted.dtypes)["left"] == kind
    assert predicted.toPandas()["left"].tolist() == mlflow.pyfunc.load_model(uri).predict(rows).tolist()
