"""The project on Databricks, as far as it can be run here: the bundle's jobs, and a submission to a stand-in of a workspace."""

import json
import os
import re
from pathlib import Path
from typing import Any

import dbscan_sweep
import pytest
import yaml
from conftest import Steps, Store
from databricks.bundles.jobs import Job
from git_server import copy_tree
from pyspark.sql import SparkSession
from servers import mlflow_run, server
from test_options import STEPS
from test_project import MLPROJECT, requirements
from workspace import TOKEN, workspace

from common import options, spark_models
from common.options import PROJECT, InputError

BUNDLE = yaml.safe_load((PROJECT / "databricks.yml").read_text())
JOBS = BUNDLE["resources"]["jobs"]
MODULES = {module.NAME: module for module in STEPS}
JOB_PARAMETER = re.compile(r"\{\{job\.parameters\.(\w+)\}\}")
# What a runtime brings along with its Spark, and what only a laptop needs.
OF_THE_RUNTIME, OF_A_LAPTOP = {"numpy", "pandas", "pyarrow", "pyspark"}, {"s-dbw", "uv"}


def typed(name: str) -> Any:
    """The job as Databricks's own classes read it, which refuse what they do not know."""
    return Job.from_dict(JOBS[name])


def given(task: Any, parameters: dict[str, str]) -> list[str]:
    """The command line of a task with the job's parameters in their places."""
    return [JOB_PARAMETER.sub(lambda found: parameters[found[1]], text) for text in task.spark_python_task.parameters]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_every_experiment_by_its_script_on_the_session_that_is_there(name: str) -> None:
    tasks = {task.task_key: task for task in typed(name).tasks}
    assert set(tasks) == set(MLPROJECT["entry_points"]) - {"main"}
    for key, task in tasks.items():
        assert task.spark_python_task.python_file == f"steps/{key}.py"
        assert ("--spark=active" in task.spark_python_task.parameters) == (
            "spark" in MLPROJECT["entry_points"][key]["parameters"]
        )


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_the_parameters_of_main_and_hands_each_to_the_steps_that_take_it(name: str) -> None:
    job = typed(name)
    defaults = {parameter.name: parameter.default for parameter in job.parameters}
    main = {key: str(of["default"]) for key, of in MLPROJECT["entry_points"]["main"]["parameters"].items()}
    assert {key: value for key, value in defaults.items() if key != "experiment"} == {
        key: main[key] for key in main if key not in ("steps", "config", "spark", "env_manager")
    }
    for task in job.tasks:
        declared = MODULES[task.task_key].Parameters
        found = options.given(declared, given(task, defaults | {"experiment": "/Users/ada/penguins"}))
        assert found == {key: value for key, value in defaults.items() if key in declared.__dataclass_fields__} | {
            key: value for key, value in found.items() if key in ("experiment", "spark")
        }
        assert options.read(declared, found).experiment == "/Users/ada/penguins"


def test_the_two_jobs_differ_in_their_compute_alone() -> None:
    serverless, cluster = typed("penguins_serverless"), typed("penguins_cluster")
    assert [task.spark_python_task for task in serverless.tasks] == [task.spark_python_task for task in cluster.tasks]
    assert {task.environment_key for task in serverless.tasks} == {
        environment.environment_key for environment in serverless.environments
    }
    assert {task.job_cluster_key for task in cluster.tasks} == {of.job_cluster_key for of in cluster.job_clusters}
    files = {library.requirements.removeprefix("./") for task in cluster.tasks for library in task.libraries}
    files |= {line.removeprefix("-r ") for of in serverless.environments for line in of.spec.dependencies}
    assert files == {"requirements-databricks.txt"}


def test_the_bundle_has_its_targets_and_uses_its_variables() -> None:
    assert {name: target["mode"] for name, target in BUNDLE["targets"].items()} == {"dev": "development", "prod": "production"}
    named = set(re.findall(r"\$\{var\.(\w+)\}", (PROJECT / "databricks.yml").read_text()))
    assert named == set(BUNDLE["variables"])


def test_a_job_installs_the_pins_but_not_what_its_runtime_brings() -> None:
    ours, theirs = requirements("requirements.txt"), requirements("requirements-databricks.txt")
    assert {name: str(pins[0].specifier) for name, pins in theirs.items()} == {
        name: str(pins[0].specifier) for name, pins in ours.items() if name not in OF_THE_RUNTIME | OF_A_LAPTOP
    }


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "client.4.9")


def test_models_pass_through_the_volume_of_the_sessions_catalog(
    session: SparkSession, serverless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_models, "VOLUMES", tmp_path)
    monkeypatch.delenv(spark_models.SHARED, raising=False)
    # Which is no session of Databricks and knows no Volumes.
    with pytest.raises(InputError, match=r"`spark_catalog`\.`default`\.`penguins` could not be made") as error:
        spark_models.find_volume(session)
    assert spark_models.SHARED in str(error.value)
    assert "\n" not in str(error.value)
    volume = tmp_path / "spark_catalog" / "default" / "penguins"
    volume.mkdir(parents=True)
    monkeypatch.setenv(spark_models.SHARED, "/tmp/mlflow")  # noqa: S108  # no Volume
    spark_models.find_volume(session)
    assert os.environ[spark_models.SHARED] == str(volume)
    given_volume = f"dbfs:{tmp_path}/other/schema/volume"
    monkeypatch.setenv(spark_models.SHARED, given_volume)
    spark_models.find_volume(session)
    assert os.environ[spark_models.SHARED] == given_volume


def test_no_volume_is_asked_for_elsewhere(session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(spark_models.SHARED, raising=False)
    spark_models.find_volume(session)
    assert spark_models.SHARED not in os.environ


def test_workers_without_a_network_are_not_asked_to_log(
    session: SparkSession, store: Store, step: Steps, serverless: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, spark="active", log_from="executors", experiment="penguins") == 2
    [line] = capfd.readouterr().err.splitlines()
    assert "serverless" in line
    assert store.only("dbscan_sweep").info.status == "FAILED"


def test_mlflows_own_backend_submits_a_job_that_runs_the_project_under_the_run_that_it_has_opened(tmp_path: Path) -> None:
    project, node = tmp_path / "project", tmp_path / "node"
    for folder in (project, node, tmp_path / "server"):
        folder.mkdir()
    copy_tree(project)
    cluster = {"new_cluster": {"spark_version": "17.3.x-cpu-ml-scala2.13", "node_type_id": "i3.xlarge", "num_workers": 1}}
    (tmp_path / "cluster.json").write_text(json.dumps(cluster))
    with server(tmp_path / "server", f"sqlite:///{tmp_path}/server/mlflow.db") as started, workspace(node) as (url, kept):
        done = mlflow_run(
            str(project), "-e", "ridge_search", "-P", "alphas=1,2", "--env-manager", "local", "--experiment-name", "penguins",
            "--backend", "databricks", "--backend-config", str(tmp_path / "cluster.json"),
            folder=tmp_path, MLFLOW_TRACKING_URI=started.url, DATABRICKS_HOST=url, DATABRICKS_TOKEN=TOKEN,
            MLFLOW_HTTP_REQUEST_TIMEOUT="600",  # for the stand-in answers once the job has ended
        )  # fmt: skip
        assert kept.done is not None, done.stderr
        assert (kept.done.returncode, done.returncode) == (0, 0), kept.done.stderr
        assert kept.job["new_cluster"] == cluster["new_cluster"]
        store = Store(started.url)
        by_name = {run.info.run_name: run for run in store.runs()}
        assert set(by_name) == {"ridge_search", "alpha=1", "alpha=2"}
        assert {run.info.status for run in by_name.values()} == {"FINISHED"}
        assert by_name["ridge_search"].data.tags["mlflow.databricks.runURL"].startswith(url)
