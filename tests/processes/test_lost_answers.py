"""Answers of a server that are lost after it has done its work: the repeated request leaves no second run, model or version."""

from collections.abc import Iterator
from types import ModuleType

import dbscan_sweep
import logistic_regression
import mlflow
import pytest
import ridge_search
import spark_logistic_regression
from faulty_proxy import FirstAnswersLost, faulty_proxy
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_PROJECT_ENTRY_POINT
from pyspark.sql import SparkSession
from servers import Server
from stores import Steps, Store

from penguins.resume.heartbeat import HEARTBEAT
from penguins.tracking.duplicates import delete_duplicates_of_run, logged_models
from penguins.tracking.run import find_experiment

API = "POST /api/2.0/mlflow"


@pytest.fixture
def lost(tracking_server: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Make the server, through a proxy that loses answers, the store of this process; the list has what was lost."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
    judge = FirstAnswersLost()
    with faulty_proxy(tracking_server.url, judge) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        mlflow.set_tracking_uri(url)
        yield judge.lost


@pytest.mark.parametrize(
    ("module", "options", "n_runs", "n_models"),
    [
        (logistic_regression, {}, 1, 1),
        (ridge_search, {"alphas": (0.1, 1.0)}, 1 + 2, 1),
        (spark_logistic_regression, {}, 1, 0),  # its model is an artifact of the run
        (dbscan_sweep, {"eps": (0.5, 0.9)}, 1 + 3 + 6, 6 + 1),
    ],
    ids=lambda value: value.NAME if isinstance(value, ModuleType) else "",
)
def test_a_step_whose_answers_are_lost_leaves_each_run_model_and_version_once(
    tracking_server: Server,
    lost: list[str],
    step: Steps,
    session: SparkSession,
    module: ModuleType,
    options: dict[str, object],
    n_runs: int,
    n_models: int,
) -> None:
    experiment, name = f"lost answers of {module.NAME}", f"lost-{module.NAME}"
    assert step(module, experiment=experiment, register=name, **options) == 0
    created = {f"{API}/{kind}/create" for kind in ("experiments", "runs", "registered-models", "model-versions")}
    assert created | ({f"{API}/logged-models"} if n_models else set()) <= set(lost)
    remote = Store(tracking_server.url)
    runs = remote.runs(experiment)
    assert [run.info.status for run in runs] == ["FINISHED"] * n_runs
    models = logged_models(remote.client, runs[0].info.experiment_id, "")
    assert [model.status for model in models] == [LoggedModelStatus.READY] * n_models
    [version] = remote.client.search_model_versions(f"name='{name}'")
    assert int(version.version) == 1
    [whole] = [run for run in runs if run.info.run_name == module.NAME]
    assert (version.run_id, whole.data.tags["registered_model"]) == (whole.info.run_id, f"{name}/1")
    links = [model.tags["mlflow.modelVersions"] for model in models if "mlflow.modelVersions" in model.tags]
    assert [link.count(name) for link in links] == [1] * min(n_models, 1)


def test_a_step_that_fails_leaves_no_second_run(tracking_server: Server, lost: list[str], step: Steps) -> None:
    assert step(logistic_regression, experiment="lost and failed", target="wingspan") == 2
    assert f"{API}/runs/create" in lost
    assert [run.info.status for run in Store(tracking_server.url).runs("lost and failed")] == ["FAILED"]


def test_a_run_that_mlflow_run_has_opened_twice_is_there_once(
    tracking_server: Server, lost: list[str], step: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    experiment_id = find_experiment("lost by mlflow run")
    opened = client.create_run(experiment_id, tags={MLFLOW_PROJECT_ENTRY_POINT: logistic_regression.NAME})
    client.log_batch(opened.info.run_id, params=[Param("test_size", "0.3")])
    assert len(Store(tracking_server.url).runs("lost by mlflow run")) == 2
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    assert step(logistic_regression, test_size=0.3) == 0
    [run] = Store(tracking_server.url).runs("lost by mlflow run")
    assert (run.info.run_id, run.info.status) == (opened.info.run_id, "FINISHED")


def test_only_runs_of_nobody_are_taken_for_duplicates(tracking_server: Server, store: Store) -> None:
    mlflow.set_tracking_uri(tracking_server.url)
    client = MlflowClient()
    experiment_id = client.create_experiment("runs of others")
    mine = {HEARTBEAT: "mine", "mlflow.user": "ada"}

    def create(tags: dict[str, str], later_ms: int = 0) -> str:
        return str(client.create_run(experiment_id, start_time=1_000_000 + later_ms, tags=tags).info.run_id)

    run = client.get_run(create(mine))
    child = {MLFLOW_PARENT_RUN_ID: run.info.run_id}
    for duplicate in (mine, {"mlflow.user": "ada"}, child):
        create(duplicate)
    create(child, later_ms=500)
    used = [create(mine), create(child)]
    client.log_batch(used[0], params=[Param("alpha", "1")])
    client.log_batch(used[1], metrics=[Metric("score", 1.0, 0, 0)])
    ended = create(mine)
    client.set_terminated(ended)
    elsewhere = [create({HEARTBEAT: "another"}), create(mine, later_ms=1), create({MLFLOW_PARENT_RUN_ID: "x"})]
    client.log_batch(run.info.run_id, tags=[RunTag(HEARTBEAT, "later")])
    delete_duplicates_of_run(run)
    left = {one.info.run_id for one in Store(tracking_server.url).runs("runs of others")}
    assert left == {run.info.run_id, ended, *used, *elsewhere}
