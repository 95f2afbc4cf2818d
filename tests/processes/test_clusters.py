"""Spark elsewhere: Connect servers and a standalone cluster without this project's code, on a server that asks for a password.

Other tests sweep there, too: `test_retries.py` on executors in processes of their own and on the standalone cluster from the
step's own session, `test_store.py` on a Connect server elsewhere.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import spark_logistic_regression
from clusters import HOME, Cluster, submit_options, submit_variables
from pyspark.sql import SparkSession
from servers import LONGEST_S, USER, environment
from stores import SEED_ROWS, Steps, Store

from penguins.project import PROJECT
from penguins.sweep.fit import sweep
from penguins.text import format_number

FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
EPS = (0.5, 0.9)


def run_step(
    step: str, folder: Path, url: str, *options: str, user: Mapping[str, str] = USER, by: Sequence[str] = (sys.executable,)
) -> subprocess.CompletedProcess[str]:
    """Run a step as a process of its own, whose environment alone holds the name and the password for the server."""
    return subprocess.run(
        [*by, str(PROJECT / "steps" / f"{step}.py"), *options],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=url, **submit_variables(), **user),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )


def sweep_in(where: str, folder: Path, url: str, by: Sequence[str] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
    """Sweep a folder that Spark reads itself, in the experiment `sweep at …`."""
    pd.read_csv(SEED_ROWS).to_parquet(folder / "penguins.parquet")
    return run_step(
        "dbscan_sweep", folder, url, f"--spark={where}", "--log_from=executors", f"--data=file://{folder}/penguins.parquet",
        "--group_by=island",
        f"--eps={','.join(map(str, EPS))}", f"--experiment=sweep at {where}", by=by,
    )  # fmt: skip


def assert_complete(store: Store, experiment: str) -> None:
    """Assert that a sweep has each of its runs once, with the values that its groups have here."""
    rows = pd.read_csv(SEED_ROWS)
    runs = store.runs(experiment)
    islands = sorted(set(rows["island"]))
    expected = ["dbscan_sweep", *islands, *[f"{island}-eps{format_number(eps)}" for island in islands for eps in EPS]]
    assert Counter(run.info.run_name for run in runs) == Counter(expected)
    assert {run.info.status for run in runs} == {"FINISHED"}
    metrics = {run.info.run_name: run.data.metrics for run in runs}
    for island, records in rows.dropna(subset=FEATURES).groupby("island"):
        for outcome in sweep(records[FEATURES].sort_values(FEATURES), EPS, 3).outcomes:
            assert metrics[f"{island}-eps{format_number(outcome.eps)}"] == pytest.approx(outcome.metrics, rel=1e-9)


def test_a_sweep_by_way_of_a_connect_server_finds_the_same_as_here(team_store: Store, tmp_path: Path) -> None:
    done = sweep_in("connect-local[2]", tmp_path, team_store.uri)
    assert (done.stderr, done.returncode) == ("", 0)
    assert_complete(team_store, "sweep at connect-local[2]")


def test_a_sweep_that_is_submitted_to_a_standalone_cluster_finds_the_same_as_here(
    cluster: Cluster, team_store: Store, tmp_path: Path
) -> None:
    done = sweep_in(
        "active", tmp_path, team_store.uri, [str(HOME / "bin" / "spark-submit"), "--master", cluster.url, *submit_options()]
    )
    assert done.returncode == 0, done.stderr
    assert_complete(team_store, "sweep at active")


def test_a_server_that_does_not_know_the_user_ends_a_sweep_with_a_line(team_server_url: str, tmp_path: Path) -> None:
    done = run_step("dbscan_sweep", tmp_path, team_server_url, user={})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "401" in line


# connect-local comes last: for some time after the sweep above has ended, its port is still in use.
@pytest.fixture(params=["connect server", "standalone cluster", "connect-local[2]"])
def where(request: pytest.FixtureRequest) -> str:
    if request.param == "standalone cluster":
        return str(request.getfixturevalue("cluster").url)
    return str(request.getfixturevalue("connect_url") if request.param == "connect server" else request.param)


def test_a_regression_of_spark_leaves_a_model_that_is_loaded_anywhere(
    where: str, team_store: Store, tmp_path: Path, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = f"regression at {where}"
    done = run_step("spark_logistic_regression", tmp_path, team_store.uri, f"--spark={where}", f"--experiment={experiment}")
    assert (done.stderr, done.returncode) == ("", 0)
    [found] = team_store.runs(experiment)
    assert found.info.status == "FINISHED"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team_store.uri)
    mlflow.set_tracking_uri(team_store.uri)
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
