"""All that runs on Spark, on a Connect server dressed as serverless compute of Databricks; `support/serverless` says how."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from clusters import connect_server
from servers import LONGEST_S, environment
from stores import SEED_ROWS, Store
from sweeps import FEATURES, ISLANDS

from penguins.project import PROJECT
from penguins.sweep.fit import sweep

DRESS = PROJECT / "tests" / "support" / "serverless"
EPS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
SCHEMA = "spark_catalog.default"
# What the session and the functions of serverless compute refuse, tried one by one.
PROBES = """
import os
import socket
import pandas as pd
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

session = SparkSession.getActiveSession()
rows = session.range(1)

def connect(frames):
    socket.create_connection(("127.0.0.1", {port}), timeout=5)
    yield from frames

def fill(frames):
    import time
    taken = bytearray(os.urandom(1 << 20) * {mib})
    time.sleep(1)
    yield from frames

probes = {{
    "persist": lambda: rows.persist(),
    "rdd": lambda: rows.rdd,
    "setting": lambda: session.conf.get("spark.master"),
    "file": lambda: session.read.parquet("file:///tmp/table"),
    "network": lambda: rows.mapInPandas(connect, "id long").collect(),
    "memory": lambda: rows.mapInPandas(fill, "id long").collect(),
}}
for name, probe in probes.items():
    try:
        probe()
        print(name, "works")
    except PySparkException as error:
        print(name, str(error).replace("\\n", " "))
"""
MAKE_TABLE = """
import sys
import pandas as pd
from pyspark.sql import SparkSession

rows = pd.read_csv(sys.argv[1])
session = SparkSession.getActiveSession()
session.createDataFrame(rows.assign(record=range(len(rows)))).write.mode("overwrite").saveAsTable(sys.argv[2])
"""


@dataclass(frozen=True)
class Serverless:
    """The dressed server: its URL, and its folder, with the `Volumes` and the files of its tables."""

    url: str
    folder: Path

    def run(self, script: Path, *arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a task."""
        return subprocess.run(
            [sys.executable, str(DRESS / "run_task.py"), self.url, str(self.folder / "Volumes"), str(script), *arguments],
            cwd=folder, env=environment(**variables), capture_output=True, text=True, check=False, timeout=LONGEST_S,
        )  # fmt: skip

    def run_step(self, step: str, store: Store, folder: Path, *options: str) -> None:
        """Run a step on the active session, and require that it ends well."""
        script = PROJECT / "steps" / f"{step}.py"
        done = self.run(
            script, "--spark=active", "--experiment=penguins", *options, folder=folder,
            MLFLOW_TRACKING_URI=store.uri, MLFLOW_ENABLE_DB_SDK="false",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of the schema, from its files."""
        return pd.read_parquet(self.folder / "spark-warehouse" / name)


@pytest.fixture(scope="module")
def serverless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serverless]:
    folder = tmp_path_factory.mktemp("serverless")
    (folder / "Volumes" / "spark_catalog" / "default" / "penguins").mkdir(parents=True)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{DRESS}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with connect_server(folder, PYSPARK_PYTHON=str(python)) as url:
        found = Serverless(url, folder)
        script = folder / "make_table.py"
        script.write_text(MAKE_TABLE)
        done = found.run(script, str(SEED_ROWS), f"{SCHEMA}.birds", folder=folder)
        assert done.returncode == 0, done.stderr
        yield found


@pytest.fixture
def rows() -> pd.DataFrame:
    table = pd.read_csv(SEED_ROWS)
    return table.assign(record=range(len(table)))


def test_the_server_refuses_what_serverless_compute_refuses(serverless: Serverless, tmp_path: Path) -> None:
    script = tmp_path / "probes.py"
    script.write_text(PROBES.format(port=1, mib=2_000))
    done = serverless.run(script, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert "NOT_SUPPORTED_WITH_SERVERLESS" in found["persist"]
    assert "NOT_IMPLEMENTED" in found["rdd"] or "NOT_SUPPORTED" in found["rdd"]
    assert "CONFIG_NOT_AVAILABLE" in found["setting"]
    assert "local file system is forbidden" in found["file"]
    assert "no network in functions" in found["network"]
    assert "Python worker exited unexpectedly" in found["memory"]
    script.write_text(PROBES.format(port=1, mib=200))
    assert "memory works" in serverless.run(script, folder=tmp_path).stdout


def test_a_sweep_of_the_bundled_table_has_all_its_runs_and_models(
    serverless: Serverless, store: Store, tmp_path: Path, rows: pd.DataFrame
) -> None:
    serverless.run_step("dbscan_sweep", store, tmp_path)
    run = store.only_finished("dbscan_sweep")
    groups = store.children(run)
    assert set(groups) == set(ISLANDS)
    for island, group in groups.items():
        complete = rows.dropna()
        outcomes = sweep(complete.loc[complete["island"] == island, FEATURES], EPS, 3).outcomes
        values = {child.data.params["eps"]: child for child in store.children(group).values()}
        assert len(values) == len(EPS)
        for outcome in outcomes:
            child = values[f"{outcome.eps:g}"]
            assert child.data.metrics == pytest.approx(outcome.metrics, rel=1e-9)
            assert child.outputs.model_outputs
    serverless.run_step(
        "score", store, tmp_path, f"--model_uri={store.model_uri(run)}", f"--data={SCHEMA}.birds", "--id=record",
        f"--output={SCHEMA}.scored",
    )  # fmt: skip
    expected = pd.read_parquet(store.artifact(run, "clusters.parquet")).set_index("row")["cluster"].dropna()
    assert len(expected) > 300
    scored = serverless.table("scored").set_index("record")["cluster"].loc[expected.index]
    assert (scored[expected >= 0] == expected[expected >= 0]).all()


@pytest.mark.parametrize("step", ["dbscan_sweep", "hdbscan_sweep", "kmeans_sweep"])
@pytest.mark.parametrize("runs", ["none", "groups"])
def test_a_sweep_of_a_table_of_the_catalogue_writes_its_tables_there(
    serverless: Serverless, store: Store, tmp_path: Path, rows: pd.DataFrame, step: str, runs: str
) -> None:
    name = f"{step}_{runs}"
    serverless.run_step(
        step, store, tmp_path, f"--data={SCHEMA}.birds", "--group_by=island", f"--features={','.join(FEATURES)}", "--id=record",
        f"--runs={runs}", f"--output={SCHEMA}.{name}",
    )  # fmt: skip
    clusters, results = serverless.table(f"{name}_clusters"), serverless.table(f"{name}_results")
    assert sorted(clusters["record"]) == list(range(len(rows)))
    assert set(results["island"]) == set(ISLANDS)
    assert len(store.children(store.only_finished(step))) == (0 if runs == "none" else len(ISLANDS))


def test_a_regression_passes_its_model_through_a_volume_and_scores_with_it(
    serverless: Serverless, store: Store, tmp_path: Path, rows: pd.DataFrame
) -> None:
    serverless.run_step("spark_logistic_regression", store, tmp_path)
    run = store.only_finished("spark_logistic_regression")
    assert run.data.metrics["eval_acc"] > 0.9
    serverless.run_step(
        "score", store, tmp_path, f"--model_uri=runs:/{run.info.run_id}/model", f"--data={SCHEMA}.birds", "--id=record",
        "--target=species", f"--output={SCHEMA}.species",
    )  # fmt: skip
    scored = serverless.table("species").set_index("record")["prediction"].dropna()
    assert len(scored) == len(rows.dropna())
    assert (scored == rows.set_index("record")["species"].loc[scored.index]).mean() > 0.95


def test_any_model_predicts_in_functions_without_a_network(
    serverless: Serverless, store: Store, tmp_path: Path, rows: pd.DataFrame
) -> None:
    step = subprocess.run(
        [sys.executable, str(PROJECT / "steps" / "ridge_search.py"), "--experiment=penguins"],
        cwd=tmp_path, env=environment(MLFLOW_TRACKING_URI=store.uri), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert step.returncode == 0, step.stderr
    run = store.only_finished("ridge_search")
    serverless.run_step(
        "score", store, tmp_path, f"--model_uri={store.model_uri(run)}", f"--data={SCHEMA}.birds", "--id=record",
        f"--output={SCHEMA}.masses",
    )  # fmt: skip
    scored = serverless.table("masses").set_index("record")["prediction"].dropna()
    assert (scored - rows.set_index("record")["body_mass_g"].loc[scored.index]).abs().mean() < 300
