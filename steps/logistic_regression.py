"""Is it male or female? A logistic regression, evaluated on rows that it has not seen.

Needs a column of classes (`target`), two rows or more of each, and columns of numbers, booleans or text (`features`).
Logs `train_acc`, `eval_acc` and beside it `baseline_acc`, the accuracy of always giving the largest class; `precision`,
`recall`, `f1` of the second of two classes (the tag `positive_class`), or their mean over more classes; `auc_score`, the ROC
curves and the confusion matrix, as pictures and as tables; the coefficients; and the model, which it loads back: a model that
does not score the same as the one that was fitted fails the step. With `register`, the model goes to MLflow's registry and is
compared with the champion on the rows held out.
"""

from dataclasses import dataclass
from typing import Annotated

from penguins.cli.parameters import (
    AUTO,
    CategoricalFeatures,
    Data,
    Encoding,
    Experiment,
    Parameter,
    Predictors,
    Read,
    Register,
    Seed,
    TestSize,
    require_target,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import COLUMN, Choice
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step

STEP = Step(
    "logistic_regression",
    question="male or female?",
    holds="`train_acc`, `eval_acc`, `baseline_acc`, `precision`, `recall`, `f1`, `auc_score`, `roc_plot.png`, "
    "`roc_curve.csv`, `conf_matrix.png`, `conf_matrix.csv`, `coefficients.csv`, the model `model`",
    headline="eval_acc",
    model="model",
    in_all=True,
    weight=1,
)
NAME = STEP.name
# The columns that `auto` stands for in the penguins.
PENGUINS = {
    "target": "sex",
    "features": ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "island", "species"),
}


@dataclass(frozen=True)
class Parameters:
    """Logistic regression of a class on columns of numbers and text."""

    data: Data = "penguins"
    target: Annotated[str, Parameter(COLUMN, "the column of classes to predict; auto: sex, of the penguins")] = AUTO
    features: Predictors = (AUTO,)
    categorical_features: CategoricalFeatures = ()
    class_weight: Annotated[
        str, Parameter(Choice(("none", "balanced")), "none, or balanced: rare classes weigh as much as large ones")
    ] = "none"
    test_size: TestSize = 0.2
    encoding: Encoding = "onehot"
    seed: Seed = 0
    register: Register = ""
    read: Read = DETECT
    experiment: Experiment = ""

    def __post_init__(self) -> None:
        require_target(self.data, self.target)


if __name__ == "__main__":
    check_command_line(NAME, Parameters)

from collections import Counter

import mlflow
import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from penguins.data.checks import (
    columns_in_use,
    require_both_sides,
    require_classes,
    require_encodable,
    require_finite,
    require_split,
)
from penguins.data.column_types import as_names
from penguins.data.describe import describe_columns
from penguins.data.load import load_table
from penguins.data.locate import table_digest
from penguins.data.resolve import resolve_columns
from penguins.data.table import Table
from penguins.errors import WorkError
from penguins.evaluation_tables import RocCurve, coefficient_lines, confusion_lines, roc_lines
from penguins.metrics import area_under_curve, metrics_of_classes
from penguins.plots.classes import confusion_matrix_figure, roc_figure
from penguins.plots.style import short_label
from penguins.preprocessing import build_pipeline, encoded_names
from penguins.resume.step_run import record_fingerprint, step_run
from penguins.tracking.artifact_names import COEFFICIENTS, CONFUSION, ROC
from penguins.tracking.artifacts import load_sklearn_model, log_csv, log_figure, log_sklearn_model, log_table
from penguins.tracking.conclusion import conclude_with_metrics, conclusion_of_classifier
from penguins.tracking.held_out import ACCURACY, HeldOutFrame, accuracy
from penguins.tracking.registry import Candidate, register_and_compare, require_registrable
from penguins.tracking.row_hashes import hash_training_rows, log_row_hashes

MOST_ITERATIONS = 1000


@dataclass(frozen=True)
class Split:
    """The rows to train on and the rows held out: features of shape (n_rows, n_features), classes of shape (n_rows,)."""

    X_train: pd.DataFrame
    X_eval: pd.DataFrame
    y_train: pd.Series
    y_eval: pd.Series


def roc_curves(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> dict[str, RocCurve]:
    """Return the ROC curve of each class against the rest, or of the second of two classes, with the area under it."""
    first = 1 if len(classes) == 2 else 0
    curves = {}
    for index, name in enumerate(class_names(classes)[first:], first):
        false_positive, true_positive, thresholds = metrics.roc_curve(y == classes[index], probabilities[:, index])
        curves[name] = RocCurve(false_positive, true_positive, thresholds, float(metrics.auc(false_positive, true_positive)))
    return curves


def class_names(classes: np.ndarray) -> list[str]:
    """Return the classes as people call them: 2007 rather than 2007.0."""
    return list(as_names(pd.Series(classes)))


def count_pairs(y: pd.Series, predicted: np.ndarray) -> Counter[tuple[str, str]]:
    """Count rows by true and predicted class, as people call them."""
    return Counter(zip(as_names(y), as_names(pd.Series(predicted)), strict=True))


def split_rows(table: Table, parameters: Parameters) -> Split:
    """Check the table and split its rows, stratified by class. Raises InputError where that is impossible."""
    features = list(parameters.features)
    require_finite(table, "features", features)
    X, y = table.frame[features], table.frame[parameters.target]
    counts = Counter(as_names(y))
    require_classes(counts, parameters.target)
    require_encodable(table, features, parameters.encoding, parameters.target, len(counts))
    require_split(counts, parameters.test_size)
    split = Split(*train_test_split(X, y, test_size=parameters.test_size, random_state=parameters.seed, stratify=y))
    require_both_sides(Counter(as_names(split.y_train)), Counter(as_names(split.y_eval)), parameters.test_size)
    return split


def fit(split: Split, table: Table, encoding: str, class_weight: str) -> Pipeline:
    """Fit a pipeline that takes raw rows: scaling and encoding, then the regression."""
    numbers = [name for name in split.X_train.columns if name in table.numbers]
    texts = [name for name in split.X_train.columns if name in table.texts]
    weights = None if class_weight == "none" else class_weight
    classifier = LogisticRegression(max_iter=MOST_ITERATIONS, class_weight=weights)
    codes = [name for name in split.X_train.columns if name in table.codes]
    return build_pipeline(numbers, texts, encoding, classifier, codes).fit(split.X_train, split.y_train)


def evaluate(model: Pipeline, split: Split) -> dict[str, float]:
    """Return the accuracies on both sides of the split and, on the rows held out, what tells more about the classes."""
    probabilities = model.predict_proba(split.X_eval)
    return {
        "train_acc": model.score(split.X_train, split.y_train),
        "eval_acc": model.score(split.X_eval, split.y_eval),
        "baseline_acc": float((split.y_eval == split.y_train.mode()[0]).mean()),
        **metrics_of_classes(split.y_eval, model.predict(split.X_eval), model.classes_),
        "auc_score": area_under_curve(split.y_eval.to_numpy(), probabilities, model.classes_),
    }


def log_evaluation(model: Pipeline, split: Split, target: str) -> None:
    """Log the confusion matrix and the ROC curves of the rows held out, drawn and as tables, and the coefficients."""
    classes = class_names(model.classes_)
    counts = count_pairs(split.y_eval, model.predict(split.X_eval))
    title = f"{short_label(target)}: {len(split.y_eval)} records held out"
    log_figure(confusion_matrix_figure(counts, classes, title), "conf_matrix.png")
    log_csv(confusion_lines(counts, classes), CONFUSION)
    curves = roc_curves(split.y_eval.to_numpy(), model.predict_proba(split.X_eval), model.classes_)
    drawn = {name: (curve.false_positive, curve.true_positive, curve.area) for name, curve in curves.items()}
    log_figure(roc_figure(drawn, title), "roc_plot.png")
    log_csv(roc_lines(curves), ROC)
    regression, of_coefficients = model["estimator"], classes[1:] if len(classes) == 2 else classes
    lines = coefficient_lines(regression.coef_, regression.intercept_, encoded_names(model), of_coefficients)
    log_csv(lines, COEFFICIENTS)


def log_and_verify_model(model: Pipeline, split: Split) -> str:
    """Log the model, load it back and compare its probabilities; return its URI. Raises WorkError where they differ."""
    info = log_sklearn_model(model, "model", split.X_train)
    loaded = load_sklearn_model(info.model_uri)
    if not np.array_equal(loaded.predict_proba(split.X_eval), model.predict_proba(split.X_eval)):
        raise WorkError(f"The model at {info.model_uri} does not score as the one that was fitted.")
    return str(info.model_uri)


def accuracy_of_names(y: pd.Series, predicted: np.ndarray) -> float:
    """Return the share of classes that a model predicts, perhaps one of another table, which has 1.0 for 1."""
    return accuracy(count_pairs(y, predicted))


def register_model(name: str, candidate: Candidate, split: Split, frame: pd.DataFrame) -> None:
    """Register the model and compare it with the champion on the rows of `frame` that were held out."""
    log_row_hashes(hash_training_rows(frame.loc[split.X_train.index]))
    register_and_compare(name, candidate, HeldOutFrame(frame.loc[split.X_eval.index], candidate.target, accuracy_of_names))


def main(asked: Parameters) -> None:
    """Fit, evaluate and log the regression in an MLflow run."""
    with step_run(NAME, asked, table_digest(asked.data)) as run:
        require_registrable(asked.register)
        parameters = resolve_columns(asked, PENGUINS, lambda data: describe_columns(data, asked.read), with_texts=True)
        columns = columns_in_use(features=parameters.features, target=parameters.target)
        codes = parameters.categorical_features
        table = load_table(parameters.data, columns, read=asked.read, classes=parameters.target, codes=codes)
        split = split_rows(table, parameters)
        log_table(table.frame, table.source, table.name, table.left_out, parameters.target, table.read_as)
        record_fingerprint(NAME, asked, table.digest)
        model = fit(split, table, parameters.encoding, parameters.class_weight)
        figures = evaluate(model, split)
        mlflow.log_metrics(figures)
        if len(model.classes_) == 2:
            mlflow.set_tag("positive_class", class_names(model.classes_)[1])
        log_evaluation(model, split, parameters.target)
        uri = log_and_verify_model(model, split)
        n_held_out = len(split.y_eval)
        conclude_with_metrics(run, NAME, conclusion_of_classifier(parameters, figures, n_held_out, uri), figures)
        if asked.register:
            candidate = Candidate(uri, run.info.run_id, parameters.target, ACCURACY, figures["eval_acc"])
            register_model(asked.register, candidate, split, table.frame)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
