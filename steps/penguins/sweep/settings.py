"""The parameters of a sweep that its workers need."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from penguins.cli.parameters import Auto
from penguins.clustering.eps_grid import N_PROPOSED


@dataclass(frozen=True)
class SweepSettings:
    """How each group is clustered and what is logged of it; the fields have the names and meanings of the step's parameters."""

    group_by: str
    features: tuple[str, ...]
    eps: Auto | tuple[float, ...]
    min_samples: tuple[int, ...]
    select_by: str = "stability"
    min_coverage: float = 0.5
    runs: str = "all"
    models: str = "all"
    log_from: str = "driver"
    seed: int = 0
    metric: str = "euclidean"
    scale: str = "standard"

    @classmethod
    def from_parameters(cls, parameters: Any) -> "SweepSettings":
        """Take the fields of the same names from a step's parameters."""
        return cls(**{field.name: getattr(parameters, field.name) for field in dataclasses.fields(cls)})

    @property
    def has_child_runs(self) -> bool:
        """Whether each value has a run of its own."""
        return self.runs == "all"

    @property
    def logs_in_workers(self) -> bool:
        """Whether the workers log, rather than the driver."""
        return self.log_from == "executors"

    @property
    def values(self) -> list[tuple[float, int]] | None:
        """Every eps with every min_samples, sorted; None where each group has an eps grid of its own."""
        if isinstance(self.eps, Auto):
            return None
        return sorted((eps, number) for eps in self.eps for number in self.min_samples)

    @property
    def most_values(self) -> int:
        """The largest number of values that a group has."""
        n_eps = (self.eps.n_values or N_PROPOSED) if isinstance(self.eps, Auto) else len(self.eps)
        return n_eps * len(self.min_samples)

    @property
    def most_models_per_group(self) -> int:
        """The largest number of models that a group logs."""
        return len(self.models_to_log(self.most_values, 0))

    def models_to_log(self, n_values: int, best: int | None) -> set[int]:
        """Return the positions of the values whose models are logged, in a group of `n_values` with the best one at `best`."""
        if not self.has_child_runs or self.models == "none":
            return set()
        if self.models == "all":
            return set(range(n_values))
        return set() if best is None else {best}
