"""Metrics of predictions: arrays in, numbers out. Rows may be weighted, as those are that stand for several."""

import numpy as np
import pandas as pd
from sklearn import metrics


def area_under_curve(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Return the area under the ROC curve; for more than two classes, the mean of each class against the rest.

    `probabilities` has the shape (n_rows, n_classes).
    """
    if len(classes) == 2:
        return float(metrics.roc_auc_score(y == classes[1], probabilities[:, 1]))
    # scikit-learn's own mean first makes an array of integers as large as `probabilities`.
    return float(
        np.mean([metrics.roc_auc_score(y == name, scores) for name, scores in zip(classes, probabilities.T, strict=True)])
    )


def metrics_of_classes(
    y: pd.Series | np.ndarray, predicted: np.ndarray, classes: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, float]:
    """Return precision, recall and F1 of the second of two classes, or of more classes the mean; 0 where one is undefined.

    `y` may hold other classes, too: such a row is wrong whatever is predicted.
    """
    labels = classes[1:] if len(classes) == 2 else classes
    found = metrics.precision_recall_fscore_support(
        y, predicted, labels=labels, average="macro", zero_division=0, sample_weight=weights
    )
    return {name: float(value) for name, value in zip(("precision", "recall", "f1"), found[:3], strict=True)}


def adjusted_rand_index(classes: pd.Series, clusters: pd.Series, weights: pd.Series) -> float:
    """Return the adjusted Rand index of two partitions, each of shape (n_rows,); a row stands for as many as its weight.

    scikit-learn's takes no weights: it needs every row, of which a table in Spark may have more than fit into memory.
    """
    both = _n_pairs(weights.groupby([classes, clusters]).sum())
    of_classes, of_clusters = _n_pairs(weights.groupby(classes).sum()), _n_pairs(weights.groupby(clusters).sum())
    n_rows = int(weights.sum())
    total = n_rows * (n_rows - 1) // 2
    # Numerator and denominator are multiplied by 2 * total, so that they stay whole numbers.
    above_chance, most = total * both - of_classes * of_clusters, total * (of_classes + of_clusters)
    most -= 2 * of_classes * of_clusters
    return 2 * above_chance / most if most else 1.0


def _n_pairs(counts: pd.Series) -> int:
    return sum(int(count) * (int(count) - 1) // 2 for count in counts)
