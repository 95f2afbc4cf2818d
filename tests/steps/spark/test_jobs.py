"""Jobs of a Spark session: those of sessions that can do less, and the reason why a job failed."""

from typing import Any, ClassVar

import pytest
from pyspark.errors import PySparkException

from penguins.spark.jobs import SHUFFLE_PARTITIONS, n_parallel_tasks, persist, spark_failure_reason


def test_a_session_that_cannot_persist_and_states_no_partitions_works_all_the_same() -> None:
    class Serverless:
        """Answer as serverless compute of Databricks does."""

        conf: ClassVar = {"spark.sql.shuffle.partitions": "auto"}

        def persist(self) -> None:
            raise PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute.")

    session: Any = Serverless()
    assert n_parallel_tasks(session) == SHUFFLE_PARTITIONS
    assert persist(session) is session


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("An exception was thrown\n  File x\nValueError: no\n\nMemoryError: full\nDriver stacktrace:", "MemoryError: full"),
        ("one\ntwo", "two"),
        ("", "RuntimeError"),
        ("Error: " + "x" * 500, "Error: " + "x" * 293),
    ],
)
def test_a_failure_is_told_by_the_last_line_that_names_an_error(text: str, reason: str) -> None:
    assert spark_failure_reason(RuntimeError(text)) == reason
