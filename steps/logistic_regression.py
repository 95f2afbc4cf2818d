"""Is it male or female? A logistic regression, evaluated on rows that it has not seen.

Asks of the table a column of classes (`target`), two rows or more of each, and columns of numbers or text (`features`).
Logs `train_acc`, `eval_acc` and `auc_score`, the ROC curves, the confusion matrix and the model, which it loads back: a model
that does not score the same as the one that was fitted fails the step.
"""

from dataclasses import dataclass

from common import options

NAME = "logistic_regression"


@dataclass(frozen=True)
class Parameters:
    """Logistic regression of a class on columns of numbers and text."""

    data: str = options.data()
    target: str = options.parameter("sex", options.COLUMN, "the column of classes to predict")
    features: tuple[str, ...] = options.parameter(
        "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,island,species",
        options.COLUMNS,
        "the columns, of numbers or text, to predict it from",
    )
    test_size: float = options.test_size()
    encoding: str = options.encoding()
    seed: int = options.seed()
    experiment: str = options.experiment()


if __name__ == "__main__":
    options.check(NAME, Parameters)

from collections import Counter

import mlflow
import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import label_binarize

from common import dataset, encoding, plots, tracking, work

MOST_ITERATIONS = 1000

Curves = dict[str, tuple[np.ndarray, np.ndarray, float]]


def fit(X: pd.DataFrame, y: pd.Series, numbers: list[str], texts: list[str], encoding_name: str) -> Pipeline:
    """A fitted pipeline that takes raw rows: scaling and encoding, then the regression."""
    classifier = LogisticRegression(max_iter=MOST_ITERATIONS)
    return encoding.pipeline(numbers, texts, encoding_name, classifier).fit(X, y)


def area_under_curve(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> float:
    """The area under the ROC curve from probabilities of shape (n_rows, n_classes); one-versus-rest for more than two."""
    if len(classes) == 2:
        return float(metrics.roc_auc_score(y == classes[1], probabilities[:, 1]))
    return float(metrics.roc_auc_score(y, probabilities, multi_class="ovr", labels=classes))


def roc_curves(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> Curves:
    """The ROC curve of each class against the rest, or of the second of two, with the area under it."""
    if len(classes) == 2:
        truth, scores, shown = (y == classes[1])[:, None], probabilities[:, 1:], classes[1:]
    else:
        truth, scores, shown = label_binarize(y, classes=classes), probabilities, classes
    curves = {}
    for index, name in enumerate(shown):
        false_positive, true_positive, _ = metrics.roc_curve(truth[:, index], scores[:, index])
        curves[str(name)] = (false_positive, true_positive, float(metrics.auc(false_positive, true_positive)))
    return curves


def main(parameters: Parameters) -> None:
    """Fits, evaluates and logs the regression in an MLflow run."""
    with tracking.step_run(NAME, parameters) as run:
        features = list(parameters.features)
        table = dataset.load(parameters.data, dataset.used(features=features, target=parameters.target))
        dataset.require_finite(table, "features", features)
        X, y = table.frame[features], dataset.as_names(table.frame[parameters.target])
        counts = Counter(y)
        dataset.require_classes(counts, parameters.target)
        dataset.require_split(counts, parameters.test_size)
        tracking.log_table_used(table, parameters.target)
        tracking.log_work(work.of(NAME, parameters, table.digest))
        X_train, X_eval, y_train, y_eval = train_test_split(
            X, y, test_size=parameters.test_size, random_state=parameters.seed, stratify=y
        )
        dataset.require_both_sides(Counter(y_train), Counter(y_eval), parameters.test_size)

        model = fit(X_train, y_train, table.numbers(features), table.texts(features), parameters.encoding)
        probabilities = model.predict_proba(X_eval)
        figures = {
            "train_acc": model.score(X_train, y_train),
            "eval_acc": model.score(X_eval, y_eval),
            "auc_score": area_under_curve(y_eval.to_numpy(), probabilities, model.classes_),
        }
        mlflow.log_metrics(figures)

        confusion = metrics.confusion_matrix(y_eval, model.predict(X_eval), labels=model.classes_)
        title = f"{plots.shortened(parameters.target)}: {len(y_eval)} records held out"
        tracking.log_figure(plots.confusion_matrix(confusion, model.classes_, title), "conf_matrix.png")
        curves = roc_curves(y_eval.to_numpy(), probabilities, model.classes_)
        tracking.log_figure(plots.roc(curves, title), "roc_plot.png")

        info = tracking.log_sklearn_model(model, "model", X_train)
        loaded = tracking.load_sklearn_model(info.model_uri)
        if not np.array_equal(loaded.predict_proba(X_eval), probabilities):
            raise options.WorkError(f"The model at {info.model_uri} does not score as the one that was fitted.")
        tracking.print_figures(NAME, run, figures)


if __name__ == "__main__":
    options.script(NAME, main, Parameters)
