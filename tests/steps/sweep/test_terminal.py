"""What a sweep prints: a line for each group, why a choice deserves doubt, and why groups have none."""

import pytest
from sweep_settings import dbscan_settings

from penguins.sweep.results import LoggedGroup, ResultRow, SweepResults
from penguins.sweep.terminal import MOST_GROUPS, result_lines

SETTINGS = dbscan_settings("g", ["x"], (0.5,))


@pytest.fixture(autouse=True)
def _usual_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENGUINS_OUTPUT", raising=False)


def results_with(warnings: dict[str, str], has_best: bool = True) -> SweepResults:
    found = SweepResults()
    for number, (name, warning) in enumerate(warnings.items()):
        metrics = {"n_clusters": 2.0, "n_clustered_records": 4.0}
        row = ResultRow((name,), {"eps": 0.5, "min_samples": 3}, metrics, "", "", 5 + number, best=has_best, warning=warning)
        found.add(LoggedGroup((name,), "run", 5 + number, [row], median_distance=None if has_best else 1.25 + number))
    return found


def test_each_group_has_a_line_with_its_size_its_value_what_that_gives_and_why_it_deserves_doubt() -> None:
    assert result_lines(results_with({"a": "", "b\n": "doubt; more doubt"}), SETTINGS) == [
        "best eps of 2 of 2 groups:",
        "group  records  eps  clusters  coverage  warning",
        "'a'          5  0.5         2       0.8",
        "'b\\n'        6  0.5         2     0.667  doubt; more doubt",
    ]


def test_one_group_is_not_called_groups_and_has_no_column_of_warnings_without_any() -> None:
    assert result_lines(results_with({"all": ""}), SETTINGS) == [
        "best eps of 1 of 1 group:",
        "group  records  eps  clusters  coverage",
        "'all'        5  0.5         2       0.8",
    ]


def test_a_group_that_failed_has_a_line_with_the_reason() -> None:
    found = results_with({"a": ""})
    found.add(LoggedGroup(("b",), "run", 7, [], "infinite values in x"))
    assert result_lines(found, SETTINGS)[-1] == "'b'          7    -         -         -  failed: infinite values in x"


def test_several_min_samples_have_a_column() -> None:
    lines = result_lines(results_with({"a": ""}), dbscan_settings("g", ["x"], (0.5,), min_samples=(3, 5)))
    assert lines[1:] == [
        "group  records  eps  min_samples  clusters  coverage",
        "'a'          5  0.5            3         2       0.8",
    ]


def test_many_groups_are_counted_unless_the_output_is_verbose(monkeypatch: pytest.MonkeyPatch) -> None:
    found = results_with({f"g{number:02}": "" for number in range(MOST_GROUPS + 1)})
    lines = result_lines(found, SETTINGS)
    assert len(lines) == MOST_GROUPS + 3
    assert lines[-1] == "… and 1 more group: --verbose shows them, and results.csv has all"
    monkeypatch.setenv("PENGUINS_OUTPUT", "verbose")
    whole = result_lines(found, SETTINGS)
    assert whole[-MOST_GROUPS - 1].startswith("'g00'")
    assert whole[-1].startswith("'g30'")
    assert "n_clustered_records" in whole[0], "the table of all results comes first"


def test_many_warnings_are_counted_by_kind() -> None:
    warnings = {f"g{number}": "doubt" if number % 3 else "doubt; more doubt" for number in range(12)}
    lines = [line for line in result_lines(results_with(warnings), SETTINGS) if line.startswith("warning:")]
    assert lines == ["warning: 12 of 12 groups: doubt", "warning: 4 of 12 groups: more doubt"]


def test_groups_without_a_best_value_say_how_large_they_are() -> None:
    lines = result_lines(results_with({f"g{number}": "all noise" for number in range(12)}, has_best=False), SETTINGS)
    assert lines[0] == "best eps of 0 of 12 groups:"
    assert lines[-1] == (
        "In the median, the 12 groups without a best value have 10.5 records (5 to 16); "
        "the distance to the min_samples-th nearest record is 6.75."
    )


def test_a_quiet_output_has_the_warnings_alone_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENGUINS_OUTPUT", "quiet")
    assert result_lines(results_with({"a": "", "b": "doubt"}), SETTINGS) == []
    assert capsys.readouterr() == ("", "warning: 'b': doubt\n")
