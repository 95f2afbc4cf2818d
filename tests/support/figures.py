"""What a test reads from a figure, and how it renders one."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

HOSTILE = [
    *("_underscore", "$x$", "$\\frac$", "line\nbreak", "\x1b[2Jescape", "", "\0", "null\0byte", "🐧", "x" * 5000, "\\n"),
    *("서울 특별시", "東京", "北京", "Москва", "العربية", "नमस्ते", "e\u0301", "\ue000"),
]


def png(figure: Figure) -> bytes:
    """Render the figure as the steps do; every warning fails the test, also that a font has no glyph."""
    file = io.BytesIO()
    figure.savefig(file)
    return file.getvalue()


def legend_of(figure: Figure) -> list[str]:
    """Return the labels of the figure's legend, or of the first panel's."""
    legend = figure.legends[0] if figure.legends else figure.axes[0].get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def points_of(line: Line2D) -> list[list[float]]:
    """Return the points of a line as they were given."""
    points: list[list[float]] = np.asarray(line.get_xydata()).tolist()
    return points


def y_values(line: Line2D) -> list[float]:
    """Return the heights of a line's points."""
    return [point[1] for point in points_of(line)]


def look_of(points: PathCollection, edge: bool = False) -> tuple[str, str]:
    """Return the colour of the points of a scatter plot, that of their edges if `edge`, and their marker's outline."""
    colours = points.get_edgecolor() if edge else points.get_facecolor()
    return to_hex(np.asarray(colours)[0]), str(np.asarray(points.get_paths()[0].vertices).tolist())


def scatter_plots_of(panel: Axes) -> list[PathCollection]:
    """Return the scatter plots of a panel in their order."""
    return [drawn for drawn in panel.collections if isinstance(drawn, PathCollection)]


def panel_of(figure: Figure, label: str) -> Axes:
    """Return the panel whose vertical axis has the label."""
    [panel] = [panel for panel in figure.axes if panel.get_ylabel() == label]
    return panel
