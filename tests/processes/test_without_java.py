"""Commands on a machine without Java, and sweeps of processes that are killed or told to end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from running_command import RunningCommand
from servers import LONGEST_S, environment
from site_sweeps import sites, start_sweep
from stores import Store, open_store

from penguins.project import PROJECT

N_GROUPS, N_RECORDS = 120, 400
# A step where PySpark cannot be imported, as where it is not installed.
WITHOUT_PYSPARK = """
import os, runpy, sys
sys.modules["pyspark"] = None
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def own_store(tmp_path: Path, initialised_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(tmp_path, initialised_database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


@pytest.fixture
def without_java(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has git and a shell, but no Java."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("bash", "sh", "git", "uname", "env"):
        if found := shutil.which(program):
            (folder / program).symlink_to(found)
    variables = environment(PATH=f"{Path(sys.executable).parent}{os.pathsep}{folder}")
    variables.pop("JAVA_HOME", None)
    assert shutil.which("java", path=variables["PATH"]) is None
    return variables


def test_the_first_command_of_readme_runs_without_java_and_names_the_step_that_it_leaves_out(
    own_store: Store, tmp_path: Path, without_java: dict[str, str]
) -> None:
    command = ["mlflow", "run", str(PROJECT), "--env-manager", "local", "--experiment-name", "penguins"]
    variables = without_java | {"MLFLOW_TRACKING_URI": own_store.uri}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    assert done.returncode == 0, done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("spark_logistic_regression is left out")]
    assert "no Java is found. To have Spark: Install it with" in line
    runs = own_store.runs()
    assert Counter(run.info.status for run in runs) == {"FINISHED": 5 + 6 + 3 + 27}
    assert {"main", "dbscan_sweep", "report"} <= {run.info.run_name for run in runs}
    assert "spark_logistic_regression" not in {run.info.run_name for run in runs}
    assert {"report.html", "summary.csv"} <= own_store.artifacts(own_store.only("main"))


def test_a_step_that_needs_spark_is_refused_where_it_is_named(
    own_store: Store, tmp_path: Path, without_java: dict[str, str]
) -> None:
    command = [sys.executable, str(PROJECT / "steps" / "main.py"), "--steps=spark_logistic_regression,ridge_search"]
    variables = without_java | {"MLFLOW_TRACKING_URI": own_store.uri}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    assert done.returncode == 2
    assert done.stderr.startswith("error: The 'steps' parameter must name steps that run without Spark. Got spark_logistic_")
    assert done.stderr.count("\n") == 1
    assert [run.info.status for run in own_store.runs()] == ["FAILED"]


def test_a_sweep_without_spark_needs_no_pyspark(own_store: Store, tmp_path: Path) -> None:
    script = str(PROJECT / "steps" / "dbscan_sweep.py")
    command = [sys.executable, "-c", WITHOUT_PYSPARK, script, "--spark=none", "--eps=0.9,1.1"]
    variables = environment(MLFLOW_TRACKING_URI=own_store.uri)
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=LONGEST_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert {run.info.status for run in own_store.runs()} == {"FINISHED"}


def start(folder: Path, store: Store, *options: str, where: str = "none") -> RunningCommand:
    """Start a sweep that is so much work that it takes a pool of processes."""
    table = sites(N_GROUPS, N_RECORDS)
    return start_sweep(folder, store, table, "driver", where, "penguins", "--runs=groups", "--min_samples=3,5,7,9", *options)


def pool(running: RunningCommand) -> list[psutil.Process]:
    """Return the processes of the command's pool."""
    found = []
    for process in running.processes():
        with suppress(psutil.Error):
            if "loky.backend.popen" in " ".join(process.cmdline()):
                found.append(process)
    return found


def require_complete(store: Store) -> None:
    """Require that each group and the sweep are finished exactly once, and that no run is open."""
    everything = store.runs()
    assert "RUNNING" not in {run.info.status for run in everything}
    finished = Counter(run.info.run_name for run in everything if run.info.status == "FINISHED")
    assert len(finished) == 1 + N_GROUPS
    assert set(finished.values()) == {1}


def test_a_sweep_told_to_end_leaves_no_process_and_no_open_run(own_store: Store, tmp_path: Path) -> None:
    running = start(tmp_path, own_store)
    running.wait_for_runs(8)
    assert len(pool(running)) == 2
    os.kill(running.process.pid, signal.SIGTERM)
    assert running.wait() == 128 + signal.SIGTERM
    until = time.monotonic() + 10
    while running.processes():
        assert time.monotonic() < until, running.processes()
        time.sleep(0.1)
    assert running.errors == "interrupted by SIGTERM\n"
    runs = own_store.runs()
    assert {run.info.status for run in runs} == {"KILLED", "FINISHED"}
    assert own_store.only("dbscan_sweep").info.status == "KILLED"
    assert len(runs) < N_GROUPS


def test_a_sweep_goes_on_when_one_of_its_processes_is_killed(own_store: Store, tmp_path: Path) -> None:
    running = start(tmp_path, own_store)
    running.wait_for_runs(8)
    pool(running)[0].kill()
    assert running.wait() == 0, running.output
    assert running.output.count("The groups at work are computed once more: a process was ended by SIGKILL(-9)") == 1
    require_complete(own_store)


@pytest.mark.parametrize("where", ["none", "local[2]"])
def test_a_killed_sweep_takes_its_processes_along_and_is_resumed(own_store: Store, tmp_path: Path, where: str) -> None:
    running = start(tmp_path, own_store)
    running.wait_for_runs(8)
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    until = time.monotonic() + 10
    while running.processes():
        assert time.monotonic() < until, running.processes()
        time.sleep(0.1)
    resumed = start(tmp_path, own_store, "--resume=true", where=where)
    assert resumed.wait() == 0, resumed.output
    assert f" of {N_GROUPS} groups are taken over, finished" in resumed.output
    require_complete(own_store)
