"""Processes that are told to end, or killed: the status of their runs, and no process that they leave."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from running_command import RunningCommand
from servers import environment
from stores import Store, open_store

from penguins.project import PROJECT

LONGEST_S = 30.0
COMMANDS = {
    "step": [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py")],
    "mlflow run": ["mlflow", "run", str(PROJECT), "-e", "dbscan_sweep", "--env-manager", "local"],
    "main": ["mlflow", "run", str(PROJECT), "--env-manager", "local", "-P", "steps=dbscan_sweep"],
}
SLEEPER = """
from dataclasses import dataclass
from time import sleep
from penguins.cli.script import check_command_line, run_script

@dataclass(frozen=True)
class Parameters:
    "A step that takes long."

check_command_line("sleeper", Parameters)

def main(parameters):
    print("at work", flush=True)
    for _ in range(600):  # a signal that comes just before a sleep does not end it
        sleep(0.1)

run_script("sleeper", main, Parameters)
"""


@pytest.fixture
def own_store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def statuses(store: Store) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in store.runs()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_a_step_at_once_with_its_line_and_exit_code(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SLEEPER]
    variables = environment(PYTHONPATH=str(PROJECT / "steps"))
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as step:
        assert step.stdout is not None
        assert step.stdout.readline() == "at work\n"
        step.send_signal(number)
        _, errors = step.communicate(timeout=LONGEST_S)
    assert (errors, step.returncode) == (f"interrupted by {number.name}\n", 128 + number)


# MLflow ends at once by SIGTERM, as by SIGKILL: its steps notice that it is gone. `main` is a step of `mlflow run`, too.
@pytest.mark.parametrize(
    ("command", "number", "to_all"),
    [
        ("step", signal.SIGTERM, False),
        ("mlflow run", signal.SIGKILL, False),
        ("main", signal.SIGTERM, False),
        ("main", signal.SIGINT, True),
    ],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_command_that_is_told_to_end_has_killed_runs_and_leaves_no_process(
    own_store: Store, tmp_path: Path, command: str, number: signal.Signals, to_all: bool
) -> None:
    running = RunningCommand(tmp_path, own_store.uri, COMMANDS[command])
    running.wait_for_runs(6 if command == "main" else 5)
    (os.killpg if to_all else os.kill)(running.process.pid, number)
    until = time.monotonic() + LONGEST_S
    # For a moment MLflow calls a run FAILED, that of main last.
    while running.processes() or {"RUNNING", "FAILED"} & set(statuses(own_store).values()):
        assert time.monotonic() < until, (running.processes(), statuses(own_store), running.output)
        running.process.poll()
        time.sleep(0.1)
    found = statuses(own_store)
    assert found["dbscan_sweep"] == "KILLED"
    assert set(found.values()) == {"KILLED", "FINISHED"}
    assert own_store.only("dbscan_sweep").data.tags["error"].startswith("interrupted by SIG")
    assert "Traceback" not in running.output
    if command == "step":
        assert running.wait() == 128 + number
    if command == "main":
        assert found["main"] == "KILLED"


def test_a_sweep_that_was_killed_is_resumed_without_loss_or_double_and_of_two_resumes_one_wins(
    own_store: Store, tmp_path: Path
) -> None:
    killed = RunningCommand(tmp_path, own_store.uri, COMMANDS["mlflow run"])
    killed.wait_for_runs(12)
    killed.kill()
    [group] = [run for run in own_store.runs() if run.info.run_name == "Biscoe" and run.info.status == "FINISHED"]
    resume = [*COMMANDS["mlflow run"], "-P", "resume=true"]
    two = [RunningCommand(tmp_path, own_store.uri, resume) for _ in range(2)]
    assert sorted(one.wait() for one in two) == [0, 1], killed.output
    assert killed.errors.count("error: The run ") == 1
    assert "does this work and is alive" in killed.errors
    assert "1 of 3 groups are taken over, finished, from" in killed.output
    runs = own_store.runs()
    assert "RUNNING" not in {run.info.status for run in runs}
    finished = Counter(run.info.run_name for run in runs if run.info.status == "FINISHED")
    assert len(finished) == 1 + 3 + 27
    assert set(finished.values()) == {1}
    assert own_store.only_finished("Biscoe").info.run_id == group.info.run_id
