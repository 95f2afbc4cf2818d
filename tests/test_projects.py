"""Where `mlflow run` takes the project from: git and its versions, a folder of a repository, an archive, Python's call."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from conftest import Store
from git_server import copy_tree, git, repository, served
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID
from servers import environment, mlflow_run

from common.options import PROJECT

ONE = ("-e", "logistic_regression", "--env-manager", "local", "--experiment-name", "penguins")
WITHIN = "analyses/penguins"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves this project in three versions as `penguins`, and within a larger repository as `larger`."""
    folder = tmp_path_factory.mktemp("served")
    penguins = repository(folder / "penguins")
    git(penguins, "tag", "v1")
    git(penguins, "branch", "other")
    (penguins / "later.txt").touch()
    git(penguins, "add", "-A")
    git(penguins, "commit", "-qm", "later")
    repository(folder / "larger", WITHIN)
    with served(folder) as address:
        yield address


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def test_main_runs_from_a_git_url_in_another_folder(store: Store, url: str, elsewhere: Path) -> None:
    done = mlflow_run(
        f"{url}/penguins", "-P", "steps=logistic_regression,ridge_search", "-P", "alphas=1,2", "--env-manager", "local",
        "--experiment-name", "penguins", folder=elsewhere, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = store.children(store.only("main"))
    assert {name: run.info.status for name, run in steps.items()} == {
        "logistic_regression": "FINISHED",
        "ridge_search": "FINISHED",
    }
    assert set(store.children(steps["ridge_search"])) == {"alpha=1", "alpha=2"}
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("version", ["tag", "branch", "commit"])
def test_a_version_of_a_git_repository_is_the_one_that_runs(store: Store, url: str, elsewhere: Path, version: str) -> None:
    first, last = [git(PROJECT, "ls-remote", f"{url}/penguins", name).split()[0] for name in ("v1", "HEAD")]
    assert first != last
    name = {"tag": "v1", "branch": "other", "commit": first}[version]
    done = mlflow_run(f"{url}/penguins", "-v", name, *ONE, folder=elsewhere, MLFLOW_TRACKING_URI=store.uri)
    assert done.returncode == 0, done.stderr
    run = store.only("logistic_regression")
    assert (run.info.status, run.data.tags[MLFLOW_GIT_COMMIT]) == ("FINISHED", first)


def test_the_project_may_lie_in_a_folder_of_a_repository_and_its_runs_where_mlflow_keeps_them(
    url: str, elsewhere: Path
) -> None:
    done = mlflow_run(f"{url}/larger#{WITHIN}", *ONE, folder=elsewhere)
    assert done.returncode == 0, done.stderr
    assert Store(f"sqlite:///{elsewhere}/mlflow.db").only("logistic_regression").info.status == "FINISHED"


def test_the_project_may_be_a_zip(store: Store, tmp_path: Path, elsewhere: Path) -> None:
    copy_tree(tmp_path / "tree" / "penguins-main")
    archive = shutil.make_archive(str(tmp_path / "penguins"), "zip", tmp_path / "tree")
    done = mlflow_run(f"{archive}#penguins-main", *ONE, folder=elsewhere, MLFLOW_TRACKING_URI=store.uri)
    assert done.returncode == 0, done.stderr
    assert store.only("logistic_regression").info.status == "FINISHED"


@pytest.mark.parametrize("within_a_run", [False, True])
def test_pythons_call_runs_a_step_under_the_run_that_is_active(
    store: Store, monkeypatch: pytest.MonkeyPatch, within_a_run: bool
) -> None:
    monkeypatch.setenv("PATH", environment()["PATH"])
    mlflow.set_experiment("penguins")
    outer = mlflow.start_run().info.run_id if within_a_run else None
    submitted = mlflow.run(
        str(PROJECT), entry_point="ridge_search", parameters={"alphas": "1,2"}, experiment_name="penguins", env_manager="local"
    )
    assert mlflow.active_run() is None or outer
    mlflow.end_run()
    run = store.client.get_run(submitted.run_id)
    assert (run.info.run_name, run.info.status) == ("ridge_search", "FINISHED")
    assert run.data.tags.get(MLFLOW_PARENT_RUN_ID) == outer
    assert set(store.children(run)) == {"alpha=1", "alpha=2"}


def test_a_relative_table_of_a_git_run_is_refused_with_what_to_do(store: Store, url: str, elsewhere: Path) -> None:
    (elsewhere / "cars.csv").write_text("a,b\n1,2\n")
    done = mlflow_run(f"{url}/penguins", "-P", "data=cars.csv", *ONE, folder=elsewhere, MLFLOW_TRACKING_URI=store.uri)
    assert done.returncode == 1
    run = store.only("logistic_regression")
    assert run.info.status == "FAILED"
    assert "give an absolute path" in run.data.tags["error"]


def test_a_relative_store_of_a_git_run_is_refused_with_what_to_do(url: str, elsewhere: Path) -> None:
    done = mlflow_run(f"{url}/penguins", *ONE, folder=elsewhere, MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "MLFLOW_TRACKING_URI" in line
    assert f"sqlite:///{elsewhere}/mlflow.db" in line
    [run] = Store(f"sqlite:///{elsewhere}/mlflow.db").runs()
    assert run.info.status == "FAILED"
    assert line == f"error: {run.data.tags['error']}"
