"""The sweep's runs in MLflow: a run for each group under the sweep's, a run for each eps under the group's.

Works alike on the driver and inside a Spark worker: it holds no active run, and everything that it needs travels in `Place`.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
    MLFLOW_USER,
)
from sklearn.pipeline import Pipeline

from clustering import metrics
from clustering.sweep import Outcome
from common import tracking
from common.options import WorkError, shortest

INHERITED = (MLFLOW_USER, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_GIT_COMMIT)
MODEL = "model"
LARGEST_BATCH = 1000
LONGEST_NAME = 250


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
    models: str

    def wants_model(self, group: "Group", outcome: Outcome) -> bool:
        """Whether the model of this outcome is to be logged."""
        return self.models == "all" or (self.models == "best" and outcome.eps == group.best_eps)


@dataclass(frozen=True)
class Group:
    """One group's outcomes in ascending order of eps, the best of them, or the reason for which there are none."""

    name: str
    n_records: int
    outcomes: Sequence[Outcome]
    best_eps: float | None
    failure: str = ""


Row = dict[str, Any]


def place(run_id: str, min_samples: int, runs: str, models: str) -> Place:
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
        children=runs == "all",
        models=models if runs == "all" else "none",
    )


def record(place: Place, group: Group, logged: Callable[[], object] = lambda: None) -> list[Row]:
    """Logs one group, calling `logged` after each run of an eps; returns its rows of the table, one for each eps.

    A group that failed gets a FAILED run with the reason. Whatever interrupts the logging ends the open runs on its way out.
    """
    client = MlflowClient(place.tracking_uri)
    run_id = _open(client, place, group.name, place.sweep_id)
    with _ended(client, run_id):
        # A parameter's value is cut where it is long; the tag holds more of a name.
        name = [Param("group", group.name)], [RunTag("group", group.name)]
        client.log_batch(run_id, params=name[0], tags=name[1], metrics=_at_once({"n_records": group.n_records}))
        if group.failure:
            raise GroupError(group.failure)
        rows = []
        for outcome in group.outcomes:
            path = _record_eps(client, place, group, outcome, run_id) if place.children else ""
            rows.append(_row(group.name, outcome, path))
            logged()
        _log_curves(client, run_id, group)
    return rows


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


def _open(client: MlflowClient, place: Place, name: str, parent_id: str) -> str:
    tags = {**place.tags, MLFLOW_PARENT_RUN_ID: parent_id}
    run = client.create_run(place.experiment_id, tags=tags, run_name=run_name(name))
    if place.datasets:
        client.log_inputs(run.info.run_id, datasets=place.datasets)
    return str(run.info.run_id)


def run_name(name: str, suffix: str = "") -> str:
    """`name` and `suffix` as the name of a run, which the stores take only up to a length and not empty."""
    room = LONGEST_NAME - len(suffix)
    short = name if len(name) <= room else name[: room - 1] + "…"
    return (short.replace("\0", "␀") or "(empty)") + suffix


def _record_eps(client: MlflowClient, place: Place, group: Group, outcome: Outcome, parent_id: str) -> str:
    eps = shortest(outcome.eps)
    run_id = _open(client, place, run_name(group.name, f"-eps{eps}"), parent_id)
    with _ended(client, run_id):
        params = {"group": group.name, "eps": eps, "min_samples": str(place.min_samples)}
        model_id = None
        if place.wants_model(group, outcome):
            logged = client.create_logged_model(place.experiment_id, name=MODEL, source_run_id=run_id, params=params)
            model_id = str(logged.model_id)
        client.log_batch(
            run_id,
            params=[Param(key, value) for key, value in params.items()],
            metrics=_at_once(outcome.metrics, model_id=model_id),
            tags=[RunTag("undefined", outcome.reason)] if outcome.reason else [],
        )
        if model_id is None:
            return ""
        _store_model(client, place, run_id, model_id, outcome.model)
        return f"models:/{model_id}"


def _store_model(client: MlflowClient, place: Place, run_id: str, model_id: str, model: Pipeline) -> None:
    scaler = model["scaler"]
    example = pd.DataFrame([scaler.mean_], columns=scaler.feature_names_in_)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, MODEL)
        mlflow.sklearn.save_model(
            model,
            path,
            mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
            serialization_format="skops",
            signature=ModelSignature(inputs=Schema([ColSpec(DataType.double, name) for name in example.columns])),
            input_example=example,
            pip_requirements=place.requirements,
        )
        client.log_model_artifacts(model_id, path)
    client.finalize_logged_model(model_id, "READY")
    client.log_outputs(run_id, models=[LoggedModelOutput(model_id, step=0)])


def _log_curves(client: MlflowClient, run_id: str, group: Group) -> None:
    """The metrics of every eps under their six names, a step an eps, and those of the best eps as `best_…`."""
    points = [
        metric
        for step, outcome in enumerate(group.outcomes)
        for metric in _at_once({"eps": outcome.eps} | outcome.metrics, step)
    ]
    chosen = next((outcome for outcome in group.outcomes if outcome.eps == group.best_eps), None)
    if chosen is not None:
        best = {"eps": chosen.eps} | chosen.metrics
        points += _at_once({f"best_{name}": value for name, value in best.items()})
    else:
        client.set_tag(run_id, "undefined", "no eps has the index and keeps enough records: there is no best one")
    for start in range(0, len(points), LARGEST_BATCH):
        client.log_batch(run_id, metrics=points[start : start + LARGEST_BATCH])


def _at_once(values: dict[str, float], step: int = 0, model_id: str | None = None) -> list[Metric]:
    now = tracking.now_ms()
    return [Metric(name, float(value), now, step, model_id=model_id) for name, value in values.items()]


def _row(group: str, outcome: Outcome, model_path: str) -> Row:
    numbers = {name: outcome.metrics.get(name) for name in metrics.NAMES}
    return {"group": group, "eps": outcome.eps, **numbers, "model_path": model_path, "reason": outcome.reason}


def rows_of_failure(group: str, eps_values: Iterable[float], why: str) -> list[Row]:
    """The rows of a group that failed: empty, with the reason."""
    empty = dict.fromkeys(metrics.NAMES)
    return [{"group": group, "eps": eps, **empty, "model_path": "", "reason": why} for eps in sorted(eps_values)]
