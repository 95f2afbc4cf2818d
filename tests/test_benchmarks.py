"""The benchmarks run, and print their figures as text and as JSON."""

import json
import subprocess
import sys

import pytest
from servers import environment

from common.options import PROJECT


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(PROJECT / "benchmarks" / f"{name}.py"), "--rounds", "2", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_figures_are_printed_as_json_with_their_spread() -> None:
    figures = json.loads(run("metrics", "--records", "300", "--large", "400", "--json"))
    for side in ("plain_s", "ours_s", "ratio"):
        assert 0 < figures[side]["minimum"] <= figures[side]["median"] <= figures[side]["maximum"]
    ratio = figures["plain_s"]["minimum"] / figures["ours_s"]["maximum"]
    assert ratio <= figures["ratio"]["minimum"]
    assert figures["cases"][0]["case"] == "300 records, 7 eps"
    assert figures["ours_peak_mib"] > 50


def test_figures_are_printed_as_text() -> None:
    printed = run("metrics", "--records", "300", "--large", "400")
    assert printed.startswith("computing on ")
    assert "\n  ratio    minimum " in printed


@pytest.mark.parametrize("name", ["tracking", "metrics", "scale", "start", "main", "large_table"])
def test_every_benchmark_says_what_it_measures(name: str) -> None:
    assert "--json" in run(name, "--help")
