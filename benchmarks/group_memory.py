"""The most memory that a Spark worker needs for one group, by its records, features, values and models.

Each case is a process of its own that does what a worker does: it reads the group from a stream of Arrow, makes a pandas table
of it, clusters it, and writes the answer as Arrow. Silhouette and DBCV compare fewer records than in a sweep, which saves hours
and hardly any memory. The estimate is that by which a sweep refuses a group (`steps/penguins/sweep/group_memory.py`).
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comparison
from comparison import PROJECT, Comparison

BATCH = 10_000  # Spark's own
COMPARISONS, RECORDS_OF_DBCV = 100_000_000, 5_000
CENTERS, DISTANCE = 5, 6
LONGEST_S = 240
CHILD = """
import sys; sys.path[:0] = [{benchmarks!r}, {steps!r}]
import group_memory
group_memory.work_as_worker({stream!r}, **{case!r})
"""


def cases(records: int) -> Iterator[dict[str, Any]]:
    """Yield the cases: all three algorithms, one number changed at a time, up to `records` records."""
    usual: dict[str, Any] = {"features": 4, "values": 9, "models": "all"}
    changes: list[dict[str, Any]] = [
        *[{"records": number} for number in (10_000, 100_000, 300_000, 1_000_000) if number <= records],
        *[{"records": min(records, 50_000), "features": number} for number in (2, 15)],
        *[{"records": min(records, 50_000), "values": number} for number in (1, 40)],
        *[{"records": min(records, 100_000), "models": text} for text in ("best", "none")],
    ]
    for algorithm in ("dbscan", "kmeans", "hdbscan"):
        for change in changes:
            yield {"algorithm": algorithm, **usual, **change}


def write_group(records: int, features: int, path: Path) -> None:
    """Write one group of `CENTERS` blobs as the stream that Spark sends to a worker."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng(0)
    centers = random.normal(size=(CENTERS, features)) * DISTANCE
    X = centers[random.integers(0, CENTERS, records)] + random.normal(size=(records, features))
    columns = {"group_0": pa.array(["all"] * records)} | {f"feature_{at}": pa.array(X[:, at]) for at in range(features)}
    table = pa.table(columns | {"row": pa.array(range(records))})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        for batch in table.to_batches(max_chunksize=BATCH):
            stream.write_batch(batch)


def settings_of(algorithm: str, features: int, values: int, models: str) -> Any:
    """Return the settings of a sweep over so many values in such a table."""
    from penguins.cli.rules import Auto
    from penguins.sweep.settings import SweepSettings

    names = tuple(f"feature {at}" for at in range(features))
    swept: Any = list(range(2, values + 2)) if algorithm == "kmeans" else Auto(values)
    grid = {
        "dbscan": {"eps": swept, "min_samples": [3]},
        "hdbscan": {"min_cluster_size": swept, "min_samples": [3]},
        "kmeans": {"n_clusters": swept},
    }[algorithm]
    select_by = "silhouette" if algorithm == "kmeans" else "stability"
    return SweepSettings(algorithm, (), names, grid, select_by=select_by, models=models)


def work_as_worker(stream: str, records: int, algorithm: str, features: int, values: int, models: str) -> None:
    """Do what Spark's worker does with the group in the file `stream`; print its memory before and at the peak, in MiB."""
    import pandas as pd
    import pyarrow as pa

    from penguins.clustering import dbcv, indices
    from penguins.sweep import group_memory, workers

    indices.MOST_COMPARISONS, dbcv.MOST_RECORDS = COMPARISONS, RECORDS_OF_DBCV
    settings = settings_of(algorithm, features, values, models)
    tiny = pd.DataFrame({"group_0": "all", **{f"feature_{at}": [0.0, 1, 2, 3] for at in range(features)}, "row": range(4)})
    workers.fit_in_worker(tiny, settings)  # the imports that a worker makes when it needs them
    before, estimate = comparison.peak_mib(), group_memory.group_mib(settings, records)
    with pa.OSFile(stream, "rb") as file, pa.ipc.open_stream(file) as reader:
        table = pa.Table.from_batches(list(reader))
    found = workers.fit_in_worker(table.to_pandas(), settings)
    answer = pa.RecordBatch.from_pandas(found, preserve_index=False)
    with pa.OSFile("/dev/null", "wb") as file, pa.ipc.new_stream(file, answer.schema) as sink:
        sink.write_batch(answer)
    failure = json.loads(found["result"].iloc[0])["failure"]
    print(json.dumps({"before_mib": before, "peak_mib": comparison.peak_mib(), "estimate_mib": estimate, "failure": failure}))


def measure(case: dict[str, Any], folder: Path) -> Comparison:
    """Measure one case in a fresh process."""
    stream = folder / f"{case['records']}-{case['features']}.arrow"
    if not stream.exists():
        write_group(case["records"], case["features"], stream)
    found = Comparison(", ".join(f"{name} {value}" for name, value in case.items()), remarks=dict(case))
    code = CHILD.format(benchmarks=str(Path(__file__).parent), steps=str(PROJECT / "steps"), stream=str(stream), case=case)
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=comparison.environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        found.remarks["left_out"] = f"more than {LONGEST_S} s"
        return found
    found.remarks |= json.loads(done.stdout.splitlines()[-1]) | {"seconds": time.perf_counter() - begun}
    return found


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1, records=1_000_000)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(given.records):
            comparison.progress(str(case))
            found.append(measure(case, Path(folder)))
            comparison.progress(str(found[-1].remarks))
    comparison.report("the memory of a group", found, given.json)


if __name__ == "__main__":
    main()
