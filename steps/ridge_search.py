"""How heavy is it? A ridge regression, with the strength of its penalty chosen by cross-validation.

Needs a column of numbers (`target`) and columns of numbers, booleans or text (`features`). MLflow's autologging writes the
parameters, the metrics (`best_cv_score`, a negative mean squared error), the table of the folds and a child run for each alpha,
and the step checks that all of it was logged. The step adds the root mean squared errors in the unit of the target (`cv_rmse`),
a picture of them against alpha, the coefficients, and the best pipeline as the model `best_estimator`. With
`register`, that goes to MLflow's registry; a pipeline with the same alpha, fitted on four fifths of the rows, is compared with
the champion on the others.
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
    holds="`best_cv_score` (a negative mean squared error), `best_cv_rmse` (its root, in the target's unit), `best_alpha`, a "
    "child run `alpha=0.05` … with `cv_rmse` for each alpha, `cv_results.csv`, `alpha_curve.png`, `coefficients.csv`, the "
    "model `best_estimator`",
    headline="best_cv_score",
    model="best_estimator",
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
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils import shuffle

from penguins.data.checks import (
    columns_in_use,
    require_encodable,
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
from penguins.evaluation_tables import coefficient_lines
from penguins.plots.curves import error_by_alpha_figure
from penguins.preprocessing import build_pipeline, encoded_names
from penguins.resume.step_run import record_fingerprint, step_run
from penguins.text import count, format_number
from penguins.tracking.artifact_names import COEFFICIENTS, CV_RESULTS
from penguins.tracking.artifacts import INTEGERS_HINT, log_csv, log_dataset, log_figure, log_sklearn_model, log_table
from penguins.tracking.autologging import fit_with_autologging
from penguins.tracking.conclusion import Conclusion, conclude_with_metrics, score_of
from penguins.tracking.held_out import RMSE, HeldOutFrame, root_mean_squared_error
from penguins.tracking.registry import Candidate, register_and_compare, require_registrable
from penguins.tracking.row_hashes import hash_training_rows, log_row_hashes
from penguins.tracking.store import child_runs, now_ms

AUTOLOGGED = "dataset"
GRID = "estimator__alpha"
# The share of the rows on which a registered model is compared with the champion.
HELD_OUT = 0.2
SCORING = "neg_mean_squared_error"
# The root mean squared error of an alpha, with its standard deviation over the folds, and that of the best alpha.
ERRORS, BEST_ERROR = ("cv_rmse", "cv_rmse_std"), "best_cv_rmse"


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
    require_encodable(table, parameters.features, parameters.encoding, parameters.target)
    require_rows(table, "cv", parameters.cv)


def search_with_autologging(run: Run, table: Table, parameters: Parameters) -> tuple[GridSearchCV, pd.DataFrame]:
    """Search on the shuffled rows with MLflow's autologging on; return the fitted search and the shuffled features.

    Raises WorkError where the store did not take all that autologging logs.
    """
    features = list(parameters.features)
    shuffled = shuffle(table.frame, random_state=parameters.seed)
    X, y = shuffled[features], shuffled[parameters.target]
    numbers = [name for name in features if name in table.numbers]
    texts = [name for name in features if name in table.texts]
    # On sparse columns Ridge solves iteratively; its default tolerance would change the scores in the fourth digit.
    pipeline = build_pipeline(numbers, texts, parameters.encoding, Ridge(tol=1e-12), table.codes)
    # Autologging would log this dataset for the children from several threads at once; the store takes it from one only.
    log_dataset(X, table.source, AUTOLOGGED)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=INTEGERS_HINT)
        fitted = fit_with_autologging(run, lambda: search(X, y, pipeline, parameters.alphas, parameters.cv))
    return fitted, X


def complete_children(run: Run, fitted: GridSearchCV) -> None:
    """Give the children that autologging made their name, the parameter `alpha` and their root mean squared errors."""
    client = MlflowClient()
    errors = {float(alpha): found for alpha, *found in zip(*errors_by_alpha(fitted), strict=True)}
    for child in child_runs(run.info.run_id, run.info.experiment_id):
        alpha = float(child.data.params[GRID])
        text = format_number(alpha)
        client.log_batch(
            child.info.run_id,
            params=[Param("alpha", text)],
            metrics=[Metric(name, float(value), now_ms(), 0) for name, value in zip(ERRORS, errors[alpha], strict=True)],
            tags=[RunTag(MLFLOW_RUN_NAME, f"alpha={text}")],
        )


def log_errors(fitted: GridSearchCV, target: str) -> None:
    """Log the root mean squared errors: that of the best alpha, all in the table of the folds, and drawn."""
    alphas, errors, spreads = errors_by_alpha(fitted)
    mlflow.log_metric(BEST_ERROR, errors[fitted.best_index_])
    columns = dict(zip(ERRORS, (errors, spreads), strict=True))
    mlflow.log_text(pd.DataFrame(fitted.cv_results_).assign(**columns).to_csv(index=False), CV_RESULTS)
    log_figure(error_by_alpha_figure(alphas, errors, spreads, unit=target), "alpha_curve.png")


def log_coefficients(best: Pipeline) -> None:
    """Log the coefficients of the best pipeline."""
    ridge = best["estimator"]
    lines = coefficient_lines(ridge.coef_.reshape(1, -1), np.atleast_1d(ridge.intercept_), encoded_names(best))
    log_csv(lines, COEFFICIENTS)


def search_conclusion(parameters: Parameters, fitted: GridSearchCV, uri: str) -> Conclusion:
    """Return which alpha won, with the errors of all; `uri` is that of the best model."""
    alphas, errors, spreads = errors_by_alpha(fitted)
    target = parameters.target
    return Conclusion(
        f"How large is {target} in a row of {parameters.data}? A ridge regression on "
        f"{count(len(parameters.features), 'feature')}: {', '.join(parameters.features)}; "
        f"{count(len(parameters.alphas), 'alpha')}, each in {parameters.cv} folds.",
        f"alpha {format_number(alphas[fitted.best_index_])} predicts {target} with the lowest error: "
        f"{errors[fitted.best_index_]:.4g}, the root mean squared error over the folds in the unit of {target}.",
        ["alpha", f"error of {target}", "standard deviation over the folds"],
        [[format_number(alpha), error, spread] for alpha, error, spread in zip(alphas, errors, spreads, strict=True)],
        next_steps=[score_of(uri, parameters, target)],
    )


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
        fitted, X = search_with_autologging(run, table, parameters)
        complete_children(run, fitted)
        log_errors(fitted, parameters.target)
        log_coefficients(fitted.best_estimator_)
        uri = log_sklearn_model(fitted.best_estimator_, "best_estimator", X).model_uri
        best = {"best_alpha": fitted.best_params_[GRID], "best_cv_score": fitted.best_score_}
        mlflow.log_metric("best_alpha", best["best_alpha"])
        best[BEST_ERROR] = float(np.sqrt(-fitted.best_score_))
        conclude_with_metrics(run, NAME, search_conclusion(parameters, fitted, uri), best, {BEST_ERROR: parameters.target})
        if asked.register:
            register_model(asked.register, run.info.run_id, uri, fitted.best_estimator_, table, parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
