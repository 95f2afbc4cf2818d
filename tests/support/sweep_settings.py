"""Settings of sweeps with DBSCAN for the tests."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from penguins.cli.rules import Auto
from penguins.sweep.settings import SweepSettings


def dbscan_settings(
    group_by: str,
    features: Sequence[str],
    eps: Auto | Sequence[float],
    min_samples: Sequence[int] = (3,),
    min_coverage: float = 0.5,
    **others: Any,
) -> SweepSettings:
    """Return the settings of a sweep over eps."""
    grid = {"eps": eps, "min_samples": min_samples}
    return SweepSettings("dbscan", (group_by,) if group_by else (), tuple(features), grid, min_coverage=min_coverage, **others)


def change_grid(settings: SweepSettings, **grid: Any) -> SweepSettings:
    """Return the settings with other values of some parameters of the algorithm."""
    return replace(settings, grid={**settings.grid, **grid})
