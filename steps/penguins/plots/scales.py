"""The scale of a panel that one degenerate value does not flatten: robust limits, in log scale where values differ much."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.ticker import MaxNLocator, NullFormatter, SymmetricalLogLocator

from penguins.plots.style import use_log_axis

# A count that is so large, and so many times the third quartile, is drawn in log scale.
LARGE_COUNT, LARGE_COUNT_FACTOR = 20, 5
# Values are drawn in log scale if the largest is above LARGE_VALUE, and so many times the median.
LARGE_VALUE, LARGE_VALUE_FACTOR = 100, 10
# Values above so many times the lowest tenth are beyond the scale: coinciding records give indices such as 1e32.
LARGEST_FACTOR = 1e6
# In linear scale, values are beyond it that lie so many times the interquartile range, or the median, away from the quartiles,
# if they would make the scale so many times longer.
REACH, FLATTENING = 3, 5


@dataclass(frozen=True)
class Scale:
    """The `kind` of a scale, "linear", "log" or "symlog" (linear up to 1, then logarithmic), and its limits."""

    kind: str
    low: float
    high: float
    is_count: bool = False

    def clip(self, values: np.ndarray) -> np.ndarray:
        """Return the values with those beyond the limits moved to them."""
        return np.asarray(np.clip(values, self.low, self.high))

    def is_above(self, values: np.ndarray) -> np.ndarray:
        """Tell which values are above the upper limit."""
        return np.asarray(values > self.high)

    def is_below(self, values: np.ndarray) -> np.ndarray:
        """Tell which values are below the lower limit."""
        return np.asarray(values < self.low)

    def apply_to(self, panel: Axes) -> None:
        """Give the vertical axis of a panel this scale."""
        if self.kind == "log":
            use_log_axis(panel.yaxis)
        elif self.kind == "symlog":
            panel.set_yscale("symlog", linthresh=1)
            panel.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.yaxis.set_minor_formatter(NullFormatter())
        elif self.is_count:
            panel.yaxis.set_major_locator(MaxNLocator(integer=True))

    def norm(self) -> Normalize:
        """Return the scale for colours."""
        low, high = self.low, self.high if self.high > self.low else self.low + 1
        if self.kind == "log":
            return LogNorm(low, high)
        return SymLogNorm(1, vmin=low, vmax=high) if self.kind == "symlog" else Normalize(low, high)

    def beyond(self, values: np.ndarray) -> str:
        """Say how many values are beyond the limits, or return an empty text."""
        above, below = values[self.is_above(values)], values[self.is_below(values)]
        parts = [f"{len(above)} above (↑), up to {above.max():.2g}"] if len(above) else []
        parts += [f"{len(below)} below (↓), down to {below.min():.2g}"] if len(below) else []
        return ", ".join(parts)


def robust_scale(values: np.ndarray, is_count: bool = False) -> Scale:
    """Return a scale for `values`, of shape (n_values,), of which some may be NaN or infinite.

    Its limits are values themselves, and leave out those that would flatten all others. Of counts none is left out.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return Scale("linear", 0.0, 1.0)
    if is_count:
        is_large = finite.max() > max(LARGE_COUNT, LARGE_COUNT_FACTOR * np.quantile(finite, 0.75))
        return Scale("symlog" if is_large else "linear", float(finite.min()), float(finite.max()), is_count=True)
    tenth = max(1.0, float(np.quantile(finite, 0.1, method="lower")))  # An index up to 1 flattens nothing.
    finite = finite[finite <= tenth * LARGEST_FACTOR]
    if finite.max() > max(LARGE_VALUE, LARGE_VALUE_FACTOR * np.median(finite)):
        return Scale("log", float(finite[finite >= tenth / LARGEST_FACTOR].min()), float(finite.max()))
    lower, median, upper = np.quantile(finite, (0.25, 0.5, 0.75))
    reach = max(REACH * (upper - lower), REACH * abs(median), 1.0)
    inside = finite[(finite >= lower - reach) & (finite <= upper + reach)]
    finite = inside if np.ptp(finite) > FLATTENING * np.ptp(inside) else finite
    return Scale("linear", float(finite.min()), float(finite.max()))
