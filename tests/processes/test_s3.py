"""A real tracking server with its artifacts on S3: the server alone knows where they are and holds the keys."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import dbscan_sweep
import mlflow
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from s3 import PYTHON, Bucket, bucket
from servers import server
from stores import Steps, Store


@dataclass(frozen=True)
class S3Server:
    """A tracking server with its artifacts in a bucket."""

    url: str
    bucket: Bucket


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.db").write_bytes(initialised_database)
    with bucket(folder) as made:
        options = ("--artifacts-destination", f"s3://{made.name}/artifacts")
        with server(folder, f"sqlite:///{folder}/server.db", *options, python=PYTHON, **made.variables) as started:
            yield S3Server(started.url, made)


def test_a_sweep_leaves_its_artifacts_in_a_bucket_for_which_it_has_no_keys(
    s3_server: S3Server, store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*s3_server.bucket.variables, *(name for name in os.environ if name.startswith("AWS_"))]:
        monkeypatch.delenv(name, raising=False)
    assert find_spec("boto3") is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", s3_server.url)
    mlflow.set_tracking_uri(s3_server.url)
    remote = Store(s3_server.url)
    assert step(dbscan_sweep, eps="0.5") == 0
    runs = {run.info.run_name: run for run in remote.runs()}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len(runs) == 1 + 3 + 3
    sweep = runs["dbscan_sweep"]
    assert sweep.info.artifact_uri.startswith("mlflow-artifacts:/")
    table = pd.read_csv(remote.artifact(sweep, "results.csv"))
    assert len(table) == 3
    for path in table["model_path"]:
        assert mlflow.sklearn.load_model(path)["dbscan"].eps == 0.5
    keys = s3_server.bucket.keys()
    assert [key for key in keys if key.endswith(f"/{sweep.info.run_id}/artifacts/results.csv")]
    for path in table["model_path"]:
        assert [key for key in keys if f"/{path.removeprefix('models:/')}/" in key and key.endswith("/MLmodel")]
    assert all(key.startswith("artifacts/") for key in keys)
