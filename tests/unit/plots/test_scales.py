"""One degenerate value does not flatten the others, and the picture says where it is."""

import numpy as np
import pytest
from figures import png

from penguins.plots.scales import robust_scale
from penguins.plots.style import new_figure


@pytest.mark.parametrize(
    ("values", "kind", "limits"),
    [
        ([0.2, 0.5, 0.9], "linear", (0.2, 0.9)),
        ([-1.0, 0.7, 0.8, 0.9, 1.0], "linear", (-1.0, 1.0)),  # an index up to 1 is never cut
        ([50.0, 100.0, 350.0], "linear", (50.0, 350.0)),
        ([50.0, 100.0, 350.0, 1e32], "linear", (50.0, 350.0)),  # coinciding records
        ([1e-16, 1e-16, 0.5, 0.7, 1.4], "linear", (1e-16, 1.4)),  # rounding of an index that is 0
        ([50.0, 1e32], "linear", (50.0, 50.0)),
        ([1.0, 5.0, 80.0, 4000.0, 1e32], "log", (1.0, 4000.0)),
        ([40.0, 50.0, 60.0, 70.0, 80.0, 900.0], "log", (40.0, 900.0)),
        ([1e-20, *[5.0] * 10, 4000.0], "log", (5.0, 4000.0)),
        ([10.0, 30.0, 40.0, 50.0, 60.0, 350.0], "linear", (10.0, 60.0)),
        ([10.0, 30.0, 40.0, 50.0, 60.0, 230.0], "linear", (10.0, 230.0)),  # far away, but it flattens little
        ([0.3, 0.4, 0.5, 0.6, 90.0], "linear", (0.3, 0.6)),
        ([0.0, 0.0, 0.0], "linear", (0.0, 0.0)),
        ([np.nan, np.inf, 2.0], "linear", (2.0, 2.0)),
        ([np.nan], "linear", (0.0, 1.0)),
        ([], "linear", (0.0, 1.0)),
    ],
)
def test_the_limits_leave_out_what_would_flatten_the_others(
    values: list[float], kind: str, limits: tuple[float, float]
) -> None:
    scale = robust_scale(np.array(values, dtype=float))
    assert (scale.kind, (scale.low, scale.high)) == (kind, limits)


@pytest.mark.parametrize(
    ("counts", "kind"),
    [([0, 1, 2, 18], "linear"), ([0, 1, 2, 3, 2, 900], "symlog"), ([80, 90, 100], "linear"), ([0], "linear")],
)
def test_one_large_count_does_not_flatten_the_others_and_none_is_left_out(counts: list[int], kind: str) -> None:
    scale = robust_scale(np.array(counts), is_count=True)
    assert (scale.kind, scale.low, scale.high) == (kind, min(counts), max(counts))


def test_values_beyond_the_limits_are_counted_and_named() -> None:
    values = np.array([-400.0, 0.3, 0.4, 0.5, 0.6, 1e32, 1e30, np.nan])
    scale = robust_scale(values)
    assert scale.beyond(values) == "2 above (↑), up to 1e+32, 1 below (↓), down to -4e+02"
    assert scale.clip(values)[:-1].tolist() == [0.3, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6]
    assert scale.beyond(np.array([0.3, np.nan])) == ""


@pytest.mark.parametrize(
    ("values", "is_count"), [([1.0, 5, 4000], False), ([0.0, 2, 3, 900], True), ([1.0, 1], False), ([0], True)]
)
def test_each_scale_is_drawn_as_an_axis_and_as_colours(values: list[float], is_count: bool) -> None:
    scale = robust_scale(np.array(values), is_count)
    figure, [axes, cells] = new_figure(6, 3, 1, 2)
    axes.plot(values)
    scale.apply_to(axes)
    figure.colorbar(cells.imshow([values], norm=scale.norm(), aspect="auto"))
    png(figure)
    assert axes.get_yscale() == scale.kind
    shades = np.asarray(scale.norm()(np.array(values)))
    assert shades.min() == 0
    assert (np.diff(shades) >= 0).all()
    if is_count:
        assert all(tick == round(tick) for tick in axes.get_yticks() if tick >= 1)
