"""Executors in processes of their own that die in mid-sweep: Spark repeats their tasks, and every run is there once."""

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from clusters import standalone
from conftest import Store, open_store
from servers import USER, server
from started import Started

from common.options import PROJECT

pytestmark = pytest.mark.faults

GROUPS, RECORDS, EPS = 12, 150, ("0.3", "0.6")
# As soon as one task has ended, Spark repeats any other that takes longer.
SPECULATION = {"interval": "100ms", "minTaskRuntime": "100ms", "multiplier": "1.1", "quantile": "0.1"}


def executors(session: int) -> list[psutil.Process]:
    """The executors of the Spark that a process has started."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and "CoarseGrainedExecutorBackend" in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def workers_in(folder: Path) -> list[psutil.Process]:
    """The processes of Python in which the executors that work in the folder cluster their groups."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            command, parent = " ".join(process.cmdline()), process.parent()
            here = Path(process.cwd()).is_relative_to(folder)
            if here and "pyspark.daemon" in command and parent and parent.name() != "java":
                found.append(process)
    return found


def start_sweep(
    folder: Path, store: Store, sizes: Sequence[int], log_from: str, where: str = "local-cluster[2,1,1024]"
) -> Started:
    """A sweep of groups of these sizes on two executors."""
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(sum(sizes), 2)), columns=["x", "y"])
    rows.insert(0, "site", np.repeat([f"site-{number:02}" for number in range(len(sizes))], sizes))
    rows.to_csv(folder / "sites.csv", index=False)
    options = ["--data=sites.csv", "--group_by=site", "--features=x,y", f"--eps={','.join(EPS)}", f"--log_from={log_from}"]
    command = [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), f"--spark={where}", *options]
    return Started(folder, store, command, **USER)


def workers_of(executor: psutil.Process) -> list[psutil.Process]:
    """The processes of Python in which an executor clusters its groups, without the one that makes them."""
    with suppress(psutil.Error):
        return [child for child in executor.children(recursive=True) if child.ppid() != executor.pid]
    return []


def assert_whole(store: Store, groups: int) -> None:
    """One finished run for each group and eps, its model, its row; nothing else."""
    expected = ["dbscan_sweep", *[f"site-{number:02}" for number in range(groups)]]
    expected += [f"site-{number:02}-eps{eps}" for number in range(groups) for eps in EPS]
    runs = {run.info.run_id: run for run in store.runs()}
    assert Counter(run.info.run_name for run in runs.values()) == Counter(expected)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    models = store.client.search_logged_models([next(iter(runs.values())).info.experiment_id])
    assert Counter(model.source_run_id for model in models) == Counter(
        run_id for run_id, run in runs.items() if "eps" in run.data.params and "group" in run.data.params
    ) - Counter(run_id for run_id, run in runs.items() if run.info.run_name == "dbscan_sweep")
    table = pd.read_csv(store.artifact(store.only("dbscan_sweep"), "results.csv"))
    assert len(table) == groups * len(EPS)
    assert set(table["model_path"]) == {f"models:/{model.model_id}" for model in models}


@pytest.fixture
def own_store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


@pytest.mark.parametrize("log_from", ["driver", "executors"])
@pytest.mark.parametrize("victim", ["executor", "worker"])
def test_an_executor_or_a_task_that_dies_in_mid_sweep_leaves_one_run_for_each_group_and_eps(
    own_store: Store, tmp_path: Path, log_from: str, victim: str
) -> None:
    started = start_sweep(tmp_path, own_store, [RECORDS] * GROUPS, log_from)
    started.wait_for(4 if log_from == "executors" else 1)
    until, killed = time.monotonic() + 90, 0
    while not killed:
        assert started.process.poll() is None, started.output
        assert time.monotonic() < until, started.output
        time.sleep(0.05)
        found = executors(started.process.pid)
        # Of the workers all: each that has a task lets it fail.
        for process in found[:1] if victim == "executor" else [worker for one in found for worker in workers_of(one)]:
            with suppress(psutil.NoSuchProcess):  # a worker ends by itself, too
                # What the driver shows a server is no part of their environment: those who log are told.
                assert victim == "executor" or not [
                    value for name, value in process.environ().items() if name in USER and value
                ]
                process.kill()
                killed += 1
    assert started.process.poll() is None
    assert started.process.wait() == 0, started.output
    assert_whole(own_store, GROUPS)
    until = time.monotonic() + 10  # executors end after the driver that they have lost
    while started.left() and time.monotonic() < until:
        time.sleep(0.1)
    assert not started.left()


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_a_task_that_is_slow_and_so_begun_again_leaves_one_run_for_each_group_and_eps(
    own_store: Store, tmp_path: Path, log_from: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"spark.speculation": "true"} | {f"spark.speculation.{name}": value for name, value in SPECULATION.items()}
    given = " ".join(f"--conf {name}={value}" for name, value in settings.items())
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", f"{given} pyspark-shell")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    with ExitStack() as stack:
        master, store = stack.enter_context(standalone(tmp_path)), own_store
        if log_from == "executors":  # to a store that is no file of this machine
            store = Store(stack.enter_context(server(tmp_path, own_store.uri)).url)
            monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
        started = start_sweep(tmp_path, store, [RECORDS] * GROUPS, log_from, master)
        until = time.monotonic() + 120
        while len(store.runs()) < (6 if log_from == "executors" else 1) or not (found := workers_in(tmp_path / "work")):
            assert started.process.poll() is None, started.output
            assert time.monotonic() < until, started.output
            time.sleep(0.05)
        # Spark begins a task again on another host only.
        found[0].suspend()
        try:
            assert started.process.wait(120) == 0, started.output
            assert_whole(store, GROUPS)
        finally:
            with suppress(psutil.NoSuchProcess):
                found[0].resume()
            if started.process.poll() is None:
                started.kill()
    said = "".join(log.read_text() for log in (tmp_path / "work").glob("*/*/stderr"))
    assert re.search(r"Running task \d+\.1 in stage", said)
