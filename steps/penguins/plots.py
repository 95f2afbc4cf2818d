"""The figures that the runs log, drawn by matplotlib without a screen from results that are already computed."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from penguins.text import escape_unprintable

INK = "#333333"
MISSING_GLYPH = "Glyph .* missing from font"  # No font of the machine has the character: matplotlib draws a box.
LONGEST_LABEL = 24
MOST_ANNOTATED_CLASSES = 20
MOST_NAMED_LINES, MOST_LINES = 30, 300
# More values than anybody types by hand: they are drawn in log scale.
MOST_LINEAR_VALUES = 30


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def short_label(name: str) -> str:
    """Shorten `name` to a label that leaves room for the figure, and escape what matplotlib would interpret."""
    text = escape_unprintable(name).replace("\n", " ") or "(empty)"
    text = text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
    # matplotlib reads text between two dollar signs as a formula, and omits labels with a leading underscore from a legend.
    return (f" {text}" if text.startswith("_") else text).replace("$", r"\$")


def confusion_matrix_figure(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw a heatmap of `counts`, an integer array of shape (n_classes, n_classes) with the true classes as rows."""
    side = max(4.0, min(12.0, 1.8 + 0.8 * len(classes)))
    figure = _figure(side + 0.8, side)
    axes = figure.subplots()
    labels = [short_label(name) for name in classes]
    with warnings.catch_warnings():  # seaborn renders the labels to find out whether they overlap.
        warnings.filterwarnings("ignore", message=MISSING_GLYPH)
        _draw_heatmap(counts, labels, axes)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    axes.tick_params(axis="y", rotation=0)
    return figure


def _draw_heatmap(counts: np.ndarray, labels: Sequence[str], axes: Axes) -> None:
    sns.heatmap(
        counts,
        annot=len(labels) <= MOST_ANNOTATED_CLASSES,
        fmt="d",
        cmap="Blues",
        vmin=0,
        square=True,
        linewidths=0.5,
        xticklabels=labels,
        yticklabels=labels,
        cbar_kws={"label": "records"},
        ax=axes,
    )


def roc_figure(curves: dict[str, tuple[np.ndarray, np.ndarray, float]], title: str) -> Figure:
    """Draw a ROC curve for each class of `curves`.

    A curve is the false positive rates and the true positive rates, both of shape (n_thresholds,), and the area under it.
    """
    figure = _figure(5.6, 5.2)
    axes = figure.subplots()
    for name, (false_positive, true_positive, area) in curves.items():
        label = f"{short_label(name)} (AUC {area:.3f})" if len(curves) <= MOST_NAMED_LINES else None
        axes.plot(false_positive, true_positive, linewidth=2, label=label)
    axes.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color=INK, label="chance (AUC 0.500)")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=False)
    return figure


def error_by_alpha_figure(alphas: np.ndarray, errors: np.ndarray, spreads: np.ndarray, unit: str) -> Figure:
    """Draw the cross-validated root mean squared error against alpha, with its standard deviation over the folds.

    `alphas`, `errors` and `spreads` have shape (n_alphas,); `errors` and `spreads` are in the unit of the target.
    """
    order = np.argsort(alphas)
    alphas, errors, spreads = alphas[order], errors[order], spreads[order]
    best = int(np.argmin(errors))
    figure = _figure(6.4, 4.4)
    axes = figure.subplots()
    axes.fill_between(alphas, errors - spreads, errors + spreads, alpha=0.2, label="± one standard deviation over the folds")
    axes.plot(alphas, errors, marker="o", label="mean over the folds")
    axes.plot(
        alphas[best],
        errors[best],
        marker="o",
        markersize=11,
        markerfacecolor="none",
        color=INK,
        linestyle="none",
        label=f"best: alpha = {alphas[best]:g}",
    )
    axes.set_xscale("log")
    axes.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
    axes.minorticks_off()
    axes.set(
        xlabel="alpha (strength of the penalty)",
        ylabel=f"root mean squared error of {short_label(unit)}",
        title="Cross-validated error of the ridge regression",
    )
    axes.legend(frameon=False)
    return figure


def use_log_axis(axis: Axis) -> None:
    """Give an axis a logarithmic scale, with plain numbers at 1, 2 and 5."""
    set_scale = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def k_distances_figure(distances: Sequence[float], min_samples: int, knee: float | None, grid: tuple[float, float]) -> Figure:
    """Draw the sorted distances of the records to their nearest ones, their knee, and the range of the proposed eps values."""
    figure = _figure(6.0, 4.2)
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, len(distances)), distances)
    axes.axhspan(*grid, alpha=0.12, label=f"proposed eps: {grid[0]:.3g} to {grid[1]:.3g}")
    if knee is not None:
        axes.axhline(knee, linestyle="--", linewidth=1, color=INK, label=f"knee: {knee:.3g}")
    if any(distance > 0 for distance in distances):
        use_log_axis(axes.yaxis)
    axes.set(
        xlabel="share of the records",
        ylabel=f"distance to nearest record number {min_samples}",
        title="Distances from which eps is proposed",
    )
    axes.legend(frameon=False)
    return figure


def metrics_by_value_figure(
    results: pd.DataFrame, group_by: str, value: str, titles: dict[str, str], value_label: str
) -> Figure:
    """Draw a panel for each metric, with a line for each group over a parameter, and a ring at the best value.

    `results` has a row for each group and value, with the columns `group_by`, `value` (the name of the parameter), `best` and
    the keys of `titles`, which maps metrics to panel titles. Undefined metrics are gaps. More than `MOST_NAMED_LINES` groups
    are thin lines under their median and interquartile range; more than `MOST_LINES` are only these two. Groups may have
    different values, which are drawn in log scale then.
    """
    # pandas considers texts equal that differ only after a null character.
    results = results.assign(**{group_by: results[group_by].map(escape_unprintable)})
    n_groups, columns = results[group_by].nunique(), 4 if len(titles) > 6 else 3
    has_own_grids = results.groupby(group_by)[value].agg(tuple).nunique() > 1 or results[value].nunique() > MOST_LINEAR_VALUES
    rows = -(-len(titles) // columns)
    figure = _figure(4.2 * columns, 3.2 * rows)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).flatten()
    for panel in panels[len(titles) :]:
        panel.set_axis_off()
    for panel, (metric, title) in zip(panels, titles.items(), strict=False):
        numbers = results.astype({metric: float})
        (_draw_groups if n_groups <= MOST_NAMED_LINES else _draw_median)(panel, numbers, group_by, value, metric)
        panel.set(title=title, xlabel=value_label)
        if has_own_grids:
            use_log_axis(panel.xaxis)
        panel.tick_params(labelbottom=True)
        if metric.startswith("n_"):
            panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = panels[0].get_legend_handles_labels()
    title = f"{short_label(group_by)} (its best {value} is ringed)" if n_groups <= MOST_NAMED_LINES else ""
    columns = min(6, max(1, len(handles)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, title=title)
    return figure


def _draw_groups(panel: Axes, results: pd.DataFrame, group_by: str, value: str, metric: str) -> None:
    n_groups = results[group_by].nunique()
    colours = sns.color_palette("colorblind" if n_groups <= 10 else "husl", n_groups)
    for (group, rows), colour in zip(results.sort_values(value).groupby(group_by), colours, strict=True):
        chosen = rows[rows["best"]]
        panel.plot(rows[value], rows[metric], marker="o", markersize=4, color=colour, label=short_label(str(group)))
        panel.plot(chosen[value], chosen[metric], "o", markersize=10, markerfacecolor="none", color=colour)


def _draw_median(panel: Axes, results: pd.DataFrame, group_by: str, value: str, metric: str) -> None:
    grid = np.unique(results[value])
    if len(grid) <= MOST_LINEAR_VALUES:
        table = results.pivot(index=group_by, columns=value, values=metric)
    else:  # groups with grids of their own: their curves are interpolated
        grid = np.geomspace(grid[0], grid[-1], MOST_LINEAR_VALUES)
        curves = [_interpolated(rows, value, metric, grid) for _, rows in results.groupby(group_by)]
        table = pd.DataFrame(curves, columns=grid)
    if len(table) <= MOST_LINES:
        lines = [np.column_stack([grid, values]) for values in table.to_numpy()]
        panel.add_collection(LineCollection(lines, colors=INK, linewidths=0.5, alpha=0.2))
    low, median, high = (table.quantile(share) for share in (0.25, 0.5, 0.75))
    panel.fill_between(grid, low, high, alpha=0.3, label=f"middle half of {len(table)} groups")
    panel.plot(grid, median, marker="o", markersize=4, label="median")
    panel.autoscale_view()


def _interpolated(rows: pd.DataFrame, value: str, metric: str, grid: np.ndarray) -> np.ndarray:
    """Return a group's metric at the values of `grid`, NaN outside its own values and beside undefined ones."""
    own = rows.sort_values(value)
    return np.asarray(np.interp(grid, own[value], own[metric], left=np.nan, right=np.nan))
