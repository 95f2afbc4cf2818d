"""Models at work without this project: `mlflow models predict` on a CSV file, MLflow's scoring server, and a Spark UDF."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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
from servers import LONGEST_S, environment, free_port, wait_until_it_answers
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


@contextmanager
def scoring_server(uri: str, folder: Path, store: Store) -> Iterator[str]:
    """Serve a model during the block, from a folder without this project, and yield the URL."""
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", uri, "-p", str(port), "-h", "127.0.0.1", "-w", "1", "--env-manager", "local"]
    with open(folder / "output.txt", "ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(MLFLOW_TRACKING_URI=store.uri, PYSPARK_PYTHON=sys.executable),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", folder / "output.txt")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def ask(url: str, rows: pd.DataFrame) -> tuple[int, Any]:
    """Send rows as JSON and return the status and the answer."""
    body = json.dumps({"dataframe_split": json.loads(rows.to_json(orient="split"))}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  # this test's server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


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
