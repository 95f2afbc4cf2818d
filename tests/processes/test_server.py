"""A real tracking server: the same tree as in a file, several runs at a time, artifacts through the server."""

import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import dbscan_sweep
import mlflow
import pandas as pd
import pytest
import requests
from mlflow.entities import Run
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from servers import Server, server
from stores import Store
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from penguins.cli.script import run_entry_point
from penguins.tracking.server import QUICK_ACK, QUICKACK, SECRETS, acknowledge_at_once
from penguins.tracking.store import child_runs

EPS = "0.3,0.5,0.9,1.5"
CREDENTIALS = {name: f"the worker's {name}" for name in SECRETS}


@dataclass(frozen=True)
class Sweep:
    """A sweep on a server: its runs by name, and what Spark was sent for it."""

    log_from: str
    store: Store
    runs: dict[str, Run]
    sent: list[bytes]


@pytest.fixture(scope="module", params=["driver", "executors"])
def sweep(request: pytest.FixtureRequest, tracking_server: Server, session: SparkSession) -> Iterator[Sweep]:
    sent, dumps = list[bytes](), cloudpickle.dumps

    def record(*arguments: Any, **named: Any) -> bytes:
        sent.append(dumps(*arguments, **named))  # type: ignore[no-untyped-call]
        return sent[-1]

    argv = [f"--eps={EPS}", f"--log_from={request.param}", f"--experiment={request.param}"]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "MLFLOW_TRACKING_URI": tracking_server.url}.items():
            patch.setenv(name, value)
        patch.setattr(cloudpickle, "dumps", record)
        mlflow.set_tracking_uri(tracking_server.url)
        assert run_entry_point(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv) == 0
        store = Store(tracking_server.url)
        runs = store.runs(request.param)
        assert len({run.info.run_name for run in runs}) == len(runs)
        yield Sweep(request.param, store, {run.info.run_name: run for run in runs}, sent)
        mlflow.set_tracking_uri(None)


def test_a_sweep_leaves_its_tree_and_its_models_on_a_server(sweep: Sweep) -> None:
    runs = sweep.runs
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len(runs) == 1 + 3 + 12
    table = pd.read_csv(sweep.store.artifact(runs["dbscan_sweep"], "results.csv"))
    for island, eps, path in zip(table["island"], table["eps"], table["model_path"], strict=True):
        child = runs[f"{island}-eps{eps:g}"]
        assert child.data.tags["mlflow.parentRunId"] == runs[island].info.run_id
        assert path == sweep.store.model_uri(child)
        model = mlflow.sklearn.load_model(path)
        assert model["dbscan"].eps == eps
        assert (model["dbscan"].labels_ >= 0).sum() == child.data.metrics["n_clustered_records"]


def test_runs_of_a_group_are_logged_at_the_same_time(sweep: Sweep) -> None:
    whole = sweep.runs["dbscan_sweep"].info
    for group in child_runs(whole.run_id, whole.experiment_id):
        spans = sorted(
            (run.info.start_time, run.info.end_time) for run in child_runs(group.info.run_id, group.info.experiment_id)
        )
        assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def test_workers_are_sent_secrets_only_where_they_log(sweep: Sweep) -> None:
    assert any(b"fit_in_worker" in pickled or b"log_in_worker" in pickled for pickled in sweep.sent)
    for value in CREDENTIALS.values():
        assert any(value.encode() in pickled for pickled in sweep.sent) == (sweep.log_from == "executors")


@pytest.mark.skipif(not QUICKACK, reason="Linux alone lets a process acknowledge at once")
@pytest.mark.parametrize(("switch", "expected"), [("", 3), ("true", 3), ("False", 0)])
def test_each_answer_of_a_server_is_acknowledged_at_once_unless_that_is_switched_off(
    tracking_server: Server, monkeypatch: pytest.MonkeyPatch, switch: str, expected: int
) -> None:
    monkeypatch.setattr(HTTPConnectionPool, "ConnectionCls", HTTPConnection)
    monkeypatch.setattr(HTTPSConnectionPool, "ConnectionCls", HTTPSConnection)
    if switch:
        monkeypatch.setenv(QUICK_ACK, switch)
    acknowledge_at_once()
    options, set_option = list[int](), socket.socket.setsockopt

    def record(connection: socket.socket, level: int, option: int, value: int) -> None:
        options.append(option)
        set_option(connection, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", record)
    for _ in range(3):
        assert requests.get(f"{tracking_server.url}/health", timeout=60).ok
    assert options.count(QUICKACK) == expected


def test_workers_log_to_the_workspace_of_the_driver(
    tmp_path: Path, initialised_database: bytes, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server.db").write_bytes(initialised_database)
    with server(tmp_path, f"sqlite:///{tmp_path}/server.db", "--enable-workspaces") as started:
        store = Store(started.url)
        store.client.create_workspace("birds")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", started.url)
        monkeypatch.setenv("MLFLOW_WORKSPACE", "birds")
        mlflow.set_tracking_uri(started.url)
        argv = ["--eps=0.5,0.9", "--log_from=executors"]
        assert run_entry_point(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv) == 0
        mlflow.set_tracking_uri(None)
        assert Counter(run.info.status for run in store.runs()) == {"FINISHED": 1 + 3 + 6}
        assert len(store.client.search_logged_models([store.experiment_id])) == 6 + 1
        monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
        assert store.runs() == []
