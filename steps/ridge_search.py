"""How heavy is it? A ridge regression, with the strength of its penalty chosen by cross-validation.

Asks of the table a column of numbers (`target`) and columns of numbers or text (`features`). MLflow's autologging writes the
parameters, the metrics (`best_cv_score`), the table of the folds and a child run for each alpha; the step adds a picture of the
error against alpha and the best pipeline as the model `best_estimator`.
"""

from dataclasses import dataclass

from common import options

NAME = "ridge_search"


@dataclass(frozen=True)
class Parameters:
    """Ridge regression of a number over a grid of alphas."""

    data: str = options.data()
    target: str = options.parameter("body_mass_g", options.COLUMN, "the column of numbers to predict")
    features: tuple[str, ...] = options.parameter(
        "bill_length_mm,bill_depth_mm,flipper_length_mm,sex,species,island",
        options.COLUMNS,
        "the columns, of numbers or text, to predict it from",
    )
    alphas: tuple[float, ...] = options.alphas()
    cv: int = options.parameter("5", options.Integer(2, 10_000), "number of folds, 2 or more")
    encoding: str = options.encoding()
    seed: int = options.seed()
    experiment: str = options.experiment()


if __name__ == "__main__":
    options.check(NAME, Parameters)

from collections.abc import Sequence

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import shuffle

from common import dataset, encoding, plots, tracking, work

AUTOLOGGED = "dataset"
GRID = "estimator__alpha"
SCORING = "neg_mean_squared_error"


def search(X: pd.DataFrame, y: pd.Series, pipeline: Pipeline, alphas: Sequence[float], cv: int) -> GridSearchCV:
    """The fitted search over `alphas`, in `cv` folds of neighbouring rows: rows in a telling order must be shuffled before."""
    return GridSearchCV(pipeline, {GRID: list(alphas)}, scoring=SCORING, cv=cv).fit(X, y)


def errors_by_alpha(found: GridSearchCV) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Alphas, root mean squared errors and their standard deviations over the folds, each of shape (n_alphas,).

    The error is the root of the mean over the folds, so that it is lowest for the alpha that the search calls best.
    """
    results = found.cv_results_
    folds = np.sqrt(-np.array([results[f"split{fold}_test_score"] for fold in range(found.n_splits_)]))
    return np.array(results[f"param_{GRID}"], dtype=float), np.sqrt(-results["mean_test_score"]), folds.std(axis=0)


def name_children(parent_id: str, experiment_id: str) -> None:
    """Gives the children that autologging made the name and the parameter by which people look for them."""
    client = MlflowClient()
    for child in tracking.children(parent_id, experiment_id):
        alpha = options.shortest(float(child.data.params[GRID]))
        client.log_batch(child.info.run_id, params=[Param("alpha", alpha)], tags=[RunTag(MLFLOW_RUN_NAME, f"alpha={alpha}")])


def main(parameters: Parameters) -> None:
    """Searches, draws and logs in an MLflow run."""
    with tracking.step_run(NAME, parameters) as run:
        features = list(parameters.features)
        table = dataset.load(parameters.data, dataset.used(features=features, target=parameters.target))
        dataset.require_numbers(table, "target", [parameters.target])
        dataset.require_finite(table, "target", [parameters.target])
        dataset.require_variety(table, parameters.target)
        dataset.require_finite(table, "features", features)
        dataset.require_rows(table, "cv", parameters.cv)
        tracking.log_table_used(table, parameters.target)
        tracking.log_work(work.of(NAME, parameters, table.digest))
        shuffled = shuffle(table.frame, random_state=parameters.seed)
        X, y = shuffled[features], shuffled[parameters.target]

        # Autologging gives this dataset to the children from several threads at once; the store takes it from one only.
        tracking.log_rows(X, table.source, AUTOLOGGED)
        mlflow.sklearn.autolog(log_models=False, log_datasets=False, max_tuning_runs=None)
        try:
            unfitted = encoding.pipeline(table.numbers(features), table.texts(features), parameters.encoding, Ridge())
            found = search(X, y, unfitted, parameters.alphas, parameters.cv)
        finally:
            mlflow.sklearn.autolog(disable=True)
        name_children(run.info.run_id, run.info.experiment_id)

        tracking.log_figure(plots.error_by_alpha(*errors_by_alpha(found), unit=parameters.target), "alpha_curve.png")
        tracking.log_sklearn_model(found.best_estimator_, "best_estimator", X)
        best = {"best_alpha": found.best_params_[GRID], "best_cv_score": found.best_score_}
        mlflow.log_metric("best_alpha", best["best_alpha"])
        tracking.print_figures(NAME, run, best)


if __name__ == "__main__":
    options.script(NAME, main, Parameters)
