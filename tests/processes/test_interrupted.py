"""Processes that are told to end, or killed: the status of their runs, and no process that they leave."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running_command import RunningCommand
from servers import environment
from stores import Store, open_store

from penguins.cli.signals import SAME_WISH_S
from penguins.project import PROJECT

LONGEST_S = 30.0
COMMANDS = {
    "step": [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py")],
    "mlflow run": ["mlflow", "run", str(PROJECT), "-e", "dbscan_sweep", "--env-manager", "local"],
    "main": ["mlflow", "run", str(PROJECT), "--env-manager", "local", "-P", "steps=dbscan_sweep"],
}
# A step that looks for a signal every `PAUSE_S` seconds, and a process that is still importing before.
SLEEPER = """
import os
from dataclasses import dataclass
from time import sleep
from penguins.cli import signals
from penguins.cli.parameters import Experiment
from penguins.cli.script import check_command_line, run_script

@dataclass(frozen=True)
class Parameters:
    "A step that takes long."

    experiment: Experiment = ""

check_command_line("sleeper", Parameters)
if "IMPORTS_S" in os.environ:
    print("importing", flush=True)
    sleep(float(os.environ["IMPORTS_S"]))

from penguins.resume.step_run import step_run

def main(parameters):
    signals.GRACE_S = float(os.environ.get("GRACE_S", "25"))
    with step_run("sleeper", parameters, ""):
        print("at work", flush=True)
        while True:
            sleep(float(os.environ["PAUSE_S"]))
            signals.raise_if_interrupted()

run_script("sleeper", main, Parameters)
"""


@pytest.fixture
def own_store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def statuses(store: Store) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in store.runs()}


@contextmanager
def sleeper(store: Store, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start the sleeper on the store, and yield it when it has printed its first line."""
    everything = environment(PYTHONPATH=str(PROJECT / "steps"), MLFLOW_TRACKING_URI=store.uri, **variables)
    command = [sys.executable, "-c", SLEEPER]
    with subprocess.Popen(command, env=everything, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as step:
        try:
            assert step.stdout is not None
            assert step.stdout.readline() == ("importing\n" if "IMPORTS_S" in variables else "at work\n")
            yield step
        finally:
            step.kill()


def end_of_run(store: Store) -> tuple[str, str | None]:
    """Return the status and the error of the sleeper's run."""
    run = store.only("sleeper")
    return run.info.status, run.data.tags.get("error")


@pytest.mark.parametrize(
    "numbers",
    # A scheduler signals every process of a group, and `main` its steps once more.
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGTERM)],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
def test_a_signal_ends_a_step_where_it_looks_with_its_line_and_exit_code(
    own_store: Store, numbers: tuple[signal.Signals, ...]
) -> None:
    with sleeper(own_store, PAUSE_S="2") as step:
        for number in numbers:
            step.send_signal(number)
            time.sleep(0.1)
        _, errors = step.communicate(timeout=LONGEST_S)
    reason = f"interrupted by {numbers[0].name}"
    assert (errors, step.returncode) == (f"{reason}\n", 128 + numbers[0])
    assert end_of_run(own_store) == ("KILLED", reason)


@pytest.mark.parametrize("why", ["a second signal", "the end of the grace period"])
def test_a_step_that_does_not_look_is_ended_by_force_and_its_run_is_killed(own_store: Store, why: str) -> None:
    is_second = why == "a second signal"
    with sleeper(own_store, PAUSE_S="600", GRACE_S="600" if is_second else "1") as step:
        step.send_signal(signal.SIGTERM)
        if is_second:
            time.sleep(SAME_WISH_S + 0.5)
            step.send_signal(signal.SIGTERM)
        _, errors = step.communicate(timeout=LONGEST_S)
    assert (errors, step.returncode) == ("interrupted by SIGTERM: ended by force\n", 128 + signal.SIGTERM)
    assert end_of_run(own_store) == ("KILLED", "interrupted by SIGTERM")


def test_a_signal_ends_a_process_at_once_that_has_no_run_yet(own_store: Store) -> None:
    with sleeper(own_store, IMPORTS_S="600", PAUSE_S="0") as step:
        step.send_signal(signal.SIGTERM)
        _, errors = step.communicate(timeout=5)
    assert (errors, step.returncode) == ("", 128 + signal.SIGTERM)
    assert own_store.runs() == []


def test_a_signal_that_comes_before_the_step_ends_the_run_that_mlflow_run_opened(own_store: Store) -> None:
    opened = own_store.client.create_run(own_store.experiment_id, run_name="sleeper")
    with sleeper(own_store, IMPORTS_S="1", PAUSE_S="0", MLFLOW_RUN_ID=opened.info.run_id) as step:
        step.send_signal(signal.SIGTERM)
        _, errors = step.communicate(timeout=LONGEST_S)
    assert (errors, step.returncode) == ("interrupted by SIGTERM\n", 128 + signal.SIGTERM)
    assert end_of_run(own_store) == ("KILLED", "interrupted by SIGTERM")


# MLflow writes FAILED on the runs that it opened, unless it is gone itself: by SIGTERM it ends at once, as by SIGKILL, and its
# steps notice that. `main` is a step of `mlflow run` and opens runs through MLflow itself.
@pytest.mark.parametrize(
    ("command", "number", "to_all", "ends"),
    [
        ("step", signal.SIGTERM, False, {"dbscan_sweep": "KILLED"}),
        ("step", signal.SIGINT, True, {"dbscan_sweep": "KILLED"}),
        ("mlflow run", signal.SIGKILL, False, {"dbscan_sweep": "KILLED"}),
        ("mlflow run", signal.SIGINT, True, {"dbscan_sweep": "FAILED"}),
        ("main", signal.SIGTERM, False, {"dbscan_sweep": "FAILED", "main": "KILLED"}),
        ("main", signal.SIGTERM, True, {"dbscan_sweep": "FAILED", "main": "KILLED"}),
        ("main", signal.SIGINT, True, {"dbscan_sweep": "FAILED", "main": "FAILED"}),
    ],
    ids=lambda value: str(getattr(value, "name", "" if isinstance(value, dict) else value)),
)
def test_a_command_that_is_told_to_end_in_mid_sweep_ends_its_runs_with_the_reason_and_leaves_no_process(
    own_store: Store, tmp_path: Path, command: str, number: signal.Signals, to_all: bool, ends: dict[str, str]
) -> None:
    running = RunningCommand(tmp_path, own_store.uri, COMMANDS[command])
    running.wait_for_runs(6 if command == "main" else 5)
    (os.killpg if to_all else os.kill)(running.process.pid, number)
    until = time.monotonic() + LONGEST_S
    while running.processes():
        assert time.monotonic() < until, (running.processes(), statuses(own_store), running.output)
        running.process.poll()
        time.sleep(0.1)
    found = statuses(own_store)
    assert {name: found.pop(name) for name in ends} == ends
    if command == "step":  # the others hand a signal on after up to half a second, perhaps between two groups
        assert "KILLED" in found.values(), "a run of a group or an eps was open"
    assert set(found.values()) <= {"KILLED", "FINISHED"}
    assert len(found) < 3 + 27, "the sweep was not completed"
    for name in ends:
        assert own_store.only(name).data.tags["error"].startswith("interrupted by SIG")
    assert "Traceback" not in running.output
    assert "ended by force" not in running.errors
    if command == "step":
        assert (running.errors, running.wait()) == (f"interrupted by {number.name}\n", 128 + number)


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
