"""What many groups cost: runs a second against the bare client's on the same store, and the driver's memory.

Each sweep runs in a process of its own on a fresh SQLite store: groups of 200 records, nine eps, the best model of each group.
Then the same tree, with the same tags and parameters, is written to the same store by the bare client alone, with nothing
computed. `--wide` groups are swept with `runs=groups`.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import comparison
import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
from comparison import Comparison
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param

from clustering import ledger, sweep
from common import options, tracking

RECORDS, FEATURES = 200, ["a", "b", "c", "d"]
EPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
SMALL_SHARE = 10


def write_table(groups: int, path: Path) -> None:
    """Writes groups of 200 records, in three blobs each, to a Parquet file."""
    random = np.random.default_rng(0)
    centers = random.normal(0, 3, (groups, 3, len(FEATURES)))
    X = centers[:, random.integers(0, 3, RECORDS)] + random.normal(size=(groups, RECORDS, len(FEATURES)))
    frame = pd.DataFrame(X.reshape(-1, len(FEATURES)), columns=FEATURES)
    frame.insert(0, "site", np.repeat(np.arange(groups), RECORDS))
    frame.to_parquet(path)


def sweep_alone(folder: str, groups: str, runs: str) -> None:
    """Sweeps in this process, and prints its seconds, its peak memory and when the first run of a group was there."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    arguments = {
        "data": f"{folder}/{groups}.parquet",
        "group_by": "site",
        "features": "a,b,c,d",
        "runs": runs,
        "models": "best",
    }
    argv = [f"--{name}={value}" for name, value in arguments.items()]
    begun = tracking.now_ms()
    took = comparison.seconds(lambda: options.run(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv))
    client = MlflowClient()
    experiment = client.get_experiment_by_name("penguins").experiment_id
    [whole] = client.search_runs([experiment], "run_name = 'dbscan_sweep'")
    [first] = client.search_runs([experiment], "params.group != ''", order_by=["start_time ASC"], max_results=1)
    [last] = client.search_runs([experiment], "params.group != ''", order_by=["end_time DESC"], max_results=1)
    figures = {
        "seconds": took,
        "logging_s": (last.info.end_time - first.info.start_time) / 1000,
        "first_run_after_s": (first.info.start_time - begun) / 1000,
        "peak_mib": comparison.peak_mib(),
        "run_id": whole.info.run_id,
    }
    Path(folder, "figures.json").write_text(json.dumps(figures), encoding="utf-8")


def swept(folder: Path, groups: int, runs: str = "all") -> dict[str, Any]:
    """What `sweep_alone` found in a process of its own on the store of `folder`."""
    write_table(groups, folder / f"{groups}.parquet")
    arguments = [sys.executable, __file__, "alone", str(folder), str(groups), runs]
    with open(folder / "output.txt", "wb") as output:
        subprocess.run(arguments, check=True, env=comparison.environment(), stdout=output, stderr=output)
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return figures


def bare(folder: Path, run_id: str, groups: int, with_data: bool) -> float:
    """Seconds a run of an eps in which the bare client alone writes such a tree, its group's run included."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    tracking.quiet()
    client = MlflowClient()
    place = ledger.place(run_id, "site", 3, children=True)
    rows = pd.read_parquet(next(folder.glob("*.parquet"))).iloc[:RECORDS]
    found = sweep.sweep(rows[FEATURES], EPS, 3)
    model = found.model(5)

    def group_of(name: str) -> sweep.Group:
        return sweep.Group(name, RECORDS, found.outcomes, EPS[5])

    def opened(name: str, parent: str) -> str:
        tags = {**place.tags, ledger.SWEEP: run_id, "mlflow.parentRunId": parent}
        run = client.create_run(place.experiment_id, run_name=name, tags=tags).info.run_id
        if with_data:
            client.log_inputs(run, datasets=place.datasets)
        return str(run)

    def write() -> None:
        for group in range(groups):
            parent = opened(f"bare-{group}", run_id)
            now = tracking.now_ms()
            for step, outcome in enumerate(found.outcomes):
                child = opened(f"bare-{group}-eps{outcome.eps}", parent)
                logged = None
                params = {"group": str(group), "eps": str(outcome.eps), "min_samples": "3"}
                if step == 5:
                    logged = client.create_logged_model(place.experiment_id, "model", source_run_id=child, params=params)
                metrics = [Metric(name, value, now, 0) for name, value in outcome.metrics.items()]
                client.log_batch(child, metrics=metrics, params=[Param(*item) for item in params.items()])
                if logged:
                    ledger._store_model(client, place, model, child, logged)
                    client.finalize_logged_model(logged.model_id, "READY")
                    client.log_outputs(child, models=[LoggedModelOutput(logged.model_id, step=0)])
                client.set_terminated(child)
            curves = [Metric("n_records", RECORDS, now, 0), *ledger._curves(group_of(str(group)))]
            client.log_batch(parent, metrics=curves, params=[Param("group", str(group))])
            client.set_terminated(parent)

    return comparison.seconds(write) / (groups * len(EPS))


def main() -> None:
    """Measures and prints."""
    given = comparison.options(__doc__, rounds=1, groups=1_000, wide=20_000)
    small = max(1, given.groups // SMALL_SHARE)
    case = Comparison(f"{given.groups} groups: the bare client (plain) and the sweep, seconds a run of an eps")
    lean = Comparison("the same, where the bare client leaves the dataset out")
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            comparison.progress(f"{small} groups")
            few = swept(Path(folder), small)
        with tempfile.TemporaryDirectory() as folder:
            comparison.progress(f"{given.groups} groups")
            many = swept(Path(folder), given.groups)
            comparison.progress("the bare client")
            for one, with_data in ((case, True), (lean, False)):
                one.plain_s.append(bare(Path(folder), many["run_id"], small, with_data))
                one.ours_s.append(many["logging_s"] / (given.groups * len(EPS)))
        case.remarks |= {
            "runs_a_second": given.groups * len(EPS) / many["logging_s"],
            "first_run_after_s": many["first_run_after_s"],
            f"peak_mib_of_{small}_groups": few["peak_mib"],
            f"peak_mib_of_{given.groups}_groups": many["peak_mib"],
            "memory_ratio": many["peak_mib"] / few["peak_mib"],
        }
    wide = Comparison(f"{given.wide} groups with runs=groups")
    if given.wide:
        with tempfile.TemporaryDirectory() as folder:
            comparison.progress(f"{given.wide} groups with runs=groups")
            figures = swept(Path(folder), given.wide, "groups")
            wide.remarks |= {name: figures[name] for name in ("seconds", "first_run_after_s", "peak_mib")}
            wide.remarks["groups_a_second"] = given.wide / figures["seconds"]
    comparison.report("scale", [case, lean, wide], given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["alone"]:
        sweep_alone(*sys.argv[2:])
    else:
        main()
