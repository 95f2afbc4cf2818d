"""How soon a step answers: `--help` and a bad parameter, and a Spark session that starts while Python imports.

The plain side imports what the step needs before it reads its command line, starts Spark after its imports, and has no archive.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import comparison
from comparison import PROJECT, Comparison

from common import spark

STEPS = ("main", "logistic_regression", "ridge_search", "spark_logistic_regression", "dbscan_sweep")
HEAVY = "import sys; sys.path.insert(0, {steps!r}); import {step}; {step}.options.check({step}.NAME, {step}.Parameters)"
NONE = {spark.OPTIONS: "-XX:SharedArchiveFile=none"}
SIDE_BY_SIDE = """
import sys; sys.path.insert(0, {steps!r})
from common import spark
{begin}
import dbscan_sweep
with spark.session("local[*]") as session:
    session.range(1).count()
"""


def answer(command: list[str], folder: str, **variables: str) -> float:
    """Seconds until the process has ended, with more variables in its environment."""
    environment = comparison.environment(**variables)
    return comparison.seconds(lambda: subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False))


def answers(step: str, argument: str, rounds: int, folder: str) -> Comparison:
    """One step asked one thing."""
    steps = str(PROJECT / "steps")
    plain = [sys.executable, "-c", HEAVY.format(steps=steps, step=step), argument]
    ours = [sys.executable, f"{steps}/{step}.py", argument]
    return comparison.compare(f"{step} {argument}", lambda: answer(plain, folder), lambda: answer(ours, folder), rounds)


def session(rounds: int, folder: str) -> Comparison:
    """From nothing to the answer of a first job in Spark, with the sweep's imports; an archive plays no part."""
    steps = str(PROJECT / "steps")
    plain = [sys.executable, "-c", SIDE_BY_SIDE.format(steps=steps, begin="")]
    ours = [sys.executable, "-c", SIDE_BY_SIDE.format(steps=steps, begin="spark.begin('local[*]')")]
    case = "imports and Spark, one after the other (plain) and side by side"
    return comparison.compare(case, lambda: answer(plain, folder, **NONE), lambda: answer(ours, folder, **NONE), rounds)


def from_archive(rounds: int, folder: str) -> Comparison:
    """The same start, side by side, without an archive and from one that is made here."""
    steps = str(PROJECT / "steps")
    archive = Path(folder, "spark.jsa")
    make = f"import sys; sys.path.insert(0, {steps!r}); from common import spark_archive as archive; "
    make += f"archive.make(archive.Path({str(archive)!r}))"
    making = answer([sys.executable, "-c", make], folder)
    command = [sys.executable, "-c", SIDE_BY_SIDE.format(steps=steps, begin="spark.begin('local[*]')")]
    made = {spark.OPTIONS: f"-XX:SharedArchiveFile={archive}"}
    case = "imports and Spark, without an archive (plain) and from one"
    compared = comparison.compare(
        case, lambda: answer(command, folder, **NONE), lambda: answer(command, folder, **made), rounds
    )
    compared.remarks |= {"making_s": making, "archive_mib": archive.stat().st_size / 2**20}
    return compared


def main() -> None:
    """Measures and prints."""
    given = comparison.options(__doc__, rounds=3)
    with tempfile.TemporaryDirectory() as folder:
        found = [
            answers(step, argument, given.rounds, folder) for step in reversed(STEPS) for argument in ("--help", "--seed=none")
        ]
        found += [session(given.rounds, folder), from_archive(given.rounds, folder)]
    comparison.report("starting", found, given.json)


if __name__ == "__main__":
    main()
