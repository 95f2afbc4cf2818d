"""A router and models of a sweep behind MLflow's scoring server, asked with raw JSON, and a router on a Connect server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from routers import FEATURES, REASONS, ROWS, fit_records, log_small_router, small_router
from scoring import ask_json, scoring_server
from servers import LONGEST_S, environment
from stores import Store, open_store

from penguins.sweep.model_files import store_model
from penguins.sweep.nearest import nearest_from_bytes
from penguins.tracking.artifacts import model_requirements

MODELS = ("router", "dbscan", "kmeans")
RECORDS: list[dict[str, Any]] = [
    {"island": "Biscoe", "year": 2007, "bill_length_mm": 0, "body_mass_g": 0},
    {"island": "Dream", "year": 2008, "bill_length_mm": 100.0, "body_mass_g": False},
    {"island": "Torgersen", "year": "2007", "bill_length_mm": 0, "body_mass_g": 0},
    {"island": "Atlantis", "year": 2007, "bill_length_mm": 0, "body_mass_g": 0},
    {"island": "Dream", "year": None, "bill_length_mm": 0, "body_mass_g": 0},
]
CONNECT = """
import json, sys
import mlflow
import pandas as pd
from pyspark.sql import SparkSession

session = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
rows = session.createDataFrame([tuple(row) for row in json.loads(sys.argv[3])], sys.argv[4])
for more in ({"result_type": "struct<cluster: double, reason: string>"}, {}):
    udf = mlflow.pyfunc.spark_udf(session, sys.argv[2], env_manager="local", **more)
    found = rows.select(udf(*rows.columns).alias("found")).select("found.*")
    print(json.dumps([found.dtypes, [list(row) for row in found.collect()]]))
"""
# What is changed in the first record, and what the answer says of it.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "text for a number": ({"body_mass_g": "12"}, "column 'body_mass_g' must hold numbers, got '12' in row 0"),
    "a gap": ({"body_mass_g": None}, "column 'body_mass_g' misses a value in row 0"),
}


def log_model(store: Store, algorithm: str) -> str:
    """Log the model of a value as a sweep does, and return its URI."""
    records, found = fit_records(algorithm, 0)
    run_id = store.client.create_run("1").info.run_id
    logged = store.client.create_logged_model("1", "model", source_run_id=run_id)
    needed = model_requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy")
    store_model(store.client, found.model_that_predicts(0), records.mean().tolist(), needed, run_id, logged)
    store.client.finalize_logged_model(logged.model_id, "READY")
    return f"models:/{logged.model_id}"


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> Iterator[dict[str, str]]:
    """The URL of each model's server."""
    store = open_store(tmp_path_factory.mktemp("served"), initialised_database)
    with pytest.MonkeyPatch.context() as patch, ExitStack() as servers:
        patch.setenv("MLFLOW_TRACKING_URI", store.uri)
        mlflow.set_tracking_uri(store.uri)
        uris = {name: log_small_router()[0] if name == "router" else log_model(store, name) for name in MODELS}
        mlflow.set_tracking_uri(None)
        folders: dict[str, Path] = {name: tmp_path_factory.mktemp(name) for name in MODELS}
        yield {name: servers.enter_context(scoring_server(uris[name], folders[name], store)) for name in MODELS}


def as_split(records: list[dict[str, Any]]) -> dict[str, Any]:
    return {"columns": list(records[0]), "data": [list(record.values()) for record in records]}


def test_a_router_answers_clusters_and_reasons_in_plain_json(urls: dict[str, str]) -> None:
    expected = json.loads(small_router().predict(ROWS).to_json(orient="records"))
    assert [record["reason"] for record in expected] == REASONS
    for document in ({"dataframe_records": RECORDS}, {"dataframe_split": as_split(RECORDS)}):
        status, answer = ask_json(urls["router"], document)
        assert status == 200, answer
        assert answer["predictions"] == expected
        assert [type(record["cluster"]) for record in answer["predictions"]] == [int, int, *[type(None)] * 3]
    status, answer = ask_json(urls["router"], {"dataframe_records": RECORDS[3:4]})
    assert (status, answer["predictions"]) == (200, expected[3:4])


@pytest.mark.parametrize("name", ["dbscan", "kmeans"])
def test_the_model_of_a_value_answers_its_clusters(urls: dict[str, str], name: str) -> None:
    records, found = fit_records(name, 0)
    model = found.model_that_predicts(0)
    rows = [{key: record[key] for key in FEATURES} for record in RECORDS]
    expected = (
        (nearest_from_bytes(model.npz) if model.npz else model.pipeline).predict(pd.DataFrame(rows).astype(float)).tolist()
    )
    assert len(set(expected)) == 2
    for document in ({"dataframe_records": rows}, {"dataframe_split": as_split(rows)}):
        status, answer = ask_json(urls[name], document)
        assert (status, answer["predictions"]) == (200, expected)
    status, answer = ask_json(urls[name], {"dataframe_records": records.to_dict(orient="records")})
    assert (status, answer["predictions"]) == (200, found.clusterings[0].labels.tolist())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_does_not_fit_is_the_askers_mistake(urls: dict[str, str], name: str, case: str) -> None:
    change, message = REFUSED[case]
    status, answer = ask_json(urls[name], {"dataframe_records": [RECORDS[0] | change]})
    assert status == 400
    assert message in answer


@pytest.mark.parametrize(("name", "column"), [("router", "island"), *[(name, "body_mass_g") for name in MODELS]])
def test_a_missing_column_is_the_askers_mistake(urls: dict[str, str], name: str, column: str) -> None:
    record = {key: value for key, value in RECORDS[0].items() if key != column}
    for document in ({"dataframe_records": [record]}, {"dataframe_split": as_split([record])}):
        status, answer = ask_json(urls[name], document)
        assert status == 400
        assert column in answer


def test_a_spark_udf_on_a_connect_server_gives_clusters_as_double(store: Store, connect_url: str, tmp_path: Path) -> None:
    uri, _ = log_small_router()
    expected = json.loads(small_router().predict(ROWS).to_json(orient="values"))
    rows = json.loads(ROWS.to_json(orient="values"))
    kinds = "island string, year bigint, bill_length_mm double, body_mass_g bigint"
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, connect_url, uri, json.dumps(rows), kinds],
        cwd=tmp_path / "elsewhere",
        env=environment(MLFLOW_TRACKING_URI=store.uri),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()[-2:]]
    assert answers == [[[["cluster", "double"], ["reason", "string"]], expected]] * 2
