"""The figures of a classifier show its counts and curves, of any number of classes with any names."""

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from figures import HOSTILE, legend_of, png
from matplotlib.figure import Figure

from penguins.plots.classes import (
    MOST_ANNOTATED_CLASSES,
    MOST_CURVES,
    MOST_DRAWN_CLASSES,
    confusion_matrix_figure,
    roc_figure,
)
from penguins.plots.style import MOST_NAMED_LINES, short_label
from penguins.project import PROJECT

RATES = np.array([0.0, 0.5, 1.0])


@pytest.mark.parametrize("n_classes", [1, 2, MOST_ANNOTATED_CLASSES, MOST_ANNOTATED_CLASSES + 1])
def test_a_confusion_matrix_has_its_counts_as_text_unless_the_classes_are_many(n_classes: int) -> None:
    classes = [f"class {number}" for number in range(n_classes)]
    counts = {pair: number for number, pair in enumerate(product(classes, classes))}
    figure = confusion_matrix_figure(counts, classes, "title")
    axes, bar = figure.axes
    written = [str(count) for count in counts.values()] if n_classes <= MOST_ANNOTATED_CLASSES else []
    assert [text.get_text() for text in axes.texts] == written
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "title")
    assert [label.get_text() for label in axes.get_yticklabels()] == classes
    assert [label.get_text() for label in axes.get_xticklabels()] == classes
    assert bar.get_ylabel() == "records"
    drawn = axes.images[0].get_array()
    assert drawn is not None
    assert drawn.tolist() == np.arange(n_classes**2).reshape(n_classes, n_classes).tolist()


def test_the_counts_of_a_confusion_matrix_fit_into_their_cells() -> None:
    classes = [f"class {number}" for number in range(MOST_ANNOTATED_CLASSES)]
    figure = confusion_matrix_figure(dict.fromkeys(product(classes, classes), 1_234_567), classes, "title")
    png(figure)
    axes = figure.axes[0]
    (left, _), (right, _) = axes.transData.transform([(0, 0), (1, 0)])
    assert max(text.get_window_extent().width for text in axes.texts) < right - left


def test_of_many_classes_a_confusion_matrix_shows_the_most_confused_ones_and_says_so() -> None:
    classes = [f"class {number}" for number in range(2 * MOST_DRAWN_CLASSES)]
    right = {(name, name): 9 for name in classes}
    wrong = {pair: 2 for pair in zip(classes[1::2], classes[-1::-2], strict=True) if pair[0] != pair[1]}
    figure = confusion_matrix_figure(right | wrong, classes, "title")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == classes[1::2]
    assert axes.get_title() == f"title\nthe {MOST_DRAWN_CLASSES} of {len(classes)} classes with the most wrong records"
    drawn = axes.images[0].get_array()
    assert drawn is not None
    assert drawn.sum() == 9 * MOST_DRAWN_CLASSES + 2 * len(wrong)


PEAK_OF_PICTURE = """
import io, re
from pathlib import Path
from penguins.plots.classes import confusion_matrix_figure

def peak():  # in KiB; the one in resource.getrusage is inherited from the parent process
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = peak()
classes = [f"class {number}" for number in range(1500)]
counts = dict.fromkeys(zip(classes, reversed(classes)), 2)
confusion_matrix_figure(counts, classes, "title").savefig(io.BytesIO())
print((peak() - before) // 1024)
"""


def test_the_picture_of_1500_classes_takes_less_than_100_mebibytes() -> None:
    path = os.pathsep.join([str(PROJECT / "steps"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", PEAK_OF_PICTURE], env=environment, capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 100


@pytest.mark.parametrize("n_curves", [1, 4, 5, MOST_NAMED_LINES, MOST_NAMED_LINES + 1])
def test_roc_curves_are_named_with_their_areas_unless_they_are_many(n_curves: int) -> None:
    figure = roc_figure({f"class {number}": (RATES, RATES**0.5, 0.75) for number in range(n_curves)}, "title")
    assert len(figure.axes[0].lines) == n_curves + 1
    names = [f"class {number} (AUC 0.750)" for number in range(n_curves)]
    assert legend_of(figure) == [*(names if n_curves <= MOST_NAMED_LINES else [f"{n_curves} classes"]), "chance (AUC 0.500)"]


def test_of_many_roc_curves_those_with_the_smallest_areas_are_drawn() -> None:
    curves = {f"class {number}": (RATES, RATES, number / 1000) for number in reversed(range(MOST_CURVES + 5))}
    axes = roc_figure(curves, "title").axes[0]
    assert len(axes.lines) == MOST_CURVES + 1
    assert axes.get_title() == f"title\nthe {MOST_CURVES} of {MOST_CURVES + 5} classes with the smallest areas"


def hostile_matrix() -> Figure:
    return confusion_matrix_figure({(name, name): 1 for name in HOSTILE}, HOSTILE, short_label(HOSTILE[0]))


def hostile_curves() -> Figure:
    return roc_figure(dict.fromkeys(HOSTILE, (RATES, RATES, 0.5)), short_label(HOSTILE[1]))


@pytest.mark.parametrize("draw", [hostile_matrix, hostile_curves])
def test_any_text_is_drawn_as_a_class_and_the_same_classes_give_the_same_bytes(draw: Callable[[], Figure]) -> None:
    assert png(draw()) == png(draw())
