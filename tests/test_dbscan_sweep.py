"""The sweep: its tree of runs, its numbers for every island and eps, and each way of logging them."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import SEED_ROWS, Steps, Store
from mlflow.entities import Run
from pyspark.sql import SparkSession
from s_dbw import S_Dbw
from sklearn import metrics as oracle
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

import clustering
import common
from clustering import metrics as measures
from clustering import saved_models
from clustering.sweep import Group
from common import spark_groups, tracking
from common.options import InputError

FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
EPS = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5]
ISLANDS = ["Biscoe", "Dream", "Torgersen"]
INDICES = ["silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw"]


def plain(island: str, eps: float) -> tuple[DBSCAN, dict[str, float]]:
    """What the libraries give, called plainly: the fitted DBSCAN and the metrics that are defined."""
    penguins = pd.read_csv(SEED_ROWS).dropna()
    X = StandardScaler().fit_transform(penguins.loc[penguins["island"] == island, FEATURES])
    dbscan = DBSCAN(eps=eps, min_samples=3).fit(X)
    kept = dbscan.labels_ != -1
    clusters, members = len(set(dbscan.labels_[kept])), dbscan.labels_[kept]
    values = {"n_clusters": float(clusters), "n_clustered_records": float(kept.sum())}
    if 2 <= clusters < kept.sum():
        values |= {
            "silhouette": oracle.silhouette_score(X[kept], members),
            "calinski-harabasz": oracle.calinski_harabasz_score(X[kept], members),
            "davies-bouldin": oracle.davies_bouldin_score(X[kept], members),
            "s-dbw": S_Dbw(X, dbscan.labels_, alg_noise="filter"),
        }
    return dbscan, values


def results(store: Store, run: Run) -> pd.DataFrame:
    return pd.read_csv(store.artifact(run, "results.csv"))


@pytest.fixture
def quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capfd
    assert capfd.readouterr().err == ""


def test_every_island_and_eps_has_a_run_with_the_libraries_numbers_and_its_model(
    store: Store, step: Steps, session: SparkSession, quiet: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep) == 0
    printed = quiet.readouterr().out
    sweep = store.only("dbscan_sweep")
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.runs()) == 1 + 3 + 27
    assert store.artifacts(sweep) == {"results.csv", "results.json", "metrics_by_eps.png"}
    assert sweep.data.metrics["groups_with_best_eps"] == 3
    table = results(store, sweep)
    assert list(table.columns) == [
        "island", "eps", *INDICES, "n_clusters", "n_clustered_records", "model_path", "reason"
    ]  # fmt: skip
    assert list(zip(table["island"], table["eps"], strict=True)) == [(island, eps) for island in ISLANDS for eps in EPS]

    groups = store.children(sweep)
    assert set(groups) == set(ISLANDS)
    for row in table.to_dict("records"):
        island, eps = row["island"], row["eps"]
        dbscan, expected = plain(island, eps)
        child = store.children(groups[island])[f"{island}-eps{eps:g}"]
        assert child.data.metrics == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert child.data.params == {"group": island, "eps": f"{eps:g}", "min_samples": "3"}
        assert ("undefined" in child.data.tags) == ("silhouette" not in expected)
        defined = {name: row[name] for name in [*INDICES, "n_clusters", "n_clustered_records"] if not pd.isna(row[name])}
        assert defined == pytest.approx(expected, rel=1e-9)
        assert pd.isna(row["reason"]) == ("silhouette" in expected)
        assert row["model_path"] == store.model_uri(child)
        model = mlflow.sklearn.load_model(row["model_path"])
        assert list(model.named_steps) == ["scaler", "dbscan"]
        assert model["dbscan"].labels_.tolist() == dbscan.labels_.tolist()
        assert np.array_equal(model["dbscan"].components_, dbscan.components_)
    assert "Torgersen  1.5" in printed
    assert f"run: {sweep.info.run_id}" in printed
    assert "best eps of 3 of 3 groups" in printed

    shown = json.loads(store.artifact(sweep, "results.json").read_text())
    assert shown["columns"] == list(table.columns)
    assert len(shown["data"]) == 27

    for island in ISLANDS:
        rows = table[(table["island"] == island)]
        kept = rows["n_clustered_records"] >= 0.5 * groups[island].data.metrics["n_records"]
        best = rows.loc[rows.loc[kept, "s-dbw"].idxmin()]
        assert groups[island].data.metrics["best_eps"] == best["eps"]
        assert groups[island].data.metrics["best_silhouette"] == pytest.approx(best["silhouette"])
        curve = store.client.get_metric_history(groups[island].info.run_id, "s-dbw")
        assert {EPS[point.step]: point.value for point in curve} == pytest.approx(
            {eps: value for eps, value in zip(rows["eps"], rows["s-dbw"], strict=True) if not pd.isna(value)}
        )


def test_a_logged_model_is_ready_and_carries_its_metrics_and_schema(store: Store, step: Steps, session: SparkSession) -> None:
    assert step(dbscan_sweep, eps=0.5) == 0
    child = store.only("Biscoe-eps0.5")
    model = store.client.get_logged_model(child.outputs.model_outputs[0].model_id)
    assert str(model.status) == "READY"
    assert {metric.key: metric.value for metric in model.metrics} == child.data.metrics
    info = mlflow.models.get_model_info(store.model_uri(child))
    assert info.signature.inputs.input_names() == FEATURES
    assert info.flavors["sklearn"]["serialization_format"] == "skops"
    assert info.saved_input_example_info is not None


@pytest.mark.parametrize("log_from", ["driver", "executors"])
@pytest.mark.parametrize(("models", "logged"), [("all", 6), ("best", 3), ("none", 0)])
def test_models_says_which_models_are_logged(
    store: Store, step: Steps, session: SparkSession, models: str, logged: int, log_from: str
) -> None:
    assert step(dbscan_sweep, eps="0.7,0.9", min_coverage="0.1", models=models, log_from=log_from) == 0
    sweep = store.only("dbscan_sweep")
    paths = results(store, sweep)["model_path"].dropna()
    assert len(paths) == logged
    assert len([run for run in store.runs() if run.outputs and run.outputs.model_outputs]) == logged
    if models == "best":
        groups = store.children(sweep)
        table = results(store, sweep)
        with_model = table[table["model_path"].notna()]
        best = {name: group.data.metrics["best_eps"] for name, group in groups.items()}
        assert dict(zip(with_model["island"], with_model["eps"], strict=True)) == best
    for path in paths:
        mlflow.sklearn.load_model(path)


def test_executors_log_the_same_tree_and_table_as_the_driver(store: Store, step: Steps, session: SparkSession) -> None:
    for log_from in ("driver", "executors"):
        assert step(dbscan_sweep, eps="0.5,0.9,1.5", log_from=log_from, experiment=log_from) == 0
    trees, tables = [], []
    for experiment in ("driver", "executors"):
        runs = {run.info.run_id: run for run in store.runs(experiment)}
        [sweep] = [run for run in runs.values() if run.info.run_name == "dbscan_sweep"]
        names = {run_id: run.info.run_name for run_id, run in runs.items()}
        trees.append(
            {
                run.info.run_name: (
                    names.get(run.data.tags.get("mlflow.parentRunId", "")),
                    run.info.status,
                    run.data.metrics,
                    {key: value for key, value in run.data.params.items() if key != "log_from"},
                    run.data.tags.get("undefined"),
                    len(run.outputs.model_outputs) if run.outputs else 0,
                    len(run.inputs.dataset_inputs),
                )
                for run in runs.values()
            }
        )
        tables.append(results(store, sweep).drop(columns="model_path"))
    assert trees[0] == trees[1]
    pd.testing.assert_frame_equal(tables[0], tables[1])


def test_runs_groups_keeps_curves_and_table_without_a_run_for_each_eps(
    store: Store, step: Steps, session: SparkSession
) -> None:
    assert step(dbscan_sweep, eps="0.5,0.9", runs="groups") == 0
    assert {run.info.run_name for run in store.runs()} == {"dbscan_sweep", *ISLANDS}
    assert len(results(store, store.only("dbscan_sweep"))) == 6
    assert len(store.client.get_metric_history(store.only("Biscoe").info.run_id, "silhouette")) == 2


def test_the_work_in_spark_is_done_once(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = session.sparkContext.accumulator(0)
    cluster = dbscan_sweep.cluster

    def counted(records: pd.DataFrame, parameters: dbscan_sweep.Parameters) -> Group:
        counter.add(1)
        return cluster(records, parameters)

    monkeypatch.setattr(dbscan_sweep, "cluster", counted)
    assert step(dbscan_sweep, eps="0.5,0.9") == 0
    assert counter.value == 3


@pytest.fixture
def many(tmp_path: Path) -> pd.DataFrame:
    """80 groups of 12 records, written to many.parquet."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"site": np.repeat(np.arange(80), 12), "x": random.normal(size=960), "y": random.normal(size=960)})
    table.to_parquet(tmp_path / "many.parquet")
    return table


def test_many_groups_arrive_in_slices_each_evaluated_once(
    store: Store,
    step: Steps,
    session: SparkSession,
    many: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    quiet: pytest.CaptureFixture[str],
) -> None:
    counter, sizes = session.sparkContext.accumulator(0), []
    cluster, log_on_driver = dbscan_sweep.cluster, dbscan_sweep.log_on_driver

    def counted(records: pd.DataFrame, parameters: dbscan_sweep.Parameters) -> Group:
        counter.add(1)
        return cluster(records, parameters)

    def noted(*arguments: Any, **more: Any) -> None:
        sizes.append(counter.value)
        log_on_driver(*arguments, **more)

    monkeypatch.setattr(dbscan_sweep, "cluster", counted)
    monkeypatch.setattr(dbscan_sweep, "log_on_driver", noted)
    assert step(dbscan_sweep, data="many.parquet", group_by="site", features="x,y", eps="0.5,1", runs="groups") == 0
    assert counter.value == 80
    assert sizes[0] < 80, "the first are logged while others are still at work"
    table = results(store, store.only("dbscan_sweep"))
    assert list(zip(table["site"], table["eps"], strict=True)) == [(site, eps) for site in range(80) for eps in (0.5, 1)]
    for site in (0, 41, 79):
        X = StandardScaler().fit_transform(many.loc[many["site"] == site, ["x", "y"]])
        labels = DBSCAN(eps=0.5, min_samples=3).fit_predict(X)
        row = table[(table["site"] == site) & (table["eps"] == 0.5)].iloc[0]
        assert row["n_clustered_records"] == (labels != -1).sum()


@pytest.mark.parametrize(
    ("rows", "groups", "models", "expected"),
    [
        (333, 3, "all", 1),
        (20_000, 100, "all", 4),
        (3_000_000, 30, "all", 10),
        (3_000_000, 30, "best", 2),
        (3_000_000, 30, "none", 1),
        (30_000_000, 3, "all", 3),
        (4_000_000, 20_000, "none", 65),
    ],
)
def test_a_slice_holds_no_more_models_than_the_driver_can_take(rows: int, groups: int, models: str, expected: int) -> None:
    assert dbscan_sweep.slices(groups, rows // groups, dbscan_sweep.Parameters(models=models), 2) == expected


def test_models_that_executors_log_take_no_room_in_a_slice() -> None:
    assert dbscan_sweep.slices(30, 1_000_000, dbscan_sweep.Parameters(log_from="driver"), 2) == 30
    assert dbscan_sweep.slices(30, 1_000_000, dbscan_sweep.Parameters(log_from="executors"), 2) == 1


def test_a_worker_that_only_computes_does_not_import_mlflow(session: SparkSession) -> None:
    def imported(records: pd.DataFrame) -> pd.DataFrame:
        before = {name for name in sys.modules if name.partition(".")[0] == "mlflow"}
        dbscan_sweep.cluster_in_worker(records, dbscan_sweep.Parameters(features=("x",), eps=(0.5,)))
        found = {name for name in sys.modules if name.partition(".")[0] == "mlflow"} - before
        return pd.DataFrame({"found": [str(len(found))]})

    frame = session.createDataFrame([("a", float(i % 3)) for i in range(9)], "`group` string, feature_0 double")
    modules = [common, clustering, dbscan_sweep]
    [[[found]]] = spark_groups.results(frame, "group", imported, "found string", 1, "imports", modules)
    assert found == "0"


def test_models_that_are_too_large_to_travel_fail_their_group_with_the_way_out(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dbscan_sweep, "LARGEST_PAYLOAD", 20_000)
    assert step(dbscan_sweep, eps="0.3,0.5,0.9,1.1,1.5") == 1
    assert "run with log_from=executors, or with models=best or none" in capfd.readouterr().err
    sweep = store.only("dbscan_sweep")
    status = {name: run.info.status for name, run in store.children(sweep).items()}
    assert status == {"Biscoe": "FAILED", "Dream": "FAILED", "Torgersen": "FINISHED"}


def test_a_group_that_cannot_be_computed_fails_alone_and_is_counted(
    store: Store, step: Steps, session: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    penguins = pd.read_csv(SEED_ROWS)
    penguins.loc[penguins["island"] == "Dream", "bill_depth_mm"] = np.inf
    penguins.to_csv(tmp_path / "broken.csv", index=False)
    assert step(dbscan_sweep, data="broken.csv", eps="0.5,0.9") == 1
    sweep = store.only("dbscan_sweep")
    assert {name: run.info.status for name, run in store.children(sweep).items()} == {
        "Biscoe": "FINISHED", "Dream": "FAILED", "Torgersen": "FINISHED"
    }  # fmt: skip
    assert sweep.info.status == "FAILED"
    table = results(store, sweep)
    assert len(table) == 6
    assert table.loc[table["island"] == "Dream", "reason"].tolist() == ["infinite values in bill_depth_mm"] * 2
    assert table.loc[table["island"] == "Dream", "n_clusters"].isna().all()
    assert "1 of 3 groups failed, 'Dream' for one: infinite values" in capfd.readouterr().err


@pytest.mark.parametrize("select_by", ["silhouette", "davies-bouldin", "calinski-harabasz"])
def test_the_best_eps_follows_select_by(store: Store, step: Steps, session: SparkSession, select_by: str) -> None:
    assert step(dbscan_sweep, select_by=select_by, models="none", min_coverage=0) == 0
    sweep = store.only("dbscan_sweep")
    table = results(store, sweep)
    for island, run in store.children(sweep).items():
        values = table[table["island"] == island].set_index("eps")[select_by]
        expected = values.idxmin() if select_by == "davies-bouldin" else values.idxmax()
        assert run.data.metrics["best_eps"] == expected


def test_groups_with_hostile_names_each_get_a_run_of_their_own(
    store: Store, step: Steps, session: SparkSession, tmp_path: Path
) -> None:
    names = ["../../x", "a/b", "<script>alert(1)</script>", "'; drop table runs; --", "$(touch x)", "NA", "null", "é", "É", "e"]
    names += ["line\nbreak", "🐧", "x" * 5000, "x" * 5001]
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"name": np.repeat(names, 5), "value": random.normal(size=5 * len(names))})
    rows.to_csv(tmp_path / "odd.csv", index=False)
    before = set(tmp_path.iterdir())
    assert step(dbscan_sweep, data="odd.csv", group_by="name", features="value", eps="0.5", min_samples=2) == 0
    sweep = store.only("dbscan_sweep")
    groups = tracking.children(sweep.info.run_id, sweep.info.experiment_id)
    assert sorted(run.data.tags["group"] for run in groups) == sorted(names)
    table = pd.read_csv(store.artifact(sweep, "results.csv"), keep_default_na=False)
    assert sorted(table["name"]) == sorted(names)
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "artifacts"}


def test_numeric_groups_are_sorted_as_numbers(store: Store, step: Steps, session: SparkSession, tmp_path: Path) -> None:
    pd.DataFrame({"year": [2010, 900, 2010, 900], "value": [1.0, 2.0, 3.0, 4.0]}).to_csv(tmp_path / "years.csv", index=False)
    assert step(dbscan_sweep, data="years.csv", group_by="year", features="value", eps=1) == 0
    assert results(store, store.only("dbscan_sweep"))["year"].tolist() == [900, 2010]


def test_workers_on_other_machines_may_not_log_to_a_file_of_this_one(store: Store, session: SparkSession) -> None:
    parameters = dbscan_sweep.Parameters(log_from="executors", spark="spark://elsewhere:7077")
    with pytest.raises(InputError, match="must be driver where the workers cannot reach"):
        dbscan_sweep.require_shared_store(parameters, session)


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_a_model_that_cannot_be_stored_fails_its_run_and_its_group_and_the_metrics_stay(
    store: Store,
    step: Steps,
    session: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    log_from: str,
) -> None:
    real = saved_models.save

    def save(model: Any, *others: Any) -> None:
        if model["dbscan"].eps == 0.9 and len(model["dbscan"].labels_) < 60:  # Torgersen's
            raise OSError(28, "No space left on device")
        real(model, *others)

    monkeypatch.setattr(saved_models, "save", save)
    assert step(dbscan_sweep, eps="0.7,0.9", log_from=log_from) == 1
    said = capfd.readouterr().err
    assert "1 of 3 groups failed, 'Torgersen' for one: 1 of its models could not be stored: eps 0.9: OSError" in said
    sweep = store.only("dbscan_sweep")
    groups = store.children(sweep)
    assert {name: run.info.status for name, run in groups.items()} == {
        "Biscoe": "FINISHED",
        "Dream": "FINISHED",
        "Torgersen": "FAILED",
    }
    children = store.children(groups["Torgersen"])
    assert {name: run.info.status for name, run in children.items()} == {
        "Torgersen-eps0.7": "FINISHED",
        "Torgersen-eps0.9": "FAILED",
    }
    failed = children["Torgersen-eps0.9"]
    assert "No space left" in failed.data.tags["error"]
    assert failed.data.metrics["n_clusters"] == 5
    table = pd.read_csv(store.artifact(sweep, "results.csv"))
    [row] = table[(table["island"] == "Torgersen") & (table["eps"] == 0.9)].to_dict("records")
    assert row["n_clusters"] == 5
    assert pd.isna(row["model_path"])
    assert "No space left" in row["reason"]
    assert table["model_path"].notna().sum() == 5
    models = store.client.search_logged_models([sweep.info.experiment_id])
    assert Counter(str(model.status) for model in models) == {"READY": 5, "FAILED": 1}


def test_an_index_that_raises_fails_its_group_alone(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    real = measures.evaluate

    def evaluate(X: np.ndarray, labels: Any, seed: int = 0) -> Any:
        if len(X) < 60:
            raise ZeroDivisionError("of an index")
        return real(X, labels, seed)

    monkeypatch.setattr(measures, "evaluate", evaluate)
    assert step(dbscan_sweep, eps="0.7,0.9") == 1
    assert "1 of 3 groups failed, 'Torgersen' for one: ZeroDivisionError: of an index" in capfd.readouterr().err
    sweep = store.only("dbscan_sweep")
    assert store.children(sweep)["Torgersen"].data.tags["error"] == "ZeroDivisionError: of an index"
    table = pd.read_csv(store.artifact(sweep, "results.csv"))
    failed = table[table["island"] == "Torgersen"]
    assert failed[[*INDICES, "n_clusters", "model_path"]].isna().all(axis=None)
    assert set(failed["reason"]) == {"ZeroDivisionError: of an index"}
    assert len(failed) == 2
