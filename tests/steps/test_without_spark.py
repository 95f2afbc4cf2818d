"""Sweeps without Spark: the same results as with Spark, in this process and in others, and what is refused."""

from pathlib import Path
from types import ModuleType
from typing import Any

import dbscan_sweep
import hdbscan_sweep
import kmeans_sweep
import main
import mlflow
import numpy as np
import pandas as pd
import pytest
from heartbeats import DEAD, set_heartbeat
from hostile_names import HOSTILE
from mlflow.entities import Run
from pyspark.sql import SparkSession
from stores import Steps, Store

from penguins.errors import InputError
from penguins.sweep import process_groups
from penguins.sweep.process_groups import saves_time
from penguins.tracking.store import child_runs

NAMES = [*[name for name in HOSTILE if name.strip()][2::25], "NA", "null\0byte", "null\0other"]
PARAMETERS: dict[str, Any] = {
    "data": "t.parquet",
    "group_by": "name,month",
    "features": "x,y.z",
    "id": "label",
    "min_samples": "2",
}
SWEEPS: list[tuple[ModuleType, dict[str, Any]]] = [
    (dbscan_sweep, PARAMETERS | {"eps": "auto:3", "min_samples": "2,3"}),
    (hdbscan_sweep, PARAMETERS | {"min_cluster_size": "2,4"}),
    (kmeans_sweep, {name: value for name, value in PARAMETERS.items() if name != "min_samples"} | {"n_clusters": "2,3"}),
]


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """Two clusters in each of some groups with hostile names, with gaps and an id, in no order, as t.parquet."""
    random = np.random.default_rng(0)
    rows = [
        {
            "name": name,
            "month": 1 + place % 2,
            "x": 4 * (place % 4 < 2) + random.normal(),
            "y.z": random.normal(),
            "label": place,
        }
        for name in NAMES
        for place in range(20)
    ]
    made = pd.DataFrame(rows).sample(frac=1, random_state=0, ignore_index=True)
    made.loc[[3, 50], "x"] = np.nan
    made.loc[7, "name"] = None
    made.to_parquet("t.parquet")
    return made


def contents(store: Store, sweep: Run) -> dict[str, Any]:
    """Return all that a sweep has logged but ids, times and pictures."""
    found: dict[str, Any] = {
        "results": pd.read_csv(store.artifact(sweep, "results.csv"), keep_default_na=False).drop(columns="model_path"),
        "clusters": pd.read_parquet(store.artifact(sweep, "clusters.parquet")),
        "points": pd.read_parquet(store.artifact(sweep, "points.parquet")),
        "profiles": store.artifact(sweep, "cluster_profiles.csv").read_text(),
        "artifacts": store.artifacts(sweep),
        "dataset": [one.dataset.digest for one in sweep.inputs.dataset_inputs],
    }
    groups = child_runs(sweep.info.run_id, sweep.info.experiment_id)
    tree = [*groups, *[run for group in groups for run in child_runs(group.info.run_id, group.info.experiment_id)]]
    found["runs"] = sorted(
        (run.info.run_name, run.info.status, sorted(run.data.params.items()), sorted(run.data.metrics.items()))
        for run in [sweep, *tree]
        if run is not sweep or run.data.params.pop("spark")
    )
    return found


def require_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(found[name], value, check_exact=True, obj=name)
        else:
            assert found[name] == value, name


@pytest.mark.parametrize(("module", "parameters"), SWEEPS, ids=lambda value: getattr(value, "NAME", ""))
def test_a_sweep_without_spark_logs_the_same_as_one_with_spark(
    store: Store, step: Steps, session: SparkSession, table: pd.DataFrame, module: ModuleType, parameters: dict[str, Any]
) -> None:
    for where in ("active", "none"):
        assert step(module, **parameters, spark=where) == 0
    without, with_spark = [run for run in store.runs() if run.info.run_name == module.NAME]
    assert without.data.params["spark"] == "none"
    require_same(contents(store, without), contents(store, with_spark))
    rows = table.dropna().drop(columns="label")
    answers = [mlflow.pyfunc.load_model(store.model_uri(run)).predict(rows) for run in (without, with_spark)]
    pd.testing.assert_frame_equal(*answers)
    assert answers[0]["cluster"].notna().any()


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_processes_give_the_same_as_this_process(
    store: Store, step: Steps, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, log_from: str
) -> None:
    module, parameters = SWEEPS[0]
    assert step(module, **parameters, runs="groups", spark="none") == 0
    monkeypatch.setattr(process_groups, "SECONDS_TO_START", -1.0)
    monkeypatch.setattr(process_groups, "_results_here", lambda *_: pytest.fail("the groups are computed in this process"))
    assert step(module, **parameters, runs="groups", spark="none", log_from=log_from) == 0
    several, one = [contents(store, run) for run in store.runs() if run.info.run_name == module.NAME]
    if log_from == "executors":
        for found in (several, one):
            found["runs"] = [run[:2] for run in found["runs"]]
    require_same(several, one)


@pytest.mark.parametrize(("before", "after"), [("active", "none"), ("none", "active")])
def test_a_sweep_that_died_is_resumed_without_spark_and_the_other_way(
    store: Store,
    step: Steps,
    session: SparkSession,
    table: pd.DataFrame,
    capfd: pytest.CaptureFixture[str],
    before: str,
    after: str,
) -> None:
    module, parameters = SWEEPS[0]
    assert step(module, **parameters, spark=before, runs="groups") == 0
    dead = store.only(module.NAME)
    expected = contents(store, dead)
    groups = store.children(dead)
    store.client.update_run(next(iter(groups.values())).info.run_id, status="RUNNING")
    store.client.update_run(dead.info.run_id, status="RUNNING")
    set_heartbeat(store.client, dead.info.run_id, DEAD)
    assert step(module, **parameters, spark=after, runs="groups", resume=True) == 0
    assert f"resume: {len(groups) - 1} of {len(groups)} groups are taken over" in capfd.readouterr().out
    found = contents(store, store.only_finished(module.NAME))
    for one in (found, expected):
        one["runs"] = [run[:2] for run in one["runs"]]
    require_same(found, expected)


def test_a_pool_is_worth_its_start_only_for_much_work() -> None:
    assert not saves_time([163, 123, 47], n_values=9, n=2)
    assert not saves_time([50] * 10_000, n_values=9, n=1)
    assert saves_time([200] * 1000, n_values=9, n=2)
    assert saves_time([50_000, 50_000], n_values=9, n=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [("s3://bucket/t.parquet", "at a URI"), ("file:///t.parquet", "at a URI"), ("main.birds.seen", "a table of a catalogue")],
)
def test_data_that_only_spark_reads_is_refused_with_the_remedy(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], data: str, why: str
) -> None:
    assert step(dbscan_sweep, data=data, spark="none") == 2
    printed = capfd.readouterr().err
    assert printed.startswith("error: The 'spark' parameter must name a Spark where only Spark can read the table. Got none")
    assert why in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"group_by": "a,b", "features": "x"}, "both called 'a, b, c'"),
        ({"group_by": "a", "features": "b"}, "Got 'b', which holds text"),
        ({"features": "x,y", "metric": "haversine"}, "Got 'x', which holds 100: not in [-90, 90]"),
    ],
)
def test_what_spark_checks_in_a_table_is_checked_here(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], parameters: dict[str, str], message: str
) -> None:
    pd.DataFrame({"a": ["a, b", "a"], "b": ["c", "b, c"], "x": [1.0, 100.0], "y": [0.0, 1.0]}).to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", spark="none", **parameters) == 2
    assert message in capfd.readouterr().err


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")  # MLflow looks for git, too
    monkeypatch.delenv("JAVA_HOME", raising=False)


def test_the_default_does_without_spark_where_no_java_is_and_says_how_to_have_it(
    store: Store, step: Steps, no_java: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, eps="0.9", runs="groups") == 0
    [line] = [line for line in capfd.readouterr().out.splitlines() if "without Spark" in line]
    assert line.startswith("This runs without Spark, as with spark=none: no Java is found. To have Spark: Install it with")


@pytest.mark.parametrize("has_java", [True, False])
@pytest.mark.parametrize("named", [("all",), ("dbscan_sweep", "spark_logistic_regression")])
def test_main_leaves_the_step_of_spark_out_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], has_java: bool, named: tuple[str, ...]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path)) if has_java else monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for spark in ("none", "local[*]", "sc://host"):
        texts = {step: {"spark": spark} for step in ("dbscan_sweep", "spark_logistic_regression")}
        if spark == "sc://host" or (has_java and spark == "local[*]"):
            main.leave_out_spark(texts, named)
            assert len(texts) == 2
        elif named == ("all",):
            main.leave_out_spark(texts, named)
            assert list(texts) == ["dbscan_sweep"]
            assert capsys.readouterr().out.startswith("spark_logistic_regression is left out, because it needs Spark: ")
        else:
            with pytest.raises(InputError, match=r"'steps' parameter must name .* Got spark_logistic_regression: "):
                main.leave_out_spark(texts, named)


def test_a_step_of_spark_alone_is_no_main_without_spark() -> None:
    with pytest.raises(InputError, match="spark=none asks for none"):
        main.leave_out_spark({"spark_logistic_regression": {"spark": "none"}}, ("all",))
