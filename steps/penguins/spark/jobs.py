"""Jobs of a Spark session, classic or Connect: tag and cancel them, count those that fit, say why one failed."""

import re
from typing import TYPE_CHECKING

from penguins.text import one_line

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Spark's default, for a session that does not state its own, such as Databricks's serverless compute.
SHUFFLE_PARTITIONS = 200


def is_connect_session(session: "SparkSession") -> bool:
    """Tell whether the session is a client of a Connect server."""
    return type(session).__module__.startswith("pyspark.sql.connect")


def n_parallel_tasks(session: "SparkSession") -> int:
    """Return about how many tasks the session runs at the same time: its number of shuffle partitions."""
    number = session.conf.get("spark.sql.shuffle.partitions") or "auto"
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


def spark_failure_reason(error: Exception) -> str:
    """Return why a Spark job failed on one line: the last line of its Python and Java stack traces that names an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"\w*(Error|Exception)\b", line)]
    return one_line((named or lines or [type(error).__name__])[-1])[:300]
