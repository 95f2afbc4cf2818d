"""How heavy is it? A ridge regression, with the strength of its penalty chosen by cross-validation.

Needs a column of numbers (`target`) and columns of numbers, booleans or text (`features`). MLflow's autologging writes the
parameters, the metrics (`best_cv_score`), the table of the folds and a child run for each alpha; the step adds a picture of the
error against alpha and the best pipeline as the model `best_estimator`. With `register`, that goes to MLflow's registry; a
pipeline with the same alpha, fitted on four fifths of the rows, is compared with the champion on the others.
"""

from dataclasses import dataclass
from typing import Annotated

from penguins.cli.parameters import (
    AUTO,
    DEFAULT_ALPHAS,
    Alphas,
    CategoricalFeatures,
    Data,
    Encoding,
    Experiment,
    Parameter,
    Predictors,
    Read,
    Register,
    Seed,
    require_target,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import COLUMN, Integer
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step

STEP = Step(
    "ridge_search",
    question="how heavy?",
    holds="`best_cv_score`, `best_alpha`, a child run `alpha=0.05` … for each alpha, `cv_results.csv`, `alpha_curve.png`, the "
    "model `best_estimator`",
    headline="best_cv_score",
    in_all=True,
    weight=2,
)
NAME = STEP.name
# The columns that `auto` stands for in the penguins.
PENGUINS = {
    "target": "body_mass_g",
    "features": ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "sex", "species", "island"),
}


@dataclass(frozen=True)
class Parameters:
    """Ridge regression of a number over a grid of alphas."""

    data: Data = "penguins"
    target: Annotated[str, Parameter(COLUMN, "the column of numbers to predict; auto: body_mass_g, of the penguins")] = AUTO
    features: Predictors = (AUTO,)
    categorical_features: CategoricalFeatures = ()
    alphas: Alphas = DEFAULT_ALPHAS
    cv: Annotated[int, Parameter(Integer(2, 10_000), "number of folds, 2 or more")] = 5
    encoding: Encoding = "onehot"
    seed: Seed = 0
    register: Register = ""
    read: Read = DETECT
    experiment: Experiment = ""

    def __post_init__(self) -> None:
        require_target(self.data, self.target)


if __name__ == "__main__":
    check_command_line(NAME, Parameters)

import warnings
from collections.abc import Sequence

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils import shuffle

from penguins.data.checks import (
    columns_in_use,
    require_categories,
    require_finite,
    require_numbers,
    require_rows,
    require_variety,
)
from penguins.data.describe import describe_columns
from penguins.data.load import load_table
from penguins.data.locate import table_digest
from penguins.data.resolve import resolve_columns
from penguins.data.table import Table
from penguins.plots import error_by_alpha_figure
from penguins.preprocessing import build_pipeline
from penguins.resume.step_run import record_fingerprint, step_run
from penguins.text import format_number
from penguins.tracking.artifacts import INTEGERS_HINT, log_dataset, log_figure, log_sklearn_model, log_table
from penguins.tracking.held_out import RMSE, HeldOutFrame, root_mean_squared_error
from penguins.tracking.registry import Candidate, register_and_compare, require_registrable
from penguins.tracking.row_hashes import hash_training_rows, log_row_hashes
from penguins.tracking.run import print_metrics
from penguins.tracking.store import child_runs

AUTOLOGGED = "dataset"
GRID = "estimator__alpha"
# The share of the rows on which a registered model is compared with the champion.
HELD_OUT = 0.2
SCORING = "neg_mean_squared_error"


def search(X: pd.DataFrame, y: pd.Series, pipeline: Pipeline, alphas: Sequence[float], cv: int) -> GridSearchCV:
    """Fit the search over `alphas`, in `cv` folds of neighbouring rows: shuffle rows whose order means something."""
    return GridSearchCV(pipeline, {GRID: list(alphas)}, scoring=SCORING, cv=cv).fit(X, y)


def errors_by_alpha(fitted: GridSearchCV) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return alphas, root mean squared errors and their standard deviations over the folds, each of shape (n_alphas,).

    The error is the root of the mean over the folds, so that it is lowest for the alpha that the search calls best.
    """
    results = fitted.cv_results_
    folds = np.sqrt(-np.array([results[f"split{fold}_test_score"] for fold in range(fitted.n_splits_)]))
    return np.array(results[f"param_{GRID}"], dtype=float), np.sqrt(-results["mean_test_score"]), folds.std(axis=0)


def require_usable(table: Table, parameters: Parameters) -> None:
    """Raise InputError where the table does not fit the parameters."""
    require_numbers(table, "target", [parameters.target])
    require_finite(table, "target", [parameters.target])
    require_variety(table, parameters.target)
    require_finite(table, "features", parameters.features)
    require_categories(table, "features", parameters.features)
    require_rows(table, "cv", parameters.cv)


def search_with_autologging(table: Table, parameters: Parameters) -> tuple[GridSearchCV, pd.DataFrame]:
    """Search on the shuffled rows with MLflow's autologging on; return the fitted search and the shuffled features."""
    features = list(parameters.features)
    shuffled = shuffle(table.frame, random_state=parameters.seed)
    X, y = shuffled[features], shuffled[parameters.target]
    numbers = [name for name in features if name in table.numbers]
    texts = [name for name in features if name in table.texts]
    # On sparse columns Ridge solves iteratively; its default tolerance would change the scores in the fourth digit.
    pipeline = build_pipeline(numbers, texts, parameters.encoding, Ridge(tol=1e-12), table.codes)
    # Autologging would log this dataset for the children from several threads at once; the store takes it from one only.
    log_dataset(X, table.source, AUTOLOGGED)
    mlflow.sklearn.autolog(log_models=False, log_datasets=False, max_tuning_runs=None)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=INTEGERS_HINT)
            return search(X, y, pipeline, parameters.alphas, parameters.cv), X
    finally:
        mlflow.sklearn.autolog(disable=True)


def name_children(parent_id: str, experiment_id: str) -> None:
    """Give the children that autologging made their name and the parameter `alpha`."""
    client = MlflowClient()
    for child in child_runs(parent_id, experiment_id):
        alpha = format_number(float(child.data.params[GRID]))
        client.log_batch(child.info.run_id, params=[Param("alpha", alpha)], tags=[RunTag(MLFLOW_RUN_NAME, f"alpha={alpha}")])


def register_model(name: str, run_id: str, uri: str, best: Pipeline, table: Table, parameters: Parameters) -> None:
    """Register the best pipeline, which was fitted on all rows; its like, fitted on the others, stands for it on a fifth."""
    target, features = parameters.target, list(parameters.features)
    train, held_out = train_test_split(table.frame, test_size=HELD_OUT, random_state=parameters.seed)
    fitted = clone(best).fit(train[features], train[target])
    value = root_mean_squared_error(held_out[target], fitted.predict(held_out[features]))
    log_row_hashes(hash_training_rows(table.frame))
    rows = HeldOutFrame(held_out, target, root_mean_squared_error)
    register_and_compare(name, Candidate(uri, run_id, target, RMSE, value), rows)


def main(asked: Parameters) -> None:
    """Search, draw and log in an MLflow run."""
    with step_run(NAME, asked, table_digest(asked.data)) as run:
        require_registrable(asked.register)
        parameters = resolve_columns(asked, PENGUINS, lambda data: describe_columns(data, asked.read), with_texts=True)
        columns = columns_in_use(features=parameters.features, target=parameters.target)
        table = load_table(parameters.data, columns, read=asked.read, codes=parameters.categorical_features)
        require_usable(table, parameters)
        log_table(table.frame, table.source, table.name, table.left_out, parameters.target, table.read_as)
        record_fingerprint(NAME, asked, table.digest)
        fitted, X = search_with_autologging(table, parameters)
        name_children(run.info.run_id, run.info.experiment_id)
        log_figure(error_by_alpha_figure(*errors_by_alpha(fitted), unit=parameters.target), "alpha_curve.png")
        uri = log_sklearn_model(fitted.best_estimator_, "best_estimator", X).model_uri
        best = {"best_alpha": fitted.best_params_[GRID], "best_cv_score": fitted.best_score_}
        mlflow.log_metric("best_alpha", best["best_alpha"])
        print_metrics(NAME, run, best)
        if asked.register:
            register_model(asked.register, run.info.run_id, uri, fitted.best_estimator_, table, parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
