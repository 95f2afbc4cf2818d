"""The driver of a sweep: it has the groups computed, logs their results, and continues sweeps that died unfinished."""

from collections.abc import Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from penguins.data.output import Output
from penguins.data.table import GroupedTable
from penguins.errors import WorkError
from penguins.resume.fingerprint import step_fingerprint
from penguins.resume.recovery import claim_stale_runs, reason_to_start_afresh
from penguins.resume.step_run import record_fingerprint
from penguins.sweep.context import SweepContext, sweep_context
from penguins.sweep.fit import GroupResult
from penguins.sweep.groups import GroupFunction, Groups, Key
from penguins.sweep.log_clusters import log_clusters
from penguins.sweep.log_runs import log_group
from penguins.sweep.logging_workers import log_in_worker
from penguins.sweep.notes import sweep_conclusion
from penguins.sweep.publish import log_evidence, log_model_of_all_groups, log_profiles, log_results
from penguins.sweep.results import LoggedGroup, SweepResults, group_without_run
from penguins.sweep.resume import delete_duplicates, end_late_groups, recover_groups
from penguins.sweep.settings import SweepSettings
from penguins.sweep.terminal import result_lines
from penguins.sweep.transfer import chosen_from_rows, fitted_groups_from_rows, logged_groups_from_rows
from penguins.sweep.workers import fit_again_in_worker, fit_in_worker
from penguins.text import LONGEST_REASON, count, print_lines, quote
from penguins.tracking.conclusion import conclude
from penguins.tracking.registry import register_router
from penguins.tracking.run import failure_reason, progress_bar
from penguins.tracking.server import connection_variables

# Groups that are logged to a server at the same time.
PARALLEL_GROUPS = 2


def run_sweep(entry_point: str, parameters: Any, settings: SweepSettings, run: Run, groups: Groups, output: Output) -> None:
    """Cluster every group that no stale sweep has completed; log the runs and the results.

    Raises WorkError where a group failed, once the others are complete.
    """
    table = groups.table
    context = sweep_context(run.info.run_id, settings, table.n_names, parameters.data)
    results = SweepResults()
    stale = recover(entry_point, parameters, context, table, results)
    if results.groups:
        cluster_again(results, context, groups)
    if n_left := table.n_names - len(results.groups):
        finished = [group.key for group in results.groups.values()]
        with closing(logged_groups(groups, context, finished)) as logged, progress_bar(n_left, "sweep") as bar:
            n_runs = 0
            for group in logged:
                results.add(group)
                n_runs += settings.has_group_runs + (len(group.rows) if settings.has_child_runs else 0)
                bar.set_postfix(runs=n_runs, refresh=False)
                bar.update()
    remove_leftovers(context, stale, results)
    log_results(results, settings)
    log_profiles(results, table, settings)
    log_evidence(results, table, settings)
    router_uri = log_model_of_all_groups(results, context)
    log_clusters(results, table, settings, output, run.info.run_id)
    conclusion = sweep_conclusion(entry_point, parameters, settings, results, run, router_uri)
    conclude(run, conclusion, result_lines(results, settings))
    if failures := results.failures:
        name, why = next(iter(failures.items()))
        raise WorkError(
            f"{len(failures)} of {count(len(results.groups), 'group')} failed, {quote(name)} for one: {why}. "
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


def recover(entry_point: str, parameters: Any, context: SweepContext, table: GroupedTable, results: SweepResults) -> list[Run]:
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
    if stale and not context.settings.has_group_runs:
        print_lines("resume: starts afresh: with runs=none, an unfinished sweep leaves nothing to take over")
    elif stale:
        ids = ", ".join(run.info.run_id for run in stale)
        print_lines(f"resume: {len(results.groups)} of {count(table.n_names, 'group')} are taken over, finished, from {ids}")
    else:
        print_lines(f"resume: starts afresh: {reason_to_start_afresh(context.experiment_id, fingerprint)}")
    return stale


def cluster_again(results: SweepResults, context: SweepContext, groups: Groups) -> None:
    """Add the chosen clusterings and the evidence of groups that another sweep has logged: no run holds them.

    Raises WorkError where the work fails.
    """
    logged = list(results.groups.values())
    values = {
        group.key: ([row.params for row in group.rows], next((at for at, row in enumerate(group.rows) if row.best), None))
        for group in logged
    }
    fit = partial(fit_again_in_worker, settings=context.settings, values=values)
    settings, tag = replace(context.settings, models="none"), f"again-{context.sweep_id}"
    with closing(groups.apply(fit, settings, tag, only=list(values))) as parts:
        for rows in parts:
            for name, chosen in chosen_from_rows(rows).items():
                results.add(replace(results.groups[name], chosen=chosen))


def logged_groups(groups: Groups, context: SweepContext, without: Collection[Key]) -> Generator[LoggedGroup, None, None]:
    """Cluster the groups without the keys `without` and log them, here or in the workers; yield each when it is logged.

    Raises WorkError where the work or the store fails.
    """
    settings = context.settings
    with closing(groups.apply(_worker_function(context), settings, f"sweep-{context.sweep_id}", without=without)) as parts:
        for rows in parts:
            if settings.logs_in_workers:
                found = iter(logged_groups_from_rows(rows))
            else:
                fitted = fitted_groups_from_rows(rows)
                found = _log_groups(fitted, context) if settings.has_group_runs else map(group_without_run, fitted)
            yield from (group.with_rows(settings.values_of_failure) for group in found)


def _worker_function(context: SweepContext) -> GroupFunction:
    """Return the function that is applied to each group. A worker that only computes is not sent what needs MLflow."""
    if context.settings.logs_in_workers:
        return partial(log_in_worker, context=replace(context, variables=connection_variables()))
    return partial(fit_in_worker, settings=context.settings)


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
        return log_group(context, group)
    except (MlflowException, OSError) as error:
        raise WorkError(
            f"The runs of {quote(group.name)} could not be logged: {failure_reason(error)[:LONGEST_REASON]}. "
            "What was logged before is kept: the same command with -P resume=true does the rest."
        ) from error


def remove_leftovers(context: SweepContext, stale: Collection[Run], results: SweepResults) -> None:
    """Leave one run for each group and value, even if a worker's task or a request to a server was repeated."""
    if context.n_parallel_runs > 1 or context.settings.logs_in_workers:
        delete_duplicates(context, {group.run_id for group in results.groups.values()})
    end_late_groups(context, list(stale))
