"""The settings that a sweep's workers get: taken from the step's parameters, and what they say about runs and models."""

import dataclasses
from dataclasses import dataclass

import pytest
from sweep_settings import change_grid, dbscan_settings

from penguins.cli.rules import Auto
from penguins.sweep.settings import SweepSettings

SETTINGS = dbscan_settings("island", ["x"], (0.5, 0.9))
VALUES = [{"eps": 0.5, "min_samples": 3}, {"eps": 0.9, "min_samples": 3}]


@dataclass(frozen=True)
class Parameters:
    """A step's parameters, of which the workers need some."""

    group_by: tuple[str, ...] = ("g",)
    features: tuple[str, ...] = ("x", "y")
    n_clusters: tuple[int, ...] = (4, 2)
    runs: str = "groups"
    seed: int = 7
    spark: str = "local[*]"
    resume: bool = True


def test_settings_are_the_parameters_of_the_same_names_and_those_of_the_algorithm() -> None:
    expected = SweepSettings("kmeans", ("g",), ("x", "y"), {"n_clusters": (4, 2)}, runs="groups", seed=7)
    assert SweepSettings.from_parameters("kmeans", Parameters()) == expected
    assert expected.values == [{"n_clusters": 2}, {"n_clusters": 4}]


@pytest.mark.parametrize(
    ("runs", "models", "best", "expected"),
    [
        ("all", "all", 0, {0, 1}),
        ("all", "all", None, {0, 1}),
        ("all", "best", 1, {1}),
        ("all", "best", None, set()),
        ("all", "none", 0, set()),
        ("groups", "all", 0, set()),
        ("groups", "best", 0, set()),
    ],
)
def test_models_says_which_models_are_logged(runs: str, models: str, best: int | None, expected: set[int]) -> None:
    assert dataclasses.replace(SETTINGS, runs=runs, models=models).models_to_log(VALUES, 10, best) == expected


@pytest.mark.parametrize(("runs", "expected"), [("all", True), ("groups", False)])
def test_runs_says_whether_each_value_has_a_run(runs: str, expected: bool) -> None:
    assert dataclasses.replace(SETTINGS, runs=runs).has_child_runs == expected


@pytest.mark.parametrize(("log_from", "expected"), [("driver", False), ("executors", True)])
def test_log_from_says_whether_the_workers_log(log_from: str, expected: bool) -> None:
    assert dataclasses.replace(SETTINGS, log_from=log_from).logs_in_workers == expected


def test_a_value_that_needs_more_records_has_no_model() -> None:
    settings = SweepSettings("kmeans", ("g",), ("x",), {"n_clusters": (2, 5)})
    assert settings.models_to_log([{"n_clusters": 2}, {"n_clusters": 5}], 4, 0) == {0}


def test_the_values_are_every_eps_with_every_min_samples_and_unknown_where_eps_is_automatic() -> None:
    several = change_grid(SETTINGS, min_samples=(5, 3))
    expected = [(0.5, 3), (0.5, 5), (0.9, 3), (0.9, 5)]
    assert several.values == [{"eps": eps, "min_samples": number} for eps, number in expected]
    automatic = change_grid(several, eps=Auto(20))
    assert (several.most_values, automatic.values, automatic.most_values) == (4, None, 40)
    assert [one["min_samples"] for one in automatic.values_of_failure] == [3, 5]
