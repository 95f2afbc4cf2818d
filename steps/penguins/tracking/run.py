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
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from penguins.cli.parameters import to_texts
from penguins.cli.signals import interruption, is_interrupted
from penguins.errors import InputError, WorkError
from penguins.text import one_line, print_lines
from penguins.tracking.server import acknowledge_at_once
from penguins.tracking.store import create_sqlite_store, require_absolute_store, restore_retries, shorten_retries

# `main` starts its steps in threads, where MLflow knows no active run. It passes its run's id to them in this variable.
PARENT = "PENGUINS_PARENT_RUN_ID"
DEFAULT_EXPERIMENT = "penguins"
LONGEST_TAG = 5000


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
    Raises InputError where the store has no absolute URI and this process cannot find it.
    """
    quiet_libraries()
    acknowledge_at_once()
    require_absolute_store()
    create_sqlite_store()
    client = MlflowClient()
    if os.environ.get("MLFLOW_RUN_ID"):
        run = mlflow.start_run(tags=tags)
    else:
        run = mlflow.start_run(experiment_id=find_experiment(parameters.experiment), run_name=entry_point, tags=tags)
    run_id = run.info.run_id
    with restore_retries():
        try:
            _name_and_place(client, run, entry_point)
            logged = client.get_run(run_id).data.params
            missing = [Param(key, value) for key, value in to_texts(parameters).items() if key not in logged]
            client.log_batch(run_id, params=missing)
            yield run
            mlflow.end_run("FINISHED")
        except BaseException as error:
            try:
                end_failed_run(client, run_id, error)
            finally:
                # MLflow must know of no active run, or it ends this one as FINISHED when the process exits.
                with suppress(MlflowException, OSError):
                    mlflow.end_run(status_after(error))
            raise


def end_failed_run(client: MlflowClient, run_id: str, error: BaseException) -> None:
    """End a run with the reason for its failure, if the store takes it. A store that is away is not waited for again."""
    shorten_retries(error)
    with suppress(MlflowException, OSError):
        client.set_tag(run_id, "error", failure_reason(error))
        client.set_terminated(run_id, status_after(error))


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
    with suppress(InputError):
        require_absolute_store()
    client = MlflowClient()
    _name_and_place(client, client.get_run(run_id), entry_point)
    client.set_tag(run_id, "error", why[:LONGEST_TAG])


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


def set_parent(client: MlflowClient, run_id: str, parent_id: str) -> None:
    """Make the run a child of `parent_id` unless it has a parent."""
    if run_id != parent_id and MLFLOW_PARENT_RUN_ID not in client.get_run(run_id).data.tags:
        client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent_id)


def _is_generated_name(name: str) -> bool:
    # MLflow has no public function for this. Without its lists of words, a user's own `my-run-1` would look generated.
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in name_utils._GENERATOR_PREDICATES and noun in name_utils._GENERATOR_NOUNS and number.isdigit()


def print_metrics(entry_point: str, run: Run, metrics: dict[str, float]) -> None:
    """Print a step's metrics and the id of its run, a line each."""
    print_lines(entry_point, *[f"  {name}: {value:.4g}" for name, value in metrics.items()], f"  run: {run.info.run_id}")


def progress_bar(total: int, description: str) -> Any:
    """Return a progress bar of groups, which is silent unless standard error is a terminal."""
    from tqdm import tqdm

    return tqdm(total=total, desc=description, unit="group", disable=not sys.stderr.isatty(), leave=False)
