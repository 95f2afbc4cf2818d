"""MLflow's autologging of a parameter search, with a check of what it logged.

Autologging turns every failure into a warning: a store that refuses a request would leave a finished run without its results.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from penguins.errors import WorkError
from penguins.text import LONGEST_REASON, one_line
from penguins.tracking.artifact_names import CV_RESULTS
from penguins.tracking.run import end_failed_run
from penguins.tracking.store import child_runs

BEST_SCORE, SCORE_OF_CHILD = "best_cv_score", "mean_test_score"
FINISHED = "FINISHED"
S = TypeVar("S")


class _Collector(logging.Handler):
    """Keep MLflow's warnings until it is known whether one of them is the reason for a failure."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def fit_with_autologging(run: Run, fit: Callable[[], S]) -> S:
    """Return the parameter search that `fit` fits, and have MLflow's autologging log it to `run`, the active one.

    Raises WorkError with MLflow's own reasons where the run lacks a part of the search afterwards. Otherwise MLflow's warnings
    are printed as they would have been.
    """
    logger, collector = logging.getLogger("mlflow"), _Collector()
    handlers, logger.handlers = logger.handlers, [collector]
    mlflow.sklearn.autolog(log_models=False, log_datasets=False, max_tuning_runs=None)
    try:
        search = fit()
    finally:
        mlflow.sklearn.autolog(disable=True)
        logger.handlers = handlers
    _require_logged(run, search, [record.getMessage() for record in collector.records])
    for record in collector.records:
        logger.handle(record)
    return search


def _require_logged(run: Run, search: Any, warnings: list[str]) -> None:
    """Raise WorkError where the run lacks a part of the fitted search, and end the children that lack theirs.

    A child whose creation was repeated, because the answer was lost, is deleted.
    """
    client, run_id = MlflowClient(), run.info.run_id
    children = child_runs(run_id, run.info.experiment_id)
    incomplete = [child for child in children if not _is_complete(child, search)]
    missing = _missing_parts(client, run_id, search)
    if (n_missing := len(search.cv_results_["params"]) - len(children) + len(incomplete)) > 0:
        missing.append(f"{n_missing} of its child runs")
    if not missing:
        for child in incomplete:
            client.delete_run(child.info.run_id)
        return
    why = "; ".join(one_line(warning)[:LONGEST_REASON] for warning in warnings) or "MLflow gives no reason"
    error = WorkError(f"The search was not logged as a whole: {', '.join(missing)} could not be logged: {why}")
    for child in incomplete:
        end_failed_run(client, child.info.run_id, error)
    raise error


def _is_complete(child: Run, search: Any) -> bool:
    has_params = set(search.best_params_) <= child.data.params.keys()
    return bool(child.info.status == FINISHED and has_params and SCORE_OF_CHILD in child.data.metrics)


def _missing_parts(client: MlflowClient, run_id: str, search: Any) -> list[str]:
    """Return what the search's own run lacks, in words."""
    logged = client.get_run(run_id).data
    params = [*search.get_params(deep=False), *(f"best_{name}" for name in search.best_params_)]
    missing = [f"the parameter {name}" for name in params if name not in logged.params]
    missing += [] if BEST_SCORE in logged.metrics else [f"the metric {BEST_SCORE}"]
    written = len(pd.DataFrame(search.cv_results_).to_csv(index=False).encode())
    sizes = {artifact.path: artifact.file_size for artifact in client.list_artifacts(run_id)}
    # A store may not tell the size of a file.
    is_whole = CV_RESULTS in sizes and sizes[CV_RESULTS] in (written, None)
    return missing if is_whole else [*missing, CV_RESULTS]
