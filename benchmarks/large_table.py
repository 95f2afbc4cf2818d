"""A sweep over a table that is larger than its driver: the heap of the driver's JVM, and the memory of its Python.

Executors in processes of their own read a folder of Parquet files and keep the groups among themselves. On the plain side the
same table is given as a path of this machine, so that the driver reads and sends all of it: a small table allows that.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import comparison
import numpy as np
import psutil
import pyarrow as pa
from comparison import PROJECT, Comparison
from mlflow import MlflowClient
from pyarrow import parquet

FEATURES = [f"channel_{place}" for place in range(100)]
RECORDS, FILES, HEAP_MIB = 1_000, 16, 512
MASTER = "local-cluster[2,1,1024]"
EPS = "8,10,12"
LONGEST_S = 1_800


def write_table(groups: int, folder: Path) -> float:
    """Write groups of `RECORDS` records, each of three blobs, file by file; return the MiB of their numbers."""
    folder.mkdir()
    for number, names in enumerate(np.array_split(np.arange(groups), min(FILES, groups))):
        random = np.random.default_rng(number)
        centers = random.normal(size=(3, len(FEATURES))) * 10
        blob = random.integers(0, 3, len(names) * RECORDS)
        X = centers[blob] + random.normal(size=(len(blob), len(FEATURES)))
        columns = {"site": pa.array([f"site-{name:05d}" for name in names.repeat(RECORDS)])}
        columns |= {name: pa.array(X[:, place]) for place, name in enumerate(FEATURES)}
        # Otherwise Spark would read all of a small table in one task.
        parquet.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=8 * RECORDS)
    return groups * RECORDS * len(FEATURES) * 8 / 2**20


def sweep(data: str, folder: Path) -> dict[str, Any]:
    """Sweep in a process of its own with a small heap; return how it ended and the most memory of its driver, in MiB."""
    uri = f"sqlite:///{folder}/mlflow.db"
    command = [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), f"--data={data}", "--group_by=site"]
    command += [f"--features={','.join(FEATURES)}", f"--eps={EPS}", f"--spark={MASTER}", "--runs=groups", "--models=none"]
    variables = comparison.environment(MLFLOW_TRACKING_URI=uri, SPARK_DRIVER_MEMORY=f"{HEAP_MIB}m")
    begun = time.perf_counter()
    with open(folder / "output.txt", "w+b") as output:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=output)
        heap, python = 0, 0
        while process.poll() is None and time.perf_counter() - begun < LONGEST_S:
            python = max(python, _resident(process.pid))
            heap = max(heap, _largest_heap(process.pid))
            time.sleep(0.2)
        process.terminate()
        code = process.wait()
        output.seek(0)
        last = output.read().decode(errors="replace").strip().splitlines()[-1:]
    runs = MlflowClient(uri).search_runs(["1"], max_results=50_000) if code == 0 else []
    statuses = Counter(run.info.status for run in runs)
    return {
        "code": code,
        "seconds": time.perf_counter() - begun,
        "python_mib": python,
        "heap_mib": heap,
        "runs": dict(statuses),
        "last": "".join(last)[:300],
    }


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss) >> 20
    except psutil.Error:
        return 0


def _largest_heap(pid: int) -> int:
    """Return the -Xmx of the driver's JVM, in MiB."""
    largest = 0
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):  # it has ended
                command = " ".join(child.cmdline())
                found = re.search(r"-Xmx(\d+)m", command)
                if found and "SparkSubmit" in command:
                    largest = max(largest, int(found[1]))
    return largest


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1, groups=1_200)
    case = Comparison(f"{given.groups} groups of {RECORDS} records in {len(FEATURES)} columns, at {MASTER}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        comparison.progress("the table")
        case.remarks["table_mib"] = write_table(given.groups, folder / "table.parquet")
        for side, data in (("ours", f"file://{folder}/table.parquet"), ("plain", f"{folder}/table.parquet")):
            comparison.progress(side)
            (folder / side).mkdir()
            found = sweep(data, folder / side)
            case.remarks |= {f"{side}_{key}": value for key, value in found.items()}
    comparison.report("a table larger than its driver", [case], given.json)


if __name__ == "__main__":
    main()
