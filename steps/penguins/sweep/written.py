"""A sweep of very many groups: Spark's workers cluster them and write the tables, and only counts and a sample come here."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import mlflow
from mlflow.entities import Run

from penguins.data.output import Output
from penguins.data.spark_table import SparkTable
from penguins.errors import WorkError
from penguins.spark.jobs import has_single_attempts, run_tagged, spark_errors, spark_failure_reason
from penguins.sweep.context import sweep_context
from penguins.sweep.driver import recover
from penguins.sweep.groups import Groups
from penguins.sweep.nested_frames import cluster_groups, clusters_frame, results_frame, sample_frame, totals_of
from penguins.sweep.notes import sweep_conclusion, totals_sentence
from penguins.sweep.publish import log_evidence, log_profiles, log_results
from penguins.sweep.results import SweepResults, Totals
from penguins.sweep.settings import SweepSettings
from penguins.sweep.spark_places import Place, spark_place
from penguins.sweep.tables import CLUSTERS, RESULTS, SAMPLE, report_tables
from penguins.sweep.terminal import result_lines, sample_lines
from penguins.sweep.transfer import logged_groups_from_rows
from penguins.text import count, print_lines
from penguins.tracking.conclusion import conclude

T = TypeVar("T")


def sweep_to_output(
    entry_point: str, parameters: Any, settings: SweepSettings, run: Run, groups: Groups, output: Output
) -> None:
    """Cluster every group once, write the tables to `output`, and log counts and a sample of the groups.

    Raises WorkError where Spark fails, and then the earlier tables stay; and where a group failed, once the tables are there.
    """
    run_id, results, table = run.info.run_id, SweepResults(), groups.table
    if not isinstance(table, SparkTable):
        raise TypeError("only Spark writes tables group by group: a sweep without it has them in this process")
    recover(entry_point, parameters, sweep_context(run_id, settings, settings.n_groups, parameters.data), table, results)
    totals = _write_tables(table, settings, spark_place(table.frame.sparkSession, output, run_id), f"sweep-{run_id}", results)
    log_results(results, settings, totals)
    log_profiles(results, table, settings)
    log_evidence(results, table, settings)
    report_tables(output, totals.n_results, table.rows + table.left_out)
    conclusion = sweep_conclusion(entry_point, parameters, settings, results, run, "")
    lines = result_lines(results, settings)
    if len(results.groups) < totals.n_groups:
        sample = f"{len(results.groups):,} of {totals.n_groups:,} groups"
        mlflow.set_tag(SAMPLE, sample)
        conclusion = replace(conclusion, result=f"{totals_sentence(settings, totals)} The rows are of a sample, {sample}.")
        lines = sample_lines(conclusion.result, sample)
    conclude(run, conclusion, lines)
    if totals.n_failed:
        raise WorkError(
            f"{totals.n_failed} of {count(totals.n_groups, 'group')} failed, {totals.failure}. Their rows say why; the other "
            "groups are complete, and the tables are in place."
        )


def _write_tables(table: SparkTable, settings: SweepSettings, place: Place, tag: str, results: SweepResults) -> Totals:
    """Write the tables, and add the groups of the sample to `results`. Raises WorkError where Spark fails."""
    session, is_complete = table.frame.sparkSession, False
    try:
        place.begin()
        frame = cluster_groups(table, settings)
        groups = _repeat(table, tag, lambda: place.write_groups(frame))
        totals = run_tagged(session, tag, lambda: totals_of(groups, settings))
        _require_whole(totals, table, settings)
        frames = {CLUSTERS: clusters_frame(groups, table, settings), RESULTS: results_frame(groups, settings)}
        written = _repeat(table, tag, lambda: place.write_tables(frames))
        numbers = run_tagged(session, tag, lambda: {name: one.count() for name, one in written.items()})
        if numbers != {CLUSTERS: table.rows + table.left_out, RESULTS: totals.n_results}:
            raise _wrong_numbers(f"{numbers[CLUSTERS]} records and {numbers[RESULTS]} results")
        for group in run_tagged(session, tag, lambda: logged_groups_from_rows(sample_frame(groups).collect())):
            results.add(group)
        # From here on, readers may see the new tables: nothing deletes them. In this thread, a signal waits for its end.
        is_complete = True
        place.put_in_place(written)
    except spark_errors() as error:
        state = "One of the two may be replaced: run it again." if is_complete else "Earlier ones stay as they were."
        raise WorkError(f"Spark could not write the tables: {spark_failure_reason(error)}. {state}") from error
    finally:
        place.end(is_complete)
    return totals


def _repeat(table: SparkTable, tag: str, work: Callable[[], T]) -> T:
    """Return what `work` returns; where Spark repeats no task, do it once more if it fails."""
    session = table.frame.sparkSession
    try:
        return run_tagged(session, tag, work)
    except spark_errors() as error:
        if not has_single_attempts(session):
            raise
        print_lines(f"The groups of a job are computed once more, because it failed: {spark_failure_reason(error)}")
        return run_tagged(session, tag, work)


def _require_whole(totals: Totals, table: SparkTable, settings: SweepSettings) -> None:
    """Raise WorkError unless each group and each record of the table is there once."""
    found = (totals.n_groups, totals.n_distinct, totals.n_records)
    if found != (settings.n_groups, settings.n_groups, table.rows):
        raise _wrong_numbers(f"{totals.n_groups} groups, {totals.n_distinct} of them different, of {totals.n_records} records")


def _wrong_numbers(what: str) -> WorkError:
    return WorkError(
        f"Spark wrote other numbers than the table has: {what}. The workers have to see the same folder as this machine, and "
        "the table may not change while it is read. Earlier tables stay as they were."
    )
