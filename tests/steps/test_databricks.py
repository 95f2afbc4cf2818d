"""The project on Databricks, as far as it can be checked here: the bundle's jobs, and what is special on serverless compute."""

import json
import os
import re
from pathlib import Path
from typing import Any

import dbscan_sweep
import jsonschema_rs
import pytest
import yaml
from databricks.bundles.experiments import MlflowExperiment
from databricks.bundles.jobs import GitSource, Job
from databricks.bundles.registered_models import RegisteredModel
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume
from packaging.requirements import Requirement
from pyspark.sql import SparkSession
from step_modules import BY_NAME
from stores import Steps, Store

from penguins.cli.combinations import is_catalog_table
from penguins.cli.parameters import parse_parameters
from penguins.cli.script import parse_argv
from penguins.errors import InputError
from penguins.project import PROJECT
from penguins.spark.ml_models import SHARED, VOLUME, use_volume

MLPROJECT = yaml.safe_load((PROJECT / "MLproject").read_text())
# The platform's own schema, `databricks bundle schema`, which is not part of this project.
SCHEMA = "PENGUINS_BUNDLE_SCHEMA"
JOB_PARAMETER = re.compile(r"\{\{job\.parameters\.(\w+)\}\}")
# A runtime brings these along with its Spark; and only a laptop needs those.
OF_THE_RUNTIME, OF_A_LAPTOP = {"numpy", "pandas", "pyarrow", "pyspark"}, {"s-dbw", "uv"}


def merge(one: Any, other: Any) -> Any:
    """Merge two parts of a bundle as the CLI does: mappings key by key."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: merge(one[key], value) if key in one else value for key, value in other.items()}
    return other


def read_bundle(text: str) -> Any:
    """Return the bundle of this `databricks.yml` with the files that it includes."""
    bundle = yaml.safe_load(text)
    for pattern in bundle["include"]:
        for path in sorted(PROJECT.glob(pattern)):
            bundle = merge(bundle, yaml.safe_load(path.read_text()))
    return bundle


def with_git_source() -> str:
    """Return `databricks.yml` with the lines about `git_source` in force."""
    text = (PROJECT / "databricks.yml").read_text()
    begin = text.index("    # variables:\n")
    return text[:begin] + re.sub(r"^    # ", "    ", text[begin:], flags=re.MULTILINE)


TEXT = (PROJECT / "databricks.yml").read_text()
BUNDLE = read_bundle(TEXT)
JOBS = BUNDLE["resources"]["jobs"]


def read_job(name: str) -> Any:
    """Return the job as Databricks's own classes read it, which refuse what they do not know."""
    return Job.from_dict(JOBS[name])


def command_line(task: Any, parameters: dict[str, str]) -> list[str]:
    """Return the command line of a task with the job's parameters filled in."""
    filled = [JOB_PARAMETER.sub(lambda found: parameters[found[1]], text) for text in task.spark_python_task.parameters]
    return [text.replace("{{job.start_time.timestamp_ms}}", "1800000000000") for text in filled]


def pins(name: str) -> dict[str, str]:
    """Return the versions in a file of requirements by package."""
    lines = (PROJECT / name).read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    return {pin.name.lower(): str(pin.specifier) for pin in found}


@pytest.mark.parametrize("text", [TEXT, with_git_source()], ids=["deployed files", "git source"])
def test_the_bundle_fits_the_schema_of_the_platform(text: str) -> None:
    path = os.environ.get(SCHEMA)
    if not path:
        pytest.skip(f"{SCHEMA} names no file: databricks bundle schema > schema.json writes one")
    validator = jsonschema_rs.validator_for(json.loads(Path(path).read_text()))
    assert [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(read_bundle(text))
    ] == []
    broken = merge(read_bundle(text), {"resources": {"jobs": {"penguins_serverless": {"timeout": 1}}}})
    assert not validator.is_valid(broken)


def test_the_lines_about_a_git_source_replace_the_deployed_files() -> None:
    target = yaml.safe_load(with_git_source())["targets"]["prod"]
    assert target["variables"] == {"steps": "steps", "source": "GIT"}
    sources = {GitSource.from_dict(job["git_source"]).git_tag for job in target["resources"]["jobs"].values()}
    assert sources == {"v1.0"}
    assert set(target["resources"]["jobs"]) == set(JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_every_entry_point_is_a_task_and_the_report_comes_last(name: str) -> None:
    tasks = {task.task_key: task for task in read_job(name).tasks}
    assert set(tasks) == set(MLPROJECT["entry_points"]) - {"main"}
    for key, task in tasks.items():
        assert task.spark_python_task.python_file == f"${{var.steps}}/{key}.py"
        needs_spark = "spark" in MLPROJECT["entry_points"][key]["parameters"]
        assert ("--spark=active" in task.spark_python_task.parameters) == needs_spark
        assert (task.max_retries, str(task.timeout_seconds)) == (1, "${var.timeout_seconds}")
    assert {one.task_key for one in tasks["report"].depends_on} == set(tasks) - {"report"}
    assert tasks["report"].run_if.value == "ALL_DONE"
    assert [one.task_key for one in tasks["score"].depends_on] == ["dbscan_sweep"]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_every_parameter_of_every_step_with_its_default(name: str) -> None:
    job = read_job(name)
    defaults = {parameter.name: parameter.default for parameter in job.parameters}
    assert len(defaults) == len(job.parameters)
    used: set[str] = set()
    for task in job.tasks:
        key, declared = task.task_key, MLPROJECT["entry_points"][task.task_key]["parameters"]
        names = [text.removeprefix("--").partition("=")[0] for text in task.spark_python_task.parameters]
        assert sorted(names) == sorted(["experiment", *declared])
        used |= set(JOB_PARAMETER.findall(" ".join(task.spark_python_task.parameters)))
        # The names that Databricks fills in, as they may be.
        filled = {name: re.sub(r"\$\{[^}]*\.id\}", "main.birds.model", str(text)) for name, text in defaults.items()}
        filled = {name: re.sub(r"\$\{[^}]*\}", "main", text) for name, text in filled.items()}
        found = parse_argv(BY_NAME[key].Parameters, command_line(task, filled | {"experiment": "/Users/ada/penguins"}))
        parsed = parse_parameters(BY_NAME[key].Parameters, found)
        assert parsed.experiment == "/Users/ada/penguins"
        for one, spec in declared.items():
            if one not in ("spark", "register", "output", "model_uri", "run_id"):
                assert found[one] == str(spec["default"])
        if hasattr(parsed, "register"):
            assert parsed.register == "main.birds.model"
        if hasattr(parsed, "output"):
            assert is_catalog_table(parsed.output)
    assert used == set(defaults)


def test_the_two_jobs_differ_only_in_their_compute() -> None:
    serverless, cluster = read_job("penguins_serverless"), read_job("penguins_cluster")
    assert [task.spark_python_task for task in serverless.tasks] == [task.spark_python_task for task in cluster.tasks]
    assert serverless.parameters == cluster.parameters
    assert {task.environment_key for task in serverless.tasks} == {
        environment.environment_key for environment in serverless.environments
    }
    assert {task.job_cluster_key for task in cluster.tasks} == {compute.job_cluster_key for compute in cluster.job_clusters}
    files = {library.requirements for task in cluster.tasks for library in task.libraries}
    files |= {line.removeprefix("-r ") for environment in serverless.environments for line in environment.spec.dependencies}
    assert files == {"${workspace.file_path}/requirements-databricks.txt"}
    assert [one.spec.environment_version for one in serverless.environments] == ["5"]


def test_the_bundle_has_its_targets_and_uses_its_variables() -> None:
    assert {name: target["mode"] for name, target in BUNDLE["targets"].items()} == {"dev": "development", "prod": "production"}
    texts = [TEXT, *[path.read_text() for path in (PROJECT / "resources").glob("*.yml")]]
    assert set(re.findall(r"\$\{var\.(\w+)\}", " ".join(texts))) == set(BUNDLE["variables"])
    assert BUNDLE["variables"]["schedule_status"]["default"] == "PAUSED"


def test_what_is_referred_to_is_a_resource_with_permissions() -> None:
    resources = BUNDLE["resources"]
    for kind, name in re.findall(r"\$\{resources\.(\w+)\.(\w+)\.", json.dumps(resources)):
        assert name in resources[kind]
    # The CLI refuses two resources with the same key, of whatever kind.
    keys = [key for of_kind in resources.values() for key in of_kind]
    assert sorted(keys) == sorted(set(keys))
    for model in resources["registered_models"].values():
        assert RegisteredModel.from_dict(model).grants
    assert set(resources["registered_models"]) == {
        name for name, entry in MLPROJECT["entry_points"].items() if "register" in entry["parameters"]
    }
    assert Schema.from_dict(resources["schemas"]["penguins_schema"]).grants
    assert Volume.from_dict(resources["volumes"]["penguins_volume"]).name == VOLUME
    assert MlflowExperiment.from_dict(resources["experiments"]["penguins_experiment"]).permissions


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
        use_volume(session, "")
    assert SHARED in str(error.value)
    assert "\n" not in str(error.value)
    volume = tmp_path / "spark_catalog" / "default" / "penguins"
    volume.mkdir(parents=True)
    monkeypatch.setenv(SHARED, "/tmp/mlflow")  # noqa: S108  # no Volume
    use_volume(session, "")
    assert os.environ[SHARED] == str(volume)
    other_volume = f"dbfs:{tmp_path}/other/schema/volume"
    monkeypatch.setenv(SHARED, other_volume)
    use_volume(session, "")
    assert os.environ[SHARED] == other_volume


def test_elsewhere_no_volume_is_asked_for(session: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SHARED, raising=False)
    use_volume(session, "")
    assert SHARED not in os.environ


def test_workers_without_a_network_are_not_asked_to_log(
    session: SparkSession, store: Store, step: Steps, serverless: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, spark="active", log_from="executors") == 2
    [line] = capfd.readouterr().err.splitlines()
    assert "serverless" in line
    assert store.only("dbscan_sweep").info.status == "FAILED"
