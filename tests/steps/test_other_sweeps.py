"""The sweeps of k-means and HDBSCAN: the same tree, table, picture, resume and places of logging as that of DBSCAN."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import hdbscan_sweep
import kmeans_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
from servers import environment
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.preprocessing import StandardScaler
from stores import SEED_ROWS, Steps, Store
from sweeps import FEATURES, ISLANDS, results

KMEANS, HDBSCAN_ = {"n_clusters": "4,2"}, {"min_cluster_size": "5,20"}
SWEEPS = [(kmeans_sweep, KMEANS), (hdbscan_sweep, HDBSCAN_)]
# Loads models without this project, from a folder of its own, and prints what they predict.
PREDICT = """
import json, sys
import mlflow, pandas as pd
rows = pd.read_csv(sys.argv[1])
print(json.dumps([mlflow.pyfunc.load_model(uri).predict(rows).tolist() for uri in sys.argv[2:]]))
print([name for name in sys.modules if name == "penguins" or name.startswith("penguins.")])
"""

TABLES = {"results.csv", "results.json", "clusters.png", "clusters.parquet", "cluster_profiles.csv", "points.parquet"}


def island(name: str) -> pd.DataFrame:
    penguins = pd.read_csv(SEED_ROWS)
    return penguins[penguins["island"] == name].dropna()[FEATURES].reset_index(drop=True)


def test_kmeans_logs_a_run_for_each_island_and_number_with_its_metrics_and_model(store: Store, step: Steps) -> None:
    assert step(kmeans_sweep, **KMEANS) == 0
    sweep = store.only("kmeans_sweep")
    assert store.artifacts(sweep) == {*TABLES, "metrics_by_n_clusters.png"}
    assert sweep.data.metrics["groups_with_best_n_clusters"] == 3
    assert sweep.data.tags["features"] == ",".join(FEATURES)
    assert sweep.data.tags["group_by"] == "island"
    table = results(store, sweep)
    assert list(table.columns) == [
        *("island", "n_clusters", "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw", "n_clustered_records"),
        *("model_path", "reason", "dbcv", "n_records", "coverage", "best", "warning", "estimated"),
    ]
    assert table[["island", "n_clusters"]].values.tolist() == [[name, number] for name in ISLANDS for number in (2, 4)]
    for name, group in store.children(sweep).items():
        X = StandardScaler().fit_transform(island(name))
        children = store.children(group)
        assert set(children) == {f"{name}-n_clusters2", f"{name}-n_clusters4"}
        for number in (2, 4):
            child = children[f"{name}-n_clusters{number}"]
            plain = KMeans(n_clusters=number, random_state=0).fit(X)
            assert child.data.params == {"group": name, "n_clusters": str(number)}
            assert mlflow.sklearn.load_model(store.model_uri(child))["kmeans"].labels_.tolist() == plain.labels_.tolist()
            assert child.data.metrics["n_clusters"] == number
        assert [point.value for point in store.client.get_metric_history(group.info.run_id, "by_n_clusters/n_clusters")] == [
            2,
            4,
        ]
        best = table[(table["island"] == name) & table["best"]]
        assert best["silhouette"].tolist() == [table.loc[table["island"] == name, "silhouette"].max()]
        assert group.data.metrics["silhouette"] == pytest.approx(best["silhouette"].tolist()[0])


def test_hdbscan_logs_proposed_sizes_for_each_island_and_min_samples(store: Store, step: Steps) -> None:
    assert step(hdbscan_sweep, min_cluster_size="auto:4", min_samples="3,5") == 0
    sweep = store.only("hdbscan_sweep")
    assert store.artifacts(sweep) == {*TABLES, "k_distances.csv", "metrics_by_min_cluster_size.png"}
    table = results(store, sweep)
    assert table["min_cluster_size"].dtype == table["min_samples"].dtype == np.int64
    for name, group in store.children(sweep).items():
        X = StandardScaler().fit_transform(island(name))
        rows = table[table["island"] == name]
        assert len(rows) == 8
        sizes = rows["min_cluster_size"]
        assert group.data.tags["min_cluster_size_grid"] == "; ".join(
            f"{sizes.min()} to {sizes.max()} (min_samples {number})" for number in (3, 5)
        )
        assert store.artifacts(group) == {"results.csv"}
        for size, number, uri in rows[["min_cluster_size", "min_samples", "model_path"]].itertuples(index=False):
            plain = HDBSCAN(min_cluster_size=size, min_samples=number, copy=True).fit(X)
            assert mlflow.sklearn.load_model(uri)["hdbscan"].labels_.tolist() == plain.labels_.tolist()
        assert f"{name}-min_cluster_size5-min_samples3" in store.children(group)
        assert "by_min_cluster_size/min_samples5/silhouette" in group.data.metrics


def test_the_models_predict_in_another_process_without_this_project(store: Store, step: Steps, tmp_path: Path) -> None:
    rows = island("Biscoe").astype({"flipper_length_mm": int, "body_mass_g": int})
    (tmp_path / "elsewhere").mkdir()
    rows.to_csv(tmp_path / "elsewhere" / "rows.csv", index=False)
    uris, labels = [], []
    for module, values in SWEEPS:
        assert step(module, **values) == 0
        table = results(store, store.only(module.NAME))
        for uri in table.loc[table["island"] == "Biscoe", "model_path"]:
            uris.append(uri)
            labels.append(mlflow.sklearn.load_model(uri)[-1].labels_)
    command = [sys.executable, "-c", PREDICT, "rows.csv", *uris]
    variables = environment(MLFLOW_TRACKING_URI=store.uri)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables, cwd=tmp_path / "elsewhere")
    predicted, modules = done.stdout.splitlines()[-2:]
    assert modules == "[]"
    for found, expected in zip(json.loads(predicted), labels, strict=True):
        is_clustered = expected >= 0
        assert is_clustered.sum() > 100
        assert np.array(found)[is_clustered].tolist() == expected[is_clustered].tolist()


@pytest.mark.parametrize(("module", "values"), SWEEPS, ids=["kmeans", "hdbscan"])
def test_executors_log_the_same_and_a_finished_sweep_is_only_shown(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], module: ModuleType, values: dict[str, str]
) -> None:
    assert step(module, **values, models="best") == 0
    first = store.only(module.NAME)
    assert step(module, **values, models="best", log_from="executors") == 0
    [other] = [run for run in store.runs() if run.info.run_name == module.NAME and run.info.run_id != first.info.run_id]
    one, two = (results(store, run) for run in (first, other))
    assert one["model_path"].notna().tolist() == one["best"].tolist()
    pd.testing.assert_frame_equal(one.drop(columns="model_path"), two.drop(columns="model_path"))
    capfd.readouterr()
    assert step(module, **values, models="best", resume=True) == 0
    shown = capfd.readouterr().out
    assert f"the run {other.info.run_id} has finished this work" in shown
    assert "Biscoe" in shown
    assert len([run for run in store.runs() if run.info.run_name == module.NAME]) == 2


def test_a_table_of_ones_own_is_one_group_of_all_its_numbers(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(30, 2)), columns=["size", "weight"]).assign(kind="x", size=lambda x: x["size"] + 9)
    table.to_csv("own.csv", index=False)
    for module, values in [(kmeans_sweep, KMEANS), (kmeans_sweep, {**KMEANS, "group_by": "none"}), (hdbscan_sweep, HDBSCAN_)]:
        assert step(module, data="own.csv", **values) == 0
        assert "features=auto: size, weight (left out: kind, a column of text)" in capfd.readouterr().out
    for sweep in store.runs():
        if sweep.info.run_name in ("kmeans_sweep", "hdbscan_sweep"):
            assert set(store.children(sweep)) == {"all"}
            found = results(store, sweep)
            assert found.columns[0] == "group"
            assert set(found["group"]) == {"all"}
            assert set(found["n_records"]) == {30}
            assert sweep.data.tags["features"] == "size,weight"


def test_k_means_needs_as_many_records_as_clusters_and_says_so(store: Store, step: Steps) -> None:
    pd.DataFrame({"a": [0.0, 0.1, 5.0, 5.1], "g": list("xxxy")}).to_csv("small.csv", index=False)
    assert step(kmeans_sweep, data="small.csv", group_by="g", features="a", n_clusters="2,3", resume=True) == 0
    table = results(store, store.only("kmeans_sweep"))
    assert table["reason"].fillna("").tolist() == [
        "dbcv: fewer than two clusters of two records or more",
        "as many clusters as clustered records: the indices need fewer",
        "the group has 1 of the 2 records that n_clusters needs",
        "the group has 1 of the 3 records that n_clusters needs",
    ]
    assert table["model_path"].notna().tolist() == [True, True, False, False]
    assert (
        table["warning"].tolist()[-1]
        == "the group has fewer records than n_clusters: try smaller n_clusters, or leave the group out"
    )
