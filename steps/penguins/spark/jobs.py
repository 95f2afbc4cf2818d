"""Jobs of a Spark session, classic or Connect: tag and cancel them, count those that fit, say why one failed."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import dropwhile
from typing import TYPE_CHECKING, TypeVar

from penguins.cli.signals import wait_for
from penguins.spark.jvm import LESS_MEMORY
from penguins.text import one_line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

T = TypeVar("T")
# Spark's default, for a session that does not state its own, such as Databricks's serverless compute.
SHUFFLE_PARTITIONS = 200
LONGEST = 300
TRACEBACK = "Traceback (most recent call last):\n"
# A line of a Java stack trace that names an error, and what stands before the name of an error in Java or Python.
JAVA_ERROR = re.compile(r"(: |Caused by: )?[\w$.]+(Error|Exception)\b")
BEFORE_NAME = re.compile(r"^(: |Caused by: )?([\w$<>]+\.)*(?=\w+(:|$))")
LOST_EXECUTOR = f"an executor was lost, most often for lack of memory: {LESS_MEMORY}"
# What Spark says of a task where no error of Python tells why it failed, and what that means.
REASONS = {
    "Python worker exited unexpectedly": (
        f"a Python worker ended without an answer, most often because the system killed it for lack of memory: {LESS_MEMORY}"
    ),
    "ExecutorLostFailure": LOST_EXECUTOR,
    "FetchFailedException": LOST_EXECUTOR,  # what a lost one has computed is missing
    "StatusCode.UNAVAILABLE": "the Connect server does not answer any more",
}


def is_connect_session(session: "SparkSession") -> bool:
    """Tell whether the session is a client of a Connect server."""
    return type(session).__module__.startswith("pyspark.sql.connect")


def setting(session: "SparkSession", name: str) -> str:
    """Return a setting of the session; an empty text where it has none, tells none, as serverless compute, or is gone."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        return session.conf.get(name, "") or ""
    except (PySparkException, Py4JError, OSError):
        return ""


def n_parallel_tasks(session: "SparkSession") -> int:
    """Return about how many tasks the session runs at the same time: its number of shuffle partitions."""
    number = setting(session, "spark.sql.shuffle.partitions")
    return int(number) if number.isdecimal() else SHUFFLE_PARTITIONS


def persist(frame: "DataFrame") -> "DataFrame":
    """Persist `frame` and return it; return it as it is where the session cannot persist, as on serverless compute."""
    from pyspark.errors import PySparkException

    try:
        return frame.persist()
    except PySparkException:
        return frame


def tag_jobs(session: "SparkSession", tag: str) -> None:
    """Add `tag` to the jobs that this thread starts from now on, for `cancel_jobs`.

    A classic session's own tags would make the session, and the models that are fitted in it, impossible to serialise.
    """
    if is_connect_session(session):
        session.addTag(tag)
    else:
        session.sparkContext.addJobTag(tag)


def cancel_jobs(session: "SparkSession", tag: str) -> None:
    """Cancel the jobs that carry `tag`."""
    if is_connect_session(session):
        session.interruptTag(tag)
    else:
        session.sparkContext.cancelJobsWithTag(tag)


def run_tagged(session: "SparkSession", tag: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, whose jobs carry `tag`. A signal that is to end the step cancels them."""

    def run() -> T:
        tag_jobs(session, tag)
        return work()

    pool = ThreadPoolExecutor(1)
    try:
        return wait_for(pool.submit(run))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # A signal that ends the step may have ended Spark as well.
        with suppress(*spark_errors()):
            cancel_jobs(session, tag)


def spark_errors() -> tuple[type[Exception], ...]:
    """Return the errors of Spark; the last two are those of connections to a JVM that has ended."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError, OSError, EOFError


def has_single_attempts(session: "SparkSession") -> bool:
    """Tell whether a task that fails fails its job at once, as it does where Spark runs within one process."""
    master = setting(session, "spark.master")
    return re.fullmatch(r"local(\[[^,]*\])?", master) is not None


def spark_failure_reason(error: Exception) -> str:
    """Return why a job of Spark failed, on one line: the error of its Python function, or else what Spark says of the task."""
    text = str(error).partition("\nJVM stacktrace:")[0]
    _, is_from_python, traceback = text.rpartition(TRACEBACK)
    if is_from_python:
        # Frames are indented. What follows them is the error, whose text may have several lines.
        lines = list(dropwhile(lambda line: line.startswith(" "), traceback.splitlines()))
        lines = [line for line in lines if not line.startswith(" SQLSTATE: ")]
    else:
        if known := [reason for sign, reason in REASONS.items() if sign in text]:
            return known[0]
        lines = [line for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if JAVA_ERROR.match(line)][-1:] or lines[:1]
    reason = one_line(BEFORE_NAME.sub("", " ".join(lines)))[:LONGEST] or type(error).__name__
    return f"{reason}: {LESS_MEMORY}" if reason.startswith("MemoryError") else reason
