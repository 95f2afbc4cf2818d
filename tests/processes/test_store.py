"""A tracking store that goes away, is full, read-only or locked, or has many sweeps at once: a delay, or one line."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import dbscan_sweep
import eight_sweeps
import mlflow
import pandas as pd
import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from pyspark.sql import SparkSession
from running_command import RunningCommand
from servers import USER, Server, server
from stores import Steps, Store, empty_store, open_store

from penguins.cli.rules import to_text
from penguins.project import PROJECT
from penguins.sweep.router_model import ROUTER
from penguins.text import format_number
from penguins.tracking.artifacts import log_dataset
from penguins.tracking.duplicates import logged_models

ISLANDS, EPS = ("Biscoe", "Dream", "Torgersen"), (0.3, 0.5, 0.7, 0.9, 1.1)
SWEEP = [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), f"--eps={to_text(EPS)}"]
AWAY_S = 30
FULL_BUT_KIB = 100
# MLflow waits for a locked database for 20 s.
SHORT_LOCK_S, LONG_LOCK_S = 6, 25
SWEEPS, ROUNDS = 8, 6


def assert_complete(
    store: Store,
    groups: Sequence[str] = ISLANDS,
    eps_values: Sequence[float] = EPS,
    sweeps: int = 1,
    experiment: str = "penguins",
) -> None:
    """Assert that so many sweeps finished, with a finished run for each group and eps and its model, and nothing is open."""
    runs = store.runs(experiment)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED", "KILLED"}
    finished = {run.info.run_id: run for run in runs if run.info.status == "FINISHED"}
    names = {run_id: run.info.run_name for run_id, run in finished.items()}
    children = [(group, f"{group}-eps{format_number(eps)}") for group in groups for eps in eps_values]
    tree = [("", "dbscan_sweep"), *(("dbscan_sweep", group) for group in groups), *children]
    parents = {run_id: run.data.tags.get(MLFLOW_PARENT_RUN_ID) for run_id, run in finished.items()}
    assert Counter((names[parent] if parent else "", names[run_id]) for run_id, parent in parents.items()) == Counter(
        tree * sweeps
    )
    models = [one for one in logged_models(store.client, runs[0].info.experiment_id, "") if one.name != ROUTER]
    assert {model.status for model in models} == {LoggedModelStatus.READY}
    assert Counter(names[model.source_run_id] for model in models) == Counter([child for _, child in children] * sweeps)
    for run in finished.values():
        if run.info.run_name == "dbscan_sweep":
            tables = {
                "results.csv",
                "results.json",
                "clusters.parquet",
                "cluster_profiles.csv",
                "points.parquet",
                "k_distances.csv",
            }
            assert store.artifacts(run) == {*tables, "metrics_by_eps.png", "clusters.png"}


def assert_one_line(printed: str, *phrases: str) -> None:
    [line] = printed.splitlines()
    assert line.startswith("error: ")
    assert all(phrase in line for phrase in phrases), line
    assert "SQL" not in line.replace("sqlite3", "")


@pytest.fixture
def own_server(tmp_path: Path, initialised_database: bytes) -> Iterator[Server]:
    """A tracking server that the test may end."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "server.db").write_bytes(initialised_database)
    with server(folder, f"sqlite:///{folder}/server.db") as started:
        yield started


def start_sweep(folder: Path, own_server: Server, **variables: str) -> RunningCommand:
    return RunningCommand(folder, own_server.url, SWEEP, variables, own_server.folder / "server.db")


def test_a_server_that_is_away_for_half_a_minute_delays_a_sweep_and_loses_nothing(own_server: Server, tmp_path: Path) -> None:
    sweep = start_sweep(tmp_path, own_server)
    sweep.wait_for_runs(5)
    own_server.end(signal.SIGKILL)
    time.sleep(AWAY_S)
    assert sweep.process.poll() is None
    own_server.start()
    assert (sweep.wait(), sweep.errors) == (0, "")
    store = Store(own_server.url)
    assert_complete(store)
    assert {run.info.status for run in store.runs()} == {"FINISHED"}


def test_a_server_that_stays_away_ends_a_sweep_with_a_line_and_it_is_resumed(
    own_server: Server, store: Store, step: Steps, session: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = start_sweep(tmp_path, own_server, MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")
    sweep.wait_for_runs(7)
    own_server.end(signal.SIGKILL)
    killed_at = time.monotonic()
    assert sweep.wait() == 1
    assert time.monotonic() - killed_at < 90
    assert_one_line(sweep.errors, "could not be logged", "resume=true")

    own_server.start()
    remote = use(Store(own_server.url), monkeypatch)
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    assert_complete(remote)
    sweeps = Counter(run.info.status for run in remote.runs() if run.info.run_name == "dbscan_sweep")
    assert sweeps == {"FINISHED": 1, "KILLED": 1}


class Mounts:
    """Mounts for a test, which take root, or sudo without a password."""

    def __init__(self) -> None:
        self.prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
        self.folders: list[Path] = []

    def add(self, folder: Path, *options: str) -> Path:
        folder.mkdir(exist_ok=True)
        try:
            self.run("mount", *options, str(folder))
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"nothing can be mounted here: {error}")
        self.folders.append(folder)
        return folder

    def run(self, *command: str) -> None:
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    def end(self) -> None:
        for folder in self.folders:
            self.run("umount", "--lazy", str(folder))


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    made = Mounts()
    yield made
    made.end()


def use(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Make `store` the one of this process."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    mlflow.set_tracking_uri(store.uri)
    return store


def test_a_full_disk_ends_a_sweep_with_a_line_and_it_is_resumed_once_there_is_room(
    store: Store, step: Steps, session: SparkSession, mounts: Mounts, initialised_database: bytes, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    disk = mounts.add(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m,mode=1777", "tmpfs")
    small = use(open_store(disk, initialised_database), monkeypatch)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(bytes(free - (FULL_BUT_KIB << 10)))
    # In a process of its own, whose end tells that nobody works on its run: the full disk may not take its status.
    sweep = RunningCommand(tmp_path, small.uri, SWEEP)
    assert sweep.wait() == 1
    assert_one_line(sweep.errors, "full")
    (disk / "filler").unlink()
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    assert_complete(small)


def test_a_store_that_is_read_only_ends_a_sweep_with_a_line(
    store: Store, step: Steps, session: SparkSession, mounts: Mounts, initialised_database: bytes, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "writable").mkdir()
    open_store(tmp_path / "writable", initialised_database)
    folder = mounts.add(tmp_path / "frozen", "--bind", str(tmp_path / "writable"))
    mounts.run("mount", "-o", "remount,bind,ro", str(folder))
    frozen = use(Store(empty_store(folder)), monkeypatch)
    capfd.readouterr()
    assert step(dbscan_sweep) == 1
    assert_one_line(capfd.readouterr().err, "readonly database")
    assert frozen.runs() == []


def lock_database(store: Store, seconds: float, pool: ThreadPoolExecutor) -> "Future[None]":
    """Lock the store's database from another connection for so long, once a sweep has opened three runs."""
    database = Path(store.uri.removeprefix("sqlite:///"))

    def lock() -> None:
        connection = sqlite3.connect(database, timeout=60, isolation_level=None)
        while connection.execute("SELECT count(*) FROM runs").fetchone()[0] < 3:
            time.sleep(0.02)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()

    return pool.submit(lock)


@pytest.mark.parametrize("seconds", [SHORT_LOCK_S, LONG_LOCK_S])
def test_a_locked_database_is_waited_for_and_ends_a_sweep_with_a_line_after_that(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str], seconds: float
) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        lock = lock_database(store, seconds, pool)
        code = step(dbscan_sweep, eps="0.5,0.9")
        lock.result()
    assert time.monotonic() - begun > min(seconds, 20)
    printed = capfd.readouterr().err
    if seconds == LONG_LOCK_S:
        assert code == 1
        assert_one_line(printed, "database is locked", "resume=true")
        assert step(dbscan_sweep, eps="0.5,0.9", resume=True) == 0
    else:
        assert (code, printed) == (0, "")
    assert_complete(store, eps_values=(0.5, 0.9))


def test_eight_sweeps_at_once_share_a_new_sqlite_file_and_a_server_on_postgresql(
    team_store: Store, connect_url: str, tmp_path: Path
) -> None:
    rows = [f"{'ab'[i % 2]},{i % 7},{i % 5}" for i in range(20)]
    (tmp_path / "tiny.csv").write_text("\n".join(["letter,x,y", *rows]))
    in_file = Store(empty_store(tmp_path))
    options = ["--data=tiny.csv", "--group_by=letter", "--features=x,y", "--eps=0.5,0.9", "--experiment=eight sweeps"]
    # One Connect server for all: eight processes with a Spark of their own would take a minute to start.
    command = [sys.executable, eight_sweeps.__file__, connect_url, in_file.uri, team_store.uri, "--", *options]
    sweeps = RunningCommand(tmp_path, "", command, USER | {"PYTHONPATH": str(PROJECT / "steps")})
    assert (sweeps.wait(), sweeps.errors) == (0, "")
    for store in (in_file, team_store):
        assert_complete(store, ("a", "b"), (0.5, 0.9), SWEEPS, "eight sweeps")


def test_a_new_dataset_that_eight_log_at_the_same_moment_is_one_of_all_their_runs(
    team_store: Store, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(team_store, monkeypatch)
    experiment, together = team_store.client.create_experiment("datasets"), Barrier(SWEEPS)

    def log(number: int) -> None:
        with mlflow.start_run(experiment_id=experiment):
            together.wait()
            log_dataset(pd.DataFrame({"x": [number]}), "here.csv", f"table {number}")

    for number in range(ROUNDS):
        with ThreadPoolExecutor(SWEEPS) as pool:
            list(pool.map(log, [number] * SWEEPS))
    runs = team_store.runs("datasets")
    assert Counter(rows.dataset.name for run in runs for rows in run.inputs.dataset_inputs) == Counter(
        [f"table {number}" for number in range(ROUNDS)] * SWEEPS
    )
