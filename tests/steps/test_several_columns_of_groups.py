"""Sweeps whose groups are made by several columns: `group_by=site,month`."""

import json

import dbscan_sweep
import numpy as np
import pandas as pd
import pytest
from heartbeats import DEAD, set_heartbeat
from mlflow.entities import Run
from pyspark.sql import SparkSession
from stores import Steps, Store
from sweeps import results

KEYS = [("a", "2"), ("a", "10"), ("NA", "2"), ("NA", "10")]
NAMES = [f"{site}, {month}" for site, month in KEYS]
SORTED_NAMES = ["NA, 2", "NA, 10", "a, 2", "a, 10"]


def months() -> pd.DataFrame:
    """Return 12 records for each of two sites in each of two months, in no order; NA is the name of a site."""
    random = np.random.default_rng(0)
    rows = [{"site": site, "month": int(month), "size": random.normal()} for site, month in KEYS for _ in range(12)]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """The table of `months`, as the file t.csv."""
    months().to_csv("t.csv", index=False)
    return months()


PARAMETERS = {"data": "t.csv", "group_by": "site,month", "features": "size", "eps": "0.3,0.5"}


def die(store: Store, run: Run) -> None:
    """Leave a run as a process does that was killed."""
    store.client.update_run(run.info.run_id, status="RUNNING")
    set_heartbeat(store.client, run.info.run_id, DEAD)


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_each_pair_of_values_is_a_group_and_the_tables_have_both_columns(
    store: Store,
    step: Steps,
    session: SparkSession,
    table: pd.DataFrame,
    log_from: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert step(dbscan_sweep, **PARAMETERS, log_from=log_from) == 0
    sweep = store.only("dbscan_sweep")
    assert sweep.data.params["group_by"] == "site,month"
    assert sweep.data.metrics["n_groups"] == 4
    text = store.artifact(sweep, "results.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in text[:3]] == [["site", "month", "eps"], ["NA", "2", "0.3"], ["NA", "2", "0.5"]]
    found = pd.read_csv(store.artifact(sweep, "results.csv"), keep_default_na=False)
    assert [f"{row.site}, {row.month}" for row in found.itertuples()] == [name for name in SORTED_NAMES for _ in range(2)]
    assert set(found["n_records"]) == {12}
    as_json = json.loads(store.artifact(sweep, "results.json").read_text())
    assert as_json["columns"] == text[0].split(",")
    assert [row[:2] for row in as_json["data"]] == [line.split(",")[:2] for line in text[1:]]
    assert "metrics_by_eps.png" in store.artifacts(sweep)
    groups = store.children(sweep)
    assert set(groups) == set(NAMES)
    for name, group in groups.items():
        assert (group.data.params["group"], group.data.tags["group"]) == (name, name)
        own = store.artifact(group, "results.csv").read_text().splitlines()
        assert own[0] == text[0]
        assert {", ".join(line.split(",")[:2]) for line in own[1:]} == {name}
        children = store.children(group)
        assert set(children) == {f"{name}-eps0.3", f"{name}-eps0.5"}
        assert {child.data.params["group"] for child in children.values()} == {name}
    assert "of 4 groups:" in capfd.readouterr().out


def test_a_group_of_two_columns_is_clustered_as_its_records_alone_are(
    store: Store, step: Steps, session: SparkSession, table: pd.DataFrame
) -> None:
    assert step(dbscan_sweep, **PARAMETERS, runs="groups") == 0
    found = pd.read_csv(store.artifact(store.only("dbscan_sweep"), "results.csv"), keep_default_na=False)
    table[(table["site"] == "a") & (table["month"] == 2)].to_csv("one.csv", index=False)
    assert step(dbscan_sweep, data="one.csv", features="size", eps="0.3,0.5", runs="groups", experiment="one") == 0
    [alone] = [run for run in store.runs("one") if run.info.run_name == "dbscan_sweep"]
    same = ["n_clusters", "n_clustered_records", "silhouette"]
    of_group = found.loc[(found["site"] == "a") & (found["month"] == 2), same].astype(float)
    assert len(of_group) == 2
    assert of_group.to_numpy().tolist() == results(store, alone)[same].to_numpy().tolist()


def test_the_columns_have_the_order_in_which_they_were_given_and_are_no_features(
    store: Store, step: Steps, session: SparkSession, table: pd.DataFrame
) -> None:
    assert step(dbscan_sweep, data="t.csv", group_by="[month, site]", eps="0.5", runs="groups", models="none") == 0
    sweep = store.only("dbscan_sweep")
    assert list(results(store, sweep).columns[:3]) == ["month", "site", "eps"]
    assert sweep.data.tags["features"] == "size"
    assert set(store.children(sweep)) == {f"{month}, {site}" for site, month in KEYS}


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_a_sweep_of_two_columns_is_resumed(
    store: Store, step: Steps, session: SparkSession, table: pd.DataFrame, capfd: pytest.CaptureFixture[str], log_from: str
) -> None:
    more = PARAMETERS | {"log_from": log_from}
    assert step(dbscan_sweep, **more) == 0
    dead = store.only("dbscan_sweep")
    expected = store.artifact(dead, "results.csv").read_text()
    store.client.update_run(store.children(dead)["a, 10"].info.run_id, status="RUNNING")
    die(store, dead)
    assert step(dbscan_sweep, **more, resume=True) == 0
    assert "resume: 3 of 4 groups are taken over" in capfd.readouterr().out
    sweep = store.only_finished("dbscan_sweep")
    assert set(store.children(sweep)) == set(NAMES)
    columns = expected.partition("\n")[0].split(",")
    place = columns.index("model_path")
    without_models = [
        [line.split(",")[:place] + line.split(",")[place + 1 :] for line in text.splitlines()]
        for text in (expected, store.artifact(sweep, "results.csv").read_text())
    ]
    assert without_models[0] == without_models[1]
    assert step(dbscan_sweep, **more, resume=True) == 0
    printed = capfd.readouterr().out
    assert "nothing is left to do" in printed
    assert "of 4 groups:" in printed


def test_two_groups_that_would_have_the_same_name_are_refused(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    frame = pd.DataFrame({"one": ["a, b", "a"] * 6, "other": ["c", "b, c"] * 6, "size": np.arange(12.0)})
    frame.to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", group_by="one,other", features="size") == 2
    printed = capfd.readouterr().err
    assert printed == (
        "error: The 'group_by' parameter must name columns whose values, joined by ', ', tell the groups apart. "
        "Got 'one,other', with ('a', 'b, c') and ('a, b', 'c'), both called 'a, b, c': change these values in the table.\n"
    )
    assert step(dbscan_sweep, data="t.parquet", group_by="one", features="size", eps="0.5", runs="groups") == 0


def test_a_column_whose_name_holds_a_comma_is_written_as_a_json_list(
    store: Store, step: Steps, session: SparkSession, table: pd.DataFrame
) -> None:
    table.rename(columns={"site": "site, code"}).to_csv("t.csv", index=False)
    for number, columns in enumerate((["site, code"], ["site, code", "month"])):
        parameters = PARAMETERS | {"group_by": json.dumps(columns)}
        assert step(dbscan_sweep, **parameters, runs="groups", experiment=f"{number}") == 0
        [sweep] = [run for run in store.runs(f"{number}") if run.info.run_name == "dbscan_sweep"]
        assert sweep.data.metrics["n_groups"] == 2 * len(columns)
        assert list(results(store, sweep).columns[: len(columns) + 1]) == [*columns, "eps"]


def test_a_table_that_spark_reads_is_grouped_by_two_columns(
    store: Store, step: Steps, session: SparkSession, table: pd.DataFrame
) -> None:
    session.createDataFrame(table).createOrReplaceTempView("months")
    assert step(dbscan_sweep, **(PARAMETERS | {"data": "months"}), runs="groups") == 0
    sweep = store.only("dbscan_sweep")
    assert set(store.children(sweep)) == set(NAMES)
    assert sweep.data.metrics["n_groups"] == 4


@pytest.mark.parametrize(
    ("group_by", "line"),
    [
        (
            "site,mnth",
            "The 'group_by' parameter must name columns of the table. Got 'mnth', which it does not have. Did you mean",
        ),
        ("site,size", "The 'group_by' parameter must not name a column of the 'features' parameter. Got 'size' in both."),
        ("site,eps", "The 'group_by' parameter must not name a column that has the name of a result. Got 'eps'"),
        ("none,site", "The 'group_by' parameter must be auto, none, the name of a column, or a list without repetition"),
        ("site,auto", "The 'group_by' parameter must be auto, none, the name of a column, or a list without repetition"),
        ("site,site", "The 'group_by' parameter must be auto, none, the name of a column, or a list without repetition"),
    ],
)
def test_wrong_columns_are_refused_in_one_line(
    store: Store,
    step: Steps,
    session: SparkSession,
    table: pd.DataFrame,
    capfd: pytest.CaptureFixture[str],
    group_by: str,
    line: str,
) -> None:
    table.assign(eps=1).to_csv("t.csv", index=False)
    assert step(dbscan_sweep, **(PARAMETERS | {"group_by": group_by})) == 2
    printed = capfd.readouterr().err
    assert printed.startswith(f"error: {line}")
    assert printed.count("\n") == 1
