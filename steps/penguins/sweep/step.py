"""The sweep as a step: what the scripts of all algorithms do once their parameters are known."""

from contextlib import ExitStack
from typing import Any

from mlflow.entities import Run
from pyspark.sql import SparkSession

from penguins.data.checks import columns_in_use, require_other_names, require_position
from penguins.data.describe_spark import describe_spark_columns
from penguins.data.locate import table_digest
from penguins.data.resolve import resolve_columns
from penguins.data.spark_checks import require_spark_degrees, require_spark_numbers
from penguins.data.spark_table import SparkTable, load_spark_table
from penguins.resume.fingerprint import step_fingerprint
from penguins.resume.recovery import discard_run, end_runs_that_only_began, finished_run
from penguins.resume.step_run import step_run
from penguins.spark.jobs import n_parallel_tasks
from penguins.spark.session import spark_session
from penguins.spark.target import SparkTarget
from penguins.sweep.algorithm import HAVERSINE
from penguins.sweep.clusters_table import reserved_columns
from penguins.sweep.driver import print_finished_sweep, require_distinct_names, require_shared_store, run_sweep
from penguins.sweep.log_runs import end_open_runs
from penguins.sweep.results import result_columns
from penguins.sweep.settings import SweepSettings
from penguins.tracking.registry import require_registrable

# The columns that `auto` stands for in the penguins.
PENGUINS = {
    "group_by": ("island",),
    "features": ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"),
}


def run_sweep_step(entry_point: str, algorithm: str, parameters: Any) -> None:
    """Cluster, choose and log in an MLflow run, with the parameters of a sweep of `algorithm`, a name in `ALGORITHMS`."""
    with step_run(entry_point, parameters, table_digest(parameters.data)) as run, end_open_runs(run), ExitStack() as stack:
        require_registrable(parameters.register)
        session = stack.enter_context(spark_session(SparkTarget(parameters.spark)))
        require_shared_store(parameters, session)
        in_use = resolve_columns(
            parameters, PENGUINS, lambda data: describe_spark_columns(session, data, parameters.read), False
        )
        settings = SweepSettings.from_parameters(algorithm, in_use)
        table = _load_table(session, parameters, settings)
        had_work = _sweep_or_show(entry_point, parameters, settings, run, table, n_parallel_tasks(session))
    if not had_work:  # after the block, which ends the run
        discard_run(run)


def _load_table(session: SparkSession, parameters: Any, settings: SweepSettings) -> SparkTable:
    """Read the columns that the sweep uses. Raises InputError where they do not fit its parameters."""
    is_sphere = settings.metric == HAVERSINE
    columns = columns_in_use(features=settings.features, group_by=settings.group_by)
    reserved = [*result_columns(settings.of_algorithm), *reserved_columns(settings)]
    require_other_names(dict.fromkeys(settings.group_by, "group_by") | dict.fromkeys(parameters.id, "id"), reserved)
    if is_sphere:
        require_position("features", settings.features)
    table = load_spark_table(session, parameters.data, columns, settings.group_by, True, parameters.read, ids=parameters.id)
    require_spark_numbers(table, "features", settings.features)
    require_distinct_names(table, settings)
    if is_sphere:
        require_spark_degrees(table, "features", settings.features)
    return table


def _sweep_or_show(
    entry_point: str, parameters: Any, settings: SweepSettings, run: Run, table: SparkTable, n_parallel: int
) -> bool:
    """Sweep and log, or print the results of a finished sweep that is to be resumed. Return whether there was work to do."""
    if parameters.resume:
        fingerprint = step_fingerprint(entry_point, parameters, table.digest)
        finished = finished_run(run.info.experiment_id, fingerprint)
    if not parameters.resume or finished is None:
        run_sweep(entry_point, parameters, settings, run, table, n_parallel)
        return True
    end_runs_that_only_began(run.info.experiment_id, fingerprint, run.info.run_id, parameters)
    print_finished_sweep(finished, settings)
    return False
