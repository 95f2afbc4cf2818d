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
from mlflow.entities import Param
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sklearn.cluster import DBSCAN
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from penguins.data.load import load_table
from penguins.sweep.context import sweep_context
from penguins.sweep.fit import GroupResult, Outcome, SweepFit, sweep
from penguins.sweep.log_runs import SWEEP, log_group
from penguins.sweep.model_files import NEAREST_CODE, NEAREST_DATA, NEAREST_MODULE, signature_of_clusters
from penguins.sweep.run_contents import model_name, run_name, to_metrics
from penguins.sweep.settings import SweepSettings
from penguins.sweep.workers import digest_of
from penguins.tracking.artifacts import log_table
from penguins.tracking.row_models import CODE_FOLDER, ROWS_CODE, ROWS_MODULE
from penguins.tracking.run import quiet_libraries
from penguins.tracking.server import acknowledge_at_once

FEATURES, GROUP_BY = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"], "island"
EPS, MIN_SAMPLES = dbscan_sweep.Parameters().eps, dbscan_sweep.Parameters().min_samples
SETTINGS = SweepSettings("dbscan", (GROUP_BY,), tuple(FEATURES), {"eps": EPS, "min_samples": MIN_SAMPLES}, min_coverage=0.5)


class BothFlavors:
    """A model of one value, saved by MLflow's own functions as a pipeline of scikit-learn that is a python_function, too."""

    @staticmethod
    def save_model(
        path: str, mlflow_model: Model, fit: SweepFit, position: int, example: pd.DataFrame, requirements: list[str]
    ) -> None:
        """Save the model of the value at `position` to the folder `path`. MLflow calls this for `Model.log`."""
        mlflow.sklearn.save_model(
            fit.model(position),
            path,
            mlflow_model=mlflow_model,
            serialization_format="skops",
            signature=signature_of_clusters(example.columns),
            input_example=example,
            pip_requirements=requirements,
        )
        fit.nearest(position).save(f"{path}/{NEAREST_DATA}")
        Path(path, CODE_FOLDER).mkdir()
        for module, code in ((ROWS_MODULE, ROWS_CODE), (NEAREST_MODULE, NEAREST_CODE)):
            Path(path, CODE_FOLDER, f"{module}.py").write_text(code, encoding="utf-8")
        environments = {"conda_env": "conda.yaml", "python_env": "python_env.yaml"}
        mlflow.pyfunc.add_to_model(mlflow_model, NEAREST_MODULE, data=NEAREST_DATA, code=CODE_FOLDER, **environments)
        mlflow_model.save(f"{path}/{MLMODEL_FILE_NAME}")


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
        self.fits = {name: sweep(rows, EPS, MIN_SAMPLES) for name, rows in self.islands.items()}
        self.n_runs = sum(len(fit.outcomes) for fit in self.fits.values())
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
        return comparison.seconds(lambda: [log_group(self.context, self._group(name)) for name in self.fits]) / self.n_runs

    def _group(self, name: str) -> GroupResult:
        """Return an island as a worker hands it to the driver, with its models as their files hold them."""
        rows, fit = self.islands[name], self.fits[name]
        models = {position: fit.model_that_predicts(position) for position in range(len(fit.outcomes))}
        example, digest = rows.mean().tolist(), digest_of(rows)
        return GroupResult((name,), len(rows), fit.outcomes, None, example=example, models=models, digest=digest)

    def fewest_calls(self) -> float:
        """Return the seconds a run of the bare client, one run after the other, with the calls that nobody can leave out."""
        return comparison.seconds(self._log_with_bare_client) / self.n_runs

    def _log_with_bare_client(self) -> None:
        for name, fit in self.fits.items():
            for position, outcome in enumerate(fit.outcomes):
                self._log_outcome(name, fit, position, outcome)

    def _log_outcome(self, group: str, fit: SweepFit, position: int, outcome: Outcome) -> None:
        """Log what the sweep logs of a value: tags, the dataset, parameters, metrics, and the model with all of its files."""
        tags = {**self.context.tags, MLFLOW_PARENT_RUN_ID: self.context.sweep_id, SWEEP: self.context.sweep_id}
        name = run_name(group, f"-eps{outcome.eps}")
        run_id = self.client.create_run(self.context.experiment_id, run_name=name, tags=tags).info.run_id
        self.client.log_inputs(run_id, datasets=self.context.datasets)
        params = {"group": group, "eps": str(outcome.eps), "min_samples": str(outcome.min_samples)}
        self.client.log_batch(run_id, metrics=to_metrics(outcome.metrics), params=[Param(*pair) for pair in params.items()])
        Model.log(
            artifact_path=None,
            name=model_name(group, f"-eps{outcome.eps}"),
            flavor=BothFlavors,
            run_id=run_id,
            fit=fit,
            position=position,
            example=pd.DataFrame([self.islands[group].mean()], columns=FEATURES),
            requirements=self.context.requirements,
            model_type="dbscan",
            params=params,
            tags={"group": group},
        )
        self.client.set_terminated(run_id)


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
