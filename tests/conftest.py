"""A fresh SQLite store for each test that asks for one, and one Spark session for the whole suite."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from pyspark.sql import SparkSession

from common import options, spark, tracking

os.environ["DO_NOT_TRACK"] = "true"
SEED_ROWS = options.PROJECT / "data" / "penguins.csv"
ARCHIVING = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    """Has the archive made from which later Sparks start sooner, once in an environment and beside the first tests."""
    if not hasattr(config, "workerinput") and not spark.ARCHIVE.is_file():
        command = [sys.executable, str(options.PROJECT / "steps" / "common" / "spark_archive.py")]
        config.stash[ARCHIVING] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Lets it come to its end."""
    if (process := config.stash.get(ARCHIVING, None)) is not None:
        process.wait()


@pytest.fixture(scope="session")
def session() -> Iterator[SparkSession]:
    with spark.session("local[2]") as started:
        yield started


@dataclass
class Store:
    """A tracking store of a test's own, and what the test asks of it."""

    uri: str

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def runs(self, experiment: str = "penguins") -> list[Run]:
        found = self.client.get_experiment_by_name(experiment)
        return list(self.client.search_runs([found.experiment_id], max_results=1000)) if found else []

    def only(self, name: str) -> Run:
        [run] = [run for run in self.runs() if run.info.run_name == name]
        return run

    def only_finished(self, name: str) -> Run:
        [run] = [run for run in self.runs() if run.info.run_name == name and run.info.status == "FINISHED"]
        return run

    def children(self, run: Run) -> dict[str, Run]:
        found = tracking.children(run.info.run_id, run.info.experiment_id)
        assert len({child.info.run_name for child in found}) == len(found)
        return {child.info.run_name: child for child in found}

    def artifacts(self, run: Run) -> set[str]:
        return {artifact.path for artifact in self.client.list_artifacts(run.info.run_id)}

    def artifact(self, run: Run, path: str) -> Path:
        return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=path))

    def model_uri(self, run: Run) -> str:
        [output] = run.outputs.model_outputs
        return f"models:/{output.model_id}"


def empty_store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="session")
def initialised_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tables of a store, which take MLflow seconds to create: made once and copied."""
    folder = tmp_path_factory.mktemp("database")
    MlflowClient(empty_store(folder)).search_experiments()
    return (folder / "mlflow.db").read_bytes()


def open_store(folder: Path, database: bytes) -> Store:
    (folder / "mlflow.db").write_bytes(database)
    store = Store(empty_store(folder))
    store.client.create_experiment("penguins", artifact_location=(folder / "artifacts").as_uri())
    return store


@pytest.fixture
def store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", tracking.PARENT):
        monkeypatch.delenv(name, raising=False)
    opened = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", opened.uri)
    mlflow.set_tracking_uri(opened.uri)
    monkeypatch.chdir(tmp_path)
    yield opened
    mlflow.set_tracking_uri(None)


Steps = Callable[..., int]


@pytest.fixture
def step(store: Store) -> Steps:
    """Runs a step in this process with options as its script takes them; returns the exit code."""

    def run(module: ModuleType, **parameters: Any) -> int:
        argv = [f"--{name}={options.as_text(value)}" for name, value in parameters.items()]
        return options.run(module.NAME, module.main, module.Parameters, argv)

    return run
