"""The driver of a sweep: it sends the groups to Spark, logs their results, and continues sweeps that died unfinished."""

import math
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.databricks_utils import is_in_databricks_serverless_runtime
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.cli.rules import to_text
from penguins.data.spark_columns import quote_column
from penguins.data.spark_table import SparkTable
from penguins.errors import InputError, WorkError
from penguins.resume.fingerprint import step_fingerprint
from penguins.resume.recovery import claim_stale_runs, end_runs_that_only_began, reason_to_start_afresh
from penguins.resume.step_run import record_fingerprint
from penguins.spark.groups import group_results
from penguins.spark.target import SparkTarget
from penguins.sweep.clusters_table import whole_ids
from penguins.sweep.context import SweepContext, sweep_context
from penguins.sweep.fit import SEPARATOR, GroupResult
from penguins.sweep.log_runs import log_group
from penguins.sweep.publish import log_clusters, log_model_of_all_groups, log_results, print_results
from penguins.sweep.results import LoggedGroup, SweepResults, failure_rows
from penguins.sweep.resume import delete_duplicates, end_late_groups, finished_groups, recover_groups
from penguins.sweep.settings import ONE_GROUP, SweepSettings
from penguins.sweep.transfer import SCHEMA, chosen_from_rows, fitted_groups_from_rows, logged_groups_from_rows
from penguins.sweep.workers import (
    ROW,
    feature_column,
    fit_chosen_in_worker,
    fit_in_worker,
    group_fields,
    id_column,
    log_in_worker,
)
from penguins.text import LONGEST_REASON, print_lines, quote
from penguins.tracking.registry import register_router
from penguins.tracking.run import failure_reason, progress_bar
from penguins.tracking.server import own_credentials
from penguins.tracking.store import absolute_tracking_uri, is_server

# A slice is collected by one job, which reads the whole table: few slices are fast, many let the logging begin early.
FEWEST_GROUPS_IN_SLICE, MOST_SLICES = 32, 64
# Groups that are logged to a server at the same time.
PARALLEL_GROUPS = 2
# About how many bytes may come back for one slice, and an estimate of their parts.
SLICE_BYTES = 128 << 20
BYTES_PER_NUMBER, BYTES_PER_OUTCOME = 8, 1_000


def run_sweep(entry_point: str, parameters: Any, settings: SweepSettings, run: Run, table: SparkTable, n_parallel: int) -> None:
    """Cluster every group that no stale sweep has completed, `n_parallel` at a time; log the runs and the results.

    Raises WorkError where a group failed, once the others are complete.
    """
    context = sweep_context(run.info.run_id, settings, table.n_names, parameters.data)
    results = SweepResults()
    stale = _recover(entry_point, parameters, context, table, results)
    if results.groups:
        cluster_again(results, context, worker_frame(table, settings))
    if n_left := table.n_names - len(results.groups):
        n_slices = slice_count(n_left, table.rows // table.n_names, settings, n_parallel)
        frame = _drop_groups(worker_frame(table, settings), [group.key for group in results.groups.values()], settings)
        with closing(logged_groups(frame, n_slices, context)) as groups, progress_bar(n_left, "sweep") as bar:
            for group in groups:
                results.add(group)
                bar.update()
    remove_leftovers(context, stale, results)
    log_results(results, settings)
    log_clusters(results, table, settings)
    router_uri = log_model_of_all_groups(results, context)
    print_results(run, results, settings)
    if failures := results.failures:
        name, why = next(iter(failures.items()))
        raise WorkError(
            f"{len(failures)} of {len(results.groups)} groups failed, {quote(name)} for one: {why}. "
            "Their runs and rows say why; the other groups are complete."
        )
    if parameters.register:
        register_sweep(router_uri, parameters.register, run.info.run_id)


def register_sweep(router_uri: str, name: str, run_id: str) -> None:
    """Register the model of all groups under `name`, and print what it became. Raises WorkError where there is none."""
    if not router_uri:
        raise WorkError(
            f"Nothing is registered as {quote(name)}: no group has a best value, so that there is no model of them."
        )
    print_lines(*register_router(router_uri, name, run_id))


def print_finished_sweep(finished: Run, settings: SweepSettings) -> None:
    """Print the results of a sweep that has nothing left to do."""
    print_lines(f"resume: the run {finished.info.run_id} has finished this work: nothing is left to do")
    results = SweepResults({group.name: group for group in finished_groups(finished, settings.of_algorithm)})
    print_results(finished, results, settings)


def _recover(entry_point: str, parameters: Any, context: SweepContext, table: SparkTable, results: SweepResults) -> list[Run]:
    """Write the sweep's fingerprint on its run and, to resume, add the complete groups of stale sweeps to `results`.

    Returns the stale sweeps, which this one has claimed.
    """
    if not parameters.resume:
        record_fingerprint(entry_point, parameters, table.digest)
        return []
    fingerprint = step_fingerprint(entry_point, parameters, table.digest)
    stale = claim_stale_runs(context.experiment_id, fingerprint, context.sweep_id)
    for group in recover_groups(context, stale):
        results.add(group)
    end_runs_that_only_began(context.experiment_id, fingerprint, context.sweep_id, parameters)
    if stale:
        ids = ", ".join(run.info.run_id for run in stale)
        print_lines(f"resume: {len(results.groups)} of {table.n_names} groups are taken over, finished, from {ids}")
    else:
        print_lines(f"resume: starts afresh: {reason_to_start_afresh(context.experiment_id, fingerprint)}")
    return stale


def worker_frame(table: SparkTable, settings: SweepSettings) -> DataFrame:
    """Return the table under names that Spark cannot misread: `group_0` …, `feature_0` …, `id_0` …, and `row` if it has one."""
    groups = [F.col(quote_column(name)) for name in settings.group_by] or [F.lit(ONE_GROUP)]
    columns = [values.alias(name) for values, name in zip(groups, group_fields(settings), strict=True)]
    columns += [F.col(quote_column(name)).alias(feature_column(index)) for index, name in enumerate(settings.features)]
    if table.order:
        columns.append(F.col(quote_column(table.order)).alias(ROW))
    as_text = whole_ids(table)
    for index, name in enumerate(table.ids):
        field = F.col(quote_column(name))
        columns.append((field.cast("string") if name in as_text else field).alias(id_column(index)))
    return table.frame.select(*columns)


def _drop_groups(frame: DataFrame, keys: Collection[tuple[str, ...]], settings: SweepSettings) -> DataFrame:
    """Return the frame without the records of the groups with these keys."""
    return _join_groups(frame, keys, settings, "left_anti") if keys else frame


def _join_groups(frame: DataFrame, keys: Collection[tuple[str, ...]], settings: SweepSettings, how: str) -> DataFrame:
    fields = group_fields(settings)
    groups = frame.sparkSession.createDataFrame(sorted(keys), ", ".join(f"{name} string" for name in fields))
    return frame.join(F.broadcast(groups), fields, how)


def cluster_again(results: SweepResults, context: SweepContext, frame: DataFrame) -> None:
    """Add the chosen clusterings of groups that another sweep has logged: no run holds them, and one value is soon fitted.

    `frame` is that of `worker_frame`. Raises WorkError where Spark fails.
    """
    settings, groups = context.settings, list(results.groups.values())
    best = {group.key: dict(group.best.params) for group in groups if group.best}

    def fit(records: pd.DataFrame) -> pd.DataFrame:
        return fit_chosen_in_worker(records, settings, best)

    frame = _join_groups(frame, [group.key for group in groups], settings, "left_semi")
    n_records = sum(group.n_records for group in groups) // len(groups)
    n_slices = slice_count(len(groups), n_records, replace(settings, models="none"), 1)
    tag = f"again-{context.sweep_id}"
    with closing(group_results(frame, group_fields(settings), fit, SCHEMA, n_slices, tag)) as slices:
        for rows in slices:
            for name, chosen in chosen_from_rows(rows).items():
                results.add(replace(results.groups[name], chosen=chosen))


def require_distinct_names(table: SparkTable, settings: SweepSettings) -> None:
    """Raise InputError where two groups would have the same name, as ("a, b", "c") and ("a", "b, c") would."""
    if len(settings.group_by) < 2:
        return
    fields = group_fields(settings)
    key = F.struct(*fields)
    names = worker_frame(table, settings).groupBy(F.concat_ws(SEPARATOR, *fields).alias("name"))
    clash = names.agg(F.min(key).alias("one"), F.max(key).alias("other")).where("one != other").sort("name").head()
    if clash:
        raise InputError(
            f"The 'group_by' parameter must name columns whose values, joined by {quote(SEPARATOR)}, tell the groups apart. "
            f"Got {quote(to_text(settings.group_by))}, with {quote(tuple(clash['one']))} and {quote(tuple(clash['other']))}, "
            f"both called {quote(clash['name'])}: change these values in the table."
        )


def slice_count(n_groups: int, n_records: int, settings: SweepSettings, n_parallel: int) -> int:
    """Return in how many slices to collect `n_groups` of some `n_records` each.

    A slice holds `n_parallel` groups or more, and no more models than the driver can take.
    """
    n_models = 0 if settings.logs_in_workers else settings.most_models_per_group
    bytes_per_record = BYTES_PER_NUMBER * (2 + len(settings.features))  # its label, its index and its coordinates
    bytes_per_group = settings.most_values * BYTES_PER_OUTCOME + (n_models + 1) * bytes_per_record * n_records
    in_slice = max(FEWEST_GROUPS_IN_SLICE, n_parallel, n_groups // MOST_SLICES)
    return math.ceil(n_groups / max(1, min(in_slice, SLICE_BYTES // bytes_per_group)))


def logged_groups(frame: DataFrame, n_slices: int, context: SweepContext) -> Generator[LoggedGroup, None, None]:
    """Cluster the groups of `worker_frame` in Spark and log them, here or in the workers; yield each when it is logged.

    Raises WorkError where Spark or the store fails.
    """
    function, fields = _worker_function(context), group_fields(context.settings)
    with closing(group_results(frame, fields, function, SCHEMA, n_slices, f"sweep-{context.sweep_id}")) as slices:
        for rows in slices:
            if context.settings.logs_in_workers:
                yield from (_with_failure_rows(group, context.settings) for group in logged_groups_from_rows(rows))
            else:
                yield from _log_groups(fitted_groups_from_rows(rows), context)


def _worker_function(context: SweepContext) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return the function that Spark applies to each group. A worker that only computes is not sent what needs MLflow."""
    if context.settings.logs_in_workers:
        with_credentials = replace(context, credentials=own_credentials())

        def log(records: pd.DataFrame) -> pd.DataFrame:
            return log_in_worker(records, with_credentials)

        return log
    settings = context.settings

    def fit(records: pd.DataFrame) -> pd.DataFrame:
        return fit_in_worker(records, settings)

    return fit


def _log_groups(groups: Collection[GroupResult], context: SweepContext) -> Iterator[LoggedGroup]:
    """Log groups from the driver, several at a time to a server."""
    if context.n_parallel_runs == 1:
        for group in groups:
            yield log_on_driver(group, context)
    else:
        with ThreadPoolExecutor(PARALLEL_GROUPS) as pool:
            yield from pool.map(lambda group: log_on_driver(group, context), groups)


def log_on_driver(group: GroupResult, context: SweepContext) -> LoggedGroup:
    """Log one group's runs. Raises WorkError where the store does not take them."""
    try:
        return _with_failure_rows(log_group(context, group), context.settings)
    except (MlflowException, OSError) as error:
        raise WorkError(
            f"The runs of {quote(group.name)} could not be logged: {failure_reason(error)[:LONGEST_REASON]}. "
            "What was logged before is kept: the same command with -P resume=true does the rest."
        ) from error


def _with_failure_rows(group: LoggedGroup, settings: SweepSettings) -> LoggedGroup:
    """Return a group that failed before it had any rows with empty rows that hold the reason."""
    if group.rows or not group.failure:
        return group
    return replace(group, rows=failure_rows(group.key, settings.values_of_failure, group.n_records, group.failure))


def remove_leftovers(context: SweepContext, stale: Collection[Run], results: SweepResults) -> None:
    """Leave one run for each group and value, even if a worker's task or a request to a server was repeated."""
    if context.n_parallel_runs > 1 or context.settings.logs_in_workers:
        delete_duplicates(context, {group.run_id for group in results.groups.values()})
    end_late_groups(context, list(stale))


def require_shared_store(parameters: Any, session: SparkSession) -> None:
    """Raise InputError where workers are to log to a store that they cannot reach."""
    uri = absolute_tracking_uri()
    if parameters.log_from == "driver":
        return
    if is_in_databricks_serverless_runtime():
        raise InputError(
            "The 'log_from' parameter must be driver on serverless compute, whose workers reach no network. "
            "Got 'executors' instead."
        )
    if is_server(uri):
        return
    master = session.conf.get("spark.master", "") if parameters.spark == "active" else parameters.spark
    if not SparkTarget(str(master)).is_on_this_machine:
        raise InputError(
            f"The 'log_from' parameter must be driver where the workers cannot reach the tracking store. Got 'executors' with "
            f"Spark at {quote(master)} and the store {quote(uri)}, a file of this machine: set "
            "MLFLOW_TRACKING_URI to a tracking server's."
        )
