"""Numbers on their way into a page: short, and never NaN, which JSON does not have."""

import math
from collections.abc import Iterable

import numpy as np

# Beyond so many digits after the point, rounding overflows.
MOST_DIGITS = 300
Cell = float | int | None
# Finer differences than this share of the range are not seen in a picture.
RESOLUTION = 1 / 2_000


def cell(text: str) -> Cell:
    """Return the number that a cell of a CSV file holds, with six significant digits, or None if it holds none."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else float(f"{number:.6g}")


def cells(texts: Iterable[str]) -> list[Cell]:
    """Return the numbers of a column of a CSV file."""
    return [cell(text) for text in texts]


def exact_cells(texts: Iterable[str]) -> list[float | int]:
    """Return the numbers of a column of a CSV file without gaps, as they are."""
    return [int(number) if number.is_integer() and abs(number) < 2**53 else number for number in map(float, texts)]


def coordinates(values: np.ndarray) -> list[float]:
    """Return finite `values` of shape (n,), rounded to what a picture over their range can show."""
    step = float(np.ptp(values)) * RESOLUTION if len(values) else 0.0
    digits = math.ceil(-math.log10(step)) if step else MOST_DIGITS
    rounded = np.round(values.astype(float), digits) if digits < MOST_DIGITS else values.astype(float)
    return [int(value) if value.is_integer() and abs(value) < 2**53 else value for value in rounded.tolist()]
