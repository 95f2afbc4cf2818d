"""The parameters of a sweep that its workers need."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from penguins.cli.rules import Auto
from penguins.sweep.algorithm import ALGORITHMS, Algorithm, Params
from penguins.sweep.fit import Grid

# The name of the only group, and of the tables' column of groups, where nothing is grouped.
ONE_GROUP, GROUP_COLUMN = "all", "group"
# With runs=auto, more values have no runs of their own.
MOST_CHILD_RUNS = 10_000


@dataclass(frozen=True)
class SweepSettings:
    """How each group is clustered and what is logged of it.

    `algorithm` is a name in `ALGORITHMS`, and `grid` holds the values of its parameters. The other fields have the names and
    the meanings of the step's parameters; `group_by` is empty where nothing is grouped. `n_groups` is how many groups
    the table has; `for_groups` replaces the value auto of `runs`.
    """

    algorithm: str
    group_by: tuple[str, ...]
    features: tuple[str, ...]
    grid: Grid
    select_by: str = "stability"
    min_coverage: float = 0.0
    runs: str = "all"
    models: str = "all"
    log_from: str = "driver"
    seed: int = 0
    metric: str = "euclidean"
    scale: str = "standard"
    n_groups: int = 1

    @classmethod
    def from_parameters(cls, algorithm: str, parameters: Any) -> "SweepSettings":
        """Take the fields, and the parameters of the algorithm, from a step's parameters of the same names."""
        of_algorithm = ALGORITHMS[algorithm]
        grid = {name: getattr(parameters, name) for name in (of_algorithm.swept, *of_algorithm.fixed)}
        names = [field.name for field in dataclasses.fields(cls) if hasattr(parameters, field.name)]
        return cls(algorithm, grid=grid, **{name: getattr(parameters, name) for name in names})

    def for_groups(self, n_groups: int) -> "SweepSettings":
        """Return the settings for a table of so many groups."""
        found = replace(self, n_groups=n_groups)
        if self.runs != "auto":
            return found
        return replace(found, runs="all" if found.most_child_runs <= MOST_CHILD_RUNS else "groups")

    @property
    def most_child_runs(self) -> int:
        """How many values all groups have at most."""
        return self.n_groups * self.most_values

    @property
    def of_algorithm(self) -> Algorithm:
        """The algorithm itself."""
        return ALGORITHMS[self.algorithm]

    @property
    def swept(self) -> str:
        """The parameter whose values are compared."""
        return self.of_algorithm.swept

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The names of the tables' columns of groups."""
        return self.group_by or (GROUP_COLUMN,)

    @property
    def has_child_runs(self) -> bool:
        """Whether each value has a run of its own."""
        return self.runs == "all"

    @property
    def has_group_runs(self) -> bool:
        """Whether each group has a run of its own."""
        return self.runs != "none"

    @property
    def has_router(self) -> bool:
        """Whether the sweep logs a model of all groups."""
        return self.models != "none" and self.has_group_runs

    @property
    def has_distances(self) -> bool:
        """Whether the algorithm counts the records within a distance, so that the sweep shows how far they are apart."""
        return "min_samples" in self.of_algorithm.fixed

    @property
    def logs_in_workers(self) -> bool:
        """Whether the workers log, rather than the driver."""
        return self.log_from == "executors" and self.has_group_runs

    @property
    def fixed_values(self) -> list[Params]:
        """Every combination of the values of the fixed parameters, sorted."""
        names = self.of_algorithm.fixed
        return [dict(zip(names, values, strict=True)) for values in product(*[sorted(self._listed(name)) for name in names])]

    @property
    def values(self) -> list[Params] | None:
        """Every combination of the parameters, sorted; None where each group has a grid of its own."""
        if isinstance(self.grid[self.swept], Auto):
            return None
        return [{self.swept: value, **fixed} for value in sorted(self._listed(self.swept)) for fixed in self.fixed_values]

    @property
    def values_of_failure(self) -> list[Params]:
        """The values for the rows of a group that failed; that of the swept parameter is NaN where it is unknown."""
        return self.values or [{self.swept: math.nan, **fixed} for fixed in self.fixed_values]

    @property
    def most_values(self) -> int:
        """The largest number of values that a group has."""
        swept = self.grid[self.swept]
        n_swept = (swept.n_values or self.of_algorithm.n_proposed) if isinstance(swept, Auto) else len(swept)
        return n_swept * len(self.fixed_values)

    @property
    def most_models_per_group(self) -> int:
        """The largest number of models that a group logs."""
        if not self.has_child_runs or self.models == "none":
            return 0
        return self.most_values if self.models == "all" else 1

    def models_to_log(self, values: Sequence[Params], n_records: int, best: int | None) -> set[int]:
        """Return the positions of the `values` of a group of `n_records` whose models are logged, given that of the best."""
        if not self.most_models_per_group:
            return set()
        if self.models == "best":
            return set() if best is None else {best}
        return {place for place, params in enumerate(values) if self.of_algorithm.can_fit(params, n_records)}

    def _listed(self, name: str) -> Sequence[float]:
        values = self.grid[name]
        return [] if isinstance(values, Auto) else values
