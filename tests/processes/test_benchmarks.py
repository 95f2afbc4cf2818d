"""The benchmarks run, and print their figures as text and as JSON."""

import json
import runpy
import subprocess
import sys

import pytest
from servers import environment

from penguins.project import PROJECT

BENCHMARKS = PROJECT / "benchmarks"
NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem != "comparison")


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
