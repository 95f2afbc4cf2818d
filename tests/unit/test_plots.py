"""The figures show the numbers they are given, and draw any text as a label."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from penguins.plots import (
    LONGEST_LABEL,
    MISSING_GLYPH,
    MOST_ANNOTATED_CLASSES,
    MOST_LINES,
    MOST_NAMED_LINES,
    confusion_matrix_figure,
    error_by_alpha_figure,
    k_distances_figure,
    metrics_by_value_figure,
    roc_figure,
    short_label,
)

HOSTILE = ["_underscore", "$x$", "$\\frac$", "line\nbreak", "\x1b[2Jescape", "", "\0", "null\0byte", "🐧", "x" * 5000, "\\n"]
EPS = [0.1, 0.2, 0.3]


def render(figure: Figure) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=MISSING_GLYPH)
        figure.draw_without_rendering()


def legend_of(figure: Figure) -> list[str]:
    legend = figure.legends[0] if figure.legends else figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def legend_of_axes(axes: Axes) -> list[str]:
    """Return the labels of the legend of one panel."""
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def points_of(line: Line2D) -> list[list[float]]:
    points: list[list[float]] = np.asarray(line.get_xydata()).tolist()
    return points


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Biscoe", "Biscoe"),
        ("", "(empty)"),
        ("two\nlines", "two lines"),
        ("_hidden", " _hidden"),
        ("$x$", r"\$x\$"),
        ("\x1b[2J", r"\x1b[2J"),
        ("x" * LONGEST_LABEL, "x" * LONGEST_LABEL),
        ("x" * (LONGEST_LABEL + 1), "x" * (LONGEST_LABEL - 1) + "…"),
    ],
)
def test_a_label_is_short_and_holds_nothing_that_matplotlib_interprets(name: str, label: str) -> None:
    assert short_label(name) == label


@pytest.mark.parametrize(("n_classes", "n_texts"), [(2, 4), (MOST_ANNOTATED_CLASSES, 400), (MOST_ANNOTATED_CLASSES + 1, 0)])
def test_a_confusion_matrix_has_its_counts_as_text_unless_the_classes_are_many(n_classes: int, n_texts: int) -> None:
    counts = np.arange(n_classes**2).reshape(n_classes, n_classes)
    figure = confusion_matrix_figure(counts, [f"class {number}" for number in range(n_classes)], "title")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == [str(count) for count in counts.ravel()][:n_texts]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "title")
    assert axes.get_yticklabels()[0].get_text() == "class 0"


@pytest.mark.parametrize("n_curves", [1, MOST_NAMED_LINES, MOST_NAMED_LINES + 1])
def test_roc_curves_are_named_with_their_areas_unless_they_are_many(n_curves: int) -> None:
    rates = np.array([0.0, 0.5, 1.0])
    figure = roc_figure({f"class {number}": (rates, rates**0.5, 0.75) for number in range(n_curves)}, "title")
    assert len(figure.axes[0].lines) == n_curves + 1
    names = [f"class {number} (AUC 0.750)" for number in range(n_curves)] if n_curves <= MOST_NAMED_LINES else []
    assert legend_of(figure) == [*names, "chance (AUC 0.500)"]


def test_errors_are_drawn_in_the_order_of_alpha_and_the_lowest_is_marked() -> None:
    figure = error_by_alpha_figure(np.array([10, 0.1, 1]), np.array([3.0, 2.0, 1.0]), np.full(3, 0.5), "body_mass_g")
    curve, best = figure.axes[0].lines
    assert points_of(curve) == [[0.1, 2], [1, 1], [10, 3]]
    assert points_of(best) == [[1, 1]]
    assert "best: alpha = 1" in legend_of(figure)
    assert figure.axes[0].get_ylabel() == "root mean squared error of body_mass_g"


def results_of(groups: list[str]) -> pd.DataFrame:
    rows = [(name, eps, 10 * number + eps, number) for number, name in enumerate(groups) for eps in EPS]
    table = pd.DataFrame(rows, columns=["island", "eps", "s-dbw", "n_clusters"]).sample(frac=1, random_state=0)
    return table.assign(best=False)


def panel_of(figure: Figure, title: str) -> Axes:
    [panel] = [panel for panel in figure.axes if panel.get_title() == title]
    return panel


def test_each_group_is_a_line_over_eps_with_gaps_and_a_ring_at_its_best_value() -> None:
    results = results_of(["Biscoe", "Dream"])
    results.loc[(results["island"] == "Biscoe") & (results["eps"] == 0.2), "s-dbw"] = None
    results.loc[(results["island"] == "Dream") & (results["eps"] == 0.3), "best"] = True
    titles = {"s-dbw": "S_Dbw", "n_clusters": "clusters"}
    figure = metrics_by_value_figure(results, "island", "eps", titles, "eps")
    biscoe, no_ring, dream, ring = panel_of(figure, "S_Dbw").lines
    assert np.array_equal(points_of(biscoe), [[0.1, 0.1], [0.2, np.nan], [0.3, 0.3]], equal_nan=True)
    assert points_of(no_ring) == []
    assert points_of(dream) == [[eps, 10 + eps] for eps in EPS]
    assert points_of(ring) == [[0.3, 10.3]]
    assert legend_of(figure) == ["Biscoe", "Dream"]
    assert figure.legends[0].get_title().get_text() == "island (its best eps is ringed)"
    render(figure)
    ticks = panel_of(figure, "clusters").get_yticks()
    assert np.array_equal(ticks, np.round(ticks)), "a number of clusters is whole"


@pytest.mark.parametrize(("n_groups", "n_lines"), [(MOST_NAMED_LINES + 1, MOST_NAMED_LINES + 1), (MOST_LINES + 1, 0)])
def test_many_groups_are_thin_lines_under_their_median_and_too_many_only_the_median(n_groups: int, n_lines: int) -> None:
    figure = metrics_by_value_figure(
        results_of([f"g{number}" for number in range(n_groups)]), "island", "eps", {"s-dbw": "S_Dbw"}, "eps"
    )
    panel = panel_of(figure, "S_Dbw")
    thin = [lines for lines in panel.collections if isinstance(lines, LineCollection)]
    assert sum(len(lines.get_segments()) for lines in thin) == n_lines
    [median] = panel.lines
    assert median.get_ydata() == pytest.approx([10 * (n_groups - 1) / 2 + eps for eps in EPS])
    assert legend_of(figure) == [f"middle half of {n_groups} groups", "median"]


@pytest.mark.parametrize(
    "groups", [HOSTILE, [f"{name}{number}" for name in HOSTILE for number in range(4)]], ids=["few", "many"]
)
def test_any_text_is_drawn_as_a_name_and_distinct_names_stay_distinct(groups: list[str]) -> None:
    figure = metrics_by_value_figure(results_of(groups), "island", "eps", {"s-dbw": "S_Dbw"}, "eps")
    render(figure)
    if len(groups) <= MOST_NAMED_LINES:
        assert sorted(legend_of(figure)) == sorted(short_label(name) for name in groups)
    render(confusion_matrix_figure(np.eye(len(groups), dtype=int), groups, short_label(groups[0])))
    render(roc_figure({name: (np.array([0, 1]), np.array([0, 1]), 0.5) for name in groups}, short_label(groups[1])))
    render(error_by_alpha_figure(np.array([1.0]), np.array([1.0]), np.zeros(1), groups[2]))


@pytest.mark.parametrize("n_groups", [3, MOST_NAMED_LINES + 5])
def test_groups_with_eps_values_of_their_own_share_a_logarithmic_axis(n_groups: int) -> None:
    grids = [np.geomspace(0.1 * (number + 1), 10 * (number + 1), 20) for number in range(n_groups)]
    tables = [pd.DataFrame({"island": f"g{number}", "eps": grid, "s-dbw": 2.0}) for number, grid in enumerate(grids)]
    figure = metrics_by_value_figure(
        pd.concat(tables).assign(best=False), "island", "eps", {"s-dbw": "S_Dbw"}, "eps (in kilometres)"
    )
    panel = panel_of(figure, "S_Dbw")
    assert (panel.get_xscale(), panel.get_xlabel()) == ("log", "eps (in kilometres)")
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in panel.lines])
    assert set(drawn[~np.isnan(drawn)]) == {2.0}
    assert len(drawn)
    render(figure)


def test_the_k_distances_show_their_knee_and_the_proposed_range() -> None:
    figure = k_distances_figure([0.0, 0.1, 0.2, 5.0], 4, 0.2, (0.1, 6.0))
    assert points_of(figure.axes[0].lines[0]) == [[0, 0], [1 / 3, 0.1], [2 / 3, 0.2], [1, 5]]
    assert legend_of_axes(figure.axes[0]) == ["proposed eps: 0.1 to 6", "knee: 0.2"]
    render(figure)
    render(k_distances_figure([0.0, 0.0], 4, None, (1.0, 1.0)))
