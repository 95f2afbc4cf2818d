"""The benchmarks run, and print their figures as text and as JSON."""

import json
import runpy
import subprocess
import sys

import numpy as np
import pytest
from servers import environment

from penguins.project import PROJECT

BENCHMARKS = PROJECT / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem not in ("comparison", "labelled_tables"))


def test_figures_are_printed_as_json_with_their_spread() -> None:
    command = [sys.executable, str(BENCHMARKS / "metrics.py"), "--rounds", "1", "--records", "300", "--large", "400", "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    for side in ("plain_s", "ours_s", "ratio"):
        assert 0 < figures[side]["minimum"] <= figures[side]["median"] <= figures[side]["maximum"]
    ratio = figures["plain_s"]["minimum"] / figures["ours_s"]["maximum"]
    assert ratio <= figures["ratio"]["minimum"]
    assert figures["cases"][0]["case"] == "300 records, 7 eps"
    assert figures["ours_peak_mib"] > 50


def test_figures_are_printed_as_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from comparison import Comparison, report

    report("computing", [Comparison("300 records", [2.0, 6.0], [1.0, 2.0], {"peak_mib": 51.2})], as_json=False)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("computing on ")
    assert "  ratio    minimum          2  median        2.5  maximum          3" in lines
    assert "  peak_mib: 51.2" in lines


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_says_what_it_measures(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    assert "--json" in capsys.readouterr().out


def test_the_known_clusters_are_the_same_for_the_same_seed_and_the_default_rule_finds_easy_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from labelled_tables import labelled_tables
    from selection import RULES, scores_of_table

    tables, same, other = ({name: (X, y) for name, X, y in labelled_tables(seed)} for seed in (0, 0, 1))
    assert len(tables) >= 25
    for name, (X, truth) in tables.items():
        assert np.array_equal(X, same[name][0])
        assert np.isfinite(X).all()
        assert len(np.unique(truth[truth >= 0])) >= 2
        assert len(X) == len(truth)
    assert not np.array_equal(tables["moons"][0], other["moons"][0])
    for name in ("hepta", "moons", "penguins of Biscoe"):
        scores = scores_of_table(*tables[name], min_samples=3)
        assert scores["stability"] > 0.95
        assert all(score <= scores["best of the grid"] + 1e-12 for rule, score in scores.items() if rule in RULES)
