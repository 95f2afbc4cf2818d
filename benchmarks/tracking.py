"""The cost of tracking one run of an eps with its model: by a plain loop, by the sweep, and by the fewest possible calls.

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

from penguins.data.load import load_table
from penguins.sweep.context import sweep_context
from penguins.sweep.fit import GroupResult, Outcome, sweep
from penguins.sweep.log_runs import log_group
from penguins.sweep.settings import SweepSettings
from penguins.tracking.artifacts import log_table
from penguins.tracking.run import quiet_libraries
from penguins.tracking.server import acknowledge_at_once
from penguins.tracking.store import now_ms

FEATURES, GROUP_BY = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"], "island"
EPS, MIN_SAMPLES = dbscan_sweep.Parameters().eps, dbscan_sweep.Parameters().min_samples
SETTINGS = SweepSettings("dbscan", (GROUP_BY,), tuple(FEATURES), {"eps": EPS, "min_samples": MIN_SAMPLES}, min_coverage=0.5)


class Store:
    """A tracking store, and the fitted islands that are to be logged to it."""

    def __init__(self, uri: str) -> None:
        mlflow.set_tracking_uri(uri)
        quiet_libraries()
        # For all sides: the benchmark compares their requests to a server, not how long its answers lie.
        acknowledge_at_once()
        self.client = MlflowClient(uri)
        mlflow.set_experiment("benchmark")
        penguins = load_table("penguins", {**dict.fromkeys(FEATURES, "features"), GROUP_BY: "group_by"}, [GROUP_BY])
        self.islands = {str(name): rows[FEATURES] for name, rows in penguins.frame.groupby(GROUP_BY)}
        self.groups = [_fit_group(name, rows) for name, rows in self.islands.items()]
        self.n_runs = sum(len(group.outcomes) for group in self.groups)
        with mlflow.start_run() as run:
            log_table(penguins.frame, penguins.source, penguins.name, penguins.left_out)
        self.context = sweep_context(run.info.run_id, SETTINGS, len(self.islands), "penguins")

    def plain(self) -> float:
        """Return the seconds a run of a plain loop, over one eps of each island."""
        return comparison.seconds(self._log_plainly) / len(self.islands)

    def _log_plainly(self) -> None:
        for rows in self.islands.values():
            with mlflow.start_run():
                mlflow.log_param("eps", 0.9)
                dbscan = DBSCAN(eps=0.9, min_samples=MIN_SAMPLES[0])
                mlflow.sklearn.log_model(Pipeline([("scaler", StandardScaler()), ("dbscan", dbscan)]).fit(rows), name="model")
                for index in range(6):
                    mlflow.log_metric(f"metric_{index}", 0.5)

    def ours(self) -> float:
        """Return the seconds a run of the sweep's own functions, over all eps of each island, the groups' own runs included."""
        return comparison.seconds(lambda: [log_group(self.context, group) for group in self.groups]) / self.n_runs

    def fewest_calls(self) -> float:
        """Return the seconds a run of the bare client, one run after the other, with the calls that nobody can leave out."""
        return comparison.seconds(self._log_with_bare_client) / self.n_runs

    def _log_with_bare_client(self) -> None:
        for group in self.groups:
            for position, outcome in enumerate(group.outcomes):
                self._log_outcome(outcome, group.models[position])

    def _log_outcome(self, outcome: Outcome, model: Pipeline) -> None:
        run_id = self.client.create_run(self.context.experiment_id).info.run_id
        now = now_ms()
        metrics = [Metric(name, value, now, 0) for name, value in outcome.metrics.items()]
        self.client.log_batch(run_id, metrics=metrics, params=[Param("eps", str(outcome.eps))])
        Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.sklearn,
            run_id=run_id,
            sk_model=model,
            serialization_format="skops",
            pip_requirements=self.context.requirements,
        )
        self.client.set_terminated(run_id)


def _fit_group(name: str, rows: pd.DataFrame) -> GroupResult:
    fit = sweep(rows, EPS, MIN_SAMPLES)
    models = {position: fit.model_that_predicts(position) for position in range(len(fit.outcomes))}
    return GroupResult((name,), len(rows), fit.outcomes, None, example=rows.mean().tolist(), models=models)


def compare_sides(where: str, store: Store, rounds: int) -> list[Comparison]:
    """Compare the sweep with a plain loop and with the bare client, in seconds a run."""
    comparison.progress(f"{where}: a plain loop, which takes many seconds a run")
    plain = comparison.compare(f"{where}: a plain loop (plain) and the sweep", store.plain, store.ours, rounds)
    comparison.progress(f"{where}: the bare client")
    bare = comparison.compare(f"{where}: the bare client (plain) and the sweep", store.fewest_calls, store.ours, 3 * rounds)
    return [plain, bare]


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=3)
    with tempfile.TemporaryDirectory() as folder:
        found = compare_sides("SQLite", Store(f"sqlite:///{folder}/mlflow.db"), given.rounds)
        with comparison.server(Path(folder)) as url:
            found += compare_sides("server", Store(url), given.rounds)
    comparison.report("tracking", found, given.json)


if __name__ == "__main__":
    main()
