"""The sweep: for each group of the data, DBSCAN over many values of eps, because the best eps differs between groups.

Needs a column of groups (`group_by`) and columns of numbers (`features`). Spark clusters group by group, each in its own scaled
space, and chooses the most stable clustering. Logs a run for each group and under it one for each value, with the indices and
the fitted model; on the sweep's own run the table of all results (`results.csv`, `results.json`) and the picture of the indices
(`metrics_by_eps.png`).
"""

from dataclasses import dataclass

from penguins.cli.parameters import (
    COLUMN,
    COLUMNS,
    Auto,
    Choice,
    Real,
    data_parameter,
    eps_parameter,
    experiment_parameter,
    min_samples_parameter,
    parameter,
    resume_parameter,
    seed_parameter,
    spark_parameter,
)
from penguins.cli.script import check_command_line, run_script
from penguins.spark.session import start_in_background
from penguins.spark.target import SparkTarget

NAME = "dbscan_sweep"


@dataclass(frozen=True)
class Parameters:
    """DBSCAN over many values of eps, for each group of the data."""

    data: str = data_parameter()
    group_by: str = parameter("island", COLUMN, "the column of groups")
    features: tuple[str, ...] = parameter(
        "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g", COLUMNS, "the columns of numbers to cluster by"
    )
    eps: Auto | tuple[float, ...] = eps_parameter()
    min_samples: tuple[int, ...] = min_samples_parameter()
    metric: str = parameter(
        "euclidean", Choice(("euclidean", "haversine")), "distance: euclidean, or haversine (latitude, longitude; eps in km)"
    )
    scale: str = parameter(
        "standard", Choice(("standard", "none")), "standard: mean 0 and variance 1 in each group; none: eps in the data's unit"
    )
    select_by: str = parameter(
        "stability",
        Choice(("stability", "dbcv", "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw")),
        "rule that chooses a group's best eps: stability over eps, or the best value of an index",
    )
    min_coverage: float = parameter(
        "0.5", Real(0, 1, closed=True), "least share of a group's records that the best eps must keep, in [0, 1]"
    )
    runs: str = parameter(
        "all", Choice(("all", "groups")), "all: a run for each group and each eps; groups: for each group only"
    )
    models: str = parameter("all", Choice(("all", "best", "none")), "which models to log: all, best or none")
    log_from: str = parameter(
        "driver", Choice(("driver", "executors")), "where runs are logged: driver, or executors (inside the workers)"
    )
    resume: bool = resume_parameter()
    seed: int = seed_parameter()
    spark: str = spark_parameter()
    experiment: str = experiment_parameter()


if __name__ == "__main__":
    start_in_background(SparkTarget(check_command_line(NAME, Parameters).spark))

from contextlib import ExitStack

from mlflow.entities import Run

from penguins.data.checks import columns_in_use, require_other_names, require_position
from penguins.data.locate import table_digest
from penguins.data.spark_table import SparkTable, load_spark_table, require_spark_degrees, require_spark_numbers
from penguins.resume.fingerprint import step_fingerprint
from penguins.resume.recovery import discard_run, end_runs_that_only_began, finished_run
from penguins.resume.step_run import step_run
from penguins.spark.jobs import n_parallel_tasks
from penguins.spark.session import spark_session
from penguins.sweep.driver import print_finished_sweep, require_shared_store, run_sweep
from penguins.sweep.fit import HAVERSINE
from penguins.sweep.log_runs import end_open_runs
from penguins.sweep.results import RESULT_COLUMNS


def sweep_or_show(run: Run, table: SparkTable, parameters: Parameters, n_parallel: int) -> bool:
    """Sweep and log, or print the results of a finished sweep that is to be resumed. Return whether there was work to do."""
    if parameters.resume:
        fingerprint = step_fingerprint(NAME, parameters, table.digest)
        finished = finished_run(run.info.experiment_id, fingerprint)
    if not parameters.resume or finished is None:
        run_sweep(NAME, parameters, run, table, n_parallel)
        return True
    end_runs_that_only_began(run.info.experiment_id, fingerprint, run.info.run_id, parameters)
    print_finished_sweep(finished, parameters.group_by)
    return False


def main(parameters: Parameters) -> None:
    """Cluster, choose and log in an MLflow run."""
    with step_run(NAME, parameters, table_digest(parameters.data)) as run, end_open_runs(run), ExitStack() as stack:
        columns = columns_in_use(features=parameters.features, group_by=parameters.group_by)
        require_other_names({parameters.group_by: "group_by"}, RESULT_COLUMNS)
        if parameters.metric == HAVERSINE:
            require_position("features", parameters.features)
        session = stack.enter_context(spark_session(SparkTarget(parameters.spark)))
        require_shared_store(parameters, session)
        table = load_spark_table(session, parameters.data, columns, parameters.group_by, ordered=True)
        require_spark_numbers(table, "features", parameters.features)
        if parameters.metric == HAVERSINE:
            require_spark_degrees(table, "features", parameters.features)
        had_work = sweep_or_show(run, table, parameters, n_parallel_tasks(session))
    if not had_work:  # after the block, which ends the run
        discard_run(run)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
