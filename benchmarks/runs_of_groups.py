"""The cost of many groups: runs a second against the bare client's on the same store, and the driver's memory.

Each sweep runs in a process of its own on a fresh SQLite store: groups of 200 records, nine eps, the best model of each group.
Then the bare client alone writes the same tree, with the same tags and parameters, to the same store, and computes nothing.
`--wide` groups are swept with `runs=groups`.
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
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.cli.script import run_entry_point
from penguins.sweep.context import sweep_context
from penguins.sweep.fit import GroupResult, Outcome, sweep
from penguins.sweep.log_runs import SWEEP
from penguins.sweep.model_files import store_model
from penguins.sweep.run_contents import group_metrics
from penguins.sweep.settings import SweepSettings
from penguins.tracking.run import quiet_libraries
from penguins.tracking.store import now_ms

RECORDS, FEATURES = 200, ["a", "b", "c", "d"]
EPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
MIN_SAMPLES, BEST_EPS = 3, 0.9
SMALL_SHARE = 10


def write_table(groups: int, path: Path) -> None:
    """Write groups of 200 records, in three blobs each, to a Parquet file."""
    random = np.random.default_rng(0)
    centers = random.normal(0, 3, (groups, 3, len(FEATURES)))
    X = centers[:, random.integers(0, 3, RECORDS)] + random.normal(size=(groups, RECORDS, len(FEATURES)))
    frame = pd.DataFrame(X.reshape(-1, len(FEATURES)), columns=FEATURES)
    frame.insert(0, "site", np.repeat(np.arange(groups), RECORDS))
    frame.to_parquet(path)


def sweep_in_this_process(folder: str, groups: str, runs: str) -> None:
    """Sweep in this process, and write its seconds, its peak memory and the time of the first run of a group to a file."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    arguments = {
        "data": f"{folder}/{groups}.parquet",
        "group_by": "site",
        "features": "a,b,c,d",
        "runs": runs,
        "models": "best",
    }
    argv = [f"--{name}={value}" for name, value in arguments.items()]
    begun = now_ms()
    took = comparison.seconds(lambda: run_entry_point(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv))
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


def sweep_alone(folder: Path, groups: int, runs: str = "all") -> dict[str, Any]:
    """Sweep in a process of its own on the store of `folder`, and return the figures."""
    write_table(groups, folder / f"{groups}.parquet")
    arguments = [sys.executable, __file__, "alone", str(folder), str(groups), runs]
    with open(folder / "output.txt", "wb") as output:
        subprocess.run(arguments, check=True, env=comparison.environment(), stdout=output, stderr=output)
    figures: dict[str, Any] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return figures


class BareClient:
    """MLflow's client, which writes the tree of the sweep `run_id` with outcomes that are computed before."""

    def __init__(self, folder: Path, run_id: str, with_data: bool) -> None:
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        quiet_libraries()
        self.client, self.with_data = MlflowClient(), with_data
        settings = SweepSettings("dbscan", ("site",), tuple(FEATURES), {"eps": EPS, "min_samples": (MIN_SAMPLES,)})
        self.context = sweep_context(run_id, settings, n_groups=1, data="sites.parquet")
        rows = pd.read_parquet(next(folder.glob("*.parquet"))).iloc[:RECORDS]
        self.fit, best = sweep(rows[FEATURES], EPS, MIN_SAMPLES), EPS.index(BEST_EPS)
        self.group = GroupResult(("bare",), RECORDS, self.fit.outcomes, best, example=rows[FEATURES].mean().tolist())

    def seconds(self, groups: int) -> float:
        """Return the seconds a run of an eps, with its share of the group's run."""
        return comparison.seconds(lambda: self._log_groups(groups)) / (groups * len(EPS))

    def _log_groups(self, groups: int) -> None:
        for group in range(groups):
            self._log_group(str(group))

    def _log_group(self, group: str) -> None:
        parent = self._create_run(f"bare-{group}", self.context.sweep_id)
        for outcome in self.group.outcomes:
            self._log_outcome(group, outcome, parent)
        metrics = [Metric("n_records", RECORDS, now_ms(), 0), *group_metrics(self.group, "eps")]
        self.client.log_batch(parent, metrics=metrics, params=[Param("group", group)])
        self.client.set_terminated(parent)

    def _log_outcome(self, group: str, outcome: Outcome, parent: str) -> None:
        run_id = self._create_run(f"bare-{group}-eps{outcome.eps}", parent)
        params = {"group": group, "eps": str(outcome.eps), "min_samples": str(MIN_SAMPLES)}
        logged = None
        if outcome.eps == BEST_EPS:
            logged = self.client.create_logged_model(self.context.experiment_id, "model", source_run_id=run_id, params=params)
        metrics = [Metric(name, value, now_ms(), 0) for name, value in outcome.metrics.items()]
        self.client.log_batch(run_id, metrics=metrics, params=[Param(*item) for item in params.items()])
        if logged:
            model = self.fit.model_that_predicts(EPS.index(BEST_EPS))
            store_model(self.client, model, self.group.example, self.context.requirements, run_id, logged)
            self.client.finalize_logged_model(logged.model_id, "READY")
            self.client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
        self.client.set_terminated(run_id)

    def _create_run(self, name: str, parent: str) -> str:
        tags = {**self.context.tags, SWEEP: self.context.sweep_id, MLFLOW_PARENT_RUN_ID: parent}
        run_id = self.client.create_run(self.context.experiment_id, run_name=name, tags=tags).info.run_id
        if self.with_data:
            self.client.log_inputs(run_id, datasets=self.context.datasets)
        return str(run_id)


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=1, groups=1_000, wide=20_000)
    small = max(1, given.groups // SMALL_SHARE)
    case = Comparison(f"{given.groups} groups: the bare client (plain) and the sweep, seconds a run of an eps")
    lean = Comparison("the same, where the bare client leaves the dataset out")
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            comparison.progress(f"{small} groups")
            few = sweep_alone(Path(folder), small)
        with tempfile.TemporaryDirectory() as folder:
            comparison.progress(f"{given.groups} groups")
            many = sweep_alone(Path(folder), given.groups)
            comparison.progress("the bare client")
            for one, with_data in ((case, True), (lean, False)):
                one.plain_s.append(BareClient(Path(folder), many["run_id"], with_data).seconds(small))
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
            figures = sweep_alone(Path(folder), given.wide, "groups")
            wide.remarks |= {name: figures[name] for name in ("seconds", "first_run_after_s", "peak_mib")}
            wide.remarks["groups_a_second"] = given.wide / figures["seconds"]
    comparison.report("runs_of_groups", [case, lean, wide], given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["alone"]:
        sweep_in_this_process(*sys.argv[2:])
    else:
        main()
