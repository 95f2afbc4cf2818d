"""The real thing: `mlflow run` in processes of its own, from this folder, and in an environment that uv builds."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from documents import examples, run_command
from servers import environment, mlflow_run
from stores import Store, empty_store, open_store
from uv_run import UvRun

from penguins.project import PROJECT

TREE = {
    "logistic_regression": set(),
    "ridge_search": {"alpha=0.05", "alpha=0.1", "alpha=0.5", "alpha=1", "alpha=2", "alpha=5"},
    "spark_logistic_regression": set(),
    "dbscan_sweep": {"Biscoe", "Dream", "Torgersen"},
    "report": set(),
}
FIRST, READ_BACK = examples("docs/tutorial.md", "1. The penguins")
README = (PROJECT / "README.md").read_text(encoding="utf-8")
EPS = ("0.1", "0.2", "0.3", "0.5", "0.7", "0.9", "1.1", "1.3", "1.5")


@dataclass(frozen=True)
class WholeRun:
    """The store after the first command of README and the tutorial, and what the command printed."""

    store: Store
    printed: str


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> WholeRun:
    folder = tmp_path_factory.mktemp("whole")
    store = open_store(folder, initialised_database)
    arguments = [str(PROJECT) if word == "." else word for word in shlex.split(FIRST.command)[2:]]
    done = mlflow_run(*arguments, folder=folder, MLFLOW_TRACKING_URI=store.uri)
    assert done.returncode == 0, done.stdout + done.stderr
    return WholeRun(store, done.stdout + done.stderr)


def test_the_run_command_leaves_the_whole_tree_finished(whole_run: WholeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    store = whole_run.store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert len(store.runs()) == 1 + 5 + 6 + 3 + 27
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
        assert f"{name}: running" in whole_run.printed
        assert f"{name}: FINISHED in" in whole_run.printed


def test_the_output_has_no_warning_and_no_traceback(whole_run: WholeRun) -> None:
    noise = ("WARN", "Warning", "Traceback", "ERROR", "🏃", "it/s")
    assert [line for line in whole_run.printed.splitlines() if any(word in line for word in noise)] == []


def test_readme_and_the_tutorial_begin_with_this_command_and_tell_what_it_prints(whole_run: WholeRun) -> None:
    assert FIRST.command.startswith("mlflow run . ")
    assert f" {FIRST.command}\n```\n\n## Look at the results\n" in README
    assert FIRST.output
    assert FIRST.lines_missed(whole_run.printed) == []
    assert "\nreport: file:///" in whole_run.printed


def test_readme_tells_which_eps_each_island_wants_and_why(whole_run: WholeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", whole_run.store.uri)
    sweep = whole_run.store.only("dbscan_sweep")
    results = pd.read_csv(whole_run.store.artifact(sweep, "results.csv"))
    points = pd.read_parquet(whole_run.store.artifact(sweep, "points.parquet"))
    chosen = results[results["best"]]
    n_noise = chosen["n_records"] - chosen["n_clustered_records"]
    columns = [chosen["eps"].map("{:g}".format), chosen["n_clusters"], n_noise, chosen["n_records"]]
    found = dict(zip(chosen["island"], zip(*columns, strict=True), strict=True))
    table = re.findall(r"^\| (\w+) \| ([\d.]+) \| (\d+) \| (\d+) of (\d+) \|", README, flags=re.MULTILINE)
    assert {island: (eps, int(n), int(noise), int(of)) for island, eps, n, noise, of in table} == found

    labels = {island: pd.DataFrame(rows["labels"].tolist(), columns=EPS) for island, rows in points.groupby("island")}
    biscoe = labels["Biscoe"]
    assert {eps: int((biscoe[eps] != biscoe["1.1"]).sum()) for eps in EPS[5:]} == {"0.9": 2, "1.1": 0, "1.3": 0, "1.5": 0}
    for island in ("Dream", "Torgersen"):
        sizes = {eps: one[one >= 0].value_counts() for eps, one in labels[island].items()}
        counting = {eps: of_eps[of_eps >= 5] for eps, of_eps in sizes.items()}
        enough = [eps for eps, of_eps in counting.items() if len(of_eps) > 1 and of_eps.sum() >= len(labels[island]) / 2]
        assert enough == [found[island][0]]
    assert sorted(labels["Dream"]["1.1"].value_counts().drop(-1)) == [3, 110]


def test_the_results_are_read_back_with_pandas(whole_run: WholeRun) -> None:
    printed = run_command(READ_BACK.command, PROJECT, MLFLOW_TRACKING_URI=whole_run.store.uri)
    for n_noise, island in ((29, "Dream"), (14, "Torgersen")):
        [rows] = re.findall(rf"^{island}: {n_noise} of them, \[(.*)\]$", printed, flags=re.MULTILINE)
        assert len(rows.split(", ")) == n_noise
    assert "The fitted DBSCAN of Dream: DBSCAN(eps=0.9, min_samples=3)" in printed


def test_logged_models_are_loaded_in_another_process_outside_the_repository(whole_run: WholeRun, tmp_path: Path) -> None:
    store = whole_run.store
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


def test_how_a_table_is_written_survives_the_command_line(store: Store, tmp_path: Path) -> None:
    rows = "".join(f"{place},5;{2 * place}'000,5;'\n" for place in range(30))
    (tmp_path / "t.csv").write_bytes(f"größe;wert;'\n{rows}?;1;'\n".encode("cp1252"))
    read = """{sep: ";", decimal: ",", thousands: "'", na_values: ["?", -200]}"""
    done = mlflow_run(
        str(PROJECT), "-e", "ridge_search", "-P", f"data={tmp_path}/t.csv", "-P", "target=wert", "-P", "features=größe",
        "-P", f"read={read}", "--env-manager", "local", "--experiment-name", "penguins",
        folder=tmp_path, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = store.only("ridge_search")
    assert (run.data.metrics["n_rows"], run.data.metrics["n_rows_left_out"]) == (30, 1)
    assert run.data.metrics["best_cv_score"] > -10_000  # a line of numbers up to 58,000, but for the penalty
    assert '"encoding": "cp1252"' in run.data.params["read_as"]


def test_a_bad_parameter_fails_the_run_with_its_line(store: Store, tmp_path: Path) -> None:
    done = mlflow_run(
        str(PROJECT), "-e", "dbscan_sweep", "-P", "eps=0.5,-1", "--env-manager", "local", "--experiment-name", "penguins",
        folder=tmp_path, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 1
    run = store.only("dbscan_sweep")
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].startswith("The 'eps' parameter must be auto, auto:N with N in [2, 200], or a list")
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [f"error: {run.data.tags['error']}"]
    assert "Traceback" not in done.stderr


def test_uv_builds_the_environment_of_the_project(uv_run: UvRun) -> None:
    assert uv_run.wait() == 0, uv_run.output
    run = uv_run.store.only("logistic_regression")
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.project.env"] == "uv"
    assert any((uv_run.folder / "environments").iterdir())


@pytest.mark.parametrize(
    ("step", "option", "value"), [("logistic_regression", "seed", "3"), ("dbscan_sweep", "eps", "0.5,0.9")]
)
def test_a_step_is_a_script_that_runs_from_any_folder_and_needs_no_activated_environment(
    tmp_path: Path, step: str, option: str, value: str
) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "steps" / f"{step}.py"), f"--{option}", value],
        cwd=tmp_path,
        env=environment() | {"PATH": os.environ["PATH"].replace(str(Path(sys.executable).parent), "/nowhere")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    run = Store(empty_store(tmp_path)).only(step)
    assert (run.info.status, run.data.params[option]) == ("FINISHED", value)
