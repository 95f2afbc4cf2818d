"""The figure of a sweep shows each group's metrics over the swept parameter, as lines or, of many groups, as heat maps."""

import numpy as np
import pandas as pd
import pytest
from figures import HOSTILE, legend_of, panel_of, png, points_of, y_values
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from penguins.plots.style import MOST_NAMED_LINES, short_label
from penguins.plots.values import MOST_ROWS, groups_in_order, metrics_by_value_figure

EPS = [0.1, 0.2, 0.3]
TITLES = {"s-dbw": "S_Dbw", "n_clusters": "clusters"}


def results_of(groups: list[str]) -> pd.DataFrame:
    rows = [(name, eps, number / 10 + eps, number % 5, number + 1) for number, name in enumerate(groups) for eps in EPS]
    table = pd.DataFrame(rows, columns=["island", "eps", "s-dbw", "n_clusters", "n_records"]).assign(best=False)
    return table.sample(frac=1, random_state=0)


def figure_of(results: pd.DataFrame, value_label: str = "eps") -> Figure:
    return metrics_by_value_figure(results, "island", "eps", TITLES, value_label)


def heat_maps_of(figure: Figure) -> list[Axes]:
    return [panel for panel in figure.axes if panel.images]


def names_of_rows(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def cells_of(panel: Axes) -> np.ndarray:
    cells = panel.images[0].get_array()
    assert cells is not None
    return np.ma.filled(np.ma.asarray(cells, dtype=float), np.nan)


def test_each_group_is_a_line_over_eps_with_gaps_and_a_ring_at_its_best_value() -> None:
    results = results_of(["Biscoe", "Dream"])
    results.loc[(results["island"] == "Biscoe") & (results["eps"] == 0.2), "s-dbw"] = None
    results.loc[(results["island"] == "Dream") & (results["eps"] == 0.3), "best"] = True
    figure = figure_of(results)
    biscoe, no_ring, dream, ring = panel_of(figure, "S_Dbw").lines
    assert np.array_equal(points_of(biscoe), [[0.1, 0.1], [0.2, np.nan], [0.3, 0.3]], equal_nan=True)
    assert points_of(no_ring) == []
    assert points_of(dream) == [[eps, 0.1 + eps] for eps in EPS]
    assert points_of(ring) == [[0.3, 0.4]]
    assert legend_of(figure) == ["Biscoe", "Dream"]
    assert figure.legends[0].get_title().get_text() == "island (its best eps is ringed)"
    png(figure)
    ticks = panel_of(figure, "clusters").get_yticks()
    assert np.array_equal(ticks, np.round(ticks)), "a number of clusters is whole"


def test_values_that_would_flatten_the_others_are_arrows_at_the_edge_and_the_panel_says_so() -> None:
    results = results_of(["Biscoe", "Dream"])
    results.loc[results["island"] == "Dream", "s-dbw"] = 1e32
    panel = panel_of(figure_of(results), "S_Dbw")
    biscoe, _, dream, _, arrows = panel.lines
    assert y_values(biscoe) == EPS
    assert np.isnan(y_values(dream)).all()
    assert points_of(arrows) == [[eps, 0.3] for eps in EPS]
    assert panel.get_title(loc="right") == "3 above (↑), up to 1e+32"
    assert panel.get_ylim()[1] < 1


@pytest.mark.parametrize("n_groups", [1, MOST_NAMED_LINES])
def test_up_to_as_many_groups_as_look_different_are_lines_with_names(n_groups: int) -> None:
    names = [f"g{number:02d}" for number in range(n_groups)]
    figure = figure_of(results_of(names))
    assert legend_of(figure) == names
    assert not heat_maps_of(figure)


def test_more_groups_are_rows_of_heat_maps_in_the_order_of_their_best_values() -> None:
    names = [f"g{number:02d}" for number in range(MOST_NAMED_LINES + 1)]
    results = results_of(names)
    results.loc[(results["island"] == "g20") & (results["eps"] == 0.1), "best"] = True
    results.loc[(results["island"] == "g10") & (results["eps"] == 0.3), "best"] = True
    results.loc[(results["island"] == "g20") & (results["eps"] == 0.2), "s-dbw"] = None
    figure = figure_of(results)
    rest = [name for name in names if name not in ("g10", "g20")]
    assert names_of_rows(figure) == [f"median of all {len(names)}", "g20", "g10", *rest]
    [s_dbw, clusters] = heat_maps_of(figure)
    cells = cells_of(s_dbw)
    assert np.allclose(cells[1], [2.1, np.nan, 2.3], equal_nan=True)
    assert np.allclose(cells[2], [1.1, 1.2, 1.3])
    assert cells[0, 0] == pytest.approx(np.median([number / 10 + 0.1 for number in range(len(names))]))
    assert cells_of(clusters)[1].tolist() == [0, 0, 0]
    dots = s_dbw.lines[0]
    assert points_of(dots)[:2] == [[0, 1], [2, 2]]
    assert np.isnan(np.array(points_of(dots))[2:, 0]).all(), "a group without a best value has no dot"
    assert figure.get_suptitle() == (
        f"island: all {len(names)} groups, sorted by their best eps (white dot); undefined is white\n"
        f"groups with a best eps: 2 of {len(names)}; median 0.2, middle half 0.15 to 0.25"
    )
    png(figure)


def test_of_very_many_groups_the_largest_are_shown_and_the_title_says_so() -> None:
    names = [f"g{number:04d}" for number in range(1000)]
    figure = figure_of(results_of(names))
    median, *rows = names_of_rows(figure)
    assert (median, rows) == ("median of all 1,000", names[-MOST_ROWS:])
    assert figure.get_suptitle().startswith(f"island: the {MOST_ROWS} largest of 1,000 groups, ")
    assert figure.get_suptitle().endswith("\ngroups with a best eps: 0 of 1,000")
    width, height = figure.get_size_inches()
    assert max(width, height) < 16


def test_one_degenerate_group_among_many_does_not_flatten_the_heat_map() -> None:
    results = results_of([f"g{number:02d}" for number in range(MOST_NAMED_LINES + 5)])
    results.loc[results["island"] == "g00", "s-dbw"] = 1e32
    figure = figure_of(results)
    [panel, _] = heat_maps_of(figure)
    assert panel.images[0].norm.vmax == pytest.approx((MOST_NAMED_LINES + 4) / 10 + 0.3)
    assert "S_Dbw\n3 above (↑)\nup to 1e+32" in [axes.get_xlabel() for axes in figure.axes]


@pytest.mark.parametrize("n_groups", [3, MOST_NAMED_LINES + 5])
def test_groups_with_eps_values_of_their_own_share_a_logarithmic_axis(n_groups: int) -> None:
    grids = [np.geomspace(0.1 * (number + 1), 10 * (number + 1), 20) for number in range(n_groups)]
    tables = [
        pd.DataFrame({"island": f"g{number:02d}", "eps": grid, "s-dbw": 2.0, "n_clusters": 1, "n_records": 9})
        for number, grid in enumerate(grids)
    ]
    results = pd.concat(tables).assign(best=lambda table: table["eps"] == table.groupby("island")["eps"].transform("max"))
    figure = figure_of(results, "eps (in kilometres)")
    png(figure)
    if n_groups <= MOST_NAMED_LINES:
        panel = panel_of(figure, "S_Dbw")
        assert (panel.get_xscale(), panel.get_xlabel()) == ("log", "eps (in kilometres)")
        return
    panel = heat_maps_of(figure)[0]
    cells = cells_of(panel)
    assert set(cells[~np.isnan(cells)]) == {2.0}
    assert np.isnan(cells[-1, 0]), "the last group has no such small eps"
    assert points_of(panel.lines[0])[-1][0] == cells.shape[1] - 1, "the largest best eps is at the right end"
    assert panel.get_xlabel() == "eps\n(in kilometres)"


def test_the_best_values_sort_the_largest_groups() -> None:
    results = results_of([f"g{number:02d}" for number in range(MOST_ROWS + 2)])
    results.loc[(results["island"] == "g41") & (results["eps"] == 0.1), "best"] = True
    order = groups_in_order(results, "island", "eps")
    assert list(order.index[:2]) == ["g41", "g02"]
    assert order.iloc[0] == 0.1
    assert order.iloc[1:].isna().all()


@pytest.mark.parametrize(
    "groups", [HOSTILE, [f"{name}{number}" for name in HOSTILE for number in range(4)]], ids=["few", "many"]
)
def test_any_text_is_drawn_as_a_name_and_distinct_names_stay_distinct(groups: list[str]) -> None:
    figure = figure_of(results_of(groups))
    assert png(figure)
    if len(groups) <= MOST_NAMED_LINES:
        assert sorted(legend_of(figure)) == sorted(short_label(name) for name in groups)
    else:
        assert len(names_of_rows(figure)) == 1 + MOST_ROWS


@pytest.mark.parametrize("n_metrics", [1, 2])
@pytest.mark.parametrize("letter", ["W", "i"])
def test_the_names_of_the_lines_fit_into_the_picture(letter: str, n_metrics: int) -> None:
    results = results_of([letter * 50 + str(number) for number in range(MOST_NAMED_LINES)])
    titles = dict(list(TITLES.items())[:n_metrics])
    figure = metrics_by_value_figure(results, "island", "eps", titles, "eps")
    png(figure)
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert 0 <= box.y0 < box.y1 < min(panel.bbox.y0 for panel in figure.axes if panel.lines)
    assert min(panel.bbox.height for panel in figure.axes if panel.lines) > figure.dpi, "a panel is an inch high"


@pytest.mark.parametrize("n_groups", [3, MOST_NAMED_LINES + 1])
def test_the_same_results_in_any_order_give_the_same_bytes(n_groups: int) -> None:
    results = results_of([f"g{number}" for number in range(n_groups)])
    assert png(figure_of(results)) == png(figure_of(results.sample(frac=1, random_state=1)))
