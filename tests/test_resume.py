"""A sweep that takes up another one: what it takes over, what it makes anew, and when it leaves the other one alone."""

import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dbscan_sweep
import main as main_step
import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import SEED_ROWS, Steps, Store
from mlflow.entities import Run
from pyspark.sql import SparkSession
from servers import environment

from common import lease, processes, takeover, tracking, work
from common.options import WorkError

EPS = "0.5,0.9"
DEAD_PROCESS = "999999999 0.00"
ISLANDS = ("Biscoe", "Dream", "Torgersen")


def die(store: Store, run: Run) -> None:
    """Leaves a run as a process does that was killed: open, and named by a process that is not there."""
    store.client.update_run(run.info.run_id, status="RUNNING")
    store.client.set_tag(run.info.run_id, lease.PROCESS, DEAD_PROCESS)


@pytest.fixture
def dead(store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]) -> Run:
    """A sweep whose process was killed when all of its groups were finished."""
    assert step(dbscan_sweep, eps=EPS) == 0
    sweep = store.only("dbscan_sweep")
    die(store, sweep)
    capfd.readouterr()
    return sweep


def model_folder(store: Store, child: Run) -> Path:
    model = store.client.get_logged_model(store.model_uri(child).removeprefix("models:/"))
    return Path(model.artifact_location.removeprefix("file://"))


def table_of(group: Run) -> Path:
    return Path(group.info.artifact_uri.removeprefix("file://")) / "results.csv"


def results(store: Store, sweep: Run) -> pd.DataFrame:
    return pd.read_csv(store.artifact(sweep, "results.csv")).drop(columns="model_path")


def finished(store: Store) -> Counter[str]:
    return Counter(run.info.run_name for run in store.runs() if run.info.status == "FINISHED")


def require_whole(store: Store, groups: Sequence[str] = ISLANDS) -> Run:
    """One finished sweep with one finished run for each group and eps under it, nothing open, no model without its run."""
    runs = {run.info.run_id: run for run in store.runs()}
    assert "RUNNING" not in {run.info.status for run in runs.values()}
    expected = ["dbscan_sweep", *groups, *[f"{name}-eps{eps}" for name in groups for eps in EPS.split(",")]]
    assert finished(store) == Counter(expected)
    sweep = store.only_finished("dbscan_sweep")
    table = pd.read_csv(store.artifact(sweep, "results.csv"))
    for name in groups:
        group = store.only_finished(name)
        assert group.data.tags["mlflow.parentRunId"] == sweep.info.run_id
        for eps in EPS.split(","):
            child = store.only_finished(f"{name}-eps{eps}")
            assert child.data.tags["mlflow.parentRunId"] == group.info.run_id
            row = table[(table.iloc[:, 0] == name) & (table["eps"] == float(eps))]
            assert list(row["model_path"]) == [store.model_uri(child)]
    models = store.client.search_logged_models([sweep.info.experiment_id])
    assert {runs[model.source_run_id].info.status for model in models} == {"FINISHED"}
    assert len(models) == len(groups) * len(EPS.split(","))
    return sweep


def open_child(store: Store, group: Run, children: dict[str, Run]) -> None:
    store.client.update_run(children[f"{group.info.run_name}-eps0.5"].info.run_id, status="RUNNING")


def open_group(store: Store, group: Run, children: dict[str, Run]) -> None:
    store.client.update_run(group.info.run_id, status="RUNNING")


def failed_group(store: Store, group: Run, children: dict[str, Run]) -> None:
    store.client.update_run(group.info.run_id, status="FAILED")


def missing_child(store: Store, group: Run, children: dict[str, Run]) -> None:
    store.client.delete_logged_model(store.model_uri(children[f"{group.info.run_name}-eps0.9"]).removeprefix("models:/"))
    store.client.delete_run(children[f"{group.info.run_name}-eps0.9"].info.run_id)


def model_cut_short(store: Store, group: Run, children: dict[str, Run]) -> None:
    path = model_folder(store, children[f"{group.info.run_name}-eps0.5"]) / "model.skops"
    path.write_bytes(path.read_bytes()[:-1])


def model_without_files(store: Store, group: Run, children: dict[str, Run]) -> None:
    shutil.rmtree(model_folder(store, children[f"{group.info.run_name}-eps0.5"]))


def deleted_model(store: Store, group: Run, children: dict[str, Run]) -> None:
    store.client.delete_logged_model(store.model_uri(children[f"{group.info.run_name}-eps0.5"]).removeprefix("models:/"))


def missing_table(store: Store, group: Run, children: dict[str, Run]) -> None:
    table_of(group).unlink()


def table_cut_short(store: Store, group: Run, children: dict[str, Run]) -> None:
    path = table_of(group)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


DAMAGES = (
    open_child,
    open_group,
    failed_group,
    missing_child,
    model_cut_short,
    model_without_files,
    deleted_model,
    missing_table,
    table_cut_short,
)


def test_a_group_that_is_not_whole_is_made_anew_and_the_others_are_not_touched(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["untouched", *[damage.__name__ for damage in DAMAGES]]
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"group": np.repeat(names, 8), "x": random.normal(size=8 * len(names))})
    rows.to_csv("groups.csv", index=False)
    parameters = {"data": "groups.csv", "group_by": "group", "features": "x", "eps": EPS}
    assert step(dbscan_sweep, **parameters) == 0
    dead = store.only("dbscan_sweep")
    undisturbed, groups = results(store, dead), store.children(dead)
    for damage in DAMAGES:
        damage(store, groups[damage.__name__], store.children(groups[damage.__name__]))
    die(store, dead)
    assert step(dbscan_sweep, **parameters, resume="true") == 0
    assert f"resume: 1 of {len(names)} groups are taken over, finished, from {dead.info.run_id}" in capfd.readouterr().out
    sweep = require_whole(store, names)
    pd.testing.assert_frame_equal(results(store, sweep), undisturbed)
    now = store.children(sweep)
    assert [name for name in names if now[name].info.run_id == groups[name].info.run_id] == ["untouched"]
    assert store.client.get_run(dead.info.run_id).info.status == "KILLED"


def test_a_sweep_that_died_before_its_end_has_nothing_left_to_be_computed(
    store: Store, step: Steps, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbscan_sweep, "run_in_spark", lambda *_: pytest.fail("something was computed again"))
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    assert require_whole(store).data.metrics["groups_with_best_eps"] == 3


def test_a_sweep_that_only_has_groups_is_taken_up_by_their_tables(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert step(dbscan_sweep, eps=EPS, runs="groups") == 0
    sweep = store.only("dbscan_sweep")
    undisturbed = results(store, sweep)
    die(store, sweep)
    monkeypatch.setattr(dbscan_sweep, "run_in_spark", lambda *_: pytest.fail("something was computed again"))
    assert step(dbscan_sweep, eps=EPS, runs="groups", resume="true") == 0
    assert finished(store) == Counter(["dbscan_sweep", *ISLANDS])
    pd.testing.assert_frame_equal(results(store, store.only_finished("dbscan_sweep")), undisturbed)


def test_a_resumed_sweep_that_dies_is_resumed_itself(store: Store, step: Steps, dead: Run) -> None:
    groups = store.children(dead)
    open_group(store, groups["Dream"], {})
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    second = store.only_finished("dbscan_sweep")
    die(store, second)
    open_group(store, store.children(second)["Biscoe"], {})
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    require_whole(store)


def test_a_finished_sweep_is_shown_again_and_nothing_is_added(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, eps=EPS) == 0
    [before, shown] = [require_whole(store), capfd.readouterr().out]
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    out = capfd.readouterr().out
    assert f"the run {before.info.run_id} has finished this work: nothing is left to do" in out
    assert shown in out
    assert require_whole(store).info.run_id == before.info.run_id


def test_without_resume_a_dead_sweep_is_left_as_it_is(store: Store, step: Steps, dead: Run) -> None:
    assert step(dbscan_sweep, eps=EPS) == 0
    left = store.client.get_run(dead.info.run_id)
    assert left.info.status == "RUNNING"
    assert set(store.children(left)) == set(ISLANDS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"eps": "0.5,0.8"}, "differs in eps (0.5,0.9 before, 0.5,0.8 now)"),
        ({"min_samples": 4, "models": "best"}, "differs in min_samples (3 before, 4 now), models (all before, best now)"),
        ({"data": "changed.csv"}, "differs in the data"),
        ({"code": "another"}, "differs in the code"),
    ],
)
def test_other_work_starts_afresh_and_the_output_says_what_differs(
    store: Store,
    step: Steps,
    dead: Run,
    change: dict[str, Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    changed = pd.read_csv(SEED_ROWS).dropna()
    changed.iloc[:-1].to_csv("changed.csv", index=False)
    if "code" in change:
        monkeypatch.setattr(work, "code", lambda: change["code"])
    parameters = {name: value for name, value in change.items() if name != "code"}
    assert step(dbscan_sweep, **({"eps": EPS, "resume": "true"} | parameters)) == 0
    assert f"resume: starts afresh: the last unfinished run, {dead.info.run_id}, {said}" in capfd.readouterr().out
    assert store.client.get_run(dead.info.run_id).info.status == "RUNNING"
    assert len(store.children(dead)) == 3


def test_where_the_work_is_done_and_where_its_data_lie_makes_no_other_work(
    store: Store, step: Steps, session: SparkSession
) -> None:
    pd.read_csv(SEED_ROWS).dropna().to_csv("first.csv", index=False)
    assert step(dbscan_sweep, eps=EPS, data="first.csv", log_from="executors") == 0
    die(store, store.only("dbscan_sweep"))
    shutil.move("first.csv", "renamed.csv")
    assert step(dbscan_sweep, eps=EPS, data="renamed.csv", spark="local[1]", resume="true") == 0
    require_whole(store)


def test_a_sweep_that_is_alive_is_not_taken_over(
    store: Store, step: Steps, dead: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    store.client.set_tag(dead.info.run_id, lease.PROCESS, processes.process())
    assert step(dbscan_sweep, eps=EPS, resume="true") == 1
    assert f"The run {dead.info.run_id} does this work and is alive (process" in capfd.readouterr().err
    assert store.client.get_run(dead.info.run_id).info.status == "RUNNING"
    assert len(store.children(dead)) == 3


def test_of_two_that_take_over_at_the_same_time_the_first_to_claim_wins(
    store: Store, step: Steps, dead: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    rival = store.client.create_run(dead.info.experiment_id, tags=lease.tags())
    assert lease.claim(dead.info.run_id, rival.info.run_id) == rival.info.run_id
    assert lease.claim(dead.info.run_id, "another") == rival.info.run_id
    assert step(dbscan_sweep, eps=EPS, resume="true") == 1
    assert f"The run {rival.info.run_id} does this work and is alive" in capfd.readouterr().err
    assert len(store.children(dead)) == 3
    store.client.set_tag(rival.info.run_id, lease.PROCESS, DEAD_PROCESS)
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    require_whole(store)


def test_a_lease_on_another_machine_holds_while_its_heartbeat_moves(
    store: Store, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    client, run_id = store.client, dead.info.run_id
    client.set_tag(run_id, lease.MACHINE, "elsewhere")
    client.set_tag(run_id, lease.HEARTBEAT, str(int(time.time()) - 10))
    assert lease.is_alive(client.get_run(run_id))
    client.set_tag(run_id, lease.HEARTBEAT, str(int(time.time()) - 10_000))
    old = client.get_run(run_id)
    assert not lease.is_alive(old)
    client.set_tag(run_id, lease.HEARTBEAT, str(int(time.time()) - 9_990))
    assert lease.is_alive(old), "it is the other clock that is wrong"


def test_a_heartbeat_is_renewed_while_a_step_is_at_work(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.05)
    monkeypatch.setattr(lease, "_now", iter(str(beat) for beat in range(1_000_000)).__next__)
    with tracking.step_run("dbscan_sweep", dbscan_sweep.Parameters()) as run:
        time.sleep(1)
        beat = store.client.get_run(run.info.run_id).data.tags[lease.HEARTBEAT]
    assert int(beat) > 1


def test_a_table_that_spark_reads_is_the_same_work_by_its_rows(
    store: Store, step: Steps, session: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    penguins = pd.read_csv(SEED_ROWS).dropna()
    session.createDataFrame(penguins.sample(frac=1, random_state=0)).createOrReplaceTempView("penguins_shuffled")
    session.createDataFrame(penguins.sample(frac=1, random_state=1)).createOrReplaceTempView("penguins_in_another_order")
    session.createDataFrame(penguins.iloc[1:]).createOrReplaceTempView("penguins_but_one")
    assert step(dbscan_sweep, eps=EPS, data="penguins_shuffled") == 0
    sweep = store.only("dbscan_sweep")
    die(store, sweep)
    assert step(dbscan_sweep, eps=EPS, data="penguins_but_one", resume="true") == 0
    assert "differs in the data" in capfd.readouterr().out
    assert step(dbscan_sweep, eps=EPS, data="penguins_in_another_order", resume="true") == 0
    assert "3 of 3 groups are taken over" in capfd.readouterr().out


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_whose_process_died_while_it_was_starting_is_ended(
    store: Store, step: Steps, session: SparkSession, finished: bool
) -> None:
    if finished:
        assert step(dbscan_sweep, eps=EPS) == 0
    experiment = store.client.get_experiment_by_name("penguins").experiment_id
    opened = store.client.create_run(experiment, tags={"mlflow.project.entryPoint": "dbscan_sweep"})
    store.client.log_param(opened.info.run_id, "eps", "'0.5, 0.9'")
    other = store.client.create_run(experiment, tags={"mlflow.project.entryPoint": "dbscan_sweep"})
    store.client.log_param(other.info.run_id, "eps", "0.3")
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    assert store.client.get_run(opened.info.run_id).info.status == "KILLED"
    assert store.client.get_run(other.info.run_id).info.status == "RUNNING"


@pytest.mark.parametrize(("where", "status"), [("here", "RUNNING"), ("elsewhere", "KILLED")])
def test_a_run_that_an_mlflow_run_at_this_store_may_have_opened_is_left_alone(
    store: Store, step: Steps, session: SparkSession, tmp_path: Path, where: str, status: str
) -> None:
    # What `mlflow run` looks like before it has started its step.
    (tmp_path / "mlflow").write_text("import time\nprint(flush=True)\ntime.sleep(600)")
    uri = {"here": "sqlite:///mlflow.db", "elsewhere": "sqlite:///other.db"}[where]
    command = [sys.executable, "mlflow", "run", "."]
    with subprocess.Popen(command, env=environment(MLFLOW_TRACKING_URI=uri), stdout=subprocess.PIPE) as starting:
        assert starting.stdout
        starting.stdout.readline()
        experiment = store.client.get_experiment_by_name("penguins").experiment_id
        opened = store.client.create_run(experiment, tags={"mlflow.project.entryPoint": "dbscan_sweep"})
        store.client.log_param(opened.info.run_id, "eps", "0.5,0.9")
        assert step(dbscan_sweep, eps=EPS, resume="true") == 0
        starting.kill()
    assert store.client.get_run(opened.info.run_id).info.status == status


def test_main_takes_over_the_steps_that_finished_and_runs_the_others(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run_step(name: str, given: dict[str, str], parent: mlflow.ActiveRun, env_manager: str) -> main_step.Outcome:
        ran.append(name)
        run = store.client.create_run(parent.info.experiment_id, run_name=name)
        return main_step.Outcome(name, run.info.run_id, "FINISHED", 1.0, 1.0, "")

    monkeypatch.setattr(main_step, "run_step", run_step)
    with tracking.step_run("main", main_step.Parameters(steps=("logistic_regression", "ridge_search"))) as run:
        tracking.log_work(main_step.work_of(main_step.Parameters(steps=("logistic_regression", "ridge_search"))))
        monkeypatch.setenv(tracking.PARENT, run.info.run_id)
        import logistic_regression

        with mlflow.start_run(nested=True, experiment_id=run.info.experiment_id, run_name="logistic_regression") as done:
            texts = work.of(logistic_regression.NAME, logistic_regression.Parameters(), work.digest(SEED_ROWS))
            tracking.log_work(texts)
            mlflow.log_metric("eval_acc", 0.5)
        with mlflow.start_run(nested=True, experiment_id=run.info.experiment_id, run_name="ridge_search") as cut:
            tracking.log_work(work.Work("ridge_search", {}, "", ""))
    monkeypatch.delenv(tracking.PARENT)
    dead = store.client.get_run(run.info.run_id)
    die(store, dead)
    store.client.update_run(cut.info.run_id, status="RUNNING")
    parameters = {"steps": "logistic_regression,ridge_search", "resume": "true"}
    assert step(main_step, **parameters) == 0
    assert ran == ["ridge_search"]
    assert f"logistic_regression: finished before, by the run {done.info.run_id}" in capfd.readouterr().out
    resumed = store.only_finished("main")
    assert store.client.get_run(done.info.run_id).data.tags["mlflow.parentRunId"] == resumed.info.run_id
    assert store.client.get_run(cut.info.run_id).info.status == "KILLED"
    assert store.client.get_run(dead.info.run_id).info.status == "KILLED"
    summary = pd.read_csv(store.artifact(resumed, "summary.csv"))
    assert list(summary["status"]) == ["FINISHED", "FINISHED"]


def test_what_a_dead_worker_logs_late_is_put_away(
    store: Store, step: Steps, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = store.children(dead)
    open_group(store, groups["Dream"], {})
    real = dbscan_sweep.tidy

    def late(place: Any, *others: Any) -> None:
        tags = {"mlflow.parentRunId": dead.info.run_id, "sweep": dead.info.run_id}
        group = store.client.create_run(place.experiment_id, run_name="Dream", tags=tags)
        store.client.set_terminated(group.info.run_id, "FINISHED")
        real(place, *others)

    monkeypatch.setattr(dbscan_sweep, "tidy", late)
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    require_whole(store)


def test_dead_runs_of_another_claimant_that_finished_are_left_to_it(store: Store, step: Steps, dead: Run) -> None:
    open_group(store, store.children(dead)["Dream"], {})
    assert step(dbscan_sweep, eps=EPS, resume="true") == 0
    sweep = require_whole(store)
    this = work.of(dbscan_sweep.NAME, dbscan_sweep.Parameters(eps=(0.5, 0.9)), work.digest(SEED_ROWS))
    with mlflow.start_run() as another:
        assert takeover.dead_runs(sweep.info.experiment_id, this, another.info.run_id) == []
    store.client.update_run(sweep.info.run_id, status="RUNNING")
    with pytest.raises(WorkError, match="is alive"):
        takeover.dead_runs(sweep.info.experiment_id, this, "another")
