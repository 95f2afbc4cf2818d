"""`main` resumed: it takes over the steps that finished and runs the others."""

import logistic_regression
import main
import mlflow
import pandas as pd
import pytest
from heartbeats import DEAD, set_heartbeat
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_SOURCE_NAME
from stores import SEED_ROWS, Steps, Store

from penguins.resume.fingerprint import Fingerprint, content_digest, step_fingerprint
from penguins.resume.recovery import GRACE
from penguins.resume.step_run import record_fingerprint, step_run
from penguins.tracking.summary import StepResult

STEPS = ("logistic_regression", "ridge_search")
DIGEST = content_digest(SEED_ROWS)
ENTRY_POINT = "mlflow.project.entryPoint"


@pytest.fixture
def steps_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were run, each of which finishes at once."""
    names: list[str] = []

    def run_step(name: str, texts: dict[str, str], parent: Run, env_manager: str) -> StepResult:
        names.append(name)
        run = store.client.create_run(parent.info.experiment_id, run_name=name)
        return StepResult(name, run.info.run_id, "FINISHED", 1.0, 1.0, "")

    monkeypatch.setattr(main, "run_step", run_step)
    return names


def test_main_takes_over_the_steps_that_finished_and_runs_the_others(
    store: Store, step: Steps, steps_run: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with step_run("main", main.Parameters(steps=STEPS), DIGEST) as run:
        with mlflow.start_run(nested=True, experiment_id=run.info.experiment_id, run_name="logistic_regression") as done:
            record_fingerprint(logistic_regression.NAME, logistic_regression.Parameters(), DIGEST)
            mlflow.log_metric("eval_acc", 0.5)
        with mlflow.start_run(nested=True, experiment_id=run.info.experiment_id, run_name="ridge_search") as cut:
            mlflow.set_tags(Fingerprint("ridge_search", {}, "", "").tags())
    for one in (run, cut):
        store.client.update_run(one.info.run_id, status="RUNNING")
    set_heartbeat(store.client, run.info.run_id, DEAD)
    monkeypatch.setenv(GRACE, "0")
    source = {MLFLOW_SOURCE_NAME: run.data.tags[MLFLOW_SOURCE_NAME]}
    began = [
        store.client.create_run(run.info.experiment_id, tags={ENTRY_POINT: name} | source) for name in ("main", "ridge_search")
    ]
    assert step(main, steps=STEPS, resume=True) == 0
    assert [store.client.get_run(one.info.run_id).info.status for one in began] == ["KILLED", "KILLED"]
    assert steps_run == ["ridge_search"]
    assert f"logistic_regression: finished before, by the run {done.info.run_id}" in capfd.readouterr().out
    resumed = store.only_finished("main")
    assert store.client.get_run(done.info.run_id).data.tags["mlflow.parentRunId"] == resumed.info.run_id
    assert store.client.get_run(cut.info.run_id).info.status == "KILLED"
    assert store.client.get_run(run.info.run_id).info.status == "KILLED"
    summary = pd.read_csv(store.artifact(resumed, "summary.csv"))
    assert summary["step"].tolist() == list(STEPS)
    assert summary["status"].tolist() == ["FINISHED", "FINISHED"]
    assert summary["value"].tolist() == [0.5, 1.0]


def test_a_main_that_has_nothing_to_resume_starts_afresh_and_says_so(
    store: Store, step: Steps, steps_run: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(main, steps=STEPS, resume=True) == 0
    assert sorted(steps_run) == list(STEPS)
    assert "resume: starts afresh: no unfinished run has this fingerprint" in capfd.readouterr().out


def test_a_finished_main_leaves_no_second_run_except_one_of_mlflow_run_that_names_it(
    store: Store, step: Steps, steps_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert step(main, steps="logistic_regression") == 0
    [child] = [run for run in store.runs() if run.info.run_name == "logistic_regression"]
    tags = step_fingerprint("logistic_regression", logistic_regression.Parameters(), DIGEST).tags()
    for name, text in tags.items():
        store.client.set_tag(child.info.run_id, name, text)
    store.client.set_terminated(child.info.run_id, "FINISHED")
    before, finished = {run.info.run_id for run in store.runs()}, store.only("main").info.run_id
    steps_run.clear()
    opened = store.client.create_run(child.info.experiment_id, tags={ENTRY_POINT: "main"}).info.run_id
    for run_id in (opened, ""):
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        assert step(main, steps="logistic_regression", resume=True) == 0
    assert steps_run == []
    assert {run.info.run_id for run in store.runs()} == before | {opened}
    assert store.client.get_run(opened).data.tags["finished_by"] == finished
