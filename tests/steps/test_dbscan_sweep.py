"""The sweep as a whole: its tree of runs, its numbers for every island and eps, and each way of logging them."""

import json
from collections.abc import Iterator
from typing import Any

import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from pyspark.sql import SparkSession
from s_dbw import S_Dbw
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs, make_moons
from sklearn.preprocessing import StandardScaler
from stores import SEED_ROWS, Steps, Store
from sweeps import FEATURES, ISLANDS, fill_store, finished_sweep, model_statuses, results, statuses

from penguins.clustering import indices
from penguins.clustering.dbcv import dbcv
from penguins.clustering.indices import INDICES
from penguins.sweep import model_files

EPS = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5]
COUNTS = ["n_clusters", "n_clustered_records"]
EARLY = ["silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw"]
LATE = ["dbcv", "min_samples", "n_records", "coverage", "best", "warning", "estimated"]
COLUMNS = ["island", "eps", *EARLY, *COUNTS, "model_path", "reason", *LATE]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes, session: SparkSession) -> Store:
    """A sweep with all defaults, which is made once."""
    return finished_sweep(tmp_path_factory.mktemp("finished"), initialised_database)


@pytest.fixture
def sweep(finished: Store, store: Store) -> Run:
    """The run of a sweep with all defaults, in the test's own store."""
    fill_store(store, finished)
    return store.only("dbscan_sweep")


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Nothing may be printed on standard error."""
    yield capfd
    assert capfd.readouterr().err == ""


def library_results(island: str, eps: float) -> tuple[DBSCAN, dict[str, float]]:
    """Return what the libraries give, called plainly, and DBCV: the fitted DBSCAN and the metrics that are defined."""
    penguins = pd.read_csv(SEED_ROWS).dropna()
    X = StandardScaler().fit_transform(penguins.loc[penguins["island"] == island, FEATURES])
    dbscan = DBSCAN(eps=eps, min_samples=3).fit(X)
    clustered = dbscan.labels_ != -1
    clusters, members = len(set(dbscan.labels_[clustered])), dbscan.labels_[clustered]
    values = {"n_clusters": float(clusters), "n_clustered_records": float(clustered.sum())}
    if 2 <= clusters < clustered.sum():
        values |= {
            "silhouette": oracle.silhouette_score(X[clustered], members),
            "calinski-harabasz": oracle.calinski_harabasz_score(X[clustered], members),
            "davies-bouldin": oracle.davies_bouldin_score(X[clustered], members),
            "s-dbw": S_Dbw(X, dbscan.labels_, alg_noise="filter"),
            "dbcv": dbcv(X, [dbscan.labels_])[0].value,
        }
    return dbscan, values


def test_a_sweep_has_a_run_for_each_island_and_under_it_one_for_each_eps(store: Store, sweep: Run) -> None:
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.runs()) == 1 + 3 + 27
    groups = store.children(sweep)
    assert set(groups) == set(ISLANDS)
    for island, group in groups.items():
        children = store.children(group)
        assert set(children) == {f"{island}-eps{eps:g}" for eps in EPS}
        for eps in EPS:
            assert children[f"{island}-eps{eps:g}"].data.params == {"group": island, "eps": f"{eps:g}", "min_samples": "3"}
    assert store.artifacts(sweep) == {
        *("results.csv", "results.json", "metrics_by_eps.png", "clusters.png", "clusters.parquet", "cluster_profiles.csv"),
        *("points.parquet", "k_distances.csv"),
    }
    assert sweep.data.metrics["n_groups"] == 3
    assert sweep.data.metrics["groups_with_best_eps"] == 3
    assert sweep.data.metrics["n_rows"] == 333
    assert sweep.data.metrics["n_rows_left_out"] == 11


def test_every_run_and_row_has_the_libraries_numbers_and_its_model(store: Store, sweep: Run) -> None:
    table = results(store, sweep)
    assert list(table.columns) == COLUMNS
    assert list(zip(table["island"], table["eps"], strict=True)) == [(island, eps) for island in ISLANDS for eps in EPS]
    for row in table.to_dict("records"):
        dbscan, metrics = library_results(row["island"], row["eps"])
        child = store.only(f"{row['island']}-eps{row['eps']:g}")
        assert child.data.metrics == pytest.approx(metrics, rel=1e-9, abs=1e-12)
        assert {name: row[name] for name in [*INDICES, *COUNTS] if not pd.isna(row[name])} == pytest.approx(metrics, rel=1e-9)
        assert ("undefined" in child.data.tags) == ("silhouette" not in metrics)
        assert pd.isna(row["reason"]) == ("silhouette" in metrics)
        assert row["model_path"] == store.model_uri(child)
        model = mlflow.sklearn.load_model(row["model_path"])
        assert list(model.named_steps) == ["scaler", "dbscan"]
        assert model["dbscan"].labels_.tolist() == dbscan.labels_.tolist()
        assert np.array_equal(model["dbscan"].components_, dbscan.components_)


def test_the_table_is_also_logged_as_mlflows_own(store: Store, sweep: Run) -> None:
    shown = json.loads(store.artifact(sweep, "results.json").read_text())
    assert shown["columns"] == COLUMNS
    assert len(shown["data"]) == 27


def test_a_groups_run_has_the_curves_and_the_metrics_of_its_best_eps(store: Store, sweep: Run) -> None:
    table = results(store, sweep)
    for island, group in store.children(sweep).items():
        rows = table[table["island"] == island]
        enough = rows["n_clustered_records"] >= 0.5 * group.data.metrics["n_records"]
        [best] = rows[rows["best"]].to_dict("records")
        assert enough[rows["best"]].all()
        assert best["eps"] == {"Biscoe": 1.1, "Dream": 0.9, "Torgersen": 1.1}[island]
        assert group.data.metrics["best_eps"] == group.data.metrics["eps"] == best["eps"]
        assert group.data.metrics["best_silhouette"] == pytest.approx(best["silhouette"])
        marked = [name for name, child in store.children(group).items() if child.data.tags.get("best") == "true"]
        assert marked == [f"{island}-eps{best['eps']:g}"]
        curve = store.client.get_metric_history(group.info.run_id, "by_eps/s-dbw")
        assert {EPS[point.step]: point.value for point in curve} == pytest.approx(
            {eps: value for eps, value in zip(rows["eps"], rows["s-dbw"], strict=True) if not pd.isna(value)}
        )


def test_a_logged_model_is_ready_and_has_its_metrics_and_its_schema(store: Store, sweep: Run) -> None:
    child = store.only("Biscoe-eps0.5")
    model = store.client.get_logged_model(child.outputs.model_outputs[0].model_id)
    assert str(model.status) == "READY"
    assert {metric.key: metric.value for metric in model.metrics} == child.data.metrics
    info = mlflow.models.get_model_info(store.model_uri(child))
    assert info.signature.inputs.input_names() == FEATURES
    assert info.flavors["sklearn"]["serialization_format"] == "skops"
    assert info.saved_input_example_info is not None


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_models_says_which_models_are_logged(
    store: Store, step: Steps, session: SparkSession, quiet: pytest.CaptureFixture[str], log_from: str
) -> None:
    assert step(dbscan_sweep, eps="0.7,0.9", min_coverage=0.1, models="best", log_from=log_from) == 0
    sweep = store.only("dbscan_sweep")
    table = results(store, sweep)
    with_model = table[table["model_path"].notna()]
    best = {name: group.data.metrics["best_eps"] for name, group in store.children(sweep).items()}
    assert dict(zip(with_model["island"], with_model["eps"], strict=True)) == best
    with_outputs = [run.info.run_name for run in store.runs() if run.outputs and run.outputs.model_outputs]
    assert sorted(with_outputs) == sorted(["dbscan_sweep", *[f"{name}-eps{eps:g}" for name, eps in best.items()]])
    assert model_statuses(store) == {"READY": 4}
    for path in with_model["model_path"]:
        mlflow.sklearn.load_model(path)


def tree(store: Store, sweep: Run) -> dict[str, Any]:
    """Return what every run under a sweep holds, by name."""
    found = store.children(sweep)
    for group in list(found.values()):
        found |= store.children(group)
    names = {run.info.run_id: name for name, run in found.items()} | {sweep.info.run_id: "dbscan_sweep"}
    return {
        name: (
            names[run.data.tags["mlflow.parentRunId"]],
            run.info.status,
            run.data.metrics,
            run.data.params,
            run.data.tags.get("undefined"),
            len(run.outputs.model_outputs) if run.outputs else 0,
            len(run.inputs.dataset_inputs),
        )
        for name, run in found.items()
    }


def test_executors_log_the_same_tree_and_table_as_the_driver(
    store: Store, step: Steps, sweep: Run, quiet: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, log_from="executors", experiment="executors") == 0
    [other] = [run for run in store.runs("executors") if run.info.run_name == "dbscan_sweep"]
    assert other.data.metrics == sweep.data.metrics
    assert tree(store, other) == tree(store, sweep)
    one, table = (results(store, run).drop(columns="model_path") for run in (sweep, other))
    pd.testing.assert_frame_equal(one, table)


def test_with_runs_groups_the_curves_and_the_table_have_no_run_for_each_eps_and_the_best_follows_select_by(
    store: Store, step: Steps, session: SparkSession, quiet: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, runs="groups", select_by="davies-bouldin", min_coverage=0) == 0
    assert {run.info.run_name for run in store.runs()} == {"dbscan_sweep", *ISLANDS}
    sweep = store.only("dbscan_sweep")
    table = results(store, sweep)
    assert len(table) == 27
    for island, group in store.children(sweep).items():
        values = table[table["island"] == island].set_index("eps")["davies-bouldin"]
        assert group.data.metrics["best_eps"] == values.idxmin()
        curve = store.client.get_metric_history(group.info.run_id, "by_eps/davies-bouldin")
        assert [point.value for point in curve] == pytest.approx(values.dropna().tolist())
    printed = quiet.readouterr().out
    assert "best eps of 3 of 3 groups" in printed
    assert [line.partition(" ")[0] for line in printed.splitlines() if line.startswith("'")] == [
        f"'{name}'" for name in ISLANDS
    ]
    assert f"run: {sweep.info.run_id}" in printed


def test_the_most_stable_clustering_of_an_automatic_grid_is_the_right_one_for_every_group(
    store: Store, step: Steps, session: SparkSession, quiet: pytest.CaptureFixture[str]
) -> None:
    moons, _ = make_moons(300, noise=0.05, random_state=0)
    blobs, _ = make_blobs(300, centers=[[0, 0], [9, 0], [0, 9], [9, 9], [4, 20]], cluster_std=1.0, random_state=0)
    table = pd.DataFrame(np.vstack([moons, blobs]), columns=["x", "y"]).assign(shape=["moons"] * 300 + ["blobs"] * 300)
    table.sample(frac=1, random_state=0).to_csv("t.csv", index=False)
    parameters = {"data": "t.csv", "group_by": "shape", "features": "x,y", "eps": "auto", "models": "best", "runs": "all"}
    assert step(dbscan_sweep, **parameters, min_samples="3,5") == 0
    found = results(store, store.only("dbscan_sweep"))
    assert len(found) == 160
    best = found[found["best"]].set_index("shape")
    assert best["n_clusters"].to_dict() == {"moons": 2, "blobs": 5}
    assert best["coverage"].tolist() == [n / 300 for n in best["n_clustered_records"]]
    assert best["n_records"].tolist() == [300, 300]
    assert found["model_path"].notna().sum() == 2
    for shape, group in store.children(store.only("dbscan_sweep")).items():
        assert store.artifacts(group) == {
            "results.csv", *[f"k_distances_min_samples{n}.{kind}" for n in (3, 5) for kind in ("csv", "png")]
        }  # fmt: skip
        [marked] = [run for run in store.children(group).values() if run.data.tags.get("best") == "true"]
        row = best.loc[shape]
        assert marked.info.run_name == f"{shape}-eps{row['eps']:g}-min_samples{row['min_samples']}"
        assert mlflow.sklearn.load_model(row["model_path"])["dbscan"].min_samples == row["min_samples"]
        assert group.data.metrics["best_dbcv"] == pytest.approx(row["dbcv"])
    assert "best eps of 2 of 2 groups" in quiet.readouterr().out


def test_haversine_joins_a_town_across_the_180th_meridian_and_its_model_is_scikit_learns(
    store: Store, step: Steps, session: SparkSession, quiet: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    degrees = np.vstack([random.normal(town, 0.03, (40, 2)) for town in ((-17.8, 180.0), (-16.5, 179.3))])
    table = pd.DataFrame(degrees, columns=["lat", "lon"]).assign(country="FJ")
    table["lon"] = (table["lon"] + 180) % 360 - 180
    table.to_csv("t.csv", index=False)
    parameters = {"data": "t.csv", "group_by": "country", "features": "lat,lon", "metric": "haversine", "eps": "10,20,400"}
    assert step(dbscan_sweep, **parameters) == 0
    found = results(store, store.only("dbscan_sweep"))
    assert found["n_clusters"].tolist() == [2, 2, 1]
    model = mlflow.sklearn.load_model(found["model_path"][1])
    radians = model["scaler"].transform(table[["lat", "lon"]])
    assert np.array_equal(np.asarray(radians), np.radians(table[["lat", "lon"]].to_numpy()))
    assert model["dbscan"].fit_predict(radians).tolist() == [0] * 40 + [1] * 40


def test_an_automatic_grid_is_resumed_group_by_group(
    store: Store, step: Steps, session: SparkSession, quiet: pytest.CaptureFixture[str]
) -> None:
    parameters = {"eps": "auto:6", "models": "none", "min_samples": "3,5"}
    assert step(dbscan_sweep, **parameters) == 0
    dead = store.only("dbscan_sweep")
    expected = results(store, dead).drop(columns="model_path")
    dream = store.only("Dream")
    store.client.set_terminated(dream.info.run_id, "FAILED")
    store.client.set_terminated(dead.info.run_id, "FAILED")
    assert step(dbscan_sweep, **parameters, resume=True) == 0
    assert "resume: 2 of 3 groups are taken over" in quiet.readouterr().out
    [now] = [run for run in store.runs() if run.info.run_name == "dbscan_sweep" and run.info.status == "FINISHED"]
    pd.testing.assert_frame_equal(results(store, now).drop(columns="model_path"), expected)


def test_groups_that_cannot_be_computed_fail_alone_and_are_counted(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def evaluate(X: np.ndarray, labels: Any, *others: Any) -> Any:
        if len(X) < 60:  # Torgersen's
            raise ZeroDivisionError("of an index")
        return indices.evaluate(X, labels, *others)

    monkeypatch.setattr("penguins.sweep.fit.evaluate", evaluate)
    penguins = pd.read_csv(SEED_ROWS)
    penguins.loc[penguins["island"] == "Dream", "bill_depth_mm"] = np.inf
    penguins.to_csv("broken.csv", index=False)
    assert step(dbscan_sweep, data="broken.csv", group_by="island", eps="0.5,0.9", models="none") == 1
    assert "2 of 3 groups failed, 'Dream' for one: infinite values" in capfd.readouterr().err
    sweep = store.only("dbscan_sweep")
    assert sweep.info.status == "FAILED"
    groups = store.children(sweep)
    assert statuses(groups) == {"Biscoe": "FINISHED", "Dream": "FAILED", "Torgersen": "FAILED"}
    table = results(store, sweep)
    assert len(table) == 6
    for island, why in (("Dream", "infinite values in bill_depth_mm"), ("Torgersen", "ZeroDivisionError: of an index")):
        assert groups[island].data.tags["error"] == why
        failed = table[table["island"] == island]
        assert failed["reason"].tolist() == [why, why]
        assert failed[[*INDICES, *COUNTS, "model_path"]].isna().all(axis=None)
    assert store.children(groups["Biscoe"]).keys() == {"Biscoe-eps0.5", "Biscoe-eps0.9"}
    assert model_statuses(store) == {}, "models is none"


def test_a_model_that_an_executor_cannot_store_fails_its_run_and_its_group_and_the_metrics_stay(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    save = model_files.save_model

    def save_model(model: Any, *others: Any) -> None:
        if model.pipeline["dbscan"].eps == 0.9 and len(model.pipeline["dbscan"].labels_) < 60:  # Torgersen's
            raise OSError(28, "No space left on device")
        save(model, *others)

    monkeypatch.setattr("penguins.sweep.model_files.save_model", save_model)
    assert step(dbscan_sweep, eps="0.7,0.9", log_from="executors") == 1
    printed = capfd.readouterr().err
    assert (
        "1 of 3 groups failed, 'Torgersen' for one: 1 of its models could not be stored: eps 0.9, min_samples 3: OSError"
        in printed
    )
    sweep = store.only("dbscan_sweep")
    groups = store.children(sweep)
    assert statuses(groups) == {"Biscoe": "FINISHED", "Dream": "FINISHED", "Torgersen": "FAILED"}
    assert statuses(store.children(groups["Torgersen"])) == {"Torgersen-eps0.7": "FINISHED", "Torgersen-eps0.9": "FAILED"}
    table = results(store, sweep)
    [row] = table[(table["island"] == "Torgersen") & (table["eps"] == 0.9)].to_dict("records")
    assert row["n_clusters"] == 5
    assert pd.isna(row["model_path"])
    assert "No space left" in row["reason"]
    assert table["model_path"].notna().sum() == 5
    assert model_statuses(store) == {"READY": 6, "FAILED": 1}  # with the model of all groups


def test_mlflow_ranks_the_models_of_a_group_by_its_dataset(store: Store, sweep: Run) -> None:
    group = store.children(sweep)["Biscoe"]
    [used] = group.inputs.dataset_inputs
    assert (used.dataset.name, json.loads(used.dataset.profile or "")) == ("penguins: Biscoe", {"num_rows": 163})
    of_group = {"dataset_name": used.dataset.name, "dataset_digest": used.dataset.digest}
    found = store.client.search_logged_models(
        [sweep.info.experiment_id],
        "metrics.silhouette > -1",
        [of_group],
        order_by=[{"field_name": "metrics.silhouette", "ascending": False, **of_group}],
    )
    table = results(store, sweep)
    ranked = table[table["island"] == "Biscoe"].dropna(subset="silhouette").sort_values("silhouette", ascending=False)
    paths = [f"models:/{model.model_id}" for model in found]
    assert sorted(paths) == sorted(ranked["model_path"])
    ranked = ranked.set_index("model_path").loc[paths]
    assert ranked["silhouette"].is_monotonic_decreasing  # some are equal
    assert [model.name for model in found] == [f"Biscoe-eps{eps:g}".replace(".", "_") for eps in ranked["eps"]]
    assert {model.model_type for model in found} == {"dbscan"}
    assert [model.tags["best"] for model in found] == [str(best).lower() for best in ranked["best"]]
    assert {model.tags["group"] for model in found} == {"Biscoe"}
    digests = {one.inputs.dataset_inputs[0].dataset.digest for one in store.children(sweep).values()}
    assert len(digests) == 3
