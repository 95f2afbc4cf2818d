"""Tables of what a regression is like, as lines of cells: wrong classes, ROC curves, coefficients. None grows without bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LONGEST_TABLE = 20_000
# How many points a ROC curve has at most; of many classes fewer, but so many at least.
MOST_POINTS, FEWEST_POINTS = 200, 10
INTERCEPT = "(intercept)"

Lines = list[list[object]]


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve, whose three arrays have the shape (n_points,) and descending thresholds, and the area under it.

    The first threshold is infinite: above it are no rows.
    """

    false_positive: np.ndarray
    true_positive: np.ndarray
    thresholds: np.ndarray
    area: float


def confusion_lines(counts: Mapping[tuple[str, str], int], classes: Sequence[str]) -> Lines:
    """Return a line for each pair of a true and a predicted class that has rows, in the order of `classes`.

    Of more than `LONGEST_TABLE` pairs, it has those with the most rows.
    """
    place = {name: at for at, name in enumerate(classes)}
    cells = sorted((place[truth], place[predicted], n) for (truth, predicted), n in counts.items() if n)
    largest = sorted(cells, key=lambda cell: -cell[2])[:LONGEST_TABLE]
    lines: Lines = [[classes[truth], classes[predicted], n] for truth, predicted, n in sorted(largest)]
    return [["true", "predicted", "n"], *lines]


def roc_lines(curves: Mapping[str, RocCurve]) -> Lines:
    """Return a line for each point of the curves of the classes, each thinned to `MOST_POINTS`, or fewer of many classes.

    Of very many classes, it has those with the smallest areas.
    """
    shown = set(sorted(curves, key=lambda name: curves[name].area)[: LONGEST_TABLE // FEWEST_POINTS])
    n_points = min(MOST_POINTS, LONGEST_TABLE // max(1, len(shown)))
    lines: Lines = []
    for name in filter(shown.__contains__, curves):
        curve = curves[name]
        at = _thin(curve.false_positive, curve.true_positive, n_points)
        points = np.column_stack([curve.false_positive, curve.true_positive, curve.thresholds])[at]
        lines += [[name, *point] for point in points.tolist()]
    return [["class", "false_positive_rate", "true_positive_rate", "threshold"], *lines]


def _thin(x: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
    """Return the places of up to `number` points of a curve, both ends included.

    Those go first that span the smallest triangles with their neighbours: M. Visvalingam and J. Whyatt, "Line generalisation by
    repeated elimination of points", The Cartographic Journal 30 (1993). Here many go at a time, of neighbours only one.
    """
    places = np.arange(len(x))
    while len(places) > number:
        before, at, after = places[:-2], places[1:-1], places[2:]
        areas = np.abs((x[at] - x[before]) * (y[after] - y[before]) - (x[after] - x[before]) * (y[at] - y[before]))
        around = np.concatenate([[np.inf], areas, [np.inf]])
        is_least = (areas <= around[:-2]) & (areas < around[2:]) & (areas <= np.median(areas))
        # Where all are alike, as on a staircase, every second one goes.
        is_alike = (areas == around[:-2]) & (areas == around[2:]) & (np.arange(len(areas)) % 2 == 1)
        least = np.flatnonzero(is_least | (is_alike & (areas <= np.median(areas))))
        least = least[np.argsort(areas[least], kind="stable")][: len(places) - number]
        places = np.delete(places, least + 1)
    return places


def coefficient_lines(
    coefficients: np.ndarray, intercepts: np.ndarray, features: Sequence[str], classes: Sequence[str] = ()
) -> Lines:
    """Return a line for each intercept and coefficient, class by class, with the class where there are `classes`.

    `coefficients` has the shape (n_classes, n_features), or (1, n_features) without classes, and `intercepts` (n_classes,).
    Of more than `LONGEST_TABLE`, it has those with the largest absolute values.
    """
    table = np.column_stack([intercepts, coefficients])
    names = [INTERCEPT, *features]
    largest = np.sort(np.argsort(-np.abs(table), axis=None, kind="stable")[:LONGEST_TABLE])
    lines: Lines = [
        [*classes[row : row + 1], names[column], float(table[row, column])]
        for row, column in zip(*np.unravel_index(largest, table.shape), strict=True)
    ]
    return [[*(["class"] if classes else []), "feature", "coefficient"], *lines]
