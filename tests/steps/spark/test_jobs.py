"""Jobs of a Spark session: those of sessions that can do less, and the reason why a job failed."""

from types import SimpleNamespace
from typing import Any, ClassVar

import pandas as pd
import pytest
from failing_functions import REASONS, failing_function
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from penguins.spark.jobs import (
    LOST_EXECUTOR,
    SHUFFLE_PARTITIONS,
    has_single_attempts,
    n_parallel_tasks,
    persist,
    spark_failure_reason,
)


def test_a_session_that_cannot_persist_and_states_no_partitions_works_all_the_same() -> None:
    class Serverless:
        """Answer as serverless compute of Databricks does."""

        conf: ClassVar = {"spark.sql.shuffle.partitions": "auto"}

        def persist(self) -> None:
            raise PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute.")

    session: Any = Serverless()
    assert n_parallel_tasks(session) == SHUFFLE_PARTITIONS
    assert persist(session) is session


@pytest.mark.parametrize("kind", REASONS)
def test_a_job_that_fails_is_told_by_the_error_of_its_function_or_by_what_became_of_its_worker(
    session: SparkSession, kind: str
) -> None:
    frame = session.createDataFrame(pd.DataFrame({"key": list("abcd")}))
    with pytest.raises((PySparkException, Py4JError)) as failed:
        frame.groupBy("key").applyInPandas(failing_function(kind), "key string").collect()
    reason = spark_failure_reason(failed.value)
    assert reason.startswith(REASONS[kind])
    assert "\n" not in reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            ": org.apache.spark.SparkException: Job aborted\n\tat a.b\nCaused by: java.io.IOException: full\n\t... 3 more",
            "IOException: full",
        ),
        ("[NO_TABLE] There is none\nplan", "[NO_TABLE] There is none"),
        ("", "RuntimeError"),
        ("Error: " + "x" * 500, "Error: " + "x" * 293),
        (
            "Traceback (most recent call last):\n  File x\na.b.OddThing: why\n SQLSTATE: 38000\n\nJVM stacktrace:\nx.YError",
            "OddThing: why",
        ),
        ("Job aborted: ExecutorLostFailure (executor 1 exited) Reason: 137", LOST_EXECUTOR),
    ],
)
def test_a_failure_without_an_error_of_python_is_told_by_the_last_error_of_java(text: str, reason: str) -> None:
    assert spark_failure_reason(RuntimeError(text)) == reason


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("local", True),
        ("local[*]", True),
        ("local[2]", True),
        ("local[2,4]", False),
        ("local-cluster[2,1,1024]", False),
        ("", False),
    ],
)
def test_only_within_one_process_does_spark_repeat_no_task(master: str, expected: bool) -> None:
    session: Any = SimpleNamespace(conf={"spark.master": master})
    assert has_single_attempts(session) == expected
