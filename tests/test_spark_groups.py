"""Work group by group: what is left of it when nobody wants it any more."""

import time
from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from common import spark_groups

LONG_S, SHORT_S = 120, 20


def test_jobs_that_are_at_work_end_with_whoever_wanted_their_results(session: SparkSession, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    frame = session.createDataFrame(pd.DataFrame({"key": list("abcdefghijklmnop")}))
    # Of a slice that is at work beside the first one, whose results come first.
    [slow, *_] = [row.key for row in frame.where("pmod(xxhash64(key), 4) = 1").collect()]

    def sleep(records: pd.DataFrame) -> pd.DataFrame:
        if records["key"].iloc[0] == slow:
            begun.touch()
            time.sleep(LONG_S)
        return records

    found = spark_groups.results(frame, "key", sleep, "key string", n_slices=4, tag="unwanted", modules=[])
    next(found)
    until = time.monotonic() + SHORT_S
    while not begun.exists() and time.monotonic() < until:
        time.sleep(0.05)
    running = session.sparkContext.statusTracker().getActiveJobsIds
    assert begun.exists()
    assert running()
    found.close()
    until = time.monotonic() + SHORT_S
    while running() and time.monotonic() < until:
        time.sleep(0.05)
    assert not running()
