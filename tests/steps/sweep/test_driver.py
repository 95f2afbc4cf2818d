"""The driver of a sweep: what it sends to Spark, in how many slices it collects, and what it does if logging fails."""

import dataclasses
from typing import Any

import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from pyspark.sql import SparkSession
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler
from stores import Steps, Store
from sweep_settings import dbscan_settings
from sweeps import FEATURES, fitted_group, results, statuses

from penguins.data.spark_table import load_spark_table
from penguins.errors import InputError, WorkError
from penguins.sweep import driver, workers
from penguins.sweep.context import sweep_context
from penguins.sweep.driver import log_on_driver
from penguins.sweep.fit import GroupResult
from penguins.sweep.results import LoggedGroup
from penguins.sweep.settings import SweepSettings
from penguins.sweep.spark_groups import require_shared_store, slice_count, worker_frame

SETTINGS = dbscan_settings("island", tuple(FEATURES), dbscan_sweep.Parameters().eps, min_samples=(3,))
UNREACHABLE, SERVERLESS = "must be driver where the workers cannot reach", "must be driver on serverless compute"


@pytest.mark.parametrize(
    ("n_records", "n_groups", "models", "expected"),
    [
        (333, 3, "all", 1),
        (20_000, 100, "all", 4),
        (3_000_000, 30, "all", 15),
        (3_000_000, 30, "best", 3),
        (3_000_000, 30, "none", 2),
        (30_000_000, 3, "all", 3),
        (4_000_000, 20_000, "none", 65),
    ],
)
def test_a_slice_holds_no_more_models_than_the_driver_can_take(
    n_records: int, n_groups: int, models: str, expected: int
) -> None:
    settings = dataclasses.replace(SETTINGS, models=models)
    assert slice_count(n_groups, n_records // n_groups, settings, n_parallel=2) == expected


@pytest.mark.parametrize(("log_from", "expected"), [("driver", 6), ("executors", 1)])
def test_models_that_executors_log_take_no_room_in_a_slice(log_from: str, expected: int) -> None:
    settings = dataclasses.replace(SETTINGS, log_from=log_from)
    assert slice_count(30, 50_000, settings, n_parallel=2) == expected


def test_a_slice_has_a_group_for_every_task_that_runs_at_the_same_time() -> None:
    settings = dataclasses.replace(SETTINGS, models="none")
    assert [slice_count(400, 10, settings, n_parallel) for n_parallel in (2, 100, 1000)] == [13, 4, 1]


def test_the_workers_get_the_columns_under_names_that_spark_cannot_misread(store: Store, session: SparkSession) -> None:
    table = pd.DataFrame({"a.b": ["x", "y"], "group": [1.5, 2.5], "`*": [3.5, 4.5]})
    table.to_csv("odd.csv", index=False)
    settings = dbscan_settings("a.b", ("`*", "group"), (0.5,), min_samples=(1,))
    columns = {"a.b": "group_by", "`*": "features", "group": "features"}
    for ordered in (True, False):
        with mlflow.start_run():
            loaded = load_spark_table(session, "odd.csv", columns, ["a.b"], ordered=ordered)
        rows = [row.asDict() for row in worker_frame(loaded, settings).collect()]
        expected = [
            {"group_0": "x", "feature_0": 3.5, "feature_1": 1.5, "row": 0},
            {"group_0": "y", "feature_0": 4.5, "feature_1": 2.5, "row": 1},
        ]
        found = sorted(rows, key=lambda row: str(row["group_0"]))
        assert found == [{key: row[key] for key in row if ordered or key != "row"} for row in expected]


@pytest.fixture
def many(store: Store) -> pd.DataFrame:
    """80 groups of 12 records, written to many.parquet."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"site": np.repeat(np.arange(80), 12), "x": random.normal(size=960), "y": random.normal(size=960)})
    table.to_parquet("many.parquet")
    return table


def test_many_groups_arrive_in_slices_each_is_computed_once_and_they_are_sorted_as_numbers(
    store: Store,
    step: Steps,
    session: SparkSession,
    many: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter, computed = session.sparkContext.accumulator(0), list[int]()
    fit_group, log_one = workers.fit_group, driver.log_on_driver

    def count_groups(records: pd.DataFrame, settings: SweepSettings) -> GroupResult:
        counter.add(1)
        return fit_group(records, settings)

    def note_progress(*arguments: Any) -> LoggedGroup:
        computed.append(counter.value)
        return log_one(*arguments)

    monkeypatch.setattr("penguins.sweep.workers.fit_group", count_groups)
    monkeypatch.setattr("penguins.sweep.driver.log_on_driver", note_progress)
    assert step(dbscan_sweep, data="many.parquet", group_by="site", features="x,y", eps="0.5,1", runs="groups") == 0
    assert capfd.readouterr().err == ""
    assert counter.value == 80
    assert computed[0] < 80, "the first are logged while others are still computed"
    table = results(store, store.only("dbscan_sweep"))
    assert list(zip(table["site"], table["eps"], strict=True)) == [(site, eps) for site in range(80) for eps in (0.5, 1)]
    for site in (0, 41, 79):
        X = StandardScaler().fit_transform(many.loc[many["site"] == site, ["x", "y"]])
        labels = DBSCAN(eps=0.5, min_samples=3).fit_predict(X)
        row = table[(table["site"] == site) & (table["eps"] == 0.5)].iloc[0]
        assert row["n_clustered_records"] == (labels != -1).sum()


def test_models_that_are_too_large_to_travel_fail_their_group_with_the_remedy(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("penguins.sweep.transfer.LARGEST_PAYLOAD", 52_000)
    assert step(dbscan_sweep, eps="0.3,0.5,0.9,1.1,1.5") == 1
    assert "run with log_from=executors, or with models=best or none" in capfd.readouterr().err
    sweep = store.only("dbscan_sweep")
    assert statuses(store.children(sweep)) == {"Biscoe": "FAILED", "Dream": "FAILED", "Torgersen": "FINISHED"}
    table = results(store, sweep)
    assert table.loc[table["island"] == "Dream", "eps"].tolist() == [0.3, 0.5, 0.9, 1.1, 1.5]


def test_a_store_that_fails_ends_the_sweep_with_the_way_to_continue(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MlflowException("no answer\nfrom the store")

    monkeypatch.setattr("penguins.sweep.driver.log_group", fail)
    context = sweep_context(store.client.create_run("1").info.run_id, SETTINGS, n_groups=3, data="penguins")
    with pytest.raises(WorkError) as failed:
        log_on_driver(fitted_group("Torgersen", SETTINGS), context)
    assert str(failed.value) == (
        "The runs of 'Torgersen' could not be logged: MlflowException: no answer from the store. "
        "What was logged before is kept: the same command with -P resume=true does the rest."
    )


@pytest.mark.parametrize(
    ("log_from", "spark", "uri", "serverless", "rule"),
    [
        ("driver", "spark://elsewhere:7077", "sqlite:////a/mlflow.db", False, ""),
        ("executors", "local[2]", "sqlite:////a/mlflow.db", False, ""),
        ("executors", "connect-local[2]", "sqlite:////a/mlflow.db", False, ""),
        ("executors", "spark://elsewhere:7077", "http://elsewhere:5000", False, ""),
        ("executors", "active", "sqlite:////a/mlflow.db", False, ""),  # the session of the tests is local
        ("executors", "spark://elsewhere:7077", "sqlite:////a/mlflow.db", False, UNREACHABLE),
        ("executors", "sc://elsewhere", "/a/mlruns", False, UNREACHABLE),
        ("driver", "active", "databricks", True, ""),
        ("executors", "active", "databricks", True, SERVERLESS),
    ],
)
def test_executors_may_log_only_to_a_store_that_they_can_reach(
    session: SparkSession, monkeypatch: pytest.MonkeyPatch, log_from: str, spark: str, uri: str, serverless: bool, rule: str
) -> None:
    monkeypatch.setattr("penguins.sweep.spark_groups.absolute_tracking_uri", lambda: uri)
    monkeypatch.setattr("penguins.sweep.spark_groups.is_in_databricks_serverless_runtime", lambda: serverless)
    parameters = dbscan_sweep.Parameters(log_from=log_from, spark=spark)
    if rule:
        with pytest.raises(InputError, match=f"^The 'log_from' parameter {rule}.* Got 'executors'"):
            require_shared_store(parameters, session)
    else:
        require_shared_store(parameters, session)
