"""How soon a step answers: `--help` and a bad parameter, and a Spark session that starts while Python imports.

The plain side imports what the step needs before it reads its command line, and starts Spark after its imports.
"""

import subprocess
import sys
import tempfile

import comparison
from comparison import PROJECT, Comparison

STEPS = ("main", "logistic_regression", "ridge_search", "spark_logistic_regression", "dbscan_sweep")
HEAVY = "import sys; sys.path.insert(0, {steps!r}); import {step}; {step}.options.check({step}.NAME, {step}.Parameters)"
SIDE_BY_SIDE = """
import sys; sys.path.insert(0, {steps!r})
from common import spark
{begin}
import dbscan_sweep
with spark.session("local[*]") as session:
    session.range(1).count()
"""


def answer(command: list[str], folder: str) -> float:
    """Seconds until the process has ended."""
    return comparison.seconds(
        lambda: subprocess.run(command, cwd=folder, env=comparison.environment(), capture_output=True, check=False)
    )


def answers(step: str, argument: str, rounds: int, folder: str) -> Comparison:
    """One step asked one thing."""
    steps = str(PROJECT / "steps")
    plain = [sys.executable, "-c", HEAVY.format(steps=steps, step=step), argument]
    ours = [sys.executable, f"{steps}/{step}.py", argument]
    return comparison.compare(f"{step} {argument}", lambda: answer(plain, folder), lambda: answer(ours, folder), rounds)


def session(rounds: int, folder: str) -> Comparison:
    """From nothing to the answer of a first job in Spark, with the sweep's imports."""
    steps = str(PROJECT / "steps")
    plain = [sys.executable, "-c", SIDE_BY_SIDE.format(steps=steps, begin="")]
    ours = [sys.executable, "-c", SIDE_BY_SIDE.format(steps=steps, begin="spark.begin('local[*]')")]
    case = "imports and Spark, one after the other (plain) and side by side"
    return comparison.compare(case, lambda: answer(plain, folder), lambda: answer(ours, folder), rounds)


def main() -> None:
    """Measures and prints."""
    given = comparison.options(__doc__, rounds=3)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            answers(step, argument, given.rounds, folder) for step in reversed(STEPS) for argument in ("--help", "--seed=none")
        ]
        found.append(session(given.rounds, folder))
    comparison.report("starting", found, given.json)


if __name__ == "__main__":
    main()
