"""A sweep of very many groups whose tables Spark writes itself: groups a second, and the memory of the driver.

Each sweep runs in a process of its own, with `runs=none` and `output`, over groups of 200 records and nine eps, in a table
that is written in parts. `--kill 1` sweeps on a standalone cluster of two workers instead, once undisturbed and once while a
Python worker is killed, and compares the tables of the two.
"""

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import comparison
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from comparison import Comparison
from runs_of_groups import EPS, FEATURES, RECORDS

sys.path.insert(0, str(comparison.PROJECT / "tests" / "support"))

GROUPS_IN_PART, POLL_S = 2_000, 0.2
SORTED_BY = {"results": ["site", "eps"], "clusters": ["record"]}


def write_table(groups: int, folder: Path) -> None:
    """Write groups of 200 records, in three blobs each, to Parquet files of some groups each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for start in range(0, groups, GROUPS_IN_PART):
        sites = np.arange(start, min(start + GROUPS_IN_PART, groups))
        centers = random.normal(0, 3, (len(sites), 3, len(FEATURES)))
        X = centers[:, random.integers(0, 3, RECORDS)] + random.normal(size=(len(sites), RECORDS, len(FEATURES)))
        columns = {"site": np.repeat(sites, RECORDS), "record": np.arange(sites[0] * RECORDS, (sites[-1] + 1) * RECORDS)}
        columns |= dict(zip(FEATURES, X.reshape(-1, len(FEATURES)).T, strict=True))
        pq.write_table(pa.table(columns), folder / f"part-{start:08}.parquet")


def start_sweep(folder: Path, output: str, spark: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start a sweep of the table in `folder`."""
    arguments = {"data": f"file://{folder}/table", "group_by": "site", "features": ",".join(FEATURES), "id": "record"}
    arguments |= {"runs": "none", "output": str(folder / output), "spark": spark}
    command = [sys.executable, str(comparison.PROJECT / "steps" / "dbscan_sweep.py")]
    command += [f"--{name}={value}" for name, value in arguments.items()]
    environment = comparison.environment(MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db", **variables)
    with open(folder / f"{output}.txt", "wb") as printed:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT)


def end_sweep(sweep: subprocess.Popen[bytes], folder: Path, output: str) -> None:
    """Wait for a sweep. Raises RuntimeError with what it printed where it failed."""
    if sweep.wait():
        raise RuntimeError((folder / f"{output}.txt").read_text(encoding="utf-8"))


def memory_mib(process: psutil.Process) -> dict[str, float]:
    """Return the most memory that a driver and its JVM have had so far, in MiB."""
    found: dict[str, float] = {}
    with suppress(psutil.Error, OSError):
        for name, one in (("driver", process), *[("jvm", child) for child in process.children() if child.name() == "java"]):
            status = Path(f"/proc/{one.pid}/status").read_text(encoding="ascii")
            found[name] = max([int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")] or [0])
    return found


def measure(groups: int) -> dict[str, float]:
    """Sweep so many groups in a process of its own, and return its figures."""
    with tempfile.TemporaryDirectory() as name:
        folder, peak = Path(name), dict[str, float]()
        write_table(groups, folder / "table")
        begun = time.perf_counter()
        sweep = start_sweep(folder, "output", "local[*]")
        process = psutil.Process(sweep.pid)
        while sweep.poll() is None:
            for one, mib in memory_mib(process).items():
                peak[one] = max(mib, peak.get(one, 0))
            time.sleep(POLL_S)
        end_sweep(sweep, folder, "output")
        seconds = time.perf_counter() - begun
        n_results, n_clusters = (pq.read_table(folder / "output" / name, columns=["site"]).num_rows for name in SORTED_BY)
        if (n_results, n_clusters) != (groups * len(EPS), groups * RECORDS):
            raise RuntimeError(f"the tables have {n_results} and {n_clusters} rows")
    return {"seconds": seconds, "groups_a_second": groups / seconds, **{f"{one}_peak_mib": mib for one, mib in peak.items()}}


def kill_a_worker(folder: Path) -> int:
    """Kill a process in which an executor of the cluster computes groups, once the first of them are written; return its id."""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        written = list(folder.glob("killed/*/groups/**/*.parquet"))
        workers = [one for one in psutil.process_iter(["cmdline"]) if _computes(one, folder)]
        if written and workers:
            workers[0].kill()
            return int(workers[0].pid)
        time.sleep(POLL_S)
    raise RuntimeError("no process of a worker was found")


def _computes(process: psutil.Process, folder: Path) -> bool:
    """Tell whether a process is a Python worker of an executor that works in `folder`."""
    with suppress(psutil.Error, OSError):
        is_worker = "pyspark.daemon" in " ".join(process.info["cmdline"] or [])
        return is_worker and process.cwd().startswith(str(folder)) and not process.children()
    return False


def compare_with_a_kill(groups: int) -> dict[str, Any]:
    """Sweep so many groups twice on a standalone cluster, with a worker killed the second time, and compare the tables."""
    from clusters import standalone_cluster, submit_variables

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(groups, folder / "table")
        with standalone_cluster(folder) as cluster:
            settings = submit_variables()
            begun = time.perf_counter()
            end_sweep(start_sweep(folder, "undisturbed", cluster.url, **settings), folder, "undisturbed")
            undisturbed = time.perf_counter() - begun
            begun = time.perf_counter()
            sweep = start_sweep(folder, "killed", cluster.url, **settings)
            kill_a_worker(folder)
            end_sweep(sweep, folder, "killed")
            killed = time.perf_counter() - begun
        for table, by in SORTED_BY.items():
            found = [pd.read_parquet(folder / output / table) for output in ("undisturbed", "killed")]
            one, other = (frame.sort_values(by, ignore_index=True) for frame in found)
            pd.testing.assert_frame_equal(one, other, check_exact=True)
            if len(one) != groups * (len(EPS) if table == "results" else RECORDS) or one.duplicated(by).any():
                raise RuntimeError(f"the table {table} has {len(one)} rows")
    return {"undisturbed_s": undisturbed, "with_a_kill_s": killed, "the same tables": "yes"}


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1, groups=100_000, few=10_000, kill=0)
    if given.kill:
        case = Comparison(f"{given.groups} groups on two workers, one of whose processes is killed")
        case.remarks |= compare_with_a_kill(given.groups)
        comparison.report("scale", [case], given.json)
        return
    cases, peaks = [], {}
    for groups in (given.few, given.groups):
        comparison.progress(f"{groups} groups")
        case = Comparison(f"{groups} groups of {RECORDS} records, nine eps, runs=none, written by Spark")
        case.remarks |= measure(groups)
        peaks[groups] = case.remarks["driver_peak_mib"]
        cases.append(case)
    cases[-1].remarks["memory_ratio"] = peaks[given.groups] / peaks[given.few]
    seconds = [case.remarks["seconds"] for case in cases]
    cases[-1].remarks["ms_for_one_more_group"] = 1000 * (seconds[1] - seconds[0]) / max(1, given.groups - given.few)
    comparison.report("scale", cases, given.json)


if __name__ == "__main__":
    main()
