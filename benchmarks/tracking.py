"""What it takes to track one run of an eps with its model: a plain loop's calls, the sweep's own, and the fewest there can be.

On a fresh SQLite store, and on a tracking server on loopback. The process and Spark have started before.
"""

import tempfile
from pathlib import Path

import comparison
import dbscan_sweep
import mlflow
import pandas as pd
from comparison import Comparison
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.models import Model
from sklearn.cluster import DBSCAN
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from clustering import ledger, sweep
from common import connections, dataset, tracking

FEATURES = list(dbscan_sweep.Parameters().features)
EPS = dbscan_sweep.Parameters().eps
MIN_SAMPLES = dbscan_sweep.Parameters().min_samples


class Store:
    """A tracking store, with the islands' outcomes at hand to be logged to it."""

    def __init__(self, uri: str) -> None:
        mlflow.set_tracking_uri(uri)
        tracking.quiet()
        # For all sides: what is compared is what they ask a server, not how long its answers lie.
        connections.acknowledge_at_once()
        self.client = MlflowClient(uri)
        mlflow.set_experiment("benchmark")
        penguins = dataset.load("penguins", {**dict.fromkeys(FEATURES, "features"), "island": "group_by"}, ["island"])
        self.islands = {str(name): rows[FEATURES] for name, rows in penguins.frame.groupby("island")}
        self.groups = [_group(name, rows) for name, rows in self.islands.items()]
        with mlflow.start_run() as run:
            tracking.log_table_used(penguins)
            self.experiment_id = run.info.experiment_id
        self.place = ledger.place(run.info.run_id, "island", MIN_SAMPLES, children=True)

    def plain(self) -> float:
        """Seconds a run, of one eps of each island, as a plain loop has it."""
        return comparison.seconds(self._plain) / len(self.islands)

    def _plain(self) -> None:
        for rows in self.islands.values():
            self._plain_run(rows)

    def _plain_run(self, rows: pd.DataFrame) -> None:
        with mlflow.start_run():
            mlflow.log_param("eps", 0.9)
            model = Pipeline([("scaler", StandardScaler()), ("dbscan", DBSCAN(eps=0.9, min_samples=MIN_SAMPLES))]).fit(rows)
            mlflow.sklearn.log_model(model, name="model")
            for index in range(6):
                mlflow.log_metric(f"metric_{index}", 0.5)

    def ours(self) -> float:
        """Seconds a run, of all eps of each island, the groups' own runs included."""
        runs = sum(len(group.outcomes) for group in self.groups)
        return comparison.seconds(lambda: [ledger.record(self.place, group) for group in self.groups]) / runs

    def floor(self) -> float:
        """Seconds a run through the bare client, one after the other: what no one can leave out."""
        return comparison.seconds(self._floor) / sum(len(group.outcomes) for group in self.groups)

    def _floor(self) -> None:
        for group in self.groups:
            for outcome in group.outcomes:
                self._floor_run(outcome, group.models[outcome.eps])

    def _floor_run(self, outcome: sweep.Outcome, model: Pipeline) -> None:
        run_id = self.client.create_run(self.experiment_id).info.run_id
        now = tracking.now_ms()
        metrics = [Metric(name, value, now, 0) for name, value in outcome.metrics.items()]
        self.client.log_batch(run_id, metrics=metrics, params=[Param("eps", str(outcome.eps))])
        Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.sklearn,
            run_id=run_id,
            sk_model=model,
            serialization_format="skops",
            pip_requirements=self.place.requirements,
        )
        self.client.set_terminated(run_id)


def _group(name: str, rows: pd.DataFrame) -> sweep.Group:
    found = sweep.sweep(rows, EPS, MIN_SAMPLES)
    models = {outcome.eps: found.model(index) for index, outcome in enumerate(found.outcomes)}
    return sweep.Group(name, len(rows), found.outcomes, None, models=models)


def compared(where: str, store: Store, rounds: int) -> list[Comparison]:
    """The sweep's writer against a plain loop, and against the floor, in seconds a run."""
    comparison.progress(f"{where}: a plain loop, which takes many seconds a run")
    plain = comparison.compare(f"{where}: a plain loop (plain) and the sweep", store.plain, store.ours, rounds)
    comparison.progress(f"{where}: the bare client")
    floor = comparison.compare(f"{where}: the bare client (plain) and the sweep", store.floor, store.ours, 3 * rounds)
    return [plain, floor]


def main() -> None:
    """Measures and prints."""
    given = comparison.options(__doc__, rounds=3)
    with tempfile.TemporaryDirectory() as folder:
        found = compared("SQLite", Store(f"sqlite:///{folder}/mlflow.db"), given.rounds)
        with comparison.server(Path(folder)) as url:
            found += compared("server", Store(url), given.rounds)
    comparison.report("tracking", found, given.json)


if __name__ == "__main__":
    main()
