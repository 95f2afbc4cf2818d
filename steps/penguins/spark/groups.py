"""Apply a function to each group of a Spark frame, and get some groups' results while others are still computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

import pandas as pd
from py4j.protocol import Py4JError
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

import penguins
from penguins.cli.signals import wait_for
from penguins.errors import WorkError
from penguins.spark.jobs import cancel_jobs, has_single_attempts, persist, spark_failure_reason, tag_jobs
from penguins.text import print_lines

PARALLEL_JOBS = 2
# The last two are those of connections to a JVM that has ended.
SPARK_ERRORS = (PySparkException, Py4JError, OSError, EOFError)

# The workers cannot import this package: its functions and classes travel with the function that uses them. For the same
# reason a shipped function must not import the package inside its body.
cloudpickle.register_pickle_by_value(penguins)


def group_results(
    frame: DataFrame, key: Sequence[str], function: Callable[[pd.DataFrame], pd.DataFrame], schema: str, n_slices: int, tag: str
) -> Generator[list[Row], None, None]:
    """Yield the rows of `schema` that `function` returns for each group of `frame` by the columns `key`, slice by slice.

    A slice of the groups is one job. Two jobs run at a time: no core waits for the slowest group of a slice, and the results
    of two slices at most are in memory. Closing the generator cancels its jobs, which carry the tag `tag`.
    Raises WorkError where Spark fails, once the results of all jobs that have begun are yielded.
    """
    session = frame.sparkSession
    persisted = persist(frame) if n_slices > 1 else frame
    slice_of_group = F.pmod(F.xxhash64(*key), F.lit(n_slices))

    def collect_slice(number: int) -> list[Row]:
        tag_jobs(session, tag)
        part = persisted.where(slice_of_group == number) if n_slices > 1 else persisted
        return part.groupBy(*key).applyInPandas(function, schema).collect()

    pool = ThreadPoolExecutor(PARALLEL_JOBS)
    try:
        yield from _results_of_slices(pool, collect_slice, n_slices, session)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # A signal that ends the step may have ended Spark as well.
        with suppress(*SPARK_ERRORS):
            cancel_jobs(session, tag)
            if persisted is not frame:
                persisted.unpersist()


def _results_of_slices(
    pool: ThreadPoolExecutor, collect_slice: Callable[[int], list[Row]], n_slices: int, session: SparkSession
) -> Iterator[list[Row]]:
    """Yield what `collect_slice` returns for each slice.

    Where Spark repeats no task, a slice that fails is computed once more. If it fails again, no other slice is begun.
    """
    jobs, numbers, repeated = deque[tuple[int, Future[list[Row]]]](), iter(range(n_slices)), set[int]()
    failure: Exception | None = None

    def begin(some: Iterable[int]) -> None:
        jobs.extend((number, pool.submit(collect_slice, number)) for number in some)

    begin(islice(numbers, PARALLEL_JOBS))
    while jobs:
        number, job = jobs.popleft()
        try:
            rows = wait_for(job)
        except SPARK_ERRORS as error:
            if failure is None and number not in repeated and has_single_attempts(session):
                print_lines(f"The groups of a job are computed once more, because it failed: {spark_failure_reason(error)}")
                repeated.add(number)
                begin([number])
            else:
                failure = failure or error
            continue
        if failure is None:
            begin(islice(numbers, 1))
        yield rows
    if failure is not None:
        raise WorkError(f"Spark could not compute the groups: {spark_failure_reason(failure)}") from failure
