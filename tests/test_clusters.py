"""Spark elsewhere: a Connect server, a standalone cluster, executors of their own, none with this project's code."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import spark_logistic_regression
from clusters import HOME, SETTINGS, connect_server, standalone
from conftest import SEED_ROWS, Steps, Store
from pyspark.sql import SparkSession
from servers import USER, environment, team_server

from clustering import sweep
from common.options import PROJECT, shortest

FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
EPS = (0.5, 0.9)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with team_server(tmp_path_factory.mktemp("server")) as started:
        yield started.url


@pytest.fixture
def url(team: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in USER.items():
        monkeypatch.setenv(name, value)
    return team


@pytest.fixture(scope="module", params=["local-cluster[2,1,1024]", "connect-local[2]", "sc", "spark"])
def where(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("spark")
    start = {"sc": connect_server, "spark": standalone}.get(request.param, lambda _: nullcontext(request.param))
    with start(folder) as started:
        yield started


def run(
    step: str, folder: Path, url: str, *options: str, user: Mapping[str, str] = USER, by: Sequence[str] = (sys.executable,)
) -> subprocess.CompletedProcess[str]:
    """A step as a process of its own, whose environment alone holds what the server wants to see."""
    return subprocess.run(
        [*by, str(PROJECT / "steps" / f"{step}.py"), *options],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=url, PYSPARK_PYTHON=sys.executable, **user),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_sweep_finds_the_same_wherever_its_groups_are_clustered(where: str, url: str, tmp_path: Path) -> None:
    rows = pd.read_csv(SEED_ROWS)
    # A folder that Spark reads itself.
    rows.to_parquet(tmp_path / "penguins.parquet")
    experiment = f"{where} sweep"
    done = run(
        "dbscan_sweep", tmp_path, url, f"--spark={where}", "--log_from=executors", f"--data=file://{tmp_path}/penguins.parquet",
        f"--eps={','.join(map(str, EPS))}", f"--experiment={experiment}",
    )  # fmt: skip
    assert (done.stderr, done.returncode) == ("", 0)
    store = Store(url)
    runs = store.runs(experiment)
    islands = sorted(set(rows["island"]))
    expected = ["dbscan_sweep", *islands, *[f"{island}-eps{shortest(eps)}" for island in islands for eps in EPS]]
    assert Counter(run.info.run_name for run in runs) == Counter(expected)
    assert {run.info.status for run in runs} == {"FINISHED"}
    metrics = {run.info.run_name: run.data.metrics for run in runs}
    for island, records in rows.dropna(subset=FEATURES).groupby("island"):
        found = sweep.sweep(records[FEATURES].sort_values(FEATURES), EPS, 3)
        for outcome in found.outcomes:
            assert metrics[f"{island}-eps{shortest(outcome.eps)}"] == pytest.approx(outcome.metrics, rel=1e-9)


def test_a_server_that_does_not_know_the_user_ends_a_sweep_with_a_line(team: str, tmp_path: Path) -> None:
    done = run("dbscan_sweep", tmp_path, team, user={})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "401" in line


@pytest.mark.parametrize("where", ["spark"], indirect=True)
def test_a_job_is_submitted_to_a_cluster(where: str, url: str, tmp_path: Path) -> None:
    experiment = f"{where} submitted"
    submit = [str(HOME / "bin" / "spark-submit"), "--master", where, *SETTINGS]
    done = run(
        "dbscan_sweep", tmp_path, url, "--spark=active", "--log_from=executors", "--eps=0.5", f"--experiment={experiment}",
        by=submit,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = Store(url).runs(experiment)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 1 + 3 + 3


@pytest.mark.parametrize("where", ["connect-local[2]", "sc", "spark"], indirect=True)
def test_a_regression_of_spark_leaves_a_model_that_is_loaded_anywhere(
    where: str, url: str, tmp_path: Path, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = f"{where} regression"
    done = run("spark_logistic_regression", tmp_path, url, f"--spark={where}", f"--experiment={experiment}")
    assert (done.stderr, done.returncode) == ("", 0)
    [found] = Store(url).runs(experiment)
    assert found.info.status == "FINISHED"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    mlflow.set_tracking_uri(url)
    rows = pd.read_csv(SEED_ROWS).dropna()
    predicted = mlflow.pyfunc.load_model(f"runs:/{found.info.run_id}/model").predict(rows.drop(columns="species"))
    mlflow.set_tracking_uri(None)
    assert (pd.Series(predicted, index=rows.index) == rows["species"]).mean() > 0.95


def test_a_connect_server_with_which_no_folder_is_shared_is_refused_before_it_is_asked(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(spark_logistic_regression, spark="sc://cluster.example:15002") == 2
    [line] = capfd.readouterr().err.splitlines()
    assert all(part in line for part in ("'spark'", "MLFLOW_DFS_TMP", "connect-local[2]"))
    assert store.only("spark_logistic_regression").info.status == "FAILED"
