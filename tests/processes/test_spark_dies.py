"""Spark dies in mid-work, as when the system kills it for lack of memory: it is named, its results are kept, every run ends."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from failing_functions import REASONS
from mlflow.entities import Run
from running_command import RunningCommand
from servers import LONGEST_S, environment
from site_sweeps import sites, start_sweep
from stores import SEED_ROWS, Store, open_store

from penguins.project import PROJECT
from penguins.spark.jvm import LESS_MEMORY

KILLED = f"Spark's JVM was ended by SIGKILL (exit code -9), most often for lack of memory: {LESS_MEMORY}."


@pytest.fixture
def own_store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def spark_processes(running: RunningCommand, word: str) -> list[psutil.Process]:
    """Return the processes of the command whose command line holds `word`."""
    found = []
    for process in running.processes():
        with suppress(psutil.Error):
            if word in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_jvm(running: RunningCommand) -> None:
    """Kill the JVM of the command's Spark, which the command has started itself."""
    [jvm] = spark_processes(running, "org.apache.spark.deploy.SparkSubmit")
    jvm.kill()


def require_end_by_jvm(running: RunningCommand, store: Store) -> dict[str, Run]:
    """Require that the command fails with one line about its JVM and leaves no run open. Return its runs by name."""
    assert (running.wait(), running.errors) == (1, f"error: {KILLED}\n")
    runs = {run.info.run_name: run for run in store.runs("penguins")}
    assert {run.info.status for run in runs.values()} <= {"FAILED", "FINISHED"}
    assert {run.data.tags["error"] for run in runs.values() if run.info.status == "FAILED"} == {KILLED}
    return runs


# Groups are logged while others are still computed where they are many; with `log_from=executors`, while Spark is at work.
@pytest.mark.parametrize(
    ("log_from", "where", "n_groups", "n_runs"),
    [
        ("driver", "local[2]", 100, 12),
        ("executors", "local[2]", 12, 4),
        ("executors", "local-cluster[2,1,1024]", 12, 4),
        ("driver", "connect-local[2]", 100, 12),
    ],
)
def test_a_sweep_whose_jvm_is_killed_says_so_keeps_what_has_arrived_and_is_resumed(
    own_store: Store, tmp_path: Path, log_from: str, where: str, n_groups: int, n_runs: int
) -> None:
    runs_of_group, more = (1, ["--runs=groups"]) if log_from == "driver" else (3, [])
    table = sites(n_groups, 30 if log_from == "driver" else 150)
    running = start_sweep(tmp_path, own_store, table, log_from, where, "penguins", *more)
    running.wait_for_runs(n_runs)
    kill_jvm(running)
    runs = require_end_by_jvm(running, own_store)
    assert runs["dbscan_sweep"].info.status == "FAILED"
    n_finished = sum(run.info.status == "FINISHED" for run in runs.values())
    if log_from == "driver":  # all of the first job, which had come back
        assert n_runs < n_finished < n_groups
        assert len(runs) == 1 + n_finished
    resumed = start_sweep(tmp_path, own_store, table, log_from, "local[2]", "penguins", "--resume=true", *more)
    assert resumed.wait() == 0, resumed.output
    everything = own_store.runs("penguins")
    finished = Counter(run.info.run_name for run in everything if run.info.status == "FINISHED")
    assert len(finished) == 1 + runs_of_group * n_groups
    assert set(finished.values()) == {1}
    assert "RUNNING" not in {run.info.status for run in everything}
    if log_from == "driver":
        assert f" of {n_groups} groups are taken over, finished" in resumed.output


def start_step(folder: Path, store: Store, step: str, *options: str) -> RunningCommand:
    """Start a step with Spark in two threads."""
    command = [sys.executable, str(PROJECT / "steps" / f"{step}.py"), "--spark=local[2]", "--experiment=penguins", *options]
    return RunningCommand(folder, store.uri, command)


def n_datasets(running: RunningCommand) -> int:
    """Return how many tables the runs of the store have read."""
    with sqlite3.connect(running.database, timeout=20) as database:
        return int(database.execute("SELECT count(*) FROM inputs").fetchone()[0])


def test_a_regression_whose_jvm_is_killed_says_so(own_store: Store, tmp_path: Path) -> None:
    running = start_step(tmp_path, own_store, "spark_logistic_regression")
    running.wait_until(lambda: n_datasets(running))
    kill_jvm(running)
    assert list(require_end_by_jvm(running, own_store)) == ["spark_logistic_regression"]


def test_a_scoring_whose_jvm_is_killed_says_so(own_store: Store, tmp_path: Path) -> None:
    sweep = start_step(tmp_path, own_store, "dbscan_sweep", "--eps=0.9", "--models=best")
    assert sweep.wait() == 0, sweep.output
    [run] = [run for run in own_store.runs("penguins") if run.info.run_name == "dbscan_sweep"]
    uri = f"--model_uri=runs:/{run.info.run_id}/router"
    scoring = start_step(tmp_path, own_store, "score", uri, f"--data=file://{SEED_ROWS}")
    scoring.wait_until(lambda: spark_processes(scoring, "pyspark.daemon"))
    kill_jvm(scoring)
    assert require_end_by_jvm(scoring, own_store)["score"].info.status == "FAILED"


REASONS_SCRIPT = """
import json, sys
import pandas as pd
from failing_functions import REASONS, failing_function
from penguins.spark.jobs import spark_failure_reason
from penguins.spark.session import spark_session
from penguins.spark.target import SparkTarget
with spark_session(SparkTarget(sys.argv[1])) as session:
    frame, reasons = session.createDataFrame(pd.DataFrame({"key": list("abcd")})), {}
    for kind in REASONS:
        try:
            frame.groupBy("key").applyInPandas(failing_function(kind), "key string").collect()
        except Exception as error:
            reasons[kind] = spark_failure_reason(error)
print(json.dumps(reasons))
"""


@pytest.mark.parametrize("where", ["connect-local[2]", "local-cluster[1,2,1024]"])
def test_a_failed_job_has_the_same_reason_on_a_connect_server_and_on_executors(where: str) -> None:
    folders = f"{PROJECT / 'steps'}:{PROJECT / 'tests' / 'support'}"
    command = [sys.executable, "-c", REASONS_SCRIPT, where]
    done = subprocess.run(
        command, env=environment(PYTHONPATH=folders), capture_output=True, text=True, check=True, timeout=2 * LONGEST_S
    )
    found = json.loads(done.stdout)
    assert {kind: reason[: len(REASONS[kind])] for kind, reason in found.items()} == REASONS
