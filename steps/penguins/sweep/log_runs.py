"""The runs of a sweep in MLflow: one for each group under the sweep's run, one for each value under the group's.

This works alike on the driver and inside a Spark worker: no run is active, and everything it needs is in `SweepContext`.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, LoggedModelOutput, Param, Run, RunInfo, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from penguins.cli.signals import call_before_forced_end, interruption, raise_if_interrupted
from penguins.errors import WorkError
from penguins.plots.curves import k_distances_figure
from penguins.sweep.context import SweepContext
from penguins.sweep.fit import GroupResult
from penguins.sweep.model_files import store_model
from penguins.sweep.notes import choice_sentence, group_note
from penguins.sweep.results import LoggedGroup, ResultRow, result_rows, table_text
from penguins.sweep.run_contents import (
    LONGEST_GROUP_TAG,
    curve_suffix,
    group_dataset,
    group_metrics,
    group_tags,
    in_words,
    model_name,
    names_that_vary,
    run_name,
    storable_text,
    to_metrics,
    value_tags,
)
from penguins.text import format_number
from penguins.tracking.addresses import local_folder
from penguins.tracking.artifact_names import RESULTS
from penguins.tracking.duplicates import accept_present
from penguins.tracking.run import LONGEST_TAG, end_failed_run, failure_reason
from penguins.tracking.store import repeat_if_broken, repeat_if_taken, search_runs, shorten_retries

# MLflow takes 1,000 metrics, parameters and tags in one request.
MOST_METRICS = 900
# A tag of every run of a sweep: the id of the sweep that logged it.
SWEEP = "sweep"
# A tag of every group: which value was chosen and why, in a sentence.
CHOICE = "choice"
# An artifact of every group: its own rows of the sweep's table.
TABLE = RESULTS
# Artifacts of a group whose values were proposed from distances.
K_DISTANCES = "k_distances"


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
    then that model's run is FAILED, too. An interruption ends the open runs before the next value is logged.
    Raises MlflowException or OSError where the store fails.
    """
    raise_if_interrupted()
    client = MlflowClient(context.tracking_uri)
    dataset = group_dataset(context.datasets[0], group) if context.datasets else None
    # MLflow cuts a parameter's value where it is long; a tag holds more of a name.
    tags = {"group": storable_text(group.name)[:LONGEST_GROUP_TAG]}
    info = _create_run(client, context, run_name(group.name), context.sweep_id, tags, dataset)
    try:
        with _end_run_after_block(client, info.run_id):
            rows = _fill_group_run(client, context, group, info, dataset)
    except _GroupError as error:
        return LoggedGroup(group.key, info.run_id, group.n_records, error.rows, str(error), chosen=group.chosen)
    distance = group.median_distance
    return LoggedGroup(group.key, info.run_id, group.n_records, rows, median_distance=distance, chosen=group.chosen)


def _fill_group_run(
    client: MlflowClient, context: SweepContext, group: GroupResult, info: RunInfo, dataset: DatasetInput | None
) -> list[ResultRow]:
    """Log the runs of every value, then the metrics, the tags and the table of the group's own run."""
    params, n_records = [Param("group", storable_text(group.name))], to_metrics({"n_records": group.n_records})
    if group.failure:
        repeat_if_broken(client.log_batch, info.run_id, params=params, metrics=n_records)
        raise _GroupError(group.failure, [])
    settings, has_children = context.settings, context.settings.has_child_runs
    models = _log_value_runs(context, group, info.run_id, dataset) if has_children else [("", "")] * len(group.outcomes)
    model_uri = "" if group.best is None else models[group.best][0]
    tags = [RunTag(key, text) for key, text in group_tags(group, settings.swept).items()]
    tags.append(RunTag(CHOICE, choice_sentence(group, settings)))
    tags.append(RunTag(MLFLOW_RUN_NOTE, group_note(group, settings, model_uri, context.experiment_id, context.tags)))
    metrics = n_records + group_metrics(group, settings.swept)
    for start in range(MOST_METRICS, len(metrics), MOST_METRICS):
        repeat_if_broken(client.log_batch, info.run_id, metrics=metrics[start : start + MOST_METRICS])
    repeat_if_broken(client.log_batch, info.run_id, params=params, tags=tags, metrics=metrics[:MOST_METRICS])
    rows = result_rows(group, models)
    _store_distances(client, context, group, info)
    _store_text(client, info, table_text(settings.group_columns, settings.of_algorithm, rows), TABLE)
    if failures := [failure for _, failure in models if failure]:
        raise _GroupError(f"{len(failures)} of its models could not be stored: {failures[0]}", rows)
    return rows


def _log_value_runs(
    context: SweepContext, group: GroupResult, parent_id: str, dataset: DatasetInput | None
) -> list[tuple[str, str]]:
    """Log the run of each value, several at a time where the store takes that.

    Returns for each its model's URI and why the model could not be stored, both empty where there is none.
    """

    def log_one(position: int) -> tuple[str, str]:
        try:
            return _log_value_run(context, group, position, parent_id, dataset), ""
        except _ModelError as error:
            return "", str(error)

    if context.n_parallel_runs == 1:
        return [log_one(position) for position in range(len(group.outcomes))]
    with ThreadPoolExecutor(min(context.n_parallel_runs, len(group.outcomes))) as pool:
        return list(pool.map(log_one, range(len(group.outcomes))))


def _log_value_run(
    context: SweepContext, group: GroupResult, position: int, parent_id: str, dataset: DatasetInput | None
) -> str:
    """Log the run of the value at `position`, and return its model's URI or an empty text."""
    raise_if_interrupted()
    client = MlflowClient(context.tracking_uri)
    outcome = group.outcomes[position]
    texts = {name: format_number(value) for name, value in outcome.params.items()}
    suffix = "".join(f"-{name}{text}" for name, text in texts.items() if name in names_that_vary(context.settings))
    tags = value_tags(outcome, is_best=position == group.best)
    tags |= {"select_by": context.settings.select_by, "data": storable_text(context.data)[:LONGEST_TAG]}
    name = storable_text(group.name)
    run_id = _create_run(client, context, run_name(group.name, suffix), parent_id, tags, dataset).run_id
    with _end_run_after_block(client, run_id):
        params = {"group": name, **texts}
        model = None
        if position in group.models:
            model = repeat_if_broken(
                client.create_logged_model,
                context.experiment_id,
                model_name(group.name, suffix),
                run_id,
                tags={"group": name[:LONGEST_GROUP_TAG], "best": str(position == group.best).lower()},
                params=params,
                model_type=context.settings.algorithm,
            )
        repeat_if_broken(
            client.log_batch,
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            metrics=to_metrics(outcome.metrics, model_id=model.model_id if model else None, dataset=dataset),
        )
        if model is None:
            return ""
        try:
            store_model(client, group.models[position], group.example, context.requirements, run_id, model)
        except Exception as error:
            repeat_if_broken(client.finalize_logged_model, model.model_id, "FAILED")
            raise _ModelError(f"{in_words(outcome.params)}: {failure_reason(error)}") from error
        repeat_if_broken(client.finalize_logged_model, model.model_id, "READY")
        with accept_present():
            repeat_if_broken(client.log_outputs, run_id, models=[LoggedModelOutput(model.model_id, step=0)])
        return f"models:/{model.model_id}"


@contextmanager
def _end_run_after_block(client: MlflowClient, run_id: str) -> Iterator[None]:
    """End a run after the block: FINISHED, FAILED with the reason, or KILLED where it was interrupted."""
    try:
        yield
        repeat_if_broken(client.set_terminated, run_id, "FINISHED")
    except BaseException as error:
        end_failed_run(client, run_id, error)
        raise


def _create_run(
    client: MlflowClient,
    context: SweepContext,
    name: str,
    parent_id: str,
    tags: dict[str, str],
    dataset: DatasetInput | None,
) -> RunInfo:
    tags = {**context.tags, **tags, SWEEP: context.sweep_id, MLFLOW_PARENT_RUN_ID: parent_id}
    run = repeat_if_broken(client.create_run, context.experiment_id, tags=tags, run_name=name)
    if dataset:
        # Sweeps that run at the same time log the same dataset.
        repeat_if_taken(lambda: repeat_if_broken(client.log_inputs, run.info.run_id, datasets=[dataset]))
    return run.info


def _store_text(client: MlflowClient, info: RunInfo, text: str, name: str) -> None:
    if folder := local_folder(info.artifact_uri):
        os.makedirs(folder, exist_ok=True)
        Path(folder, name).write_text(text, encoding="utf-8")
    else:
        repeat_if_broken(client.log_text, info.run_id, text, name)


def _store_distances(client: MlflowClient, context: SweepContext, group: GroupResult, info: RunInfo) -> None:
    """Store the k-distances by which values were proposed, as a table and, in a sweep of few groups, as a picture."""
    for proposal in group.proposals:
        if not proposal.distances:
            continue
        name = K_DISTANCES + curve_suffix(group, proposal)
        lines = [f"{rank},{distance!r}" for rank, distance in enumerate(proposal.distances)]
        _store_text(client, info, "\n".join(["rank,distance", *lines, ""]), f"{name}.csv")
        if context.with_pictures:
            number, grid = int(proposal.fixed["min_samples"]), (proposal.lowest, proposal.highest)
            figure = k_distances_figure(proposal.distances, number, proposal.knee, grid)
            repeat_if_broken(client.log_figure, info.run_id, figure, f"{name}.png")


@contextmanager
def end_open_runs(sweep: Run) -> Iterator[None]:
    """End every run of the sweep that is still open if the block fails, for example those of workers that died."""
    with call_before_forced_end(lambda: _end_open_runs(sweep, interruption())):
        try:
            yield
        except BaseException as error:
            _end_open_runs(sweep, error)
            raise


def _end_open_runs(sweep: Run, error: BaseException) -> None:
    shorten_retries(error)
    with suppress(MlflowException, OSError):
        where = f"tags.{SWEEP} = '{sweep.info.run_id}' and attributes.status = 'RUNNING'"
        for run in list(search_runs(sweep.info.experiment_id, where)):
            end_failed_run(MlflowClient(), run.info.run_id, error)
