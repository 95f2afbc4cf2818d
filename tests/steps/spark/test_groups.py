"""Functions applied group by group: what travels to the workers, and what ends with the generator."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from failing_functions import WORKER_ENDED
from pyspark.sql import DataFrame, SparkSession

from penguins.clustering.dbscan import dbscan
from penguins.errors import InputError, WorkError
from penguins.spark.groups import group_results

LONG_S, SHORT_S = 120, 20


def wait_until(is_true: Callable[[], object]) -> None:
    until = time.monotonic() + SHORT_S
    while not is_true() and time.monotonic() < until:
        time.sleep(0.05)
    assert is_true()


def test_jobs_at_work_are_cancelled_when_the_generator_is_closed(session: SparkSession, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    frame = session.createDataFrame(pd.DataFrame({"key": list("abcdefghijklmnop")}))
    # A group of the second slice, whose job runs beside that of the first.
    [slow, *_] = [row.key for row in frame.where("pmod(xxhash64(key), 4) = 1").collect()]

    def sleep(records: pd.DataFrame) -> pd.DataFrame:
        if records["key"].iloc[0] == slow:
            begun.touch()
            time.sleep(LONG_S)
        return records

    groups = group_results(frame, ["key"], sleep, "key string", n_slices=4, tag="unwanted")
    next(groups)
    wait_until(begun.exists)
    active_jobs = session.sparkContext.statusTracker().getActiveJobsIds
    assert active_jobs()
    groups.close()
    wait_until(lambda: not active_jobs())


@pytest.mark.parametrize("n_slices", [1, 3])
def test_every_group_is_computed_once_by_workers_that_cannot_import_the_package(session: SparkSession, n_slices: int) -> None:
    frame = session.createDataFrame(pd.DataFrame({"key": ["a", "a", "b", "c"], "x": [0.0, 0.1, 5.0, 9.0]}))

    def count_clusters(records: pd.DataFrame) -> pd.DataFrame:
        import importlib.util

        assert importlib.util.find_spec("penguins") is None
        [clustering] = dbscan(records[["x"]].to_numpy(), [0.5], 2)
        return pd.DataFrame({"key": [records["key"].iloc[0]], "n": [clustering.labels.max() + 1]})

    slices = list(group_results(frame, ["key"], count_clusters, "key string, n long", n_slices, tag="once"))
    assert len(slices) == n_slices
    assert sorted((row.key, row.n) for rows in slices for row in rows) == [("a", 1), ("b", 0), ("c", 0)]


def test_a_function_that_fails_is_reported_in_one_line(session: SparkSession) -> None:
    frame = session.createDataFrame(pd.DataFrame({"key": ["a"]}))

    def fail(records: pd.DataFrame) -> pd.DataFrame:
        raise InputError(f"no {records['key'].iloc[0]}")

    with pytest.raises(WorkError, match=r"^Spark could not compute the groups: .*InputError: no a$"):
        next(group_results(frame, ["key"], fail, "key string", n_slices=1, tag="failing"))


def letters(session: SparkSession) -> DataFrame:
    return session.createDataFrame(pd.DataFrame({"key": list("abcdefghijklmnop")}))


def test_the_groups_of_a_worker_that_dies_are_computed_once_more(
    session: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    died = tmp_path / "died"

    def die_once(records: pd.DataFrame) -> pd.DataFrame:
        import os
        import signal

        if records["key"].iloc[0] == "g" and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return records

    found = [
        row.key for rows in group_results(letters(session), ["key"], die_once, "key string", 4, "once more") for row in rows
    ]
    assert sorted(found) == list("abcdefghijklmnop")
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"The groups of a job are computed once more, because it failed: {WORKER_ENDED}")


def test_a_group_that_always_kills_its_worker_ends_the_others_with_their_results_and_the_reason(session: SparkSession) -> None:
    frame, found = letters(session), list[str]()
    slice_of = {row.key: row.slice for row in frame.selectExpr("key", "pmod(xxhash64(key), 4) AS slice").collect()}
    [deadly, *_] = [key for key, number in slice_of.items() if number == 2]

    def die(records: pd.DataFrame) -> pd.DataFrame:
        import os
        import signal

        if records["key"].iloc[0] == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return records

    groups = group_results(frame, ["key"], die, "key string", 4, "deadly")
    with pytest.raises(WorkError, match=f"^Spark could not compute the groups: {WORKER_ENDED}"):
        found.extend(row.key for rows in groups for row in rows)
    assert set(found) >= {key for key, number in slice_of.items() if number in (0, 1)}
    assert not {key for key in found if slice_of[key] == 2}
