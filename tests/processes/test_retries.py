"""Executors and tasks that die in mid-sweep, or are slow: Spark repeats the tasks, and every run is there once."""

import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest
from clusters import Cluster, submit_variables
from running_command import RunningCommand
from site_sweeps import EPS, FEATURES, sites, start_sweep
from stores import Store, open_store

from penguins.sweep.fit import sweep
from penguins.sweep.router_model import ROUTER
from penguins.tracking.server import SECRETS

GROUPS = 12
SITES = sites(GROUPS, 150)
# As soon as one task has ended, Spark repeats any other that takes longer.
SPECULATION = {
    "speculation": "true",
    "speculation.interval": "100ms",
    "speculation.minTaskRuntime": "100ms",
    "speculation.multiplier": "1.1",
    "speculation.quantile": "0.1",
}


def executors(running: RunningCommand) -> list[psutil.Process]:
    """Return the executors of the Spark that a sweep has started."""
    found = []
    for process in running.processes():
        with suppress(psutil.Error):
            if "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()):
                found.append(process)
    return found


def python_workers(executor: psutil.Process) -> list[psutil.Process]:
    """Return the Python processes in which an executor clusters its groups, without the daemon that forks them."""
    with suppress(psutil.Error):
        return [child for child in executor.children(recursive=True) if child.ppid() != executor.pid]
    return []


def python_workers_in(folder: Path) -> list[psutil.Process]:
    """Return the Python processes of the executors that work in the folder, without the daemons that fork them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command, parent = " ".join(process.cmdline()), process.parent()
            is_there = Path(process.cwd()).is_relative_to(folder)
            if is_there and "pyspark.daemon" in command and parent and parent.name() != "java":
                found.append(process)
    return found


def kill_first(processes: list[psutil.Process]) -> bool:
    """Kill the first process, if there is one, and tell whether it was still there."""
    with suppress(psutil.NoSuchProcess):
        for process in processes[:1]:
            process.kill()
            return True
    return False


def kill_workers(running: RunningCommand) -> int:
    """Kill all Python workers, so that each task which is at work fails, and return how many there were."""
    killed = 0
    for worker in [worker for executor in executors(running) for worker in python_workers(executor)]:
        with suppress(psutil.NoSuchProcess):  # a worker ends by itself, too
            # Those who log are sent the driver's secrets: they are not in the environment, where others would find them.
            assert not [name for name, value in worker.environ().items() if name in SECRETS and value]
            worker.kill()
            killed += 1
    return killed


def assert_complete(store: Store, experiment: str) -> None:
    """Assert that each group and eps has one finished run with its values, its model and its row, and nothing else is there."""
    names = [f"site-{number:02}" for number in range(GROUPS)]
    runs = {run.info.run_id: run for run in store.runs(experiment)}
    expected = ["dbscan_sweep", *names, *[f"{name}-eps{eps}" for name in names for eps in EPS]]
    assert Counter(run.info.run_name for run in runs.values()) == Counter(expected)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    by_name = {run.info.run_name: run for run in runs.values()}
    for name, records in SITES.groupby("site"):
        for outcome in sweep(records[FEATURES], EPS, 3).outcomes:
            assert by_name[f"{name}-eps{outcome.eps}"].data.metrics == pytest.approx(outcome.metrics, rel=1e-9)
    whole = by_name["dbscan_sweep"]
    everything = store.client.search_logged_models([whole.info.experiment_id])
    models = [model for model in everything if model.name != ROUTER]
    assert [model.source_run_id for model in everything if model.name == ROUTER] == [whole.info.run_id]
    assert Counter(runs[model.source_run_id].info.run_name for model in models) == Counter(
        name for name in expected if "-eps" in name
    )
    table = pd.read_csv(store.artifact(whole, "results.csv"))
    assert len(table) == GROUPS * len(EPS)
    assert set(table["model_path"]) == {f"models:/{model.model_id}" for model in models}


@pytest.fixture
def own_store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_an_executor_and_tasks_that_die_in_mid_sweep_leave_one_run_for_each_group_and_eps(
    own_store: Store, tmp_path: Path, log_from: str
) -> None:
    running = start_sweep(tmp_path, own_store, SITES, log_from, "local-cluster[2,1,1024]", "penguins")
    running.wait_for_runs(4 if log_from == "executors" else 1)
    running.wait_until(lambda: kill_first([executor for executor in executors(running) if python_workers(executor)]))
    running.wait_until(lambda: kill_workers(running))
    assert running.process.poll() is None
    assert running.wait() == 0, running.output
    assert_complete(own_store, "penguins")
    until = time.monotonic() + 10  # executors end after the driver that they have lost
    while running.processes() and time.monotonic() < until:
        time.sleep(0.1)
    assert not running.processes()


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_a_task_that_is_slow_and_so_begun_again_leaves_one_run_for_each_group_and_eps(
    own_store: Store,
    team_store: Store,
    tmp_path: Path,
    log_from: str,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Workers elsewhere log to a store that is no file of this machine.
    store = team_store if log_from == "executors" else own_store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    experiment = f"slow tasks, logged from {log_from}"
    applications = set(cluster.work.glob("*"))
    running = start_sweep(tmp_path, store, SITES, log_from, cluster.url, experiment, **submit_variables(**SPECULATION))
    n_runs = 6 if log_from == "executors" else 1
    running.wait_until(lambda: len(store.runs(experiment)) >= n_runs and python_workers_in(cluster.work))
    # Spark begins a task again only on another host.
    slow = python_workers_in(cluster.work)[0]
    slow.suspend()
    try:
        assert running.wait() == 0, running.output
        assert_complete(store, experiment)
    finally:
        with suppress(psutil.NoSuchProcess):
            slow.resume()
    [application] = set(cluster.work.glob("*")) - applications
    assert any(re.search(r"Running task \d+\.1 in stage", log.read_text()) for log in application.glob("*/stderr"))
