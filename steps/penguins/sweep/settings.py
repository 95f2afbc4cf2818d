"""The parameters of a sweep that its workers need."""

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SweepSettings:
    """How each group is clustered and what is logged of it; the fields have the names and meanings of the step's parameters."""

    group_by: str
    features: tuple[str, ...]
    eps: tuple[float, ...]
    min_samples: int
    select_by: str = "s-dbw"
    min_coverage: float = 0.5
    runs: str = "all"
    models: str = "all"
    log_from: str = "driver"
    seed: int = 0

    @classmethod
    def from_parameters(cls, parameters: Any) -> "SweepSettings":
        """Take the fields of the same names from a step's parameters."""
        return cls(**{field.name: getattr(parameters, field.name) for field in dataclasses.fields(cls)})

    @property
    def has_child_runs(self) -> bool:
        """Whether each eps has a run of its own."""
        return self.runs == "all"

    @property
    def logs_in_workers(self) -> bool:
        """Whether the workers log, rather than the driver."""
        return self.log_from == "executors"

    @property
    def most_models_per_group(self) -> int:
        """The largest number of models that a group logs."""
        return len(self.models_to_log(self.eps[0]))

    def models_to_log(self, best_eps: float | None) -> set[float]:
        """Return the eps values whose models are logged in a group with this best eps."""
        if not self.has_child_runs or self.models == "none":
            return set()
        if self.models == "all":
            return set(self.eps)
        return set() if best_eps is None else {best_eps}
