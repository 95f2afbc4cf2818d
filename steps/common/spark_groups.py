"""Work of Spark group by group, whose results arrive some groups at a time while others are still at work."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from types import ModuleType
from typing import Any

import pandas as pd
from py4j.protocol import Py4JError
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from common import options, spark

JOBS_AT_ONCE = 2


@contextmanager
def _modules_travel(modules: Sequence[ModuleType]) -> Iterator[None]:
    """Sends this project's modules along with a function to the workers, which cannot import them."""
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def results(
    frame: DataFrame,
    key: str,
    function: Callable[[pd.DataFrame], pd.DataFrame],
    schema: str,
    n_slices: int,
    tag: str,
    modules: Sequence[ModuleType],
) -> Generator[list[Any], None, None]:
    """The rows, of `schema`, that `function` gives for each group of `frame` by the column `key`, some groups at a time.

    Each slice of the groups is evaluated once, by a job of its own; with two jobs at a time no core waits for the slowest group
    of a slice, and no more than their results wait here. Whatever ends this early ends the jobs, which bear the tag `tag`. The
    function and what it calls may be of the `modules`, which the workers need not have.
    Raises WorkError where Spark fails.
    """
    session = frame.sparkSession
    kept = spark.kept(frame) if n_slices > 1 else frame
    slice_of_group = F.pmod(F.xxhash64(key), F.lit(n_slices))

    def collected(number: int) -> list[Any]:
        spark.tag_jobs(session, tag)
        some = kept.where(slice_of_group == number) if n_slices > 1 else kept
        return some.groupBy(key).applyInPandas(function, schema).collect()

    pool, jobs = ThreadPoolExecutor(JOBS_AT_ONCE), deque[Future[list[Any]]]()
    try:
        with _modules_travel(modules):
            numbers = iter(range(n_slices))
            jobs.extend(pool.submit(collected, number) for number in islice(numbers, JOBS_AT_ONCE))
            while jobs:
                rows = jobs.popleft().result()
                jobs.extend(pool.submit(collected, number) for number in islice(numbers, 1))
                yield rows
    except (PySparkException, Py4JError) as error:
        raise options.WorkError(f"Spark could not compute the groups: {spark.reason(error)}") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # Where the same signal has ended Spark itself, there is nothing left to be told.
        with suppress(PySparkException, Py4JError, OSError):
            if jobs:
                spark.end_jobs(session, tag)
            if kept is not frame:
                kept.unpersist()
