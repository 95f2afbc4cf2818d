"""The tables of a sweep at its `output`: the same whoever writes them, whole or not at all, each group and record once."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dbscan_sweep
import hdbscan_sweep
import kmeans_sweep
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from catalogs import tables_of
from mlflow.entities import Run
from pyspark.sql import SparkSession
from site_sweeps import sites
from stores import Steps, Store
from sweeps import ISLANDS, results

from penguins.sweep import nested_frames, spark_places

pytestmark = pytest.mark.usefixtures("session")

EPS = "0.3,0.6"
PREFIX = "spark_catalog.sweeps.birds"
SORTED_BY = {"results": ["site", "eps"], "clusters": ["record"]}


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """Sites, of which two records miss a value, with two ids, in a file that Spark reads by its URI."""
    rows = sites(20, 30).assign(record=np.arange(600), when=pd.Timestamp("2024-01-01"))
    rows.loc[3, "x"] = None
    rows.loc[5, "site"] = None
    rows["when"] = rows["when"].astype("datetime64[us]")
    rows.to_parquet("sites.parquet")
    return rows


@pytest.fixture
def parameters(table: pd.DataFrame, tmp_path: Path) -> dict[str, Any]:
    data = f"file://{tmp_path}/sites.parquet"
    return {"data": data, "group_by": "site", "features": "x,y", "id": "record,when", "eps": EPS, "spark": "local[2]"}


@pytest.fixture
def catalog(session: SparkSession, tmp_path: Path) -> Iterator[SparkSession]:
    """The session with an empty schema, whose files lie in the test's own folder."""
    session.sql(f"CREATE DATABASE sweeps LOCATION '{tmp_path}/warehouse'")
    yield session
    session.sql("DROP DATABASE sweeps CASCADE")


def read(folder: str, name: str, *by: str) -> pd.DataFrame:
    return pd.read_parquet(Path(folder, name)).sort_values([*by], ignore_index=True)


def sweeps(store: Store) -> list[Run]:
    """Return the sweeps of the store, the first one first."""
    return sorted((run for run in store.runs() if "sweep" in run.info.run_name), key=lambda run: run.info.start_time)


@pytest.mark.parametrize("log_from", ["driver", "executors"])
def test_spark_writes_the_tables_that_a_sweep_with_all_runs_writes(
    store: Store, table: pd.DataFrame, parameters: dict[str, Any], step: Steps, log_from: str
) -> None:
    assert step(dbscan_sweep, **parameters, runs="all", models="none", output="all", log_from=log_from) == 0
    assert step(dbscan_sweep, **parameters, runs="none", output="none") == 0
    for name, by in SORTED_BY.items():
        schemas = [pq.read_schema(next(Path(folder, name).glob("*.parquet"))) for folder in ("none", "all")]
        assert schemas[0].equals(schemas[1])
        pd.testing.assert_frame_equal(read("none", name, *by), read("all", name, *by), check_exact=True)
    clusters = read("none", "clusters", "record")
    assert clusters["record"].tolist() == table["record"].tolist()
    assert clusters.loc[[3, 5], "cluster"].isna().all()
    assert clusters["cluster"].notna().sum() > 300
    whole, lean = sweeps(store)
    pd.testing.assert_frame_equal(results(store, whole), results(store, lean))
    for artifact in ("cluster_profiles.csv", "k_distances.csv"):
        assert store.artifact(lean, artifact).read_text() == store.artifact(whole, artifact).read_text()
    points = [pd.read_parquet(store.artifact(run, "points.parquet")) for run in (whole, lean)]
    pd.testing.assert_frame_equal(points[0], points[1].astype({"when": points[0]["when"].dtype}))
    assert store.children(lean) == {}
    assert not lean.outputs.model_outputs
    assert lean.data.tags["tables"] == str(Path("none").absolute())
    assert "clusters.png" in store.artifacts(lean)


@pytest.mark.parametrize(
    ("module", "more", "swept"),
    [
        (hdbscan_sweep, {"min_cluster_size": "auto", "min_samples": "3,5"}, "min_cluster_size"),
        (kmeans_sweep, {"n_clusters": "2,3"}, "n_clusters"),
        (dbscan_sweep, {"group_by": "none", "eps": "auto:5"}, "eps"),
    ],
)
def test_other_algorithms_and_grids_give_the_same_tables_by_spark_as_by_the_driver(
    parameters: dict[str, Any], step: Steps, module: Any, more: dict[str, Any], swept: str
) -> None:
    own = {name: value for name, value in parameters.items() if name != "eps"} | more
    for runs in ("groups", "none"):
        assert step(module, **own, runs=runs, output=runs) == 0
    by = ["group" if "group_by" in more else "site", swept, *(["min_samples"] if "min_samples" in more else [])]
    pd.testing.assert_frame_equal(read("none", "results", *by), read("groups", "results", *by), check_exact=True)
    pd.testing.assert_frame_equal(read("none", "clusters", "record"), read("groups", "clusters", "record"), check_exact=True)


def test_a_table_that_is_read_here_gives_its_rows_their_places(store: Store, step: Steps) -> None:
    assert step(dbscan_sweep, eps=EPS, runs="none", output="out") == 0
    clusters, run = pd.read_parquet("out/clusters"), store.only("dbscan_sweep")
    assert list(clusters) == ["row", "island", "eps", "cluster", "is_core"]
    assert clusters["row"].tolist() == list(range(len(clusters)))
    logged = pd.read_parquet(store.artifact(run, "clusters.parquet"))
    pd.testing.assert_frame_equal(clusters.astype(logged.dtypes), logged)
    found = pd.read_parquet("out/results")
    assert found["silhouette"].tolist() == pytest.approx(results(store, run)["silhouette"].tolist(), nan_ok=True)
    assert set(found["island"]) == set(ISLANDS)
    assert (store.children(run), len(run.outputs.model_outputs)) == ({}, 0)


def test_of_very_many_groups_the_run_holds_counts_and_a_sample(
    store: Store, parameters: dict[str, Any], step: Steps, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # The workers get a copy of the functions, and with it what they look up.
    monkeypatch.setattr("penguins.sweep.evidence.MOST_GROUPS", 5)
    assert step(dbscan_sweep, **parameters, runs="none", output="out") == 0
    run = store.only("dbscan_sweep")
    sample = results(store, run)["site"].nunique()
    assert 0 < sample < 20
    assert run.data.tags["sample"] == f"{sample} of 20 groups"
    assert pd.read_parquet("out/results")["site"].nunique() == run.data.metrics["n_groups"] == 20
    line = f"results.csv and the pictures of the run show {sample} of 20 groups"
    assert line in capfd.readouterr().out
    assert step(dbscan_sweep, **parameters, runs="none", output="out", resume=True) == 0
    assert line in capfd.readouterr().out
    assert len(sweeps(store)) == 1


@pytest.mark.parametrize("runs", ["none", "groups"])
def test_a_finished_sweep_whose_tables_are_gone_is_swept_again(
    store: Store, parameters: dict[str, Any], step: Steps, capfd: pytest.CaptureFixture[str], runs: str
) -> None:
    assert step(dbscan_sweep, **parameters, runs=runs, output="out") == 0
    run = store.only("dbscan_sweep")
    before = read("out", "results", "site", "eps").drop(columns="model_path")
    shutil.rmtree("out")
    assert step(dbscan_sweep, **parameters, runs=runs, output="out", resume=True) == 0
    assert f"resume: starts afresh: the tables of the run {run.info.run_id} are not in" in capfd.readouterr().out
    pd.testing.assert_frame_equal(read("out", "results", "site", "eps").drop(columns="model_path"), before)
    assert step(dbscan_sweep, **parameters, runs=runs, output="out", resume=True) == 0
    assert "nothing is left to do" in capfd.readouterr().out
    assert len(sweeps(store)) == 2


def test_a_large_parquet_table_of_this_machine_is_read_by_spark(
    parameters: dict[str, Any], step: Steps, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("penguins.data.spark_table.MOST_ROWS_HERE", 500)
    assert step(dbscan_sweep, **parameters | {"data": "sites.parquet"}, runs="none", output="out") == 0
    assert "rows, so that Spark reads it itself" in capfd.readouterr().out
    assert list(pd.read_parquet("out/clusters")) == ["record", "when", "site", "eps", "cluster", "is_core"]


def test_a_group_that_fails_has_rows_with_its_reason_and_the_tables_are_written(
    store: Store, table: pd.DataFrame, parameters: dict[str, Any], step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    table.loc[table["site"] == "site-07", "x"] = 1e300
    table.to_parquet("sites.parquet")
    assert step(dbscan_sweep, **parameters, runs="none", output="out") == 1
    error = capfd.readouterr().err
    assert error.startswith("error: 1 of 20 groups failed, 'site-07' for one: ")
    assert store.only("dbscan_sweep").info.status == "FAILED"
    found = read("out", "results", "site", "eps")
    failed = found[found["site"] == "site-07"]
    assert len(failed) == 2
    assert failed["silhouette"].isna().all()
    assert f"for one: {failed['reason'].iloc[0]}. Their rows say why" in error
    assert (found["site"].nunique(), len(pd.read_parquet("out/clusters"))) == (20, 600)


def fail(*_: Any, **__: Any) -> Any:
    raise OSError("no space left on device")


@pytest.mark.parametrize("moment", ["write_groups", "write_tables", "put_in_place"])
@pytest.mark.parametrize("output", ["out", PREFIX])
def test_an_earlier_result_stays_where_a_sweep_fails(
    catalog: SparkSession,
    parameters: dict[str, Any],
    step: Steps,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    output: str,
) -> None:
    def now() -> dict[str, pd.DataFrame]:
        frames = {}
        for name, by in SORTED_BY.items():
            found = catalog.table(f"{PREFIX}_{name}").toPandas() if output == PREFIX else pd.read_parquet(Path(output, name))
            frames[name] = found.sort_values(by, ignore_index=True)
        return frames

    assert step(dbscan_sweep, **parameters, runs="none", output=output) == 0
    before = now()
    later = parameters | {"eps": "0.5", "runs": "none", "output": output}
    with monkeypatch.context() as patch:
        if output == "out":
            patch.setattr(spark_places.Folder, moment, fail)
        elif moment == "write_groups":
            patch.setattr(nested_frames, "nested_rows", fail)  # in the workers
        else:
            # While the second table is written beside, and before any of them is renamed.
            patch.setattr("penguins.data.spark_output." + ("quote_table" if "write" in moment else "_put_in_place"), fail)
        assert step(dbscan_sweep, **later) == 1
    for name, frame in now().items():
        pd.testing.assert_frame_equal(frame, before[name])
    assert step(dbscan_sweep, **later) == 0
    assert set(now()["results"]["eps"]) == {0.5}
    if output == PREFIX:
        assert tables_of(catalog, "sweeps") == {"birds_clusters", "birds_results"}
    else:
        [version] = [path for path in Path("out").iterdir() if len(path.name) == 32]
        others = {path.name for path in Path("out").iterdir()} - {version.name}
        assert others == {"_SWEEP", "clusters", "current", "results"}
        assert {path.name for path in version.iterdir()} == {"clusters", "results"}


def test_what_a_killed_sweep_has_left_is_deleted_by_the_next_one(
    store: Store, catalog: SparkSession, parameters: dict[str, Any], step: Steps
) -> None:
    assert step(dbscan_sweep, **parameters, runs="none", output="out") == 0
    killed, elsewhere = store.client.create_run(store.experiment_id).info.run_id, "0" * 32
    for run_id in (killed, elsewhere):
        Path("out", run_id, "groups").mkdir(parents=True)
        catalog.catalog.createTable(f"{PREFIX}_{run_id}", schema=catalog.range(1).schema)
    for output in ("out", PREFIX):
        assert step(dbscan_sweep, **parameters | {"eps": "0.4"}, runs="none", output=output) == 0
    assert not Path("out", killed).exists()
    assert Path("out", elsewhere).exists()  # the run may be one of another store
    assert tables_of(catalog, "sweeps") == {"birds_results", "birds_clusters", f"birds_{elsewhere}"}


@pytest.mark.parametrize("runs", ["none", "groups"])
def test_tables_of_a_catalogue_are_replaced(
    store: Store, catalog: SparkSession, parameters: dict[str, Any], step: Steps, runs: str
) -> None:
    for eps in ("0.3,0.6", "0.5"):
        assert step(dbscan_sweep, **parameters | {"eps": eps}, runs=runs, output=PREFIX) == 0
    assert catalog.table(f"{PREFIX}_results").select("eps").distinct().toPandas()["eps"].tolist() == [0.5]
    assert catalog.table(f"{PREFIX}_clusters").count() == 600
    assert dict(catalog.table(f"{PREFIX}_results").dtypes)["best"] == "boolean"
    for name in ("results", "clusters"):
        assert sweeps(store)[-1].info.run_id in str(catalog.catalog.getTable(f"{PREFIX}_{name}").description)


def test_a_uri_has_a_folder_for_each_version_and_a_line_that_names_the_current_one(
    parameters: dict[str, Any], session: SparkSession, step: Steps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    base = f"file://{tmp_path}/bucket"
    monkeypatch.setattr(spark_places, "Folder", lambda session, _, run_id: spark_places.Files(session, f"{base}/{run_id}"))
    for eps in ("0.3,0.6", "0.5"):
        assert step(dbscan_sweep, **parameters | {"eps": eps}, runs="none", output=f"new{eps}") == 0
    newest = session.read.json(f"{base}/commits").orderBy("committed_at").tail(1)[0]
    found = session.read.parquet(f"{base}/{newest['version']}/results")
    assert [row[0] for row in found.select("eps").distinct().collect()] == [0.5]
    versions = [path for path in (tmp_path / "bucket").iterdir() if len(path.name) == 32]
    assert [sorted(path.name for path in version.iterdir()) for version in versions] == [["clusters", "results"]] * 2


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (
            {"runs": "none", "register": "birds"},
            "The 'runs' parameter must be auto, all or groups where 'register' is 'birds'.",
        ),
        ({"output": "mine"}, "a folder that holds something else than earlier results of sweeps"),
        ({"output": "http://example.org/t"}, "a URI that is only read"),
        ({"output": "a.b.c", "data": "a.b.c_results"}, "the table that is read"),
        ({"output": "spark_catalog.nowhere.t", "runs": "none"}, "make it with CREATE SCHEMA `spark_catalog`.`nowhere`"),
        ({"output": "nowhere.birds.t"}, "Spark finds no nowhere.birds"),
    ],
)
def test_an_output_where_nothing_can_be_written_is_refused(
    table: pd.DataFrame, step: Steps, capfd: pytest.CaptureFixture[str], more: dict[str, Any], rule: str
) -> None:
    Path("mine").mkdir()
    Path("mine", "thesis.txt").touch()
    assert step(dbscan_sweep, **{"data": "sites.parquet", "group_by": "site", "eps": EPS} | more) == 2
    error = capfd.readouterr().err
    assert rule in error
    assert error.count("\n") == 1


def test_a_sweep_of_many_values_logs_runs_of_groups_alone_and_says_so(
    store: Store, parameters: dict[str, Any], step: Steps, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("penguins.sweep.settings.MOST_CHILD_RUNS", 39)
    assert step(dbscan_sweep, **parameters, models="none") == 0
    assert "runs=auto: 40 values of 20 groups would be more than" in capfd.readouterr().out
    assert len(store.children(store.only("dbscan_sweep"))) == 20
    assert len(store.runs()) == 21
