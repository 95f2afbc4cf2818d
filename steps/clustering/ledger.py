"""The sweep's runs in MLflow: a run for each group under the sweep's, a run for each eps under the group's.

Works alike on the driver and inside a Spark worker: it holds no active run, and everything that it needs travels in `Place`.
"""

import csv
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, LoggedModel, LoggedModelOutput, Metric, Param, Run, RunInfo, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)
from sklearn.pipeline import Pipeline

from clustering import metrics, saved_models
from clustering.sweep import Group, Outcome
from common import tracking
from common.options import WorkError, shortest

INHERITED = (MLFLOW_USER, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_GIT_COMMIT)
MODEL = "model"
LONGEST_NAME, LONGEST_TAG = 250, 8000
# On every run of a sweep, the id of the sweep that logged it; and each group's own rows, as in the sweep's table.
SWEEP = "sweep"
TABLE = "results.csv"
COUNTS = (metrics.N_CLUSTERS, metrics.N_CLUSTERED_RECORDS)
# A server answers several requests at a time, but a small one has 15 connections to its database; a file takes one writer.
IN_FLIGHT = 4


@dataclass(frozen=True)
class Place:
    """Where the runs go, and what is the same for all of them."""

    tracking_uri: str
    experiment_id: str
    sweep_id: str
    tags: dict[str, str]
    datasets: list[DatasetInput]
    requirements: list[str]
    group_by: str
    min_samples: int
    children: bool
    # What a worker that logs shows the tracking server; the others have none.
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def in_flight(self) -> int:
        """How many runs to log at the same time."""
        return IN_FLIGHT if tracking.is_server(self.tracking_uri) else 1


# A row of the sweep's table: the group, then what the columns say.
Row = tuple[Any, ...]
COLUMNS = ("eps", *metrics.NAMES, "model_path", "reason")


def place(run_id: str, group_by: str, min_samples: int, children: bool) -> Place:
    """The place of a sweep whose own run is `run_id`."""
    run = MlflowClient().get_run(run_id)
    tags = {key: value for key, value in run.data.tags.items() if key in INHERITED}
    return Place(
        tracking_uri=tracking.absolute_uri(),
        experiment_id=run.info.experiment_id,
        sweep_id=run_id,
        tags=tags,
        datasets=list(run.inputs.dataset_inputs),
        requirements=tracking.requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy"),
        group_by=group_by,
        min_samples=min_samples,
        children=children,
    )


@dataclass(frozen=True)
class Logged:
    """What was logged of one group: its run, and its rows of the table, one for each eps."""

    run_id: str
    rows: list[Row]


class GroupError(WorkError):
    """A group that failed, as its run says; it may have rows of the table all the same."""

    def __init__(self, why: str, logged: Logged) -> None:
        super().__init__(why)
        self.logged = logged


class ModelError(WorkError):
    """A model that could not be stored."""


def record(place: Place, group: Group) -> Logged:
    """Logs one group.

    A group that could not be computed gets a FAILED run with the reason; so does one of whose models one could not be stored,
    with that model's run. What interrupts the logging ends the open runs on its way out; runs in flight to a server are
    completed first. Raises GroupError where the group failed.
    """
    client = tracking.client(place.tracking_uri)
    # A parameter's value is cut where it is long; the tag holds more of a name.
    info = _open(client, place, group.name, place.sweep_id, {"group": storable(group.name)[:LONGEST_TAG]})
    with _ended(client, info.run_id):
        params, records = [Param("group", storable(group.name))], _at_once({"n_records": group.n_records})
        if group.failure:
            client.log_batch(info.run_id, params=params, metrics=records)
            raise GroupError(group.failure, Logged(info.run_id, []))
        children = _record_children(place, group, info.run_id) if place.children else [("", "")] * len(group.outcomes)
        tags = [RunTag(key, text) for key, text in _remarks_on_group(group).items()]
        client.log_batch(info.run_id, params=params, tags=tags, metrics=records + _curves(group))
        rows = [_row(group.name, *pair) for pair in zip(group.outcomes, children, strict=True)]
        _store_table(client, info, table_text(place.group_by, rows))
        logged = Logged(info.run_id, rows)
        if failures := [failure for _, failure in children if failure]:
            raise GroupError(f"{len(failures)} of its models could not be stored: {failures[0]}", logged)
    return logged


def _record_children(place: Place, group: Group, parent_id: str) -> list[tuple[str, str]]:
    """Logs the run of each eps, several at a time where the store takes that.

    Returns for each its model's URI and the reason for which it could not be stored, both empty where there is none.
    """

    def record_one(outcome: Outcome) -> tuple[str, str]:
        try:
            return _record_eps(place, group, outcome, parent_id), ""
        except ModelError as error:
            return "", str(error)

    if place.in_flight == 1:
        return [record_one(outcome) for outcome in group.outcomes]
    with ThreadPoolExecutor(min(place.in_flight, len(group.outcomes))) as pool:
        return list(pool.map(record_one, group.outcomes))


@contextmanager
def _ended(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Ends a run with what came of the block: FINISHED, FAILED with the reason, or KILLED where it was interrupted."""
    try:
        yield
        client.set_terminated(run_id, "FINISHED")
    except BaseException as error:
        tracking.hasten(error)
        end_badly(client, run_id, error)
        raise


def end_badly(client: MlflowClient, run_id: str, error: BaseException) -> None:
    """Ends a run with the reason, where the store takes that."""
    with suppress(MlflowException, OSError):
        client.set_tag(run_id, "error", tracking.reason(error))
        client.set_terminated(run_id, tracking.status_after(error))


def _open(client: MlflowClient, place: Place, name: str, parent_id: str, tags: dict[str, str] | None = None) -> RunInfo:
    tags = {**place.tags, **(tags or {}), SWEEP: place.sweep_id, MLFLOW_PARENT_RUN_ID: parent_id}
    run = client.create_run(place.experiment_id, tags=tags, run_name=run_name(name))
    if place.datasets:
        client.log_inputs(run.info.run_id, datasets=place.datasets)
    return run.info


def run_name(name: str, suffix: str = "") -> str:
    """`name` and `suffix` as the name of a run, which the stores take only up to a length and not empty."""
    room = LONGEST_NAME - len(suffix)
    short = name if len(name) <= room else name[: room - 1] + "…"
    return (storable(short) or "(empty)") + suffix


def storable(text: str) -> str:
    """`text` with a sign for the null character, which PostgreSQL does not take."""
    return text.replace("\0", "␀")


def _record_eps(place: Place, group: Group, outcome: Outcome, parent_id: str) -> str:
    client = tracking.client(place.tracking_uri)
    eps = shortest(outcome.eps)
    run_id = _open(client, place, run_name(group.name, f"-eps{eps}"), parent_id, _remarks(outcome)).run_id
    with _ended(client, run_id):
        params = {"group": storable(group.name), "eps": eps, "min_samples": str(place.min_samples)}
        logged = None
        if outcome.eps in group.models:
            logged = client.create_logged_model(place.experiment_id, MODEL, source_run_id=run_id, params=params)
        client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            metrics=_at_once(outcome.metrics, model_id=logged and logged.model_id),
        )
        if logged is None:
            return ""
        try:
            _store_model(client, place, group.models[outcome.eps], run_id, logged)
        except Exception as error:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise ModelError(f"eps {eps}: {tracking.reason(error)}") from error
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
        return f"models:/{logged.model_id}"


def _store_model(client: MlflowClient, place: Place, model: Pipeline, run_id: str, logged: LoggedModel) -> None:
    """Saves the model where the store keeps it: in place on this machine, else by way of a temporary folder."""
    if here := local_folder(logged.artifact_location):
        os.makedirs(here, exist_ok=True)
        saved_models.save(model, place.requirements, here, run_id, logged.model_id)
        return
    with tempfile.TemporaryDirectory() as folder:
        saved_models.save(model, place.requirements, folder, run_id, logged.model_id)
        client.log_model_artifacts(logged.model_id, folder)


def local_folder(uri: str) -> str:
    """The folder of this machine that an artifact's URI names; empty where it is elsewhere."""
    return str(local_file_uri_to_path(uri)) if urlparse(uri).scheme in ("", "file") else ""


def _store_table(client: MlflowClient, info: RunInfo, text: str) -> None:
    if here := local_folder(info.artifact_uri):
        os.makedirs(here, exist_ok=True)
        Path(here, TABLE).write_text(text, encoding="utf-8")
    else:
        client.log_text(info.run_id, text, TABLE)


def table_text(group_by: str, rows: Sequence[Row]) -> str:
    """The rows as CSV, under the sweep's table's names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line_end([group_by, *[row[0] for row in rows]]))
    writer.writerow((group_by, *COLUMNS))
    writer.writerows(rows)
    return text.getvalue()


def line_end(names: Iterable[str]) -> str:
    """How a line of a CSV with these names ends: its writer quotes a sign of the line's end only."""
    return "\r\n" if any("\r" in name for name in names) else "\n"


def table_rows(text: str) -> list[Row]:
    """The rows of a table that `table_text` wrote. Raises ValueError where it is not whole."""
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    rows: list[Row] = []
    for group, eps, *numbers, path, reason in lines:
        if len(numbers) != len(metrics.NAMES):
            raise ValueError(f"a row of {len(header)} columns has {len(numbers) + 4}")
        rows.append((group, float(eps), *[_number(*pair) for pair in zip(metrics.NAMES, numbers, strict=True)], path, reason))
    return rows


def _number(name: str, text: str) -> float | int | None:
    if not text:
        return None
    return int(text) if name in COUNTS else float(text)


def _remarks(outcome: Outcome) -> dict[str, str]:
    """What is to be said of an outcome's metrics: why they are undefined, or how one was estimated."""
    remarks = {"undefined": outcome.reason, "estimated": outcome.estimated}
    return {key: text for key, text in remarks.items() if text}


def _curves(group: Group) -> list[Metric]:
    """The metrics of every eps under their six names, a step an eps, and those of the best eps as `best_…`."""
    points = [
        metric
        for step, outcome in enumerate(group.outcomes)
        for metric in _at_once({"eps": outcome.eps} | outcome.metrics, step)
    ]
    for chosen in group.outcomes:
        if chosen.eps == group.best_eps:
            best = {"eps": chosen.eps} | chosen.metrics
            points += _at_once({f"best_{name}": value for name, value in best.items()})
    return points


def _remarks_on_group(group: Group) -> dict[str, str]:
    remarks = {}
    if group.best_eps is None:
        remarks["undefined"] = "no eps has the index and keeps enough records: there is no best one"
    if any(outcome.estimated for outcome in group.outcomes):
        said = [f"eps {shortest(outcome.eps)}: {outcome.estimated}" for outcome in group.outcomes if outcome.estimated]
        remarks["estimated"] = "; ".join(said)[: tracking.LONGEST_TAG]
    return remarks


def _at_once(values: dict[str, float], step: int = 0, model_id: str | None = None) -> list[Metric]:
    now = tracking.now_ms()
    return [Metric(name, float(value), now, step, model_id=model_id) for name, value in values.items()]


def _row(group: str, outcome: Outcome, child: tuple[str, str]) -> Row:
    model_path, failure = child
    found = outcome.metrics | {name: int(outcome.metrics[name]) for name in COUNTS}
    numbers = [found.get(name) for name in metrics.NAMES]
    return group, outcome.eps, *numbers, model_path, failure or outcome.reason


def rows_of_failure(group: str, eps_values: Iterable[float], why: str) -> list[Row]:
    """The rows of a group that failed: empty, with the reason."""
    return [(group, eps, *[None] * len(metrics.NAMES), "", why) for eps in sorted(eps_values)]


@contextmanager
def closed_at_the_end(sweep: Run) -> Iterator[None]:
    """Ends every run of the sweep that is still open where the block fails, of workers that are gone for example."""
    try:
        yield
    except BaseException as error:
        with suppress(MlflowException, OSError):
            left = f"tags.{SWEEP} = '{sweep.info.run_id}' and attributes.status = 'RUNNING'"
            for run in list(tracking.search(sweep.info.experiment_id, left)):
                end_badly(MlflowClient(), run.info.run_id, error)
        raise
