"""The sweep as a step: what the scripts of all algorithms do once their parameters are known."""

from contextlib import ExitStack
from typing import Any

import skops.io  # noqa: F401  # before MLflow: it looks through all modules that are loaded
from mlflow.entities import Run

from penguins.cli.combinations import is_catalog_table
from penguins.cli.signals import raise_if_interrupted
from penguins.data.checks import columns_in_use, require_other_names, require_position
from penguins.data.locate import is_read_here, table_digest
from penguins.data.output import Output, find_output, require_uploads
from penguins.data.resolve import resolve_columns
from penguins.data.versions import is_in_place
from penguins.resume.fingerprint import step_fingerprint
from penguins.resume.recovery import discard_run, finished_run
from penguins.resume.step_run import step_run
from penguins.spark.session import step_session
from penguins.spark.target import NONE, SparkTarget, reason_for_no_spark, target_of_sweep
from penguins.sweep.algorithm import HAVERSINE
from penguins.sweep.clusters_table import reserved_columns
from penguins.sweep.driver import run_sweep
from penguins.sweep.evidence_tables import point_columns
from penguins.sweep.groups import Backend, Groups
from penguins.sweep.log_runs import end_open_runs
from penguins.sweep.results import SweepResults, result_columns
from penguins.sweep.resume import finished_groups
from penguins.sweep.settings import MOST_CHILD_RUNS, SweepSettings
from penguins.sweep.tables import CLUSTERS, RESULTS, SAMPLE, TABLES, TABLES_TAG
from penguins.sweep.terminal import result_lines, sample_lines
from penguins.text import count, print_lines
from penguins.tracking.conclusion import ANSWER, print_end, report_of, score_of
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
        output = find_output(parameters.output, parameters.data, run.info.run_id, TABLES)
        backend = _open_backend(parameters, stack)
        raise_if_interrupted()
        in_use = resolve_columns(parameters, PENGUINS, backend.describe, False)
        settings = SweepSettings.from_parameters(algorithm, in_use)
        groups = _load_groups(backend, parameters, settings)
        finished = _sweep_or_show(entry_point, parameters, settings, run, groups, output)
    if finished:  # after the block, which ends the run
        discard_run(run, finished)


def _open_backend(parameters: Any, stack: ExitStack) -> Backend:
    """Return what computes the groups. A session of Spark that it starts ends with `stack`."""
    target, is_asked_for = target_of_sweep(parameters), parameters.spark != NONE
    if target is None and is_asked_for and (is_catalog_table(parameters.output) or not is_read_here(parameters.data)):
        target = SparkTarget(parameters.spark)  # without which nothing goes: its session says what is missing
    if target is None:
        if is_asked_for:
            print_lines(f"This runs without Spark, as with spark=none: {reason_for_no_spark(parameters.spark)}")
        from penguins.sweep.process_groups import ProcessBackend

        return ProcessBackend(parameters)
    from penguins.sweep.spark_groups import SparkBackend  # imports Spark

    return SparkBackend(stack.enter_context(step_session(target)), parameters)


def _load_groups(backend: Backend, parameters: Any, settings: SweepSettings) -> Groups:
    """Read the columns that the sweep uses. Raises InputError where they do not fit its parameters."""
    columns = columns_in_use(features=settings.features, group_by=settings.group_by)
    reserved = [*result_columns(settings.of_algorithm), *reserved_columns(settings)]
    require_other_names(dict.fromkeys(settings.group_by, "group_by") | dict.fromkeys(parameters.id, "id"), reserved)
    require_other_names(dict.fromkeys(settings.features, "features"), point_columns(settings))
    if settings.metric == HAVERSINE:
        require_position("features", settings.features)
    return backend.load(parameters, settings, columns)


def _sweep_or_show(
    entry_point: str, parameters: Any, settings: SweepSettings, run: Run, groups: Groups, output: Output
) -> Run | None:
    """Sweep and log, or, to resume a finished sweep, only print its results. Return the finished sweep if there is one."""
    settings, finished = settings_for_groups(settings, groups.table.n_names), None
    if parameters.resume:
        finished = finished_run(run.info.experiment_id, step_fingerprint(entry_point, parameters, groups.table.digest))
    if finished and output.kind == "folder" and not is_in_place(output.address, finished.info.run_id, (RESULTS, CLUSTERS)):
        print_lines(f"resume: starts afresh: the tables of the run {finished.info.run_id} are not in {output.address} any more")
        finished = None
    if finished:
        print_finished_sweep(finished, parameters, settings)
    elif settings.runs == "none" and output.kind != "artifact" and groups.table.whole is None:
        from penguins.sweep.written import sweep_to_output  # imports Spark

        sweep_to_output(entry_point, parameters, settings, run, groups, output)
    else:
        require_uploads(output, TABLES)
        run_sweep(entry_point, parameters, settings, run, groups, output)
    return finished


def settings_for_groups(settings: SweepSettings, n_groups: int) -> SweepSettings:
    """Return the settings for a table of so many groups, and print what runs=auto stands for where values get no runs."""
    found = settings.for_groups(n_groups)
    if settings.runs == "auto" and not found.has_child_runs:
        print_lines(
            f"runs=auto: {found.most_child_runs:,} values of {count(n_groups, 'group')} would be more than "
            f"{MOST_CHILD_RUNS:,} runs, so that each group has a run and its values have none (runs=all logs all)"
        )
    return found


def print_finished_sweep(finished: Run, parameters: Any, settings: SweepSettings) -> None:
    """Print the results of a sweep that has nothing left to do, and the next steps as the sweep did."""
    print_lines(f"resume: the run {finished.info.run_id} has finished this work: nothing is left to do")
    results = SweepResults({group.name: group for group in finished_groups(finished, settings.of_algorithm)})
    models = finished.outputs.model_outputs if finished.outputs else []
    next_steps = [report_of(finished), *[score_of(f"models:/{model.model_id}", parameters) for model in models]]
    sample, tables = (finished.data.tags.get(name, "") for name in (SAMPLE, TABLES_TAG))
    lines = sample_lines(finished.data.tags.get(ANSWER, ""), sample) if sample else result_lines(results, settings)
    print_end(finished, [*lines, *([f"tables: in {tables}, as that run left them"] if tables else [])], next_steps)
