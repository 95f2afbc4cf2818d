"""A group that is too large for a worker is refused before it is sent, with its size and the way out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dbscan_sweep
import numpy as np
import pandas as pd
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from stores import Steps, Store
from sweep_settings import dbscan_settings

from penguins.cli.rules import Auto
from penguins.errors import InputError
from penguins.sweep.group_memory import (
    PROCESS_MIB,
    SAFETY,
    SERVERLESS_MIB,
    group_mib,
    mib_of,
    require_groups_that_fit,
    worker_limit,
)
from penguins.sweep.settings import SweepSettings

EPS = (0.3, 0.5, 0.7)
SETTINGS = dbscan_settings("site", ("x", "y"), EPS)


def records_beyond(mib: float, settings: SweepSettings = SETTINGS) -> int:
    """Return the smallest number of records that is estimated to take more."""
    of_record = (group_mib(settings, 1_000_000) - PROCESS_MIB) / 1_000_000
    return int((mib - PROCESS_MIB) / of_record) + 1


def write_table(path: Path, sizes: dict[str, int]) -> str:
    """Write a table of groups of these sizes."""
    n = sum(sizes.values())
    X = np.random.default_rng(0).normal(size=(n, 2))
    sites = np.repeat(list(sizes), list(sizes.values()))
    pd.DataFrame({"site": sites, "x": X[:, 0], "y": X[:, 1]}).to_parquet(path)
    return str(path)


class StatedSession:
    """A session that states some settings and, as serverless compute does, tells nothing else."""

    def __init__(self, **settings: str) -> None:
        self.conf, self.settings = self, {name.replace("__", "."): text for name, text in settings.items()}

    def get(self, name: str, default: str = "") -> str:
        if not self.settings:
            raise PySparkException("[CONFIG_NOT_AVAILABLE] serverless")
        return self.settings.get(name, default)


def table_of(rows: int) -> Any:
    """Return a table that is one group."""
    return type("Table", (), {"rows": rows})()


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "client.4.9")


@pytest.mark.parametrize("as_uri", [False, True])
def test_a_group_beyond_the_megabytes_of_serverless_compute_is_refused_with_its_name_size_and_the_way_out(
    session: SparkSession, store: Store, step: Steps, serverless: None, tmp_path: Path, capfd: pytest.CaptureFixture[str],
    as_uri: bool,
) -> None:  # fmt: skip
    n = records_beyond(SERVERLESS_MIB, replace(SETTINGS, models="all"))
    path = write_table(tmp_path / "t.parquet", {"a": 20, "big": n, "c": n // 2})
    data = f"file://{path}" if as_uri else path
    assert step(dbscan_sweep, data=data, group_by="site", features="x,y", eps=EPS, spark="active") == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line == (
        "error: The 'group_by' parameter must make groups that fit into the memory of a worker. Got 'big' with "
        f"{n} records, which take about 1024 MiB of the 1024 MiB that serverless compute gives a Python function: choose "
        "models=best or none, fewer features, fewer values, a finer group_by, a job cluster or spark=local[*] on a machine "
        "with more memory."
    )
    [run] = store.runs()
    assert run.info.status == "FAILED"


def test_a_table_whose_groups_fit_is_swept_on_serverless_compute(
    session: SparkSession, store: Store, step: Steps, serverless: None
) -> None:
    assert step(dbscan_sweep, eps="0.5", spark="active") == 0


@pytest.mark.parametrize(
    ("settings", "mib", "words"),
    [
        ({"spark__executor__pyspark__memory": "2g"}, 2_048, "spark.executor.pyspark.memory gives a worker"),
        ({"spark__executor__pyspark__memory": "2g", "spark__executor__cores": "4"}, 512, "a larger spark.executor.pyspark"),
        ({"spark__executor__memory": "2g", "spark__master": "spark://elsewhere:7077"}, None, ""),
        ({}, None, ""),
    ],
)
def test_the_memory_that_a_session_states_is_the_limit_of_a_worker(
    settings: dict[str, str], mib: float | None, words: str
) -> None:
    session: Any = StatedSession(**settings)
    limit = worker_limit(session, "active")
    assert (limit.mib if limit else None) == mib
    if mib is None:
        require_groups_that_fit(session, "active", table_of(10**9), replace(SETTINGS, group_by=()))
        return
    alone, n = replace(SETTINGS, group_by=()), records_beyond(mib)
    require_groups_that_fit(session, "active", table_of(n - 1), alone)
    with pytest.raises(InputError, match=f"^The 'group_by' parameter .* Got 'all' with {n} records") as error:
        require_groups_that_fit(session, "active", table_of(n), alone)
    assert words in str(error.value)


@pytest.mark.parametrize("spark", ["local[2]", "active"])
def test_on_this_machine_only_what_certainly_does_not_fit_is_refused(
    session: SparkSession, monkeypatch: pytest.MonkeyPatch, spark: str
) -> None:
    monkeypatch.setattr("penguins.sweep.group_memory.psutil.virtual_memory", lambda: type("M", (), {"available": 2 << 30})())
    alone, n = replace(SETTINGS, group_by=()), records_beyond(2_048 * SAFETY)
    require_groups_that_fit(session, spark, table_of(n - 1), alone)
    with pytest.raises(InputError, match=r"of the 2048 MiB that this machine has available: .* a machine with more memory"):
        require_groups_that_fit(session, spark, table_of(n), alone)


def test_the_way_out_names_only_what_helps() -> None:
    session: Any = StatedSession(spark__executor__pyspark__memory="1g")
    small = dbscan_settings("", ("x",), (0.5,), models="none")
    with pytest.raises(InputError) as error:
        require_groups_that_fit(session, "active", table_of(records_beyond(1_024, small)), small)
    assert str(error.value).partition("choose ")[2] == (
        "a finer group_by, a larger spark.executor.pyspark.memory or spark=local[*] on a machine with more memory."
    )


def test_more_features_values_and_models_take_more() -> None:
    least = dbscan_settings("", ("x",), (0.5,), models="none")
    more = [
        replace(least, features=("x", "y")),
        replace(least, grid={**least.grid, "eps": (0.5, 0.9)}),
        replace(least, grid={**least.grid, "eps": Auto(9)}),
        replace(least, models="best"),
    ]
    assert all(group_mib(one, 10_000) > group_mib(least, 10_000) for one in more)
    assert group_mib(replace(more[1], models="all"), 10_000) > group_mib(replace(more[1], models="best"), 10_000)


@pytest.mark.parametrize(
    ("amount", "mib"),
    [
        ("512", 512),
        ("512m", 512),
        ("2g", 2048),
        ("2GB", 2048),
        ("1t", 1 << 20),
        ("2048k", 2),
        ("1048576b", 1),
        ("", 0),
        ("a", 0),
    ],
)
def test_amounts_of_memory_are_read_as_spark_reads_them(amount: str, mib: float) -> None:
    assert mib_of(amount) == mib
