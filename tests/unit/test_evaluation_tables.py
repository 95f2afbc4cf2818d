"""The tables of what a regression is like: what is in them, and that they stay short."""

import numpy as np
import pytest
from sklearn import metrics

from penguins.evaluation_tables import RocCurve, coefficient_lines, confusion_lines, roc_lines


def curve_of(n_rows: int, apart: float, seed: int = 0) -> RocCurve:
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n_rows)
    false_positive, true_positive, thresholds = metrics.roc_curve(y, random.normal(size=n_rows) + apart * y)
    return RocCurve(false_positive, true_positive, thresholds, float(metrics.auc(false_positive, true_positive)))


def test_the_confusion_has_a_line_for_each_pair_with_rows_in_the_order_of_the_classes() -> None:
    counts = {("b", "b"): 5, ("a", "c"): 1, ("b", "a"): 2, ("c", "a"): 0}
    assert confusion_lines(counts, ["c", "b", "a"]) == [
        ["true", "predicted", "n"],
        ["b", "b", 5],
        ["b", "a", 2],
        ["a", "c", 1],
    ]


def test_of_very_many_pairs_those_with_the_most_rows_are_in_the_confusion() -> None:
    classes = [f"{number:03}" for number in range(200)]
    counts = {(truth, predicted): 1 + (truth == predicted) for truth in classes for predicted in classes}
    _, *lines = confusion_lines(counts, classes)
    assert len(lines) == 20_000
    assert [truth for truth, predicted, _ in lines if truth == predicted] == classes
    assert lines == sorted(lines)


@pytest.mark.parametrize(("n_rows", "apart"), [(20, 1), (1_000, 2), (5_000, 0.5), (100_000, 1.5)])
def test_a_thinned_curve_is_not_visibly_another_one(n_rows: int, apart: float) -> None:
    curve = curve_of(n_rows, apart)
    header, *lines = roc_lines({"a": curve})
    assert header == ["class", "false_positive_rate", "true_positive_rate", "threshold"]
    assert {line[0] for line in lines} == {"a"}
    assert len(lines) == min(200, len(curve.thresholds))
    points = np.array([line[1:] for line in lines], dtype=float)
    whole = np.column_stack([curve.false_positive, curve.true_positive, curve.thresholds])
    assert points[[0, -1]].tolist() == whole[[0, -1]].tolist()
    assert {tuple(point) for point in points.tolist()} <= {tuple(point) for point in whole.tolist()}
    assert metrics.auc(*points[:, :2].T) == pytest.approx(curve.area, abs=2e-4)
    for point in whole[:: max(1, len(whole) // 500), :2]:
        assert distance_to_line(point, points[:, :2]) < 0.003


def distance_to_line(point: np.ndarray, line: np.ndarray) -> float:
    """Return the distance of a point to the nearest segment of a line of shape (n_points, 2)."""
    start, step = line[:-1], np.diff(line, axis=0)
    along = ((point - start) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-300)
    return float(np.linalg.norm(start + np.clip(along, 0, 1)[:, None] * step - point, axis=1).min())


def test_the_curves_of_many_classes_have_fewer_points_and_of_very_many_the_worst_are_shown() -> None:
    curve = curve_of(2_000, 1)
    many = {f"class {number}": curve for number in range(400)}
    _, *lines = roc_lines(many)
    assert len(lines) == 20_000
    assert {line[0] for line in lines} == set(many)
    areas = np.random.default_rng(1).permutation(3_000) / 3_000
    rates = np.array([0.0, 0.5, 1.0])
    _, *lines = roc_lines({str(area): RocCurve(rates, rates, rates[::-1], area) for area in areas})
    shown = {float(str(line[0])) for line in lines}
    assert shown == set(sorted(areas)[:2_000])


def test_the_coefficients_come_after_the_intercept_of_their_class() -> None:
    table = coefficient_lines(np.array([[1.5, -2.0], [0.0, 3.0]]), np.array([7.0, 8.0]), ["x", "g=a"], ["no", "yes"])
    assert table == [
        ["class", "feature", "coefficient"],
        ["no", "(intercept)", 7.0],
        ["no", "x", 1.5],
        ["no", "g=a", -2.0],
        ["yes", "(intercept)", 8.0],
        ["yes", "x", 0.0],
        ["yes", "g=a", 3.0],
    ]
    without = coefficient_lines(np.array([[1.5]]), np.array([7.0]), ["x"])
    assert without == [["feature", "coefficient"], ["(intercept)", 7.0], ["x", 1.5]]


def test_of_very_many_coefficients_the_largest_by_absolute_value_are_kept() -> None:
    coefficients = np.random.default_rng(0).normal(size=(30, 1_000))
    features = [f"f{number}" for number in range(1_000)]
    _, *lines = coefficient_lines(coefficients, np.full(30, 9.0), features, [f"c{number}" for number in range(30)])
    assert len(lines) == 20_000
    assert sum(line[1] == "(intercept)" for line in lines) == 30
    kept = [abs(float(str(line[2]))) for line in lines if line[1] != "(intercept)"]
    assert min(kept) == np.sort(np.abs(coefficients), axis=None)[-19_970]
