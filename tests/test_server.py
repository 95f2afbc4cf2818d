"""A real tracking server: the same tree as in a file, several runs at a time, artifacts through the server."""

import socket
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import dbscan_sweep
import mlflow
import pandas as pd
import pytest
from conftest import Steps, Store
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from servers import USER, server

from common import connections, tracking


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.db").write_bytes(initialised_database)
    with server(folder, f"sqlite:///{folder}/server.db") as started:
        yield started.url


@pytest.fixture
def remote(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    mlflow.set_tracking_uri(url)
    return Store(url)


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_a_sweep_leaves_its_tree_and_its_models_on_a_server(
    remote: Store, step: Steps, session: SparkSession, log_from: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, eps="0.3,0.5,0.9,1.5", log_from=log_from, experiment=log_from) == 0
    assert capfd.readouterr().err == ""
    runs = {run.info.run_name: run for run in remote.runs(log_from)}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert len(runs) == 1 + 3 + 12
    sweep = runs["dbscan_sweep"]
    table = pd.read_csv(remote.artifact(sweep, "results.csv"))
    for island, eps, path in zip(table["island"], table["eps"], table["model_path"], strict=True):
        child = runs[f"{island}-eps{eps:g}"]
        assert child.data.tags["mlflow.parentRunId"] == runs[island].info.run_id
        assert path == remote.model_uri(child)
        model = mlflow.sklearn.load_model(path)
        assert model["dbscan"].eps == eps
        assert (model["dbscan"].labels_ >= 0).sum() == child.data.metrics["n_clustered_records"]


def test_runs_of_a_group_are_logged_at_the_same_time(remote: Store, step: Steps, session: SparkSession) -> None:
    assert step(dbscan_sweep, experiment="overlap") == 0
    [sweep] = [run for run in remote.runs("overlap") if run.info.run_name == "dbscan_sweep"]
    for group in tracking.children(sweep.info.run_id, sweep.info.experiment_id):
        spans = sorted(
            (run.info.start_time, run.info.end_time) for run in tracking.children(group.info.run_id, group.info.experiment_id)
        )
        assert any(later[0] < earlier[1] for earlier, later in pairwise(spans))


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_workers_are_sent_the_name_and_the_password_only_where_they_log(
    remote: Store, step: Steps, session: SparkSession, log_from: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {name: f"the worker's {name}" for name in USER}
    for name, value in shown.items():
        monkeypatch.setenv(name, value)
    sent, dumps = list[bytes](), cloudpickle.dumps

    def recorded(*arguments: Any, **named: Any) -> bytes:
        sent.append(dumps(*arguments, **named))  # type: ignore[no-untyped-call]
        return sent[-1]

    monkeypatch.setattr(cloudpickle, "dumps", recorded)
    assert step(dbscan_sweep, eps="0.5", log_from=log_from, experiment=f"sent from {log_from}") == 0
    assert any(b"cluster_in_worker" in pickled or b"log_in_worker" in pickled for pickled in sent)
    for value in shown.values():
        assert any(value.encode() in pickled for pickled in sent) == (log_from == "executors")


@pytest.mark.skipif(not connections.OPTION, reason="Linux alone lets a process acknowledge at once")
def test_each_answer_of_a_server_is_acknowledged_at_once(remote: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    connections.acknowledge_at_once()
    options, set_option = list[int](), socket.socket.setsockopt

    def recorded(connection: socket.socket, level: int, option: int, value: int) -> None:
        options.append(option)
        set_option(connection, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", recorded)
    for _ in range(3):
        remote.client.search_experiments()
    assert options.count(connections.OPTION) == 3
