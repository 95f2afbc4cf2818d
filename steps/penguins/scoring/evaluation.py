"""Compare predictions with the target: the metrics that training logs, over the rows that have a target."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mlflow
import numpy as np
import pandas as pd
from sklearn import metrics

from penguins.data.column_types import as_names
from penguins.errors import InputError
from penguins.evaluation_tables import confusion_lines
from penguins.metrics import adjusted_rand_index, area_under_curve, metrics_of_classes
from penguins.plots.classes import confusion_matrix_figure
from penguins.plots.style import short_label
from penguins.text import one_line, print_lines, quote
from penguins.tracking.artifact_names import CONFUSION
from penguins.tracking.artifacts import log_csv, log_figure


@dataclass(frozen=True)
class Evaluation:
    """The metrics, and of classes the number of rows by true and predicted class, with the names of all classes."""

    figures: dict[str, float]
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    classes: Sequence[str] = field(default=())


def evaluate_classes(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str], weights: np.ndarray) -> Evaluation:
    """Evaluate classes, all as text: those of the rows, those that were predicted, and those that the model knows.

    A row stands for as many as its weight. Raises InputError where no row has a class that the model knows.
    """
    require_known_class(truth, classes)
    totals = pd.Series(weights).groupby(truth).sum()
    figures = {
        "eval_acc": float(metrics.accuracy_score(truth, predicted, sample_weight=weights)),
        "baseline_acc": float(totals.max() / totals.sum()),
        **metrics_of_classes(truth, predicted, np.array(classes, dtype=object), weights),
    }
    every = [*classes, *sorted(set(truth) - set(classes))]
    counts = Counter[tuple[str, str]]()
    for pair, weight in zip(zip(truth, predicted, strict=True), weights, strict=True):
        counts[pair] += int(weight)
    return Evaluation(figures, counts, every)


def require_known_class(truth: np.ndarray, classes: Sequence[str]) -> None:
    """Raise InputError where no row has a class that the model knows: it was trained on another target."""
    if not set(truth) & set(classes):
        raise InputError(
            "The 'target' parameter must name a column with the classes of the model, such as "
            f"{quote(classes[0])}. Got one with {', '.join(map(quote, sorted(set(truth))[:3]))}."
        )


def area_of_classes(truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Return the area under the ROC curve as `auc_score`, or nothing where the rows have not all classes, or others.

    `probabilities` has the shape (n_rows, n_classes).
    """
    if set(truth) != set(classes):
        print_lines("no auc_score: the rows with a target have not just the classes of the model")
        return {}
    names = np.array(classes, dtype=object)
    return {"auc_score": area_under_curve(truth, probabilities, names)}


def evaluate_numbers(truth: np.ndarray, predicted: np.ndarray) -> Evaluation:
    """Evaluate predicted numbers of shape (n_rows,)."""
    figures = {
        "eval_root_mean_squared_error": float(metrics.root_mean_squared_error(truth, predicted)),
        "eval_mean_absolute_error": float(metrics.mean_absolute_error(truth, predicted)),
    }
    if len(truth) > 1:
        figures["eval_r2_score"] = float(metrics.r2_score(truth, predicted))
    return Evaluation(figures)


def evaluate_clusters(truth: pd.Series, clusters: pd.Series, weights: pd.Series) -> Evaluation:
    """Compare clusters with classes. A row stands for as many as its weight; noise is a cluster like others."""
    if not len(weights):
        print_lines("no adjusted_rand_index: no row has both a target and a cluster")
        return Evaluation({})
    return Evaluation({"adjusted_rand_index": adjusted_rand_index(truth, clusters, weights)})


def class_texts(values: pd.Series) -> np.ndarray:
    """Return classes without missing values as the text by which people call them, of shape (n_rows,)."""
    return as_names(values.infer_objects()).to_numpy(dtype=object)


def log_evaluation(evaluation: Evaluation, target: str) -> None:
    """Log the metrics and the confusion matrix, drawn and as a table, to the active run."""
    mlflow.log_metrics(evaluation.figures)
    if len(evaluation.classes) == 2:
        mlflow.set_tag("positive_class", evaluation.classes[1])
    if evaluation.counts:
        title = f"{short_label(one_line(target))}: {sum(evaluation.counts.values())} records"
        log_figure(confusion_matrix_figure(evaluation.counts, evaluation.classes, title), "conf_matrix.png")
        log_csv(confusion_lines(evaluation.counts, evaluation.classes), CONFUSION)
