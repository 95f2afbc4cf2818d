"""The figures of one curve: the errors of a ridge regression over alpha, and the k-distances of a group."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from penguins.plots.fonts import choose_fonts
from penguins.plots.style import COLOURS, INK, new_figure, short_label, use_log_axis

# The labels of more values overlap.
MOST_ALPHA_TICKS = 12


def error_by_alpha_figure(alphas: np.ndarray, errors: np.ndarray, spreads: np.ndarray, unit: str) -> Figure:
    """Draw the cross-validated root mean squared error against alpha, with its standard deviation over the folds.

    `alphas`, `errors` and `spreads` have shape (n_alphas,); `errors` and `spreads` are in the unit of the target.
    """
    order = np.argsort(alphas)
    alphas, errors, spreads = alphas[order], errors[order], spreads[order]
    best = int(np.argmin(errors))
    figure, [axes] = new_figure(5.2, 3.8)
    band = "± one standard deviation over the folds"
    axes.fill_between(alphas, errors - spreads, errors + spreads, alpha=0.15, color=COLOURS[0], linewidth=0, label=band)
    axes.plot(alphas, errors, marker="o", color=COLOURS[0], label="mean over the folds")
    ring: dict[str, Any] = {"marker": "o", "markersize": 11, "markerfacecolor": "none", "color": INK, "linestyle": "none"}
    axes.plot(alphas[best], errors[best], **ring, label=f"best: alpha = {alphas[best]:g}")
    use_log_axis(axes.xaxis)
    if len(alphas) <= MOST_ALPHA_TICKS:
        axes.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
    axes.minorticks_off()
    axes.set(
        xlabel="alpha (strength of the penalty)",
        ylabel=f"root mean squared error\nof {short_label(unit)}",
        title="Cross-validated error of the ridge regression",
    )
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    choose_fonts(figure)
    return figure


def k_distances_figure(distances: Sequence[float], min_samples: int, knee: float | None, grid: tuple[float, float]) -> Figure:
    """Draw the sorted distances of the records to their nearest ones, their knee, and the range of the proposed eps values."""
    figure, [axes] = new_figure(4.8, 3.6)
    axes.plot(np.linspace(0, 1, len(distances)), distances, color=COLOURS[0])
    axes.axhspan(*grid, alpha=0.15, color=COLOURS[4], linewidth=0, label=f"proposed eps: {grid[0]:.3g} to {grid[1]:.3g}")
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
