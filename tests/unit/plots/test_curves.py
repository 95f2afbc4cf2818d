"""The figures of one curve show the numbers they are given, in their units."""

import numpy as np
import pytest
from figures import HOSTILE, legend_of, png, points_of

from penguins.plots.curves import MOST_ALPHA_TICKS, error_by_alpha_figure, k_distances_figure
from penguins.plots.style import short_label


def test_errors_are_drawn_in_the_order_of_alpha_and_the_lowest_is_marked() -> None:
    figure = error_by_alpha_figure(np.array([10, 0.1, 1]), np.array([3.0, 2.0, 1.0]), np.full(3, 0.5), "body_mass_g")
    axes = figure.axes[0]
    curve, best = axes.lines
    assert points_of(curve) == [[0.1, 2], [1, 1], [10, 3]]
    assert points_of(best) == [[1, 1]]
    assert legend_of(figure) == ["± one standard deviation over the folds", "mean over the folds", "best: alpha = 1"]
    assert axes.get_ylabel() == "root mean squared error\nof body_mass_g"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "1", "10"]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (0.5, 3.5)


@pytest.mark.parametrize("n_alphas", [1, MOST_ALPHA_TICKS, 200])
def test_the_labels_of_alpha_do_not_crowd(n_alphas: int) -> None:
    figure = error_by_alpha_figure(np.geomspace(0.001, 1000, n_alphas), np.ones(n_alphas), np.zeros(n_alphas), "y")
    png(figure)
    low, high = figure.axes[0].get_xlim()
    assert 1 <= sum(low <= tick <= high for tick in figure.axes[0].get_xticks()) <= MOST_ALPHA_TICKS


def test_the_k_distances_show_their_knee_and_the_proposed_range() -> None:
    figure = k_distances_figure([0.0, 0.1, 0.2, 5.0], 4, 0.2, (0.1, 6.0))
    assert points_of(figure.axes[0].lines[0]) == [[0, 0], [1 / 3, 0.1], [2 / 3, 0.2], [1, 5]]
    assert legend_of(figure) == ["proposed eps: 0.1 to 6", "knee: 0.2"]
    assert png(figure) == png(k_distances_figure([0.0, 0.1, 0.2, 5.0], 4, 0.2, (0.1, 6.0)))


def test_the_k_distances_of_coinciding_records_are_drawn() -> None:
    assert png(k_distances_figure([0.0, 0.0], 4, None, (1.0, 1.0)))


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_is_drawn_as_a_unit(name: str) -> None:
    figure = error_by_alpha_figure(np.array([1.0]), np.array([1.0]), np.zeros(1), name)
    assert figure.axes[0].get_ylabel().endswith(short_label(name))
    assert png(figure)
