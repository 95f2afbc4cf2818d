"""Where `mlflow run` takes the project from: git and its versions, a folder of a repository, a zip, Python's call.

One run from a git URL succeeds as a whole. Of the others it is enough to see which code runs, with which run and which store:
a parameter that the step refuses shows that in a second.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from git_server import copy_tree, git, git_daemon, make_repository
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID
from servers import environment, mlflow_run
from stores import Store, empty_store

from penguins.project import PROJECT

STEP = ("-e", "logistic_regression", "--env-manager", "local", "--experiment-name", "penguins")
WITHIN = "analyses/penguins"
REFUSAL = "The 'seed' parameter must be an integer in [0, 4294967295]. Got 'none' instead."


@dataclass(frozen=True)
class Repositories:
    """This project in two versions as `penguins`, and within a larger repository as `larger`, at the URLs of a git daemon."""

    penguins: str
    larger: str
    first_commit: str


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repositories]:
    folder = tmp_path_factory.mktemp("served")
    penguins = make_repository(folder / "penguins")
    git(penguins, "tag", "v1")
    git(penguins, "branch", "other")
    (penguins / "later.txt").touch()
    git(penguins, "add", "-A")
    git(penguins, "commit", "-qm", "later")
    make_repository(folder / "larger", WITHIN)
    with git_daemon(folder) as url:
        yield Repositories(f"{url}/penguins", f"{url}/larger", git(penguins, "rev-parse", "v1"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.fixture
def run_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> "RunRefused":
    monkeypatch.setenv("PATH", environment()["PATH"])
    return RunRefused(store)


@dataclass(frozen=True)
class RunRefused:
    """Python's call of the project with a parameter that the step refuses."""

    store: Store

    def __call__(self, uri: str, version: str | None = None) -> Run:
        """Return the run, which has the step's line."""
        with pytest.raises(ExecutionException):
            mlflow.run(
                uri,
                entry_point="logistic_regression",
                version=version,
                parameters={"seed": "none"},
                experiment_name="penguins",
                env_manager="local",
            )
        run = self.store.only("logistic_regression")
        assert (run.info.status, run.data.tags["error"]) == ("FAILED", REFUSAL)
        return run


def test_main_runs_from_a_tag_of_a_git_url_in_another_folder_and_its_run_keeps_the_name_that_is_given(
    store: Store, repositories: Repositories, elsewhere: Path
) -> None:
    done = mlflow_run(
        repositories.penguins, "-v", "v1", "-P", "steps=logistic_regression,ridge_search", "-P", "alphas=1,2",
        "--run-name", "my-run-1", "--env-manager", "local", "--experiment-name", "penguins",
        folder=elsewhere, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    main = store.only("my-run-1")
    assert main.data.tags[MLFLOW_GIT_COMMIT] == repositories.first_commit
    steps = store.children(main)
    assert {name: run.info.status for name, run in steps.items()} == {
        "logistic_regression": "FINISHED",
        "ridge_search": "FINISHED",
    }
    assert set(store.children(steps["ridge_search"])) == {"alpha=1", "alpha=2"}
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("version", ["branch", "commit"])
def test_a_version_of_a_git_repository_is_the_one_that_runs(
    run_refused: RunRefused, repositories: Repositories, version: str
) -> None:
    name = {"branch": "other", "commit": repositories.first_commit}[version]
    assert run_refused(repositories.penguins, name).data.tags[MLFLOW_GIT_COMMIT] == repositories.first_commit
    assert git(PROJECT, "ls-remote", repositories.penguins, "HEAD").split()[0] != repositories.first_commit


def test_of_a_folder_of_a_git_repository_the_runs_are_where_mlflow_keeps_them_and_a_relative_table_is_refused(
    repositories: Repositories, elsewhere: Path
) -> None:
    (elsewhere / "cars.csv").write_text("a,b\n1,2\n")
    done = mlflow_run(f"{repositories.larger}#{WITHIN}", "-P", "data=cars.csv", "-P", "target=a", *STEP, folder=elsewhere)
    assert done.returncode == 1
    run = Store(empty_store(elsewhere)).only("logistic_regression")
    assert run.info.status == "FAILED"
    assert "give an absolute path" in run.data.tags["error"]


def test_a_relative_store_of_a_git_run_is_refused_with_what_to_do(repositories: Repositories, elsewhere: Path) -> None:
    done = mlflow_run(repositories.penguins, *STEP, folder=elsewhere, MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "MLFLOW_TRACKING_URI" in line
    [run] = Store(empty_store(elsewhere)).runs()
    assert f"does not hold the run {run.info.run_id}" in line
    assert run.info.status == "FAILED"


def test_the_project_may_be_a_zip(run_refused: RunRefused, tmp_path: Path) -> None:
    copy_tree(tmp_path / "tree" / "penguins-main")
    archive = shutil.make_archive(str(tmp_path / "penguins"), "zip", tmp_path / "tree")
    run_refused(f"{archive}#penguins-main")


@pytest.mark.parametrize("is_within_a_run", [False, True])
def test_pythons_call_runs_a_step_under_the_run_that_is_active(
    run_refused: RunRefused, monkeypatch: pytest.MonkeyPatch, is_within_a_run: bool
) -> None:
    # What `set_experiment` sets would stay for the tests that follow.
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")
    mlflow.set_experiment("penguins")
    outer = mlflow.start_run(run_name="outer").info.run_id if is_within_a_run else None
    run = run_refused(str(PROJECT))
    active = mlflow.active_run()
    mlflow.end_run()
    assert (active.info.run_id if active else None) == outer
    assert run.data.tags.get(MLFLOW_PARENT_RUN_ID) == outer
