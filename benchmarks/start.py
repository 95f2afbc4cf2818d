"""How soon a step answers: `--help`, a bad parameter, and a Spark session that starts while Python imports.

The plain side imports everything that the step needs before it reads its command line, and starts Spark after its imports.
Then the penguins' sweep and `mlflow run .` as whole processes on an SQLite store that exists, with Spark (plain) and without.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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


def compare_without_spark(case: str, command: list[str], option: str, rounds: int, folder: str) -> Comparison:
    """Measure a whole command with Spark and with `option`, which does without, and its processor seconds without."""
    store = Path(folder, "without_spark")
    empty = Path(folder, "empty.db")
    if not empty.exists():
        create = f"from mlflow import MlflowClient; MlflowClient('sqlite:///{empty}').search_experiments()"
        subprocess.run([sys.executable, "-c", create], cwd=folder, capture_output=True, check=True)
    processor_seconds = []

    def run(*more: str) -> float:
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        shutil.copy(empty, store / "mlflow.db")
        environment = comparison.environment(MLFLOW_TRACKING_URI=f"sqlite:///{store}/mlflow.db")
        before = os.times()
        took = comparison.seconds(
            lambda: subprocess.run([*command, *more], cwd=store, env=environment, capture_output=True, check=True)
        )
        after = os.times()
        processor_seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return took

    found = comparison.compare(f"{case}, with Spark (plain) and without", run, lambda: run(*option.split()), rounds)
    found.remarks["processor seconds without Spark, lowest"] = min(processor_seconds[1::2])
    return found


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
        sweep = [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py")]
        everything = ["mlflow", "run", str(PROJECT), "--env-manager", "local", "--experiment-name", "penguins"]
        found.append(compare_without_spark("the penguins' sweep", sweep, "--spark none", given.rounds, folder))
        found.append(compare_without_spark("mlflow run .", everything, "-P spark=none", given.rounds, folder))
    comparison.report("starting", found, given.json)


if __name__ == "__main__":
    main()
