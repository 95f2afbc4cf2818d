"""The real thing: `mlflow run` in processes of its own, from this folder, and in an environment that uv builds."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import Store, open_store
from servers import environment, mlflow_run

from common.options import PROJECT

TREE = {
    "logistic_regression": set(),
    "ridge_search": {"alpha=0.05", "alpha=0.1", "alpha=0.5", "alpha=1", "alpha=2", "alpha=5"},
    "spark_logistic_regression": set(),
    "dbscan_sweep": {"Biscoe", "Dream", "Torgersen"},
}
EPS = ("0.1", "0.2", "0.3", "0.5", "0.7", "0.9", "1.1", "1.3", "1.5")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> tuple[Store, str]:
    """The store after README's command, and what the command printed."""
    folder = tmp_path_factory.mktemp("whole")
    store = open_store(folder, initialised_database)
    done = mlflow_run(
        str(PROJECT), "--env-manager", "local", "--experiment-name", "penguins", folder=folder, MLFLOW_TRACKING_URI=store.uri
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return store, done.stdout + done.stderr


def test_the_run_command_leaves_the_whole_tree_finished(whole: tuple[Store, str], monkeypatch: pytest.MonkeyPatch) -> None:
    store, printed = whole
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.runs()) == 1 + 4 + 6 + 3 + 27
    steps = store.children(store.only("main"))
    assert set(steps) == set(TREE)
    for name, expected in TREE.items():
        assert set(store.children(steps[name])) == expected
    for island, group in store.children(steps["dbscan_sweep"]).items():
        assert set(store.children(group)) == {f"{island}-eps{eps}" for eps in EPS}
    summary = pd.read_csv(store.artifact(store.only("main"), "summary.csv"))
    assert summary["step"].tolist() == sorted(TREE)
    assert set(summary["status"]) == {"FINISHED"}
    for name in TREE:
        assert f"{name}: running" in printed
        assert f"{name}: FINISHED in" in printed


def test_the_output_holds_no_warning_and_no_stack(whole: tuple[Store, str]) -> None:
    lines = whole[1].splitlines()
    noise = [line for line in lines if any(word in line for word in ("WARN", "Warning", "Traceback", "ERROR", "🏃", "it/s"))]
    assert noise == []


def test_logged_models_are_loaded_in_another_process_outside_the_repository(whole: tuple[Store, str], tmp_path: Path) -> None:
    store, _ = whole
    uris = {name: store.model_uri(store.only(name)) for name in ("logistic_regression", "ridge_search", "Dream-eps0.9")}
    uris["spark"] = f"runs:/{store.only('spark_logistic_regression').info.run_id}/model"
    program = (
        "import mlflow, pandas\n"
        f"uris = {uris!r}\n"
        f"rows = pandas.read_csv({str(PROJECT / 'data' / 'penguins.csv')!r}).dropna()\n"
        "sex = mlflow.pyfunc.load_model(uris['logistic_regression']).predict(rows)\n"
        "print(round((sex == rows['sex']).mean(), 2))\n"
        "print(mlflow.pyfunc.load_model(uris['ridge_search']).predict(rows).shape)\n"
        "print(mlflow.sklearn.load_model(uris['Dream-eps0.9'])['dbscan'].labels_.max())\n"
        "print(set(mlflow.pyfunc.load_model(uris['spark']).predict(rows.head(3))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        cwd=tmp_path,
        env=environment(MLFLOW_TRACKING_URI=store.uri, PYSPARK_PYTHON=sys.executable),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n") == ["0.92", "(333,)", "1", "{'Adelie'}", ""], done.stderr


def test_a_bad_parameter_fails_the_run_with_its_line(store: Store, tmp_path: Path) -> None:
    done = mlflow_run(
        str(PROJECT), "-e", "dbscan_sweep", "-P", "eps=0.5,-1", "--env-manager", "local", "--experiment-name", "penguins",
        folder=tmp_path, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 1
    run = store.only("dbscan_sweep")
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].startswith("The 'eps' parameter must be a list without repetition")
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [f"error: {run.data.tags['error']}"]
    assert "Traceback" not in done.stderr


def test_a_name_given_on_the_command_line_stays(store: Store, tmp_path: Path) -> None:
    done = mlflow_run(
        str(PROJECT), "-e", "logistic_regression", "--run-name", "my-run-1", "--env-manager", "local",
        "--experiment-name", "penguins", folder=tmp_path, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [(run.info.run_name, run.info.status) for run in store.runs()] == [("my-run-1", "FINISHED")]


def test_uv_builds_the_environment_of_the_project(store: Store, tmp_path: Path) -> None:
    done = mlflow_run(
        str(PROJECT), "-e", "logistic_regression", "--env-manager", "uv", "--experiment-name", "penguins",
        folder=tmp_path, MLFLOW_TRACKING_URI=store.uri, MLFLOW_ENV_ROOT=str(tmp_path / "envs"), UV_COMPILE_BYTECODE="1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = store.only("logistic_regression")
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.project.env"] == "uv"
    assert any((tmp_path / "envs").iterdir())


def test_a_step_is_a_script_that_runs_from_any_folder(tmp_path: Path) -> None:
    script = PROJECT / "steps" / "logistic_regression.py"
    done = subprocess.run(
        [sys.executable, str(script), "--seed", "3"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    mine = Store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert mine.only("logistic_regression").data.params["seed"] == "3"


def test_a_spark_step_is_a_script_that_needs_no_activated_environment(tmp_path: Path) -> None:
    script = PROJECT / "steps" / "dbscan_sweep.py"
    done = subprocess.run(
        [sys.executable, str(script), "--eps", "0.5,0.9", "--models", "best"],
        cwd=tmp_path,
        env=environment() | {"PATH": os.environ["PATH"].replace(str(Path(sys.executable).parent), "/nowhere")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert Store(f"sqlite:///{tmp_path / 'mlflow.db'}").only("dbscan_sweep").info.status == "FINISHED"
