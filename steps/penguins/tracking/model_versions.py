"""Versions of registered models: each run has one, even if two steps or a repeated request create versions at once."""

import json
from contextlib import suppress

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from penguins.tracking.duplicates import accept_missing
from penguins.tracking.store import is_server, repeat_if_busy

MODELS = "models:/"
# Of the value of a version's tag.
LONGEST_VALUE = 250


def register_once(client: MlflowClient, uri: str, name: str, run_id: str, tags: dict[str, str]) -> str:
    """Return the version under `name` of the run's model; create it unless an earlier attempt of the run has done so.

    Two steps that create a version at once may both take the same number; a store refuses one after few attempts of its own.
    """
    return repeat_if_busy(lambda: _find_or_create_version(client, uri, name, run_id, tags))


def _find_or_create_version(client: MlflowClient, uri: str, name: str, run_id: str, tags: dict[str, str]) -> str:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        # A prompt may have the name, which MLflow says in words alone.
        if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS") or "already taken" in str(error):
            raise
    if versions := _versions_of_run(client, name, run_id):
        return versions[0]
    short = {key: value[:LONGEST_VALUE] for key, value in tags.items()}
    is_logged_model = uri.startswith(MODELS)
    model_id = uri.removeprefix(MODELS) if is_logged_model else None
    source = uri if is_logged_model else RunsArtifactRepository.get_underlying_uri(uri)
    # Not mlflow.register_model, which prints and adds a version even to a prompt.
    created = client.create_model_version(name, source, None if model_id else run_id, tags=short, model_id=model_id)
    version = str(created.version)
    if is_server(str(mlflow.get_registry_uri())):
        # A request that was repeated because its answer was lost has created a second version.
        version, *duplicates = _versions_of_run(client, name, run_id) or [version]
        for duplicate in duplicates:
            with accept_missing():
                client.delete_model_version(name, duplicate)
    if model_id:
        with suppress(MlflowException):
            _link_version(client, model_id, name, version)
    return version


def _versions_of_run(client: MlflowClient, name: str, run_id: str) -> list[str]:
    """Return the versions under `name` of the run's model, the first one first."""
    found = [int(one.version) for one in client.search_model_versions(f"name='{name}'") if one.run_id == run_id]
    return [str(version) for version in sorted(found)]


def _link_version(client: MlflowClient, model_id: str, name: str, version: str) -> None:
    """Let the page of a logged model show its version in the registry, which a server does itself, and no other of the name."""
    linked = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS) or "[]")
    if [str(one["version"]) for one in linked if one["name"] == name] != [version]:
        kept = [one for one in linked if one["name"] != name] + [{"name": name, "version": int(version)}]
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(kept)})
