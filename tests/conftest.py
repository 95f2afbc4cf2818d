"""Fixtures of all tests: a fresh SQLite store for each test that asks for one, and one Spark session for the whole run.

MLflow and Spark are imported by the fixtures, so that the unit tests run without them.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from stores import Store

os.environ["DO_NOT_TRACK"] = "true"

Steps = Callable[..., int]


@pytest.fixture(scope="session")
def session() -> Iterator["SparkSession"]:
    from penguins.spark.session import spark_session
    from penguins.spark.target import SparkTarget

    with spark_session(SparkTarget("local[2]")) as started:
        yield started


@pytest.fixture(scope="session")
def initialised_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tables of a store, which take MLflow seconds to create: made once and copied."""
    from mlflow import MlflowClient
    from stores import empty_store

    folder = tmp_path_factory.mktemp("database")
    MlflowClient(empty_store(folder)).search_experiments()
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator["Store"]:
    import mlflow
    from stores import open_store

    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "PENGUINS_PARENT_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    opened = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", opened.uri)
    mlflow.set_tracking_uri(opened.uri)
    monkeypatch.chdir(tmp_path)
    yield opened
    mlflow.set_tracking_uri(None)


@pytest.fixture
def step(store: "Store") -> Steps:
    """Run a step in this process with options as its script takes them, and return the exit code."""
    from penguins.cli.rules import to_text
    from penguins.cli.script import run_entry_point

    def run(module: ModuleType, **parameters: Any) -> int:
        argv = [f"--{name}={to_text(value)}" for name, value in parameters.items()]
        return run_entry_point(module.NAME, module.main, module.Parameters, argv)

    return run
