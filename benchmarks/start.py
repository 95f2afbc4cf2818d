"""How soon a step answers: `--help`, a bad parameter, and a Spark session that starts while Python imports.

The plain side imports everything that the step needs before it reads its command line, and starts Spark after its imports.
"""

import subprocess
import sys
import tempfile

import comparison
from comparison import PROJECT, Comparison

STEPS = ("main", "logistic_regression", "ridge_search", "spark_logistic_regression", "dbscan_sweep")
IMPORTS_FIRST = """
import sys; sys.path.insert(0, {steps!r})
import {step}
from penguins.cli.script import check_command_line
check_command_line({step}.NAME, {step}.Parameters)
"""
FIRST_JOB = """
import sys; sys.path.insert(0, {steps!r})
from penguins.spark.session import spark_session, start_in_background
from penguins.spark.target import SparkTarget
target = SparkTarget("local[*]")
{start}
import dbscan_sweep
with spark_session(target) as session:
    session.range(1).count()
"""


def seconds_of_process(command: list[str], folder: str) -> float:
    """Return the seconds until the process has ended, whatever its exit code."""
    environment = comparison.environment()
    return comparison.seconds(lambda: subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False))


def compare_answers(step: str, argument: str, rounds: int, folder: str) -> Comparison:
    """Measure the answer of one step to one argument."""
    steps = str(PROJECT / "steps")
    plain = [sys.executable, "-c", IMPORTS_FIRST.format(steps=steps, step=step), argument]
    ours = [sys.executable, f"{steps}/{step}.py", argument]
    return _compare(f"{step} {argument}", plain, ours, rounds, folder)


def compare_sessions(rounds: int, folder: str) -> Comparison:
    """Measure the time to the answer of Spark's first job, the imports of the sweep included."""
    steps = str(PROJECT / "steps")
    plain = [sys.executable, "-c", FIRST_JOB.format(steps=steps, start="")]
    ours = [sys.executable, "-c", FIRST_JOB.format(steps=steps, start="start_in_background(target)")]
    return _compare("imports and Spark, one after the other (plain) and side by side", plain, ours, rounds, folder)


def _compare(case: str, plain: list[str], ours: list[str], rounds: int, folder: str) -> Comparison:
    return comparison.compare(case, lambda: seconds_of_process(plain, folder), lambda: seconds_of_process(ours, folder), rounds)


def main() -> None:
    """Measure and print."""
    given = comparison.options(__doc__, rounds=3)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            compare_answers(step, argument, given.rounds, folder)
            for step in reversed(STEPS)
            for argument in ("--help", "--seed=none")
        ]
        found.append(compare_sessions(given.rounds, folder))
    comparison.report("starting", found, given.json)


if __name__ == "__main__":
    main()
