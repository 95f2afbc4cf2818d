"""The metrics of predictions agree with scikit-learn called plainly, weighted rows with repeated ones."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from penguins.metrics import adjusted_rand_index, area_under_curve, metrics_of_classes


@pytest.mark.parametrize("seed", range(12))
def test_the_rand_index_of_weighted_rows_is_that_of_repeated_ones(seed: int) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 60))
    classes, clusters = (pd.Series(random.integers(-1, int(random.integers(0, 5)), n)) for _ in range(2))
    weights = pd.Series(random.integers(1, 4, n))
    expected = metrics.adjusted_rand_score(np.repeat(classes, weights), np.repeat(clusters, weights))
    assert adjusted_rand_index(classes, clusters, weights) == pytest.approx(expected)


def test_the_rand_index_of_many_rows_is_exact() -> None:
    classes, clusters = pd.Series([0, 0, 1, 1]), pd.Series([0, 1, 0, 1])
    assert adjusted_rand_index(classes, classes, pd.Series([10**9] * 4)) == 1
    assert abs(adjusted_rand_index(classes, clusters, pd.Series([10**9] * 4))) < 1e-8


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_that_the_model_does_not_know_is_an_error_whatever_is_predicted(n_classes: int) -> None:
    random = np.random.default_rng(0)
    classes = np.array(["a", "b", "c"][:n_classes], dtype=object)
    truth, predicted = random.choice([*classes, "z"], 50), random.choice(classes, 50)
    found = metrics_of_classes(truth, predicted, classes)
    counted = classes[1:] if n_classes == 2 else classes
    recalls = [np.mean(predicted[truth == name] == name) for name in counted]
    precisions = [np.mean(truth[predicted == name] == name) for name in counted]
    assert found["recall"] == pytest.approx(np.mean(recalls))
    assert found["precision"] == pytest.approx(np.mean(precisions))


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_the_area_under_the_curve_is_that_of_scikit_learn(n_classes: int) -> None:
    random = np.random.default_rng(n_classes)
    y, probabilities = np.arange(80) % n_classes, random.dirichlet(np.ones(n_classes), 80)
    scores = probabilities[:, 1] if n_classes == 2 else probabilities
    expected = metrics.roc_auc_score(y, scores, multi_class="ovr")
    assert area_under_curve(y, probabilities, np.arange(n_classes)) == pytest.approx(expected, rel=1e-12)
