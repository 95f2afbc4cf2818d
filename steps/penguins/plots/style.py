"""The style of all figures: large letters, and colours that colour-blind people tell apart, always with another sign."""

from collections.abc import Sequence
from itertools import cycle, islice, product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from penguins.plots.fonts import write_drawable
from penguins.text import escape_unprintable

INK, GRID, GREY = "#333333", "#dddddd", "#999999"
# Okabe and Ito's colours, without the yellow that is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
# So many lines look different.
MOST_NAMED_LINES = len(COLOURS) * len(DASHES)
LONGEST_LABEL = 24
# At this resolution the letters of matplotlib's own size are legible at half the size of the picture.
DOTS_PER_INCH = 160
# The tick labels at 1, 2 and 5 overlap on an axis whose ends differ by a larger factor.
WIDEST_FACTOR = 2_000


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many inches with its panels, row by row; `options` are those of `Figure.subplots`."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)  # A figure without a canvas makes a renderer of its whole size to measure each label.
    panels = list(figure.subplots(rows, columns, squeeze=False, **options).flatten())
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(color=GRID, linewidth=0.6)
        panel.set_axisbelow(True)
    return figure, panels


def line_styles(number: int) -> list[dict[str, Any]]:
    """Return the colour, marker and dashes of each of `number` lines, as arguments of `Axes.plot`.

    No two of `MOST_NAMED_LINES` lines are alike, and any two of seven differ in colour and marker.
    """
    pairs = zip(COLOURS, MARKERS, strict=True)
    styles = [
        {"color": colour, "marker": marker, "linestyle": dashes} for dashes, (colour, marker) in product(DASHES, list(pairs))
    ]
    return list(islice(cycle(styles), number))


def short_label(name: str) -> str:
    """Shorten `name` to a label that leaves room for the figure, with its begin and its end.

    What matplotlib would interpret is escaped, and what no font of this machine has is written in Latin letters.
    """
    name = name if len(name) <= 2 * LONGEST_LABEL else name[:LONGEST_LABEL] + name[-LONGEST_LABEL:]
    text = write_drawable(escape_unprintable(name).replace("\n", " ")) or "(empty)"
    half = LONGEST_LABEL // 2
    text = text if len(text) <= LONGEST_LABEL else f"{text[:half]}…{text[1 - half :]}"
    # matplotlib reads text between two dollar signs as a formula, and omits labels with a leading underscore from a legend.
    return (f" {text}" if text.startswith("_") else text).replace("$", r"\$")


def use_log_axis(axis: Axis) -> None:
    """Give an axis a logarithmic scale for what is drawn, with plain numbers at 1, 2 and 5, or at 1 of many decades."""
    set_scale = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    set_scale("log")
    is_wide = axis.get_data_interval()[1] > WIDEST_FACTOR * axis.get_minpos()
    axis.set_major_locator(LogLocator(subs=(1,) if is_wide else (1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_matrix(panel: Axes, matrix: np.ndarray, x_labels: Sequence[str], y_labels: Sequence[str], **options: Any) -> Any:
    """Draw a matrix as coloured cells with a name for each row and column, and return the image for a colour bar.

    Cells that are NaN stay white. An empty name draws no tick. `options` are those of `Axes.imshow`.
    """
    image = panel.imshow(matrix, interpolation="nearest", **options)
    panel.grid(visible=False)
    for axis, labels in ((panel.xaxis, x_labels), (panel.yaxis, y_labels)):
        named = [place for place, label in enumerate(labels) if label]
        axis.set_ticks(named, [labels[place] for place in named])
    return image
