"""Duplicates in a store: a server carried a request out, its answer was lost, and MLflow's client repeated the request."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from penguins.tracking.store import is_server, is_taken, search_runs

MODELS_IN_QUERY = 100


def delete_duplicates_of_run(run: Run) -> None:
    """Delete what requests that were carried out twice have left of a run, at its end: runs and models that nobody knows of.

    `run` has the tags with which the run began. These are asked for on a server only, since no answer of a file is lost.
    Raises MlflowException where the server fails.
    """
    if not is_server(str(mlflow.get_tracking_uri())):
        return
    client, own_id, experiment_id = MlflowClient(), run.info.run_id, run.info.experiment_id
    where = f"attributes.status = 'RUNNING' and attributes.start_time >= {run.info.start_time}"
    for other in list(search_runs(experiment_id, where)):
        if other.info.run_id != own_id and (_is_duplicate(other, run) or _is_unknown_child(other, own_id)):
            client.delete_run(other.info.run_id)
    models = logged_models(client, experiment_id, f"source_run_id = '{own_id}'")
    ready = {model.name for model in models if model.status == LoggedModelStatus.READY}
    for model in models:
        # The answer to another request for a model may have been lost: it is FAILED then, and was logged anew.
        if model.status == LoggedModelStatus.PENDING or (model.status == LoggedModelStatus.FAILED and model.name in ready):
            _delete_model(client, model)


def _is_duplicate(other: Run, run: Run) -> bool:
    """Tell whether a repeated request has created `other`: at the same millisecond, with no other tags, and never used."""
    tags = other.data.tags.items() - {(MLFLOW_RUN_NAME, other.info.run_name)}
    return other.info.start_time == run.info.start_time and tags <= run.data.tags.items() and _is_unused(other)


def _is_unknown_child(other: Run, run_id: str) -> bool:
    """Tell whether `other` is a child of the run, whose work is over, and was never used."""
    return other.data.tags.get(MLFLOW_PARENT_RUN_ID) == run_id and _is_unused(other)


def _is_unused(run: Run) -> bool:
    """Tell whether nobody has logged anything to a run: whoever knows of a run logs its parameters first."""
    return not (run.data.params or run.data.metrics)


def delete_models(
    client: MlflowClient, experiment_id: str, run_ids: Sequence[str], status: LoggedModelStatus | None = None
) -> None:
    """Delete the models that these runs logged, or only those with this status, except models that are registered."""
    for start in range(0, len(run_ids), MODELS_IN_QUERY):
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + MODELS_IN_QUERY])
        for model in logged_models(client, experiment_id, f"source_run_id IN ({ids})"):
            if (status is None or model.status == status) and MLFLOW_MODEL_VERSIONS not in model.tags:
                _delete_model(client, model)


def _delete_model(client: MlflowClient, model: LoggedModel) -> None:
    with accept_missing():
        client.delete_logged_model(model.model_id)


def logged_models(client: MlflowClient, experiment_id: str, where: str) -> list[LoggedModel]:
    """Return the logged models of an experiment that match MLflow's filter `where`."""
    found, token = list[LoggedModel](), None
    while token != "":
        page = client.search_logged_models([experiment_id], where, max_results=MODELS_IN_QUERY, page_token=token)
        found += page
        token = page.token or ""
    return found


@contextmanager
def accept_missing() -> Iterator[None]:
    """Accept that what the block deletes is missing: the request before may have deleted it, and its answer was lost."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


@contextmanager
def accept_present() -> Iterator[None]:
    """Accept that the store has what the block adds: the request before may have added it, and its answer was lost."""
    try:
        yield
    except MlflowException as error:
        if not is_taken(error):
            raise
