"""What a sweep prints: the best values, why they deserve doubt, and why groups have none."""

import pandas as pd
import pytest
from mlflow.entities import Run
from stores import Store
from sweep_settings import dbscan_settings

from penguins.sweep.publish import curves_in_picture, print_results
from penguins.sweep.results import LoggedGroup, ResultRow, SweepResults

SETTINGS = dbscan_settings("g", ["x"], (0.5,))


@pytest.fixture
def run(store: Store) -> Run:
    return store.client.create_run("1")


def results_with(warnings: dict[str, str], has_best: bool = True) -> SweepResults:
    found = SweepResults()
    for number, (name, warning) in enumerate(warnings.items()):
        metrics = {"n_clusters": 2.0, "n_clustered_records": 4.0}
        row = ResultRow((name,), {"eps": 0.5, "min_samples": 3}, metrics, "", "", 5 + number, best=has_best, warning=warning)
        found.add(LoggedGroup((name,), "run", 5 + number, [row], median_distance=None if has_best else 1.25 + number))
    return found


def test_each_warning_has_a_line_with_its_group(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(run, results_with({"a": "", "b\n": "doubt; more doubt"}), SETTINGS)
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if "warning:" in line] == ["warning: 'b\\n': doubt; more doubt"]
    assert "best eps of 2 of 2 groups:" in printed
    assert printed.endswith(f"run: {run.info.run_id}\n")


def test_many_warnings_are_counted_by_kind(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    warnings = {f"g{number}": "doubt" if number % 3 else "doubt; more doubt" for number in range(12)}
    print_results(run, results_with(warnings), SETTINGS)
    lines = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert lines == ["warning: 12 of 12 groups: doubt", "warning: 4 of 12 groups: more doubt"]


def test_groups_without_a_best_value_say_why_and_how_large_they_are(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(run, results_with({f"g{number}": "all noise" for number in range(12)}, has_best=False), SETTINGS)
    printed = capsys.readouterr().out
    assert "best eps of 0 of 12 groups:\nwarning: 12 of 12 groups: all noise\n" in printed
    assert (
        "In the median, the 12 groups without a best value have 10.5 records (5 to 16); "
        "the distance to the min_samples-th nearest record is 6.75." in printed
    )


def test_the_picture_has_one_curve_for_each_group_that_of_the_best_min_samples() -> None:
    rows = [("a", 0.1, 3, False), ("a", 0.1, 5, True), ("a", 0.2, 5, False), ("b", 0.3, 3, False), ("b", 0.3, 5, False)]
    table = pd.DataFrame(rows, columns=["g", "eps", "min_samples", "best"])
    assert curves_in_picture(table, "g", "eps", ["min_samples"]).values.tolist() == [
        list(rows[1]),
        list(rows[2]),
        list(rows[3]),
    ]
