"""The runs of a sweep in MLflow: one for each group under the sweep's run, one for each eps under the group's.

This works alike on the driver and inside a Spark worker: no run is active, and everything it needs is in `SweepContext`.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, Run, RunInfo, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.errors import WorkError
from penguins.sweep.context import SweepContext
from penguins.sweep.fit import GroupResult, Outcome
from penguins.sweep.model_files import local_folder, store_model
from penguins.sweep.results import LoggedGroup, ResultRow, result_rows, table_text
from penguins.text import format_number
from penguins.tracking.run import LONGEST_TAG, end_failed_run, failure_reason
from penguins.tracking.store import now_ms, search_runs, shorten_retries, tracking_client

MODEL = "model"
LONGEST_NAME, LONGEST_GROUP_TAG = 250, 8000
# A tag of every run of a sweep: the id of the sweep that logged it.
SWEEP = "sweep"
# An artifact of every group: its own rows of the sweep's table.
TABLE = "results.csv"


class _GroupError(WorkError):
    """A group failed. Its run holds the message; it may have rows all the same."""

    def __init__(self, why: str, rows: list[ResultRow]) -> None:
        super().__init__(why)
        self.rows = rows


class _ModelError(WorkError):
    """A model could not be stored."""


def log_group(context: SweepContext, group: GroupResult) -> LoggedGroup:
    """Log the runs of one group.

    The group's run is FAILED with the reason if the group could not be computed, or if one of its models could not be stored;
    then that model's run is FAILED, too. An interruption ends the open runs; parallel runs on a server are completed first.
    Raises MlflowException or OSError where the store fails.
    """
    client = tracking_client(context.tracking_uri)
    # MLflow cuts a parameter's value where it is long; a tag holds more of a name.
    tags = {"group": storable_text(group.name)[:LONGEST_GROUP_TAG]}
    info = _create_run(client, context, run_name(group.name), context.sweep_id, tags)
    try:
        with _end_run_after_block(client, info.run_id):
            rows = _fill_group_run(client, context, group, info)
    except _GroupError as error:
        return LoggedGroup(group.name, info.run_id, error.rows, group.best_eps, str(error))
    return LoggedGroup(group.name, info.run_id, rows, group.best_eps)


def _fill_group_run(client: MlflowClient, context: SweepContext, group: GroupResult, info: RunInfo) -> list[ResultRow]:
    """Log the runs of every eps, then the metrics, the tags and the table of the group's own run."""
    params, n_records = [Param("group", storable_text(group.name))], _metrics({"n_records": group.n_records})
    if group.failure:
        client.log_batch(info.run_id, params=params, metrics=n_records)
        raise _GroupError(group.failure, [])
    has_children = context.settings.has_child_runs
    models = _log_eps_runs(context, group, info.run_id) if has_children else [("", "")] * len(group.outcomes)
    tags = [RunTag(key, text) for key, text in _group_tags(group).items()]
    client.log_batch(info.run_id, params=params, tags=tags, metrics=n_records + group_metrics(group))
    rows = result_rows(group, models)
    _store_table(client, info, table_text(context.settings.group_by, rows))
    if failures := [failure for _, failure in models if failure]:
        raise _GroupError(f"{len(failures)} of its models could not be stored: {failures[0]}", rows)
    return rows


def _log_eps_runs(context: SweepContext, group: GroupResult, parent_id: str) -> list[tuple[str, str]]:
    """Log the run of each eps, several at a time where the store takes that.

    Returns for each its model's URI and why the model could not be stored, both empty where there is none.
    """

    def log_one(outcome: Outcome) -> tuple[str, str]:
        try:
            return _log_eps_run(context, group, outcome, parent_id), ""
        except _ModelError as error:
            return "", str(error)

    if context.n_parallel_runs == 1:
        return [log_one(outcome) for outcome in group.outcomes]
    with ThreadPoolExecutor(min(context.n_parallel_runs, len(group.outcomes))) as pool:
        return list(pool.map(log_one, group.outcomes))


def _log_eps_run(context: SweepContext, group: GroupResult, outcome: Outcome, parent_id: str) -> str:
    """Log the run of one eps, and return its model's URI or an empty text."""
    client = tracking_client(context.tracking_uri)
    eps = format_number(outcome.eps)
    run_id = _create_run(client, context, run_name(group.name, f"-eps{eps}"), parent_id, _eps_tags(outcome)).run_id
    with _end_run_after_block(client, run_id):
        params = {"group": storable_text(group.name), "eps": eps, "min_samples": str(context.settings.min_samples)}
        model = None
        if outcome.eps in group.models:
            model = client.create_logged_model(context.experiment_id, MODEL, source_run_id=run_id, params=params)
        client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            metrics=_metrics(dict(outcome.metrics), model_id=model.model_id if model else None),
        )
        if model is None:
            return ""
        try:
            store_model(client, group.models[outcome.eps], context.requirements, run_id, model)
        except Exception as error:
            client.finalize_logged_model(model.model_id, "FAILED")
            raise _ModelError(f"eps {eps}: {failure_reason(error)}") from error
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run_id, models=[LoggedModelOutput(model.model_id, step=0)])
        return f"models:/{model.model_id}"


@contextmanager
def _end_run_after_block(client: MlflowClient, run_id: str) -> Iterator[None]:
    """End a run after the block: FINISHED, FAILED with the reason, or KILLED where it was interrupted."""
    try:
        yield
        client.set_terminated(run_id, "FINISHED")
    except BaseException as error:
        end_failed_run(client, run_id, error)
        raise


def _create_run(client: MlflowClient, context: SweepContext, name: str, parent_id: str, tags: dict[str, str]) -> RunInfo:
    tags = {**context.tags, **tags, SWEEP: context.sweep_id, MLFLOW_PARENT_RUN_ID: parent_id}
    run = client.create_run(context.experiment_id, tags=tags, run_name=name)
    if context.datasets:
        client.log_inputs(run.info.run_id, datasets=context.datasets)
    return run.info


def run_name(name: str, suffix: str = "") -> str:
    """Return `name` and `suffix` as the name of a run, which a store takes only up to a length and not empty."""
    room = LONGEST_NAME - len(suffix)
    short = name if len(name) <= room else name[: room - 1] + "…"
    return (storable_text(short) or "(empty)") + suffix


def storable_text(text: str) -> str:
    """Replace the null character, which PostgreSQL does not take, with the visible symbol ␀."""
    return text.replace("\0", "␀")


def _store_table(client: MlflowClient, info: RunInfo, text: str) -> None:
    if folder := local_folder(info.artifact_uri):
        os.makedirs(folder, exist_ok=True)
        Path(folder, TABLE).write_text(text, encoding="utf-8")
    else:
        client.log_text(info.run_id, text, TABLE)


def _eps_tags(outcome: Outcome) -> dict[str, str]:
    """Return the tags of the run of one eps: why metrics are undefined, and how one was estimated."""
    tags = {"undefined": outcome.reason, "estimated": outcome.estimated}
    return {key: text for key, text in tags.items() if text}


def _group_tags(group: GroupResult) -> dict[str, str]:
    tags = {}
    if group.best_eps is None:
        tags["undefined"] = "no eps has the index and keeps enough records: there is no best one"
    estimated = [f"eps {format_number(outcome.eps)}: {outcome.estimated}" for outcome in group.outcomes if outcome.estimated]
    if estimated:
        tags["estimated"] = "; ".join(estimated)[:LONGEST_TAG]
    return tags


def group_metrics(group: GroupResult) -> list[Metric]:
    """Return the metrics of a group's run: of each eps as one step, in ascending order, and of the best eps as `best_…`."""
    points = [
        metric
        for step, outcome in enumerate(group.outcomes)
        for metric in _metrics({"eps": outcome.eps, **outcome.metrics}, step)
    ]
    for outcome in group.outcomes:
        if outcome.eps == group.best_eps:
            best = {"eps": outcome.eps, **outcome.metrics}
            points += _metrics({f"best_{name}": value for name, value in best.items()})
    return points


def _metrics(values: dict[str, float], step: int = 0, model_id: str | None = None) -> list[Metric]:
    now = now_ms()
    return [Metric(name, float(value), now, step, model_id=model_id) for name, value in values.items()]


@contextmanager
def end_open_runs(sweep: Run) -> Iterator[None]:
    """End every run of the sweep that is still open if the block fails, for example those of workers that died."""
    try:
        yield
    except BaseException as error:
        shorten_retries(error)
        with suppress(MlflowException, OSError):
            where = f"tags.{SWEEP} = '{sweep.info.run_id}' and attributes.status = 'RUNNING'"
            for run in list(search_runs(sweep.info.experiment_id, where)):
                end_failed_run(MlflowClient(), run.info.run_id, error)
        raise
