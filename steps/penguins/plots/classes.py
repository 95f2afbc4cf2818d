"""The figures of a classifier: its confusion matrix and its ROC curves."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from penguins.plots.fonts import choose_fonts
from penguins.plots.style import INK, MOST_NAMED_LINES, draw_matrix, line_styles, new_figure, short_label

# The labels of more classes cannot be read, and each takes time.
MOST_ANNOTATED_CLASSES, MOST_DRAWN_CLASSES, MOST_CURVES = 20, 50, 300
# A legend of more lines would hide the curves.
MOST_LINES_INSIDE = 4


def confusion_matrix_figure(counts: Mapping[tuple[str, str], int], classes: Sequence[str], title: str) -> Figure:
    """Draw a heat map of `counts`, the number of records by true and predicted class, with the true classes as rows.

    Of more than `MOST_DRAWN_CLASSES` classes, it shows those with the most wrong records, and the title says so.
    """
    drawn = most_confused(counts, classes)
    if len(drawn) < len(classes):
        title += f"\nthe {len(drawn)} of {len(classes)} classes with the most wrong records"
    matrix = np.array([[counts.get((truth, predicted), 0) for predicted in drawn] for truth in drawn])
    side = max(3.6, min(9.5, 1.8 + 0.55 * len(drawn)))
    figure, [axes] = new_figure(side + 0.8, side)
    labels = [short_label(name) for name in drawn]
    image = draw_matrix(axes, matrix, labels, labels, cmap="Blues", vmin=0, vmax=max(1, matrix.max(initial=0)))
    axes.tick_params(axis="x", rotation=90 if len(drawn) > 4 or max(map(len, labels)) > 10 else 0)
    figure.colorbar(image, label="records", shrink=0.8)
    if len(drawn) <= MOST_ANNOTATED_CLASSES:
        _write_counts(axes, matrix, (side - 1.8) / len(drawn))
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    choose_fonts(figure)
    return figure


def most_confused(counts: Mapping[tuple[str, str], int], classes: Sequence[str]) -> list[str]:
    """Return up to `MOST_DRAWN_CLASSES` classes in their order: those that most wrong records have or are taken for."""
    wrong = Counter[str]()
    for (truth, predicted), number in counts.items():
        if truth != predicted:
            wrong.update({truth: number, predicted: number})
    chosen = set(sorted(classes, key=lambda name: -wrong[name])[:MOST_DRAWN_CLASSES])
    return [name for name in classes if name in chosen]


def _write_counts(axes: Axes, matrix: np.ndarray, width: float) -> None:
    """Write each count into its cell of so many inches, as large as the longest one fits."""
    longest = len(str(matrix.max(initial=0)))
    size = min(10, 72 * 0.85 * width / (0.65 * longest))  # in points, 1/72 inch: a digit is 0.65 of it wide
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if count > matrix.max() / 2 else INK
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=size)


def roc_figure(curves: dict[str, tuple[np.ndarray, np.ndarray, float]], title: str) -> Figure:
    """Draw a ROC curve for each class of `curves`, or, of more than `MOST_CURVES`, those with the smallest areas under them.

    A curve is the false positive rates and the true positive rates, both of shape (n_thresholds,), and the area under it.
    More than `MOST_NAMED_LINES` curves are thin and have no names.
    """
    if len(curves) > MOST_CURVES:
        title += f"\nthe {MOST_CURVES} of {len(curves)} classes with the smallest areas"
        curves = dict(sorted(curves.items(), key=lambda curve: curve[1][2])[:MOST_CURVES])
    has_names, is_small = len(curves) <= MOST_NAMED_LINES, len(curves) <= MOST_LINES_INSIDE
    figure, [axes] = new_figure(4.6 if is_small or not has_names else 7.2, 4.6)
    for (name, (false_positive, true_positive, area)), style in zip(curves.items(), line_styles(len(curves)), strict=True):
        if has_names:
            look = {**style, "label": f"{short_label(name)} (AUC {area:.3f})", "markevery": 0.15, "markersize": 5}
        else:
            look = {"color": INK, "linewidth": 0.5, "alpha": 0.3}
        axes.plot(false_positive, true_positive, **look)
    if not has_names:
        axes.lines[0].set_label(f"{len(curves)} classes")
    axes.plot([0, 1], [0, 1], linestyle=(0, (1, 3)), linewidth=1, color=INK, label="chance (AUC 0.500)")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    if is_small or not has_names:
        axes.legend(loc="lower right", frameon=False)
    else:
        figure.legend(loc="outside right center", frameon=False)
    choose_fonts(figure)
    return figure
