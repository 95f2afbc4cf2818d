"""`main` without its steps: which of them it runs, and which parameters they get."""

from pathlib import Path
from typing import Any

import main
import pandas as pd
import pytest
from step_modules import BY_NAME
from stores import Steps, Store

from penguins.errors import InputError

ALL = tuple(sorted(name for name, step in main.EXPERIMENTS.items() if step.in_all))
ENTRIES: dict[str, dict[str, Any]] = {
    step: dict.fromkeys(("data", "test_size", "alphas", "eps", "target")) for step in main.EXPERIMENTS
}
TARGET = {"test_size": "0.3", "target": "kind"}


@pytest.mark.parametrize(
    ("steps", "data", "config", "expected"),
    [
        (("all",), "penguins", {}, ALL),
        (("all",), "penguins", {"ridge_search": {}}, ALL),
        (("all",), "penguins", {"kmeans_sweep": {}}, tuple(sorted([*ALL, "kmeans_sweep"]))),
        (("all",), "t.csv", {"ridge_search": {}}, ("ridge_search",)),
        (("all",), "t.csv", {}, ALL),
        (("dbscan_sweep",), "t.csv", {"ridge_search": {}}, ("dbscan_sweep",)),
        (("ridge_search", "all"), "penguins", {}, ALL),
        (("kmeans_sweep",), "penguins", {}, ("kmeans_sweep",)),
        (("all", "kmeans_sweep"), "penguins", {}, tuple(sorted([*ALL, "kmeans_sweep"]))),
        (("all",), "t.csv", {"kmeans_sweep": {}}, ("kmeans_sweep",)),
        (("report", "ridge_search"), "penguins", {}, ("ridge_search",)),
    ],
)
def test_the_steps_are_those_asked_for_else_of_the_configuration_of_a_table_of_ones_own_else_all(
    steps: tuple[str, ...], data: str, config: dict[str, object], expected: tuple[str, ...]
) -> None:
    assert sorted(main.chosen_steps(main.Parameters(steps=steps, data=data), config)) == list(expected)


def test_a_report_alone_has_nothing_to_report_on() -> None:
    with pytest.raises(InputError, match="'steps' parameter must name an experiment beside report"):
        main.chosen_steps(main.Parameters(steps=("report",)), {})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (main.Parameters(), {"test_size": "0.3", "target": "kind"}),
        (main.Parameters(test_size=0.2), {"test_size": "0.3", "target": "kind"}),
        (main.Parameters(test_size=0.4), {"test_size": "0.4", "target": "kind"}),
    ],
)
def test_the_configuration_wins_over_a_default_only(parameters: main.Parameters, expected: dict[str, str]) -> None:
    found = main.step_parameters("logistic_regression", parameters, {"logistic_regression": TARGET}, ENTRIES)
    assert expected.items() <= found.items()


def test_a_step_gets_the_parameters_of_main_that_it_takes_and_no_other_steps_configuration() -> None:
    found = main.step_parameters("ridge_search", main.Parameters(data="t.csv"), {"logistic_regression": TARGET}, ENTRIES)
    assert set(found) == {"data", "test_size", "alphas", "eps"}
    assert (found["data"], found["test_size"]) == ("t.csv", "0.2")


def test_main_knows_every_other_step_runs_the_four_and_starts_the_longest_first() -> None:
    assert set(main.EXPERIMENTS) == set(BY_NAME) - {"main", "score", "report"}
    assert set(ALL) >= {"dbscan_sweep", "logistic_regression", "ridge_search", "spark_logistic_regression"}
    assert not set(ALL) & {"hdbscan_sweep", "kmeans_sweep"}
    assert main.chosen_steps(main.Parameters(), {})[0] == "dbscan_sweep"
    assert all(step.headline for step in main.EXPERIMENTS.values())


def test_a_step_that_would_refuse_its_parameters_stops_main_before_any_step_starts(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]}).to_csv("own.csv", index=False)
    assert step(main, data="own.csv", steps="ridge_search,dbscan_sweep") == 2
    why = capfd.readouterr().err
    assert why.startswith("error: The 'target' parameter must name the column to predict in a table of your own. Got 'auto'")
    assert why.endswith("as in ridge_search: {…}, or name other steps in 'steps'.\n")
    [run] = store.runs()
    assert (run.info.run_name, run.info.status) == ("main", "FAILED")


@pytest.mark.parametrize("where", ["command line", "config"])
def test_parameters_that_no_command_line_takes_are_refused_before_any_step_starts(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], where: str
) -> None:
    many = [1 + number / 1e6 for number in range(1, 15_000)]
    Path("long.yaml").write_text(f"ridge_search: {{alphas: {many}}}\n")
    given: dict[str, Any] = {"config": "long.yaml"} if where == "config" else {"alphas": many}
    assert step(main, steps="ridge_search", **given) == 2
    why = capfd.readouterr().err.splitlines()[-1]  # MLflow says before that it logs the beginning of a long parameter
    assert why.startswith("error: The 'alphas' parameter must be short enough for a command line: quoted for the shell, the ")
    assert why.endswith("give fewer or shorter values.")
    [run] = store.runs()
    assert (run.info.run_name, run.info.status, f"error: {run.data.tags['error']}") == ("main", "FAILED", why)
