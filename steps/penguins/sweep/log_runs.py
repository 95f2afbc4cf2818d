"""The runs of a sweep in MLflow: one for each group under the sweep's run, one for each value under the group's.

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
from penguins.plots import k_distances_figure
from penguins.sweep.context import SweepContext
from penguins.sweep.fit import GridOfGroup, GroupResult, Outcome
from penguins.sweep.model_files import local_folder, store_model
from penguins.sweep.results import LoggedGroup, ResultRow, result_rows, table_text
from penguins.text import format_number
from penguins.tracking.run import LONGEST_TAG, end_failed_run, failure_reason
from penguins.tracking.store import now_ms, search_runs, shorten_retries, tracking_client

MODEL = "model"
LONGEST_NAME, LONGEST_GROUP_TAG = 250, 8000
# MLflow takes 1,000 metrics, parameters and tags in one request.
MOST_METRICS = 900
# A tag of every run of a sweep: the id of the sweep that logged it.
SWEEP = "sweep"
# An artifact of every group: its own rows of the sweep's table.
TABLE = "results.csv"
# With eps=auto, artifacts and metrics of a group.
K_DISTANCES, EPS_KNEE = "k_distances", "eps_knee"
NO_BEST_VALUE = "no value has the index and keeps enough records: there is no best one"


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
        return LoggedGroup(group.name, info.run_id, group.n_records, error.rows, str(error))
    return LoggedGroup(group.name, info.run_id, group.n_records, rows, median_distance=group.median_distance)


def _fill_group_run(client: MlflowClient, context: SweepContext, group: GroupResult, info: RunInfo) -> list[ResultRow]:
    """Log the runs of every value, then the metrics, the tags and the table of the group's own run."""
    params, n_records = [Param("group", storable_text(group.name))], _metrics({"n_records": group.n_records})
    if group.failure:
        client.log_batch(info.run_id, params=params, metrics=n_records)
        raise _GroupError(group.failure, [])
    has_children = context.settings.has_child_runs
    models = _log_value_runs(context, group, info.run_id) if has_children else [("", "")] * len(group.outcomes)
    tags = [RunTag(key, text) for key, text in _group_tags(group).items()]
    metrics = n_records + group_metrics(group)
    for start in range(MOST_METRICS, len(metrics), MOST_METRICS):
        client.log_batch(info.run_id, metrics=metrics[start : start + MOST_METRICS])
    client.log_batch(info.run_id, params=params, tags=tags, metrics=metrics[:MOST_METRICS])
    rows = result_rows(group, models)
    _store_grids(client, context, group, info)
    _store_text(client, info, table_text(context.settings.group_by, rows), TABLE)
    if failures := [failure for _, failure in models if failure]:
        raise _GroupError(f"{len(failures)} of its models could not be stored: {failures[0]}", rows)
    return rows


def _log_value_runs(context: SweepContext, group: GroupResult, parent_id: str) -> list[tuple[str, str]]:
    """Log the run of each value, several at a time where the store takes that.

    Returns for each its model's URI and why the model could not be stored, both empty where there is none.
    """

    def log_one(position: int) -> tuple[str, str]:
        try:
            return _log_value_run(context, group, position, parent_id), ""
        except _ModelError as error:
            return "", str(error)

    if context.n_parallel_runs == 1:
        return [log_one(position) for position in range(len(group.outcomes))]
    with ThreadPoolExecutor(min(context.n_parallel_runs, len(group.outcomes))) as pool:
        return list(pool.map(log_one, range(len(group.outcomes))))


def _log_value_run(context: SweepContext, group: GroupResult, position: int, parent_id: str) -> str:
    """Log the run of the value at `position`, and return its model's URI or an empty text."""
    client = tracking_client(context.tracking_uri)
    outcome = group.outcomes[position]
    eps = format_number(outcome.eps)
    suffix = f"-eps{eps}"
    if len(context.settings.min_samples) > 1:
        suffix += f"-min_samples{outcome.min_samples}"
    tags = _value_tags(outcome, is_best=position == group.best)
    run_id = _create_run(client, context, run_name(group.name, suffix), parent_id, tags).run_id
    with _end_run_after_block(client, run_id):
        params = {"group": storable_text(group.name), "eps": eps, "min_samples": str(outcome.min_samples)}
        model = None
        if position in group.models:
            model = client.create_logged_model(context.experiment_id, MODEL, source_run_id=run_id, params=params)
        client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            metrics=_metrics(dict(outcome.metrics), model_id=model.model_id if model else None),
        )
        if model is None:
            return ""
        try:
            store_model(client, group.models[position], group.example, context.requirements, run_id, model)
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


def _store_text(client: MlflowClient, info: RunInfo, text: str, name: str) -> None:
    if folder := local_folder(info.artifact_uri):
        os.makedirs(folder, exist_ok=True)
        Path(folder, name).write_text(text, encoding="utf-8")
    else:
        client.log_text(info.run_id, text, name)


def _store_grids(client: MlflowClient, context: SweepContext, group: GroupResult, info: RunInfo) -> None:
    """Store the k-distances by which eps was proposed, as a table and, in a sweep of few groups, as a picture."""
    for grid in group.grids:
        name = K_DISTANCES + _suffix(group, grid)
        lines = [f"{rank},{distance!r}" for rank, distance in enumerate(grid.distances)]
        _store_text(client, info, "\n".join(["rank,distance", *lines, ""]), f"{name}.csv")
        if context.with_pictures:
            figure = k_distances_figure(grid.distances, grid.min_samples, grid.knee, (grid.lowest, grid.highest))
            client.log_figure(info.run_id, figure, f"{name}.png")


def _value_tags(outcome: Outcome, is_best: bool) -> dict[str, str]:
    """Return the tags of the run of one value: whether it is the best, and why metrics are undefined or estimated."""
    tags = {"best": "true" if is_best else "", "undefined": outcome.reason, "estimated": outcome.estimated}
    return {key: text for key, text in tags.items() if text}


def _group_tags(group: GroupResult) -> dict[str, str]:
    tags = {"undefined": NO_BEST_VALUE if group.best is None else "", "warning": group.warning}
    estimated = [f"eps {format_number(outcome.eps)}: {outcome.estimated}" for outcome in group.outcomes if outcome.estimated]
    tags["estimated"] = "; ".join(estimated)
    tags["eps_grid"] = "; ".join(
        f"{format_number(grid.lowest)} to {format_number(grid.highest)} (min_samples {grid.min_samples})"
        for grid in group.grids
    )
    return {key: text[:LONGEST_TAG] for key, text in tags.items() if text}


def group_metrics(group: GroupResult) -> list[Metric]:
    """Return the metrics of a group's run.

    Those of the best value stand under their own names and as `best_…`. The curves of every metric are called `by_eps/…`, with
    one step for each eps in ascending order; with several min_samples, `by_eps/min_samples5/…`.
    """
    metrics = [
        *_curves(group),
        *_metrics({f"{EPS_KNEE}{_suffix(group, grid)}": grid.knee for grid in group.grids if grid.knee}),
    ]
    if best := group.best_outcome:
        of_best = {"eps": best.eps, "min_samples": best.min_samples, **best.metrics, "coverage": group.coverage(best)}
        metrics += _metrics({**of_best, **{f"best_{name}": value for name, value in of_best.items()}})
    return metrics


def _suffix(group: GroupResult, grid: GridOfGroup) -> str:
    return f"_min_samples{grid.min_samples}" if len(group.grids) > 1 else ""


def _curves(group: GroupResult) -> list[Metric]:
    numbers = sorted({outcome.min_samples for outcome in group.outcomes})
    curves = []
    for number in numbers:
        prefix = f"by_eps/min_samples{number}" if len(numbers) > 1 else "by_eps"
        for step, outcome in enumerate(one for one in group.outcomes if one.min_samples == number):
            values = {"eps": outcome.eps, **outcome.metrics}
            curves += _metrics({f"{prefix}/{name}": value for name, value in values.items()}, step)
    return curves


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
