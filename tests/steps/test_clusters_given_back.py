"""A sweep gives back the cluster of each row of the user's table, and a profile of each cluster."""

from pathlib import Path
from types import ModuleType

import dbscan_sweep
import hdbscan_sweep
import kmeans_sweep
import numpy as np
import pandas as pd
import pytest
from heartbeats import DEAD, set_heartbeat
from mlflow.entities import Run
from pyspark.sql import SparkSession
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.preprocessing import StandardScaler
from stores import SEED_ROWS, Steps, Store
from sweeps import FEATURES, ISLANDS, results

UNTIDY = {"data": "t.csv", "group_by": "site", "features": "x,y", "eps": "0.3,0.5,0.8", "id": "name,code"}
SHARED = ["row", "name", "code", "site", "eps", "cluster", "is_core"]


def untidy_table() -> pd.DataFrame:
    """Return three sites, shuffled, with gaps in every column, duplicates, and ids that a number would lose."""
    random = np.random.default_rng(3)
    centers = random.normal(scale=4, size=(6, 2))
    X = centers[random.integers(0, 6, 240)] + random.normal(scale=0.4, size=(240, 2))
    table = pd.DataFrame(X.round(2), columns=["x", "y"])
    table["site"] = random.choice(["a", "b", "NA"], 240)
    table["name"] = [f"{number:03}" for number in range(240)]
    table["code"] = pd.array(2**58 + np.arange(240), dtype="Int64")
    table = pd.concat([table, table.iloc[:20]], ignore_index=True)
    for column in ("x", "y", "site", "code"):
        table.loc[random.choice(260, 8, replace=False), column] = None
    return table.sample(frac=1, random_state=1).reset_index(drop=True)


def clusters_of(store: Store, run: Run | None = None) -> pd.DataFrame:
    return pd.read_parquet(store.artifact(run or store.only("dbscan_sweep"), "clusters.parquet"))


def profiles_of(store: Store, run: Run | None = None) -> pd.DataFrame:
    path = store.artifact(run or store.only("dbscan_sweep"), "cluster_profiles.csv")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def expected_dbscan(rows: pd.DataFrame, features: list[str], eps: float) -> DBSCAN:
    return DBSCAN(eps=eps, min_samples=3).fit(StandardScaler().fit_transform(rows[features]))


def require_labels_of_sklearn(clusters: pd.DataFrame, table: pd.DataFrame, group_by: str, features: list[str]) -> None:
    """Require the labels of scikit-learn's DBSCAN in every row that is complete, and nothing in the others."""
    complete = table[[group_by, *features]].notna().all(axis="columns")
    assert clusters["cluster"].notna().tolist() == complete.tolist()
    assert clusters["is_core"].notna().tolist() == complete.tolist()
    for _, rows in table[complete].groupby(group_by):
        found = clusters.loc[rows.index]
        [eps] = set(found["eps"])
        fitted = expected_dbscan(rows, features, eps)
        assert found["cluster"].tolist() == fitted.labels_.tolist()
        assert np.flatnonzero(found["is_core"]).tolist() == fitted.core_sample_indices_.tolist()


def test_each_penguin_has_its_cluster_and_those_that_were_left_out_have_none(
    store: Store, step: Steps, session: SparkSession
) -> None:
    assert step(dbscan_sweep) == 0
    clusters = clusters_of(store)
    assert list(clusters) == ["row", "island", "eps", "cluster", "is_core"]
    assert clusters["row"].tolist() == list(range(344))
    penguins = pd.read_csv(SEED_ROWS)
    assert clusters["island"].tolist() == penguins["island"].tolist()
    complete = penguins.where(penguins.notna().all(axis="columns"))
    require_labels_of_sklearn(clusters, complete, "island", FEATURES)
    table = results(store, store.only("dbscan_sweep"))
    assert clusters.groupby("island")["eps"].first().to_dict() == table[table["best"]].set_index("island")["eps"].to_dict()
    profiles = profiles_of(store)
    assert profiles.groupby("island")["size"].sum().to_dict() == complete["island"].value_counts().to_dict()
    assert profiles.groupby("island")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    for _, row in profiles[profiles["cluster"] != -1].iterrows():
        typical = penguins.iloc[int(row["typical_row"])]
        assert typical["island"] == row["island"]
        assert [typical[name] for name in FEATURES] == [row[f"{name}_typical"] for name in FEATURES]
        assert clusters["cluster"][int(row["typical_row"])] == row["cluster"]
        members = clusters[(clusters["island"] == row["island"]) & (clusters["cluster"] == row["cluster"])]
        assert row["body_mass_g_mean"] == pytest.approx(penguins["body_mass_g"][members["row"]].mean())


@pytest.mark.parametrize("log_from", ["driver", "executors"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_row_of_an_untidy_table_comes_back_in_its_order_with_its_ids(
    store: Store, step: Steps, session: SparkSession, kind: str, log_from: str
) -> None:
    table = untidy_table()
    table.to_csv("t.csv", index=False)
    table.to_parquet("t.parquet", index=False)
    assert step(dbscan_sweep, **UNTIDY | {"data": f"t.{kind}", "log_from": log_from}) == 0
    clusters = clusters_of(store)
    assert list(clusters) == SHARED
    assert clusters["row"].tolist() == list(range(260))
    assert clusters["name"].tolist() == table["name"].tolist()
    assert clusters["code"].fillna(-1).tolist() == table["code"].fillna(-1).tolist()
    assert clusters["site"].fillna("").tolist() == table["site"].fillna("").tolist()
    require_labels_of_sklearn(clusters, table, "site", ["x", "y"])
    profiles = profiles_of(store)
    typical = profiles[profiles["cluster"] != -1]
    assert [f"{name:03.0f}" for name in typical["typical_name"].astype(float)] == table["name"][typical["typical_row"]].tolist()


@pytest.mark.parametrize("form", ["csv", "parquet", "catalogue"])
def test_spark_gives_the_same_records_the_same_clusters(store: Store, step: Steps, session: SparkSession, form: str) -> None:
    table = untidy_table()
    table.to_csv("t.csv", index=False)
    table.to_parquet("t.parquet", index=False)
    session.read.parquet(Path("t.parquet").resolve().as_uri()).createOrReplaceTempView("untidy")
    data = "untidy" if form == "catalogue" else Path(f"t.{form}").resolve().as_uri()
    assert step(dbscan_sweep, **UNTIDY | {"data": data}) == 0
    clusters = clusters_of(store)
    assert list(clusters) == SHARED[1:]
    assert str(clusters["code"].dtype) == "Int64"
    assert len(clusters) == 260
    whole = table.assign(number=range(260)).sort_values(["name", "code", "site", "x", "y"])
    assert sorted(clusters["name"]) == whole["name"].tolist()
    assert sorted(clusters["code"].dropna()) == sorted(table["code"].dropna())
    complete = table[table[["site", "x", "y"]].notna().all(axis="columns")]
    assert clusters["cluster"].notna().sum() == len(complete)
    for site, rows in complete.groupby("site"):
        found = clusters[(clusters["site"] == site) & clusters["cluster"].notna()]
        [eps] = set(found["eps"])
        # The clusters are the same but for their numbers, which depend on the order of the records.
        labels = dict(zip(rows["name"], expected_dbscan(rows, ["x", "y"], eps).labels_, strict=True))
        pairs = {(number, labels[name]) for name, number in zip(found["name"], found["cluster"], strict=True)}
        assert len(pairs) == len(set(labels.values())) == found["cluster"].nunique()
        assert {number for number, label in pairs if label == -1} <= {-1}


@pytest.mark.parametrize(
    ("module", "swept"), [(kmeans_sweep, "n_clusters"), (hdbscan_sweep, "min_cluster_size")], ids=["kmeans", "hdbscan"]
)
def test_the_other_sweeps_give_back_their_labels(
    store: Store, step: Steps, session: SparkSession, module: ModuleType, swept: str
) -> None:
    table = untidy_table()
    table.to_csv("t.csv", index=False)
    assert step(module, data="t.csv", features="x,y", id="name") == 0
    clusters = clusters_of(store, store.only(module.NAME))
    assert list(clusters) == ["row", "name", "group", swept, "cluster", "is_core"]
    assert set(clusters["group"]) == {"all"}
    assert clusters["is_core"].isna().all()
    rows = table[table[["x", "y"]].notna().all(axis="columns")]
    X = StandardScaler().fit_transform(rows[["x", "y"]])
    value = int(clusters[swept][0])
    fitted = KMeans(value, random_state=0) if module is kmeans_sweep else HDBSCAN(value, min_samples=3, copy=True)
    assert clusters["cluster"].dropna().tolist() == fitted.fit(X).labels_.tolist()


def test_a_group_without_a_best_value_has_rows_without_clusters(store: Store, step: Steps, session: SparkSession) -> None:
    table = pd.DataFrame(
        {"g": ["a"] * 12 + ["b"] * 3, "x": [0.0, 0.1, 0.2, 0.3, 5, 5.1, 5.2, 5.3, 9, 9.1, 9.2, 9.3, 1, 50, 99]}
    )
    table.to_csv("t.csv", index=False)
    assert step(dbscan_sweep, data="t.csv", group_by="g", features="x", eps="0.1,0.2") == 0
    clusters = clusters_of(store)
    assert clusters["eps"].isna().tolist() == clusters["cluster"].isna().tolist() == [False] * 12 + [True] * 3
    assert set(profiles_of(store)["g"]) == {"a"}


def test_a_resumed_sweep_gives_back_the_clusters_of_the_groups_that_it_takes_over(
    store: Store, step: Steps, session: SparkSession
) -> None:
    assert step(dbscan_sweep, eps="0.5,0.9,1.1") == 0
    sweep = store.only("dbscan_sweep")
    before = clusters_of(store, sweep), profiles_of(store, sweep)
    store.client.update_run(sweep.info.run_id, status="RUNNING")
    set_heartbeat(store.client, sweep.info.run_id, DEAD)
    group = store.only(ISLANDS[1])
    store.client.set_terminated(group.info.run_id, "KILLED")
    assert step(dbscan_sweep, eps="0.5,0.9,1.1", resume="true") == 0
    resumed = store.only_finished("dbscan_sweep")
    pd.testing.assert_frame_equal(clusters_of(store, resumed), before[0])
    pd.testing.assert_frame_equal(profiles_of(store, resumed), before[1])


def test_a_long_table_comes_back_as_several_files_that_pandas_reads_as_one(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penguins.tracking.artifacts.ROWS_IN_FILE", 100)
    assert step(dbscan_sweep, eps="0.9", runs="groups", models="none") == 0
    folder = store.artifact(store.only("dbscan_sweep"), "clusters.parquet")
    assert sorted(path.name for path in folder.iterdir()) == [f"part-{number:05}.parquet" for number in range(4)]
    assert clusters_of(store)["row"].tolist() == list(range(344))


def test_names_survive_in_both_tables(store: Store, step: Steps, session: SparkSession) -> None:
    names = ["a,b", 'say "hi"', "carriage\rreturn", "line\nbreak", "<b>", "NA"]
    table = pd.DataFrame({"g": np.repeat(names, 12), "x": [0.1, 0.2, 0.3, 0.4, 5.1, 5.2, 5.3, 5.4, 9.1, 9.2, 9.3, 9.4] * 6})
    table.to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", group_by="g", features="x", eps="0.1,0.2", id="g") == 0
    assert clusters_of(store)["g"].tolist() == table["g"].tolist()
    with store.artifact(store.only("dbscan_sweep"), "cluster_profiles.csv").open(newline="") as file:
        assert set(pd.read_csv(file, keep_default_na=False)["g"]) == set(names)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"group_by": "cluster"}, "'group_by' parameter must not name a column that has the name of a result. Got 'cluster'"),
        ({"id": "row"}, "'id' parameter must not name a column that has the name of a result. Got 'row'"),
        (
            {"id": "nmae"},
            "'id' parameter must name columns of the table. Got 'nmae', which it does not have. Did you mean 'name'",
        ),
    ],
)
def test_columns_with_the_names_of_results_are_refused(
    store: Store, step: Steps, session: SparkSession, changes: dict[str, str], line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    untidy_table().assign(row=1, cluster=2).to_csv("t.csv", index=False)
    assert step(dbscan_sweep, **UNTIDY | changes) == 2
    assert line in capfd.readouterr().err
