"""The style: labels that matplotlib does not interpret, lines that differ by more than their colour, scales that fit."""

import numpy as np
import pytest
from figures import png

from penguins.plots.style import (
    LONGEST_LABEL,
    MOST_NAMED_LINES,
    draw_matrix,
    line_styles,
    new_figure,
    short_label,
    use_log_axis,
)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Biscoe", "Biscoe"),
        ("", "(empty)"),
        ("two\nlines", "two lines"),
        ("_hidden", " _hidden"),
        ("$x$", r"\$x\$"),
        ("\x1b[2J", r"\x1b[2J"),
        ("Москва", "Москва"),
        ("x" * LONGEST_LABEL, "x" * LONGEST_LABEL),
        ("The region of store number 1", "The region o…re number 1"),
        ("The region of " + "x" * 1_000_000 + "store number 2", "The region o…re number 2"),
    ],
)
def test_a_label_is_short_and_holds_nothing_that_matplotlib_interprets(name: str, label: str) -> None:
    assert short_label(name) == label


def test_named_lines_differ_in_more_than_their_colour() -> None:
    styles = line_styles(MOST_NAMED_LINES)
    without_colour = {(style["marker"], style["linestyle"]) for style in styles}
    assert len(without_colour) == MOST_NAMED_LINES
    assert len(line_styles(MOST_NAMED_LINES + 3)) == MOST_NAMED_LINES + 3


@pytest.mark.parametrize(("largest", "labels"), [(50, ["1", "2", "5", "10", "20", "50"]), (1e6, ["1", "10", "100"])])
def test_the_labels_of_a_log_axis_are_plain_numbers_and_do_not_crowd(largest: float, labels: list[str]) -> None:
    figure, [axes] = new_figure(4, 3)
    axes.plot([1, 2], [1, largest])
    use_log_axis(axes.yaxis)
    png(figure)
    low, high = axes.get_ylim()
    ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    drawn = [label.get_text() for place, label in ticks if low <= place <= high]
    assert drawn[: len(labels)] == labels
    assert len(drawn) <= 7


def test_a_matrix_has_its_names_and_leaves_undefined_cells_white() -> None:
    figure, [axes] = new_figure(3, 3)
    image = draw_matrix(axes, np.array([[1.0, np.nan], [3.0, 4.0]]), ["a", ""], ["top", "bottom"])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["top", "bottom"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a"]
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False, True], [False, False]]
    assert image.cmap.get_bad()[3] == 0, "transparent, on white"
    png(figure)
