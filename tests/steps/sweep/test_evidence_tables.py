"""The tables of evidence of a sweep: records with their cluster at every value, and how far the records are apart."""

from pathlib import Path
from typing import Any

import dbscan_sweep
import hdbscan_sweep
import kmeans_sweep
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from heartbeats import DEAD, set_heartbeat
from mlflow.entities import Run
from pyspark.sql import SparkSession
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from stores import SEED_ROWS, Steps, Store
from sweeps import FEATURES, ISLANDS, results

EPS = (0.5, 0.9, 1.1)


def points_of(store: Store, run: Run) -> pd.DataFrame:
    return pd.read_parquet(store.artifact(run, "points.parquet"))


def distances_of(store: Store, run: Run) -> pd.DataFrame:
    return pd.read_csv(store.artifact(run, "k_distances.csv"), keep_default_na=False)


def labels_of(points: pd.DataFrame) -> list[list[int]]:
    """Return the labels of the points, value by value."""
    found: list[list[int]] = np.stack(points["labels"].tolist()).T.tolist()
    return found


def penguins() -> pd.DataFrame:
    return pd.read_csv(SEED_ROWS).dropna()


def sites() -> pd.DataFrame:
    """Return three sites of 70 records, shuffled, with gaps, an id of text and one of large numbers."""
    random = np.random.default_rng(3)
    table = pd.DataFrame(random.normal(size=(210, 2)).round(2), columns=["x", "y"])
    table["site"] = np.repeat(["9", "10", "b"], 70)
    table["name"] = [f"{number:03}" for number in range(210)]
    table["code"] = pd.array(2**58 + np.arange(210), dtype="Int64")
    for column in ("x", "site", "code"):
        table.loc[random.choice(210, 8, replace=False), column] = None
    return table.sample(frac=1, random_state=1).reset_index(drop=True)


SITES = {"group_by": "site", "features": "x,y", "eps": "0.3,0.5", "min_samples": "3,5", "id": "name,code"}


def test_each_penguin_has_its_label_at_every_value_in_the_order_of_the_results(
    store: Store, step: Steps, session: SparkSession
) -> None:
    assert step(dbscan_sweep, eps=EPS, min_samples="3,5") == 0
    sweep = store.only("dbscan_sweep")
    points, table = points_of(store, sweep), results(store, sweep)
    assert list(points) == ["island", "row", *FEATURES, "labels"]
    assert [str(points[name].dtype) for name in points] == ["object", "int64", *["float64"] * 4, "object"]
    file = pq.read_schema(store.artifact(sweep, "points.parquet"))
    assert str(file.field("labels").type) in ("list<item: int32>", "list<element: int32>")
    assert points["island"].unique().tolist() == ISLANDS
    everything = penguins()
    for island in ISLANDS:
        rows = everything[everything["island"] == island]
        found = points[points["island"] == island]
        assert found["row"].tolist() == rows.index.tolist()
        assert found[FEATURES].to_numpy().tolist() == rows[FEATURES].to_numpy().tolist()
        X = StandardScaler().fit_transform(rows[FEATURES])
        of_island = table[table["island"] == island]
        values = list(zip(of_island["eps"], of_island["min_samples"], strict=True))
        assert len(values) == 6
        assert labels_of(found) == [DBSCAN(eps=eps, min_samples=number).fit_predict(X).tolist() for eps, number in values]


def test_the_distances_are_those_to_the_nearest_records_in_the_space_of_eps(
    store: Store, step: Steps, session: SparkSession
) -> None:
    assert step(dbscan_sweep, eps=EPS, min_samples="3,5", models="none") == 0
    distances = distances_of(store, store.only("dbscan_sweep"))
    assert list(distances) == ["island", "min_samples", "share", "distance"]
    assert distances["island"].unique().tolist() == ISLANDS
    rows = penguins()
    for (island, number), curve in distances.groupby(["island", "min_samples"]):
        X = StandardScaler().fit_transform(rows.loc[rows["island"] == island, FEATURES])
        nearest, _ = NearestNeighbors(n_neighbors=number).fit(X).kneighbors(X)
        expected = np.sort(nearest[:, -1])
        ranks = (curve["share"] * (len(X) - 1)).round().astype(int)
        assert len(curve) == min(64, len(X))
        assert (ranks.iloc[0], ranks.iloc[-1]) == (0, len(X) - 1)
        assert curve["distance"].tolist() == pytest.approx(expected[ranks])


@pytest.mark.parametrize(
    "changes",
    [{}, {"log_from": "executors"}, {"models": "none", "runs": "groups"}, {"data": "t.parquet"}],
    ids=["driver", "executors", "no models", "parquet"],
)
def test_a_sample_has_the_ids_the_places_and_the_groups_of_the_results_however_it_is_logged(
    store: Store, step: Steps, session: SparkSession, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penguins.sweep.evidence.MOST_OF_GROUP", 40)
    table = sites()
    table.to_csv("t.csv", index=False)
    table.to_parquet("t.parquet", index=False)
    assert step(dbscan_sweep, **{"data": "t.csv", "models": "best", **SITES, **changes}) == 0
    sweep = store.only("dbscan_sweep")
    points = points_of(store, sweep)
    assert list(points) == ["site", "row", "name", "code", "x", "y", "labels"]
    assert points["site"].tolist() == ["9"] * 40 + ["10"] * 40 + ["b"] * 40
    assert all(rows["row"].is_monotonic_increasing for _, rows in points.groupby("site"))
    of_table = table.iloc[points["row"]].reset_index(drop=True)
    assert str(points["code"].dtype) == "Int64"
    for name in ("site", "name", "code", "x", "y"):
        assert points[name].fillna(-1).tolist() == of_table[name].fillna(-1).tolist()
    clusters = pd.read_parquet(store.artifact(sweep, "clusters.parquet"))
    of_values = results(store, sweep).astype({"site": str})
    places = {site: rows["best"].tolist().index(True) for site, rows in of_values.groupby("site") if rows["best"].any()}
    assert places
    for site, place in places.items():
        of_site = points[points["site"] == site]
        assert labels_of(of_site)[place] == clusters["cluster"][of_site["row"]].tolist()
    assert distances_of(store, sweep)["site"].astype(str).unique().tolist() == ["9", "10", "b"]


def test_a_table_that_spark_reads_has_the_same_points_under_their_ids(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = sites()
    table.to_parquet("t.parquet", index=False)
    found = []
    for number, data in enumerate(("t.parquet", Path("t.parquet").resolve().as_uri())):
        assert step(dbscan_sweep, **{"data": data, "models": "none", **SITES, "experiment": f"number {number}"}) == 0
        [sweep] = [run for run in store.runs(f"number {number}") if run.info.run_name == "dbscan_sweep"]
        found.append((points_of(store, sweep), distances_of(store, sweep)))
    (here, distances), (in_spark, distances_in_spark) = found
    assert list(in_spark) == ["site", "name", "code", "x", "y", "labels"]
    assert str(in_spark["code"].dtype) == "Int64"
    ordered = in_spark.set_index("name").loc[here["name"]].reset_index()
    pd.testing.assert_frame_equal(ordered[["site", "name", "code", "x", "y"]], here[["site", "name", "code", "x", "y"]])
    noise = [[label == -1 for label in labels] for labels in ordered["labels"]]
    assert noise == [[label == -1 for label in labels] for labels in here["labels"]]
    pd.testing.assert_frame_equal(distances, distances_in_spark)


def test_a_feature_that_is_also_an_id_stands_once_and_a_table_without_groups_is_one(
    store: Store, step: Steps, session: SparkSession
) -> None:
    sites().to_csv("t.csv", index=False)
    assert step(dbscan_sweep, data="t.csv", features="x,y", id="x,name", eps=EPS) == 0
    points = points_of(store, store.only("dbscan_sweep"))
    assert list(points) == ["group", "row", "name", "x", "y", "labels"]
    assert set(points["group"]) == {"all"}


def test_hdbscan_shows_its_labels_and_its_distances(store: Store, step: Steps, session: SparkSession) -> None:
    assert step(hdbscan_sweep, min_cluster_size="5,8", min_samples="4", models="none", runs="groups") == 0
    sweep = store.only("hdbscan_sweep")
    points = points_of(store, sweep)
    X = StandardScaler().fit_transform(penguins().query("island == 'Dream'")[FEATURES])
    fitted = [HDBSCAN(min_cluster_size=size, min_samples=4, copy=True).fit_predict(X).tolist() for size in (5, 8)]
    assert labels_of(points[points["island"] == "Dream"]) == fitted
    assert set(distances_of(store, sweep)["min_samples"]) == {4}


def test_k_means_shows_its_labels_and_no_distances(store: Store, step: Steps, session: SparkSession) -> None:
    assert step(kmeans_sweep, n_clusters="3,2", models="none", runs="groups") == 0
    sweep = store.only("kmeans_sweep")
    points = points_of(store, sweep)
    X = StandardScaler().fit_transform(penguins().query("island == 'Dream'")[FEATURES])
    fitted = [KMeans(number, random_state=0).fit_predict(X).tolist() for number in (2, 3)]
    assert labels_of(points[points["island"] == "Dream"]) == fitted
    assert "k_distances.csv" not in store.artifacts(sweep)


@pytest.mark.parametrize("eps", ["0.5,0.9", "auto:6"])
def test_a_resumed_sweep_shows_the_groups_that_it_takes_over_as_the_others(
    store: Store, step: Steps, session: SparkSession, eps: str
) -> None:
    parameters = {"eps": eps, "min_samples": "3,5", "models": "best"}
    assert step(dbscan_sweep, **parameters) == 0
    sweep = store.only("dbscan_sweep")
    points, distances = points_of(store, sweep), distances_of(store, sweep)
    store.client.update_run(sweep.info.run_id, status="RUNNING")
    set_heartbeat(store.client, sweep.info.run_id, DEAD)
    store.client.set_terminated(store.only(ISLANDS[1]).info.run_id, "KILLED")
    assert step(dbscan_sweep, **parameters, resume="true") == 0
    resumed = store.only_finished("dbscan_sweep")
    pd.testing.assert_frame_equal(points_of(store, resumed), points)
    pd.testing.assert_frame_equal(distances_of(store, resumed), distances)


def test_a_group_that_failed_is_in_no_table_of_evidence_and_one_without_a_best_value_is(
    store: Store, step: Steps, session: SparkSession
) -> None:
    table = pd.DataFrame(
        {"g": np.repeat(["bad", "far", "fine"], 12), "x": [*[1.0, np.inf] * 6, *2.0 ** np.arange(12), *[0.0, 1, 9] * 4]}
    )
    table.to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", group_by="g", features="x", eps="0.0001,0.001") == 1
    sweep = store.only("dbscan_sweep")
    points = points_of(store, sweep)
    assert points["g"].unique().tolist() == distances_of(store, sweep)["g"].unique().tolist() == ["far", "fine"]
    table_of_results = results(store, sweep)
    assert not table_of_results.loc[table_of_results["g"] == "far", "best"].any()
    assert labels_of(points[points["g"] == "far"]) == [[-1] * 12] * 2


def test_where_every_group_failed_the_tables_have_only_their_columns(store: Store, step: Steps, session: SparkSession) -> None:
    pd.DataFrame({"g": ["a"] * 4, "x": [1.0, np.inf, 2, 3]}).to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", group_by="g", features="x") == 1
    sweep = store.only("dbscan_sweep")
    points = points_of(store, sweep)
    assert (list(points), len(points)) == (["g", "row", "x", "labels"], 0)
    assert len(distances_of(store, sweep)) == 0


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"group_by": "labels"}, "The 'group_by' parameter must not name a column that has the name of a result. Got 'labels'"),
        ({"id": "labels"}, "The 'id' parameter must not name a column that has the name of a result. Got 'labels'"),
        ({"group_by": "distance"}, "The 'group_by' parameter must not name a column that has the name of a result. Got 'dist"),
        (
            {"features": "x,labels"},
            "The 'features' parameter must not name a column that has the name of a result. Got 'labels'",
        ),
        ({"features": "row"}, "The 'features' parameter must not name a column that has the name of a result. Got 'row'"),
        ({"features": "group"}, "The 'features' parameter must not name a column that has the name of a result. Got 'group'"),
    ],
)
def test_columns_with_the_names_of_the_evidence_are_refused(
    store: Store, step: Steps, session: SparkSession, changes: dict[str, Any], line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sites().assign(row=1, labels=2, distance=3, group=4).to_csv("t.csv", index=False)
    assert step(dbscan_sweep, **{"data": "t.csv", "features": "x,y"} | changes) == 2
    assert line in capfd.readouterr().err


def test_k_means_takes_groups_that_are_called_distance(store: Store, step: Steps, session: SparkSession) -> None:
    sites().rename(columns={"site": "distance"}).to_csv("t.csv", index=False)
    assert step(kmeans_sweep, data="t.csv", group_by="distance", features="x,y", n_clusters="2") == 0
