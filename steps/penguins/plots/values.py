"""The figure of a sweep: each index and count of each group over the swept parameter."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from penguins.plots.fonts import choose_fonts
from penguins.plots.scales import Scale, robust_scale
from penguins.plots.style import MOST_NAMED_LINES, draw_matrix, line_styles, new_figure, short_label, use_log_axis
from penguins.text import escape_unprintable

# More values than anybody types by hand: they are drawn in log scale.
MOST_LINEAR_VALUES = 30
# The rows of a heat map of more groups cannot be read.
MOST_ROWS = 40
N_VALUE_TICKS = 3
BEST_MARK: dict[str, Any] = {
    "marker": "o",
    "markersize": 5,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "linestyle": "none",
}


def metrics_by_value_figure(
    results: pd.DataFrame, group_by: str, value: str, titles: Mapping[str, str], value_label: str
) -> Figure:
    """Draw a panel for each metric: a line for each group over a parameter, with a ring at its best value.

    `results` has a row for each group and value, with the columns `group_by`, `value` (the name of the parameter), `best`,
    `n_records` (of the group) and the keys of `titles`, which maps metrics to what the axes are called. Undefined metrics are
    gaps. More than `MOST_NAMED_LINES` groups are the rows of heat maps: the `MOST_ROWS` largest, and the median of all. Groups
    may have different values, which are drawn in log scale then. Values that would flatten the others are drawn at the edge,
    and the picture says so.
    """
    # pandas considers texts equal that differ only after a null character.
    results = results.assign(**{group_by: results[group_by].map(escape_unprintable)}).sort_values([group_by, value])
    results = results.astype(dict.fromkeys(titles, float))
    scales = {metric: robust_scale(results[metric].to_numpy(), metric.startswith("n_")) for metric in titles}
    if results[group_by].nunique() > MOST_NAMED_LINES:
        figure = _heat_maps(results, group_by, value, titles, value_label, scales)
    else:
        figure = _lines(results, group_by, value, titles, value_label, scales)
    choose_fonts(figure)
    return figure


def _lines(
    results: pd.DataFrame, group_by: str, value: str, titles: Mapping[str, str], value_label: str, scales: Mapping[str, Scale]
) -> Figure:
    columns = 4 if len(titles) > 6 else min(3, len(titles))
    rows = -(-len(titles) // columns)
    has_own_grids = results.groupby(group_by)[value].agg(tuple).nunique() > 1 or results[value].nunique() > MOST_LINEAR_VALUES
    longest, width = max(len(short_label(str(group))) for group in results[group_by].unique()), max(4.2, 3.5 * columns)
    n_columns = max(1, min(results[group_by].nunique(), int(width / (0.6 + 0.14 * longest))))  # of the legend, in inches
    height = 2.5 * rows + 0.2 * (1 + -(-results[group_by].nunique() // n_columns))
    figure, panels = new_figure(width, height, rows, columns, sharex=True)
    for panel in panels[len(titles) :]:
        panel.set_axis_off()
    for panel, (metric, title) in zip(panels, titles.items(), strict=False):
        scale = scales[metric]
        _draw_groups(panel, results, group_by, value, metric, scale)
        scale.apply_to(panel)
        if has_own_grids:
            use_log_axis(panel.xaxis)
        panel.set(xlabel=value_label, ylabel=title)
        panel.tick_params(labelbottom=True)
        panel.set_title(scale.beyond(results[metric].to_numpy()), loc="right", fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    title = f"{short_label(group_by)} (its best {value} is ringed)"
    figure.legend(handles, labels, loc="outside lower center", ncols=n_columns, frameon=False, title=title)
    return figure


def _draw_groups(panel: Axes, results: pd.DataFrame, group_by: str, value: str, metric: str, scale: Scale) -> None:
    groups = results.groupby(group_by)
    for (group, rows), style in zip(groups, line_styles(groups.ngroups), strict=True):
        x, y, is_best = rows[value].to_numpy(), rows[metric].to_numpy(), rows["best"].to_numpy(dtype=bool)
        drawn, colour = scale.clip(y), style["color"]
        inside = np.where(scale.is_above(y) | scale.is_below(y), np.nan, y)
        panel.plot(x, inside, **style, markersize=4, label=short_label(str(group)))
        panel.plot(x[is_best], drawn[is_best], "o", markersize=11, markerfacecolor="none", color=colour)
        for arrow, is_beyond in (("$↑$", scale.is_above(y)), ("$↓$", scale.is_below(y))):
            if is_beyond.any():
                panel.plot(x[is_beyond], drawn[is_beyond], marker=arrow, markersize=9, linestyle="none", color=colour)


def _heat_maps(
    results: pd.DataFrame, group_by: str, value: str, titles: Mapping[str, str], value_label: str, scales: Mapping[str, Scale]
) -> Figure:
    grid = np.unique(results[value])
    if len(grid) > MOST_LINEAR_VALUES:  # Groups with grids of their own: their curves are interpolated.
        grid = np.geomspace(grid[0], grid[-1], MOST_LINEAR_VALUES)
    groups = groups_in_order(results, group_by, value)
    names = [f"median of all {results[group_by].nunique():,}", *[short_label(name) for name in groups.index]]
    ticks = set(np.linspace(0, len(grid) - 1, N_VALUE_TICKS).round().astype(int).tolist())
    x_labels = [f"{number:.2g}" if place in ticks else "" for place, number in enumerate(grid)]
    figure, panels = new_figure(2.2 + 1.75 * len(titles), 2.2 + 0.17 * len(names), 1, len(titles), sharey=True)
    for panel, (metric, title) in zip(panels, titles.items(), strict=True):
        scale, table = scales[metric], _table_over(grid, results, group_by, value, metric)
        matrix = np.vstack([table.median().to_numpy(), table.loc[groups.index].to_numpy()])
        image = draw_matrix(panel, matrix, x_labels, names, aspect="auto", cmap="viridis", norm=scale.norm())
        panel.plot(np.interp(groups, grid, np.arange(len(grid))), np.arange(1, len(names)), **BEST_MARK)
        panel.axhline(0.5, color="white", linewidth=3)
        panel.set(xlabel=value_label.replace(" (", "\n("))
        values = results[metric].to_numpy()
        ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
        extend = ends[bool(scale.is_below(values).any()), bool(scale.is_above(values).any())]
        bar = figure.colorbar(image, ax=panel, location="bottom", extend=extend, aspect=12, pad=0.02)
        note = scale.beyond(values).replace(", ", "\n")
        bar.set_label(f"{title}\n{note}" if note else title)
    figure.suptitle(_title_of_heat_maps(results, group_by, value, len(groups)), fontsize=11)
    return figure


def groups_in_order(results: pd.DataFrame, group_by: str, value: str) -> pd.Series:
    """Return the best values of the `MOST_ROWS` largest groups by name, ascending; NaN, at the end, where there is none."""
    sizes = results.groupby(group_by)["n_records"].first()
    drawn = sizes.sort_values(ascending=False, kind="stable").index[:MOST_ROWS]
    best = results[results["best"].astype(bool)].set_index(group_by)[value]
    return best.reindex(drawn.sort_values()).astype(float).sort_values(kind="stable")


def _table_over(grid: np.ndarray, results: pd.DataFrame, group_by: str, value: str, metric: str) -> pd.DataFrame:
    """Return a metric with a row for each group and a column for each value of `grid`.

    It is interpolated where a group has other values: NaN outside its own values and beside undefined ones.
    """
    if set(results[value]) <= set(grid.tolist()):
        return results.pivot(index=group_by, columns=value, values=metric)
    groups = results.groupby(group_by)
    curves = {name: np.interp(grid, rows[value], rows[metric], left=np.nan, right=np.nan) for name, rows in groups}
    return pd.DataFrame.from_dict(curves, orient="index", columns=grid)


def _title_of_heat_maps(results: pd.DataFrame, group_by: str, value: str, n_drawn: int) -> str:
    n_groups, best = results[group_by].nunique(), results.loc[results["best"].astype(bool), value].astype(float)
    which = f"all {n_groups} groups" if n_drawn == n_groups else f"the {n_drawn} largest of {n_groups:,} groups"
    title = f"{short_label(group_by)}: {which}, sorted by their best {value} (white dot); undefined is white"
    title += f"\ngroups with a best {value}: {len(best):,} of {n_groups:,}"
    if not len(best):
        return title
    low, median, high = best.quantile([0.25, 0.5, 0.75])
    return f"{title}; median {median:.3g}, middle half {low:.3g} to {high:.3g}"
