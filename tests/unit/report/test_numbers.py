"""Numbers of the page: short, exact enough for a picture, and never NaN."""

import json

import numpy as np
import pytest

from penguins.report.numbers import cell, coordinates


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", 0.5), ("3", 3), ("3.0", 3), ("-1e3", -1000), ("0.123456789", 0.123457), ("1.25e32", 1.25e32),
        ("", None), ("nan", None), ("inf", None), ("-inf", None), ("text", None),
    ],
)  # fmt: skip
def test_a_cell_is_a_short_number_or_nothing(text: str, expected: float | None) -> None:
    assert cell(text) == expected
    assert type(cell(text)) is type(expected)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6, 1e15])
@pytest.mark.parametrize("offset", [0.0, 1e3, -5e5])
def test_coordinates_are_as_exact_as_a_picture_over_their_range_can_show(scale: float, offset: float) -> None:
    values = offset + scale * np.random.default_rng(0).normal(size=200)
    found = np.array(coordinates(values))
    assert np.abs(found - values).max() <= np.ptp(values) / 2_000 + np.spacing(np.abs(values).max())
    if scale >= 1e-3:
        assert len(json.dumps(coordinates(values))) < 200 * 20


@pytest.mark.parametrize("values", [[], [5.0], [2.5, 2.5], [0.0, 0.0], [1e-5, 1e-5], [0.0, 5e-324], [0.0, 1e-306]])
def test_coordinates_without_a_range_are_the_values(values: list[float]) -> None:
    assert coordinates(np.array(values)) == values
