"""The memory of real workers: the estimate for a group, and the limit that Spark sets its workers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clusters import submit_variables
from servers import environment
from stores import Store, empty_store

from penguins.project import PROJECT


@pytest.mark.parametrize(
    "case",
    [
        {"algorithm": "dbscan", "records": 30_000, "features": 4, "values": 3, "models": "all"},
        {"algorithm": "kmeans", "records": 60_000, "features": 2, "values": 3, "models": "none"},
    ],
    ids=lambda case: str(case["algorithm"]),
)
def test_the_estimate_of_a_group_is_what_it_takes_or_up_to_twice_as_much(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    from group_memory import measure

    found = measure(case, tmp_path).remarks
    assert found["failure"] == ""
    assert found["peak_mib"] <= found["estimate_mib"] <= 2 * found["peak_mib"]


@pytest.mark.parametrize(("memory", "code"), [("3g", 0), ("250m", 2)])
def test_a_sweep_runs_under_the_limit_of_sparks_workers_and_refuses_one_that_is_too_small(
    tmp_path: Path, initialised_database: bytes, memory: str, code: int
) -> None:
    (tmp_path / "mlflow.db").write_bytes(initialised_database)
    variables = submit_variables(**{"executor.pyspark.memory": memory, "executor.cores": "1"})
    done = subprocess.run(
        [sys.executable, str(PROJECT / "steps" / "kmeans_sweep.py"), "--n_clusters=2,3", "--spark=local[1]"],
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=empty_store(tmp_path), **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    statuses = {run.info.status for run in Store(empty_store(tmp_path)).runs()}
    if code:
        [line] = done.stderr.splitlines()
        assert line.startswith(
            "error: The 'group_by' parameter must make groups that fit into the memory of a worker. Got 'Biscoe'"
        )
        assert f"of the {memory.removesuffix('m')} MiB that spark.executor.pyspark.memory gives a worker" in line
        assert statuses == {"FAILED"}
    else:
        assert statuses == {"FINISHED"}
