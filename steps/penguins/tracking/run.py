"""The MLflow run of a step: opened, named, given its parameters, and ended with the status of its work."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Param, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import (
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_PROJECT_ENTRY_POINT,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
    MLFLOW_SOURCE_TYPE,
)

from penguins.cli.parameters import to_texts
from penguins.cli.signals import call_before_forced_end, interruption, is_interrupted, raise_if_interrupted
from penguins.errors import InputError, WorkError
from penguins.project import PROJECT
from penguins.redaction import redact
from penguins.text import LONGEST_REASON, QUIET, one_line, output, print_lines
from penguins.tracking.duplicates import delete_duplicates_of_run
from penguins.tracking.notes import experiment_note, failure_note
from penguins.tracking.server import acknowledge_at_once
from penguins.tracking.store import create_sqlite_store, open_client, require_absolute_store, restore_retries, shorten_retries
from penguins.tracking.versions import main_versions

# `main` starts its steps in threads, where MLflow knows no active run. It passes its run's id to them in this variable.
PARENT = "PENGUINS_PARENT_RUN_ID"
DEFAULT_EXPERIMENT = "penguins"
LONGEST_TAG = 5000
# A tag of a run: the versions of its main packages.
VERSIONS = "versions"
# The remedy of a step that can be resumed.
RESUME = "The same command with -P resume=true does the rest."


class _ExpectedWarnings(logging.Filter):
    """Drop the warning that a model without `predict` has no python_function flavour: that is intended."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Not logging python_function flavor" not in record.getMessage()


def quiet_libraries() -> None:
    """Hide MLflow's messages about its own housekeeping; its warnings stay.

    Failures of the store or the network are hidden as well: they are retried, or the step reports them in one line.
    """
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("tracking.fluent", "sklearn.utils", "spark", "pyfunc", "projects", "store.model_registry.abstract_store"):
        logging.getLogger(f"mlflow.{name}").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.sklearn").addFilter(_ExpectedWarnings())


@contextmanager
def open_run(entry_point: str, parameters: Any, tags: dict[str, str]) -> Iterator[Run]:
    """Open the run of a step for the block, or the run that `mlflow run` has opened, and log every parameter.

    The run ends FINISHED; FAILED with the reason as its tag `error` where the block raises; KILLED where it is interrupted.
    Raises InputError where a relative URI leads past the store in which `mlflow run` opened the run.
    """
    quiet_libraries()
    acknowledge_at_once()
    require_absolute_store()
    create_sqlite_store()
    client, tags = open_client(), tags | {VERSIONS: main_versions()}
    if os.environ.get("MLFLOW_RUN_ID"):
        run = mlflow.start_run(tags=tags)
    else:
        run = mlflow.start_run(experiment_id=find_experiment(parameters.experiment), run_name=entry_point, tags=tags)
    run_id = run.info.run_id
    with restore_retries(), call_before_forced_end(lambda: end_failed_run(client, run_id, interruption())):
        try:
            _name_and_place(client, run, entry_point)
            _describe_experiment(client, run)
            raise_if_interrupted()
            logged = client.get_run(run_id).data.params
            missing = [Param(key, value) for key, value in _texts_without_secrets(parameters).items() if key not in logged]
            client.log_batch(run_id, params=missing)
            yield run
            raise_if_interrupted()
            delete_leftovers(run)
            mlflow.end_run("FINISHED")
        except BaseException as error:
            try:
                can_resume = hasattr(parameters, "resume") and not isinstance(error, InputError)
                end_failed_run(client, run_id, error, RESUME if can_resume else "")
                delete_leftovers(run)
            finally:
                # MLflow must know of no active run, or it ends this one as FINISHED when the process exits.
                with suppress(MlflowException, OSError):
                    mlflow.end_run(status_after(error))
            raise


def _texts_without_secrets(parameters: Any) -> dict[str, str]:
    """Return every parameter as text without the secrets in URLs. The names of columns stay as they are."""
    texts = to_texts(parameters)
    of_columns = [name for name in texts if name == "target" or isinstance(getattr(parameters, name), tuple)]
    return {name: text if name in of_columns else redact(text) for name, text in texts.items()}


def delete_leftovers(run: Run) -> None:
    """Delete what repeated requests have left of a run. The work is done: where the store refuses that, a line says so."""
    try:
        delete_duplicates_of_run(run)
    except (MlflowException, OSError) as error:
        if not is_interrupted():
            print_lines(f"Runs or models that a repeated request created twice may be left: {one_line(error)[:LONGEST_REASON]}")


def end_failed_run(client: MlflowClient, run_id: str, error: BaseException, remedy: str = "") -> None:
    """End a run with the reason for its failure, if the store takes it. A store that is away is not waited for again.

    Its description gets the `remedy`, too, where the reason does not hold it.
    """
    shorten_retries(error)
    with suppress(MlflowException, OSError):
        _write_reason(client, client.get_run(run_id), failure_reason(error), status_after(error), remedy)
        client.set_terminated(run_id, status_after(error))


def _write_reason(client: MlflowClient, run: Run, why: str, status: str, remedy: str = "") -> None:
    """Write the reason for a failure on a run, as its tag and above its description."""
    note = failure_note(status, why, remedy, run.data.tags.get(MLFLOW_RUN_NOTE, ""))
    client.set_tag(run.info.run_id, "error", why[:LONGEST_TAG])
    with suppress(MlflowException):  # a store may take the one and not the other
        client.set_tag(run.info.run_id, MLFLOW_RUN_NOTE, note)


def status_after(error: BaseException) -> str:
    """Return the status of a run that `error` ends: KILLED if somebody interrupted it, else FAILED."""
    return "KILLED" if isinstance(error, KeyboardInterrupt) or is_interrupted() else "FAILED"


def failure_reason(error: BaseException) -> str:
    """Return the reason for a failure on one line, with the kind of error unless it is one of this project's."""
    text = one_line(error)
    if is_interrupted():
        return str(interruption())
    if isinstance(error, KeyboardInterrupt):
        return text or "interrupted"
    named = text if isinstance(error, InputError | WorkError) else f"{type(error).__name__}: {text}"
    return named[:LONGEST_TAG]


def record_failure(run_id: str, entry_point: str, why: str) -> None:
    """Write the reason for a failure on a run that `mlflow run` has opened; MLflow itself then ends it FAILED."""
    with suppress(InputError):  # the run is in a store that this process cannot find
        require_absolute_store()
        client = MlflowClient()
        run = client.get_run(run_id)
        _name_and_place(client, run, entry_point)
        _write_reason(client, run, why, "FAILED")
        delete_leftovers(run)


def find_experiment(name: str) -> str:
    """Return the id of the experiment `name`, else of the environment's, else of the default one; create it if needed."""
    if not name and os.environ.get("MLFLOW_EXPERIMENT_ID") and not os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def _name_and_place(client: MlflowClient, run: Run, entry_point: str) -> None:
    """Put `run` under the parent in the environment, and name it after its entry point unless somebody named it."""
    if os.environ.get(PARENT):
        set_parent(client, run.info.run_id, os.environ[PARENT])
    if _is_generated_name(run.info.run_name):
        client.set_tag(run.info.run_id, MLFLOW_RUN_NAME, entry_point)


def _describe_experiment(client: MlflowClient, run: Run) -> None:
    """Describe the experiment of a run unless it has a description, is everybody's, or `main` has done that.

    No step fails for that: the user may not have the right.
    """
    if os.environ.get(PARENT):
        return
    with suppress(MlflowException):
        experiment = client.get_experiment(run.info.experiment_id)
        if MLFLOW_RUN_NOTE not in experiment.tags and experiment.name != "Default":
            client.set_experiment_tag(run.info.experiment_id, MLFLOW_RUN_NOTE, experiment_note())


def create_project_run(entry_point: str, parent: Run) -> str:
    """Create the run of an entry point of this project under `parent`, as `mlflow run` does, and return its id."""
    project = {MLFLOW_SOURCE_TYPE: "PROJECT", MLFLOW_SOURCE_NAME: str(PROJECT), MLFLOW_PROJECT_ENTRY_POINT: entry_point}
    tags = resolve_tags(project | {MLFLOW_PARENT_RUN_ID: parent.info.run_id})
    return str(MlflowClient().create_run(parent.info.experiment_id, tags=tags).info.run_id)


def set_parent(client: MlflowClient, run_id: str, parent_id: str) -> None:
    """Make the run a child of `parent_id` unless it has a parent."""
    if run_id != parent_id and MLFLOW_PARENT_RUN_ID not in client.get_run(run_id).data.tags:
        client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent_id)


def _is_generated_name(name: str) -> bool:
    # MLflow has no public function for this. Without its lists of words, a user's own `my-run-1` would look generated.
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in name_utils._GENERATOR_PREDICATES and noun in name_utils._GENERATOR_NOUNS and number.isdigit()


def progress_bar(total: int, description: str) -> Any:
    """Return a progress bar of groups, which is silent in a quiet output and unless standard error is a terminal."""
    from tqdm import tqdm

    is_silent = output() == QUIET or not sys.stderr.isatty()
    return tqdm(total=total, desc=description, unit="group", disable=is_silent, leave=False)
