"""The sweep's runs in MLflow: a run for each group under the sweep's, a run for each eps under the group's.

Works alike on the driver and inside a Spark worker: it holds no active run, and everything that it needs travels in `Place`.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mlflow
import pandas as pd
import skops.io
import yaml
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, LoggedModel, LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)
from sklearn.pipeline import Pipeline

from clustering import metrics
from clustering.sweep import Group, Outcome
from common import tracking
from common.options import WorkError, shortest

INHERITED = (MLFLOW_USER, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_GIT_COMMIT)
MODEL = "model"
LONGEST_NAME, LONGEST_TAG = 250, 8000
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
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
    min_samples: int
    children: bool

    @property
    def in_flight(self) -> int:
        """How many runs to log at the same time."""
        return IN_FLIGHT if tracking.is_server(self.tracking_uri) else 1


# A row of the sweep's table: the group and eps, the metrics in the order of their names, the model's URI and the reason.
Row = tuple[Any, ...]


def place(run_id: str, min_samples: int, children: bool) -> Place:
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
        min_samples=min_samples,
        children=children,
    )


def record(place: Place, group: Group) -> list[Row]:
    """Logs one group; returns its rows of the table, one for each eps.

    A group that failed gets a FAILED run with the reason. What interrupts the logging ends the open runs
    on its way out; runs in flight to a server are completed first.
    """
    client = MlflowClient(place.tracking_uri)
    # A parameter's value is cut where it is long; the tag holds more of a name.
    run_id = _open(client, place, group.name, place.sweep_id, {"group": group.name[:LONGEST_TAG]})
    with _ended(client, run_id):
        params, records = [Param("group", group.name)], _at_once({"n_records": group.n_records})
        if group.failure:
            client.log_batch(run_id, params=params, metrics=records)
            raise GroupError(group.failure)
        paths = _record_children(place, group, run_id) if place.children else [""] * len(group.outcomes)
        tags = [RunTag(key, text) for key, text in _remarks_on_group(group).items()]
        curves = records + _curves(group)
        client.log_batch(run_id, params=params, tags=tags, metrics=curves)
    return [_row(group.name, outcome, path) for outcome, path in zip(group.outcomes, paths, strict=True)]


def _record_children(place: Place, group: Group, parent_id: str) -> list[str]:
    """Logs the run of each eps, several at a time where the store takes that; returns their models' URIs."""
    if place.in_flight == 1:
        return [_record_eps(place, group, outcome, parent_id) for outcome in group.outcomes]
    with ThreadPoolExecutor(min(place.in_flight, len(group.outcomes))) as pool:
        return list(pool.map(lambda outcome: _record_eps(place, group, outcome, parent_id), group.outcomes))


class GroupError(WorkError):
    """A group that could not be computed; its run says why."""


@contextmanager
def _ended(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Ends a run with what came of the block: FINISHED, FAILED with the reason, or KILLED where it was interrupted."""
    try:
        yield
    except BaseException as error:
        client.set_tag(run_id, "error", tracking.reason(error))
        client.set_terminated(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _open(client: MlflowClient, place: Place, name: str, parent_id: str, tags: dict[str, str] | None = None) -> str:
    tags = {**place.tags, **(tags or {}), MLFLOW_PARENT_RUN_ID: parent_id}
    run = client.create_run(place.experiment_id, tags=tags, run_name=run_name(name))
    if place.datasets:
        client.log_inputs(run.info.run_id, datasets=place.datasets)
    return str(run.info.run_id)


def run_name(name: str, suffix: str = "") -> str:
    """`name` and `suffix` as the name of a run, which the stores take only up to a length and not empty."""
    room = LONGEST_NAME - len(suffix)
    short = name if len(name) <= room else name[: room - 1] + "…"
    return (short.replace("\0", "␀") or "(empty)") + suffix


def _record_eps(place: Place, group: Group, outcome: Outcome, parent_id: str) -> str:
    client = MlflowClient(place.tracking_uri)
    eps = shortest(outcome.eps)
    run_id = _open(client, place, run_name(group.name, f"-eps{eps}"), parent_id)
    with _ended(client, run_id):
        params = {"group": group.name, "eps": eps, "min_samples": str(place.min_samples)}
        logged = None
        if outcome.eps in group.models:
            logged = client.create_logged_model(place.experiment_id, name=MODEL, source_run_id=run_id, params=params)
        client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            metrics=_at_once(outcome.metrics, model_id=logged and logged.model_id),
            tags=[RunTag(key, value) for key, value in _remarks(outcome).items()],
        )
        if logged is None:
            return ""
        try:
            _store_model(client, place, group.models[outcome.eps], run_id, logged)
        except BaseException:
            client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
        return f"models:/{logged.model_id}"


def _store_model(client: MlflowClient, place: Place, model: Pipeline, run_id: str, logged: LoggedModel) -> None:
    """Saves the model where the store keeps it: in place on this machine, else by way of a temporary folder."""
    if urlparse(logged.artifact_location).scheme in ("", "file"):
        folder = local_file_uri_to_path(logged.artifact_location)
        os.makedirs(folder, exist_ok=True)
        _save_model(model, place.requirements, folder, run_id, logged.model_id)
        return
    with tempfile.TemporaryDirectory() as folder:
        _save_model(model, place.requirements, folder, run_id, logged.model_id)
        client.log_model_artifacts(logged.model_id, folder)


def _remarks(outcome: Outcome) -> dict[str, str]:
    """What is to be said of an outcome's metrics: why they are undefined, or how one was estimated."""
    remarks = {"undefined": outcome.reason, "estimated": outcome.estimated}
    return {key: text for key, text in remarks.items() if text}


@dataclass(frozen=True)
class _Template:
    """What the saved models of a sweep have in common: MLflow's description, the name of the model's file, all other files."""

    description: dict[str, Any]
    model_file: str
    files: dict[str, bytes]


_templates: dict[tuple[str, ...], _Template] = {}


def _template(model: Pipeline, requirements: Sequence[str]) -> _Template:
    """What models like this one have in common, as MLflow saves it; kept, for that takes long.

    Two threads that come first at the same time may both make it; no lock, which could not travel to a worker.
    """
    scaler = model["scaler"]
    key = (*scaler.feature_names_in_, *requirements)
    if key in _templates:
        return _templates[key]
    example = pd.DataFrame([scaler.mean_], columns=scaler.feature_names_in_)
    description = Model()
    with tempfile.TemporaryDirectory() as folder:
        mlflow.sklearn.save_model(
            model,
            f"{folder}/model",
            mlflow_model=description,
            serialization_format="skops",
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.double, name) for name in example.columns])),
            input_example=example,
            pip_requirements=list(requirements),
        )
        files = {path.name: path.read_bytes() for path in Path(folder, "model").iterdir()}
    model_file = description.flavors["sklearn"]["pickled_model"]
    others = {name: content for name, content in files.items() if name not in (model_file, MLMODEL_FILE_NAME)}
    return _templates.setdefault(key, _Template(description.to_dict(), model_file, others))


def _with_example(content: bytes, model: Pipeline) -> bytes:
    """An input example of MLflow's, with the means of the model's own group as its row."""
    document = json.loads(content)
    document.get("dataframe_split", document)["data"] = [model["scaler"].mean_.tolist()]
    return json.dumps(document).encode()


def _save_model(model: Pipeline, requirements: Sequence[str], folder: str, run_id: str, model_id: str) -> None:
    """Saves the model as MLflow does, in skops, under the ids that it has in the store."""
    template = _template(model, requirements)
    for name, content in template.files.items():
        example = name.endswith("input_example.json")
        Path(folder, name).write_bytes(_with_example(content, model) if example else content)
    skops.io.dump(model, Path(folder, template.model_file))
    description = template.description | {
        "run_id": run_id,
        "model_id": model_id,
        "model_uuid": model_id,
        "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
        "model_size_bytes": sum(file.stat().st_size for file in os.scandir(folder)),
    }
    Path(folder, MLMODEL_FILE_NAME).write_text(yaml.dump(description, Dumper=DUMPER), encoding="utf-8")


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


def _row(group: str, outcome: Outcome, model_path: str) -> Row:
    numbers = [outcome.metrics.get(name) for name in metrics.NAMES]
    return group, outcome.eps, *numbers, model_path, outcome.reason


def rows_of_failure(group: str, eps_values: Iterable[float], why: str) -> list[Row]:
    """The rows of a group that failed: empty, with the reason."""
    return [(group, eps, *[None] * len(metrics.NAMES), "", why) for eps in sorted(eps_values)]
