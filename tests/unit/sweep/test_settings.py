"""The settings that a sweep's workers get: taken from the step's parameters, and what they say about runs and models."""

import dataclasses
from dataclasses import dataclass

import pytest

from penguins.sweep.settings import SweepSettings

SETTINGS = SweepSettings(group_by="island", features=("x",), eps=(0.5, 0.9), min_samples=3)


@dataclass(frozen=True)
class Parameters(SweepSettings):
    """A step's parameters, of which the workers need some."""

    spark: str = "local[*]"
    resume: bool = True


def test_settings_are_the_parameters_of_the_same_names() -> None:
    parameters = Parameters("g", ("x", "y"), (0.1,), 5, "silhouette", 0.9, "groups", "best", "executors", 7)
    expected = SweepSettings("g", ("x", "y"), (0.1,), 5, "silhouette", 0.9, "groups", "best", "executors", 7)
    assert SweepSettings.from_parameters(parameters) == expected


@pytest.mark.parametrize(
    ("runs", "models", "best_eps", "expected"),
    [
        ("all", "all", 0.5, {0.5, 0.9}),
        ("all", "all", None, {0.5, 0.9}),
        ("all", "best", 0.5, {0.5}),
        ("all", "best", None, set()),
        ("all", "none", 0.5, set()),
        ("groups", "all", 0.5, set()),
        ("groups", "best", 0.5, set()),
    ],
)
def test_models_says_which_models_are_logged(runs: str, models: str, best_eps: float | None, expected: set[float]) -> None:
    assert dataclasses.replace(SETTINGS, runs=runs, models=models).models_to_log(best_eps) == expected


@pytest.mark.parametrize(("runs", "expected"), [("all", True), ("groups", False)])
def test_runs_says_whether_each_value_has_a_run(runs: str, expected: bool) -> None:
    assert dataclasses.replace(SETTINGS, runs=runs).has_child_runs == expected


@pytest.mark.parametrize(("log_from", "expected"), [("driver", False), ("executors", True)])
def test_log_from_says_whether_the_workers_log(log_from: str, expected: bool) -> None:
    assert dataclasses.replace(SETTINGS, log_from=log_from).logs_in_workers == expected
