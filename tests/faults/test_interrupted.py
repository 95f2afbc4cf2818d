"""Processes that are told to end, or killed: what they leave on their runs, and nothing else behind them."""

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Store, open_store
from started import Started

from common.options import PROJECT

pytestmark = pytest.mark.faults

SECONDS = 30.0
COMMANDS = {
    "step": [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py")],
    "mlflow run": ["mlflow", "run", str(PROJECT), "-e", "dbscan_sweep", "--env-manager", "local"],
    "main": ["mlflow", "run", str(PROJECT), "--env-manager", "local", "-P", "steps=dbscan_sweep"],
}


@pytest.fixture
def own(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def statuses(store: Store) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in store.runs()}


@pytest.mark.parametrize(
    ("command", "number", "to_all"),
    [
        ("step", signal.SIGTERM, False),
        ("step", signal.SIGINT, False),
        ("mlflow run", signal.SIGTERM, False),
        ("mlflow run", signal.SIGINT, True),
        ("mlflow run", signal.SIGKILL, False),
        ("main", signal.SIGTERM, False),
        ("main", signal.SIGINT, True),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_what_is_told_to_end_is_killed_on_its_runs_and_leaves_no_process(
    own: Store, tmp_path: Path, command: str, number: signal.Signals, to_all: bool
) -> None:
    started = Started(tmp_path, own, COMMANDS[command])
    started.wait_for(6 if command == "main" else 5)
    (os.killpg if to_all else os.kill)(started.process.pid, number)
    until = time.monotonic() + SECONDS
    # MLflow calls a run FAILED for a moment, that of main the last.
    while started.left() or {"RUNNING", "FAILED"} & set(statuses(own).values()):
        assert time.monotonic() < until, (started.left(), statuses(own), started.output)
        started.process.poll()
        time.sleep(0.1)
    found = statuses(own)
    assert found["dbscan_sweep"] == "KILLED"
    assert set(found.values()) == {"KILLED", "FINISHED"}
    sweep = own.only("dbscan_sweep")
    assert sweep.data.tags["error"].startswith("interrupted by SIG")
    assert "Traceback" not in started.output
    if command == "step":
        assert started.process.wait() == 128 + number
    if command == "main":
        assert found["main"] == "KILLED"


def test_a_sweep_that_was_killed_is_resumed_without_loss_or_double(own: Store, tmp_path: Path) -> None:
    started = Started(tmp_path, own, COMMANDS["mlflow run"])
    started.wait_for(15)
    started.kill()
    whole = [run.info.run_id for run in own.runs() if run.info.run_name == "Biscoe" and run.info.status == "FINISHED"]
    assert len(whole) == 1
    again = Started(tmp_path, own, [*COMMANDS["mlflow run"], "-P", "resume=true"])
    assert again.process.wait() == 0, again.output
    assert "1 of 3 groups are taken over, finished, from" in again.output
    assert "RUNNING" not in statuses(own).values()
    finished = Counter(run.info.run_name for run in own.runs() if run.info.status == "FINISHED")
    assert len(finished) == 1 + 3 + 27
    assert set(finished.values()) == {1}
    assert own.only_finished("Biscoe").info.run_id in whole


def test_of_two_resumes_at_the_same_time_one_wins(own: Store, tmp_path: Path) -> None:
    started = Started(tmp_path, own, COMMANDS["step"])
    started.wait_for(8)
    started.kill()
    two = [Started(tmp_path, own, [*COMMANDS["step"], "--resume=true"]) for _ in range(2)]
    assert sorted(one.process.wait() for one in two) == [0, 1], started.output
    assert started.output.count("error: The run ") == 1
    assert "does this work and is alive" in started.output
    finished = Counter(run.info.run_name for run in own.runs() if run.info.status == "FINISHED")
    assert len(finished) == 1 + 3 + 27
    assert set(finished.values()) == {1}
    assert "RUNNING" not in statuses(own).values()
