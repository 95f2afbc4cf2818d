"""Apply a function to each group of a Spark frame, and get some groups' results while others are still computed."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

import pandas as pd
from py4j.protocol import Py4JError
from pyspark import cloudpickle
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

import penguins
from penguins.errors import WorkError
from penguins.spark.jobs import cancel_jobs, persist, spark_failure_reason, tag_jobs

PARALLEL_JOBS = 2

# The workers cannot import this package: its functions and classes travel with the function that uses them. For the same
# reason a shipped function must not import the package inside its body.
cloudpickle.register_pickle_by_value(penguins)


def group_results(
    frame: DataFrame, key: Sequence[str], function: Callable[[pd.DataFrame], pd.DataFrame], schema: str, n_slices: int, tag: str
) -> Generator[list[Row], None, None]:
    """Yield the rows of `schema` that `function` returns for each group of `frame` by the columns `key`, slice by slice.

    A slice of the groups is one job. Two jobs run at a time: no core waits for the slowest group of a slice, and the results
    of two slices at most are in memory. Closing the generator cancels its jobs, which carry the tag `tag`.
    Raises WorkError where Spark fails.
    """
    session = frame.sparkSession
    persisted = persist(frame) if n_slices > 1 else frame
    slice_of_group = F.pmod(F.xxhash64(*key), F.lit(n_slices))

    def collect_slice(number: int) -> list[Row]:
        tag_jobs(session, tag)
        part = persisted.where(slice_of_group == number) if n_slices > 1 else persisted
        return part.groupBy(*key).applyInPandas(function, schema).collect()

    pool, jobs = ThreadPoolExecutor(PARALLEL_JOBS), deque[Future[list[Row]]]()
    submitted = (pool.submit(collect_slice, number) for number in range(n_slices))
    try:
        jobs.extend(islice(submitted, PARALLEL_JOBS))
        while jobs:
            rows = jobs.popleft().result()
            jobs.extend(islice(submitted, 1))
            yield rows
    except (PySparkException, Py4JError) as error:
        raise WorkError(f"Spark could not compute the groups: {spark_failure_reason(error)}") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # A signal that ends the step may have ended Spark as well.
        with suppress(PySparkException, Py4JError, OSError):
            if jobs:
                cancel_jobs(session, tag)
            if persisted is not frame:
                persisted.unpersist()
