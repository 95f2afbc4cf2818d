"""The project on Databricks, as far as it can be checked here: the bundle's jobs, and what is special on serverless compute."""

import os
import re
from pathlib import Path
from typing import Any

import dbscan_sweep
import pytest
import yaml
from databricks.bundles.jobs import Job
from packaging.requirements import Requirement
from pyspark.sql import SparkSession
from step_modules import BY_NAME
from stores import Steps, Store

from penguins.cli.parameters import parse_parameters
from penguins.cli.script import parse_argv
from penguins.errors import InputError
from penguins.project import PROJECT
from penguins.spark.ml_models import SHARED, use_volume

MLPROJECT = yaml.safe_load((PROJECT / "MLproject").read_text())
BUNDLE = yaml.safe_load((PROJECT / "databricks.yml").read_text())
JOBS = BUNDLE["resources"]["jobs"]
JOB_PARAMETER = re.compile(r"\{\{job\.parameters\.(\w+)\}\}")
# A runtime brings these along with its Spark; and only a laptop needs those.
OF_THE_RUNTIME, OF_A_LAPTOP = {"numpy", "pandas", "pyarrow", "pyspark"}, {"s-dbw", "uv"}


def read_job(name: str) -> Any:
    """Return the job as Databricks's own classes read it, which refuse what they do not know."""
    return Job.from_dict(JOBS[name])


def command_line(task: Any, parameters: dict[str, str]) -> list[str]:
    """Return the command line of a task with the job's parameters filled in."""
    return [JOB_PARAMETER.sub(lambda found: parameters[found[1]], text) for text in task.spark_python_task.parameters]


def pins(name: str) -> dict[str, str]:
    """Return the versions in a file of requirements by package."""
    lines = (PROJECT / name).read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return {pin.name.lower(): str(pin.specifier) for pin in found}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_every_experiment_by_its_script_on_the_session_that_databricks_gives_it(name: str) -> None:
    tasks = {task.task_key: task for task in read_job(name).tasks}
    assert set(tasks) == set(MLPROJECT["entry_points"]) - {"main", "score", "report"}
    for key, task in tasks.items():
        assert task.spark_python_task.python_file == f"steps/{key}.py"
        needs_spark = "spark" in MLPROJECT["entry_points"][key]["parameters"]
        assert ("--spark=active" in task.spark_python_task.parameters) == needs_spark


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_the_parameters_of_main_and_hands_each_to_the_steps_that_take_it(name: str) -> None:
    job = read_job(name)
    defaults = {parameter.name: parameter.default for parameter in job.parameters}
    main = {key: str(spec["default"]) for key, spec in MLPROJECT["entry_points"]["main"]["parameters"].items()}
    assert {key: value for key, value in defaults.items() if key != "experiment"} == {
        key: main[key] for key in main if key not in ("steps", "config", "spark", "env_manager")
    }
    for task in job.tasks:
        declared = BY_NAME[task.task_key].Parameters
        found = parse_argv(declared, command_line(task, defaults | {"experiment": "/Users/ada/penguins"}))
        assert found == {key: value for key, value in defaults.items() if key in declared.__dataclass_fields__} | {
            key: value for key, value in found.items() if key in ("experiment", "spark")
        }
        assert parse_parameters(declared, found).experiment == "/Users/ada/penguins"


def test_the_two_jobs_differ_only_in_their_compute() -> None:
    serverless, cluster = read_job("penguins_serverless"), read_job("penguins_cluster")
    assert [task.spark_python_task for task in serverless.tasks] == [task.spark_python_task for task in cluster.tasks]
    assert {task.environment_key for task in serverless.tasks} == {
        environment.environment_key for environment in serverless.environments
    }
    assert {task.job_cluster_key for task in cluster.tasks} == {compute.job_cluster_key for compute in cluster.job_clusters}
    files = {library.requirements.removeprefix("./") for task in cluster.tasks for library in task.libraries}
    files |= {line.removeprefix("-r ") for environment in serverless.environments for line in environment.spec.dependencies}
    assert files == {"requirements-databricks.txt"}


def test_the_bundle_has_its_targets_and_uses_its_variables() -> None:
    assert {name: target["mode"] for name, target in BUNDLE["targets"].items()} == {"dev": "development", "prod": "production"}
    named = set(re.findall(r"\$\{var\.(\w+)\}", (PROJECT / "databricks.yml").read_text()))
    assert named == set(BUNDLE["variables"])


def test_a_job_installs_the_pins_except_those_that_its_runtime_brings() -> None:
    ours = pins("requirements.txt")
    assert pins("requirements-databricks.txt") == {
        name: version for name, version in ours.items() if name not in OF_THE_RUNTIME | OF_A_LAPTOP
    }


@pytest.fixture
def serverless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "client.4.9")


def test_models_pass_through_the_volume_of_the_sessions_catalog(
    session: SparkSession, serverless: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penguins.spark.ml_models.VOLUMES", tmp_path)
    monkeypatch.delenv(SHARED, raising=False)
    # This session is not one of Databricks and knows no Volumes.
    with pytest.raises(InputError, match=r"`spark_catalog`\.`default`\.`penguins` could not be made") as error:
        use_volume(session)
    assert SHARED in str(error.value)
    assert "\n" not in str(error.value)
    volume = tmp_path / "spark_catalog" / "default" / "penguins"
    volume.mkdir(parents=True)
    monkeypatch.setenv(SHARED, "/tmp/mlflow")  # noqa: S108  # no Volume
    use_volume(session)
    assert os.environ[SHARED] == str(volume)
    other_volume = f"dbfs:{tmp_path}/other/schema/volume"
    monkeypatch.setenv(SHARED, other_volume)
    use_volume(session)
    assert os.environ[SHARED] == other_volume


def test_elsewhere_no_volume_is_asked_for(session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARED, raising=False)
    use_volume(session)
    assert SHARED not in os.environ


def test_workers_without_a_network_are_not_asked_to_log(
    session: SparkSession, store: Store, step: Steps, serverless: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, spark="active", log_from="executors") == 2
    [line] = capfd.readouterr().err.splitlines()
    assert "serverless" in line
    assert store.only("dbscan_sweep").info.status == "FAILED"
