"""A sweep that continues a stale one: what it takes over, what it computes anew, and when it leaves the other one alone."""

import contextlib
import io
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
from heartbeats import ALIVE, DEAD, set_heartbeat
from mlflow.entities import Run
from pyspark.sql import SparkSession
from stores import SEED_ROWS, Steps, Store
from sweeps import ISLANDS, fill_store, finished_sweep, results

from penguins.resume.heartbeat import CLAIMED_BY
from penguins.resume.recovery import GRACE
from penguins.sweep import driver
from penguins.sweep.context import SweepContext

EPS = "0.5,0.9"


def die(store: Store, run: Run) -> Run:
    """Leave a run as a process does that was killed: open, with the name of a process that is gone."""
    store.client.update_run(run.info.run_id, status="RUNNING")
    set_heartbeat(store.client, run.info.run_id, DEAD)
    return store.client.get_run(run.info.run_id)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes, session: SparkSession) -> tuple[Store, str]:
    """A finished sweep, which is made once, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        store = finished_sweep(tmp_path_factory.mktemp("original"), initialised_database, eps=EPS)
    return store, printed.getvalue()


@pytest.fixture
def finished(original: tuple[Store, str], store: Store) -> Run:
    """A finished sweep in the test's own store."""
    fill_store(store, original[0])
    return store.only("dbscan_sweep")


@pytest.fixture
def dead(store: Store, finished: Run) -> Run:
    """A sweep whose process was killed when all of its groups were finished."""
    return die(store, finished)


def require_whole(store: Store, groups: Sequence[str] = ISLANDS) -> Run:
    """Require one finished sweep with one finished run for each group and eps, nothing open, and no model without its run."""
    runs = {run.info.run_id: run for run in store.runs()}
    assert "RUNNING" not in {run.info.status for run in runs.values()}
    values = EPS.split(",")
    assert Counter(run.info.run_name for run in runs.values() if run.info.status == "FINISHED") == Counter(
        ["dbscan_sweep", *groups, *[f"{name}-eps{eps}" for name in groups for eps in values]]
    )
    sweep = store.only_finished("dbscan_sweep")
    table = results(store, sweep)
    for name in groups:
        group = store.only_finished(name)
        assert group.data.tags["mlflow.parentRunId"] == sweep.info.run_id
        for eps in values:
            child = store.only_finished(f"{name}-eps{eps}")
            assert child.data.tags["mlflow.parentRunId"] == group.info.run_id
            row = table[(table.iloc[:, 0] == name) & (table["eps"] == float(eps))]
            assert list(row["model_path"]) == [store.model_uri(child)]
    models = store.client.search_logged_models([sweep.info.experiment_id])
    assert {runs[model.source_run_id].info.status for model in models} == {"FINISHED"}
    names = Counter(model.name == "router" for model in models)
    assert names == Counter({False: len(groups) * len(values), True: int(sweep.data.metrics["groups_with_best_eps"] > 0)})
    return sweep


def forbid_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.sweep.driver.logged_groups", lambda *_: pytest.fail("something was computed again"))


class Damage:
    """What may be wrong with a group; each method spoils the group of its name."""

    def __init__(self, store: Store, group: Run) -> None:
        self.store, self.group, self.children = store, group, store.children(group)

    def child(self, eps: str = "0.5") -> Run:
        return self.children[f"{self.group.info.run_name}-eps{eps}"]

    def model(self, eps: str = "0.5") -> str:
        return self.store.model_uri(self.child(eps)).removeprefix("models:/")

    def model_folder(self) -> Path:
        return Path(self.store.client.get_logged_model(self.model()).artifact_location.removeprefix("file://"))

    def table(self) -> Path:
        return Path(self.group.info.artifact_uri.removeprefix("file://")) / "results.csv"

    def open_child(self) -> None:
        self.store.client.update_run(self.child().info.run_id, status="RUNNING")

    def open_group(self) -> None:
        self.store.client.update_run(self.group.info.run_id, status="RUNNING")

    def failed_group(self) -> None:
        self.store.client.update_run(self.group.info.run_id, status="FAILED")

    def missing_child(self) -> None:
        self.store.client.delete_logged_model(self.model("0.9"))
        self.store.client.delete_run(self.child("0.9").info.run_id)

    def model_cut_short(self) -> None:
        path = self.model_folder() / "model.skops"
        path.write_bytes(path.read_bytes()[:-1])

    def model_without_files(self) -> None:
        shutil.rmtree(self.model_folder())

    def deleted_model(self) -> None:
        self.store.client.delete_logged_model(self.model())

    def missing_table(self) -> None:
        self.table().unlink()

    def table_cut_short(self) -> None:
        self.table().write_text("".join(self.table().read_text().splitlines(keepends=True)[:-1]))


DAMAGES = [
    "open_child", "open_group", "failed_group", "missing_child", "model_cut_short", "model_without_files", "deleted_model",
    "missing_table", "table_cut_short",
]  # fmt: skip


def test_a_group_that_is_not_complete_is_computed_anew_and_the_others_are_not_touched(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["untouched", *DAMAGES]
    random = np.random.default_rng(0)
    rows = pd.DataFrame({"group": np.repeat(names, 8), "x": random.normal(size=8 * len(names))})
    rows.to_csv("groups.csv", index=False)
    parameters = {"data": "groups.csv", "group_by": "group", "features": "x", "eps": EPS}
    assert step(dbscan_sweep, **parameters) == 0
    dead = store.only("dbscan_sweep")
    undisturbed, groups = results(store, dead).drop(columns="model_path"), store.children(dead)
    for damage in DAMAGES:
        getattr(Damage(store, groups[damage]), damage)()
    die(store, dead)
    assert step(dbscan_sweep, **parameters, resume=True) == 0
    assert f"resume: 1 of {len(names)} groups are taken over, finished, from {dead.info.run_id}" in capfd.readouterr().out
    sweep = require_whole(store, names)
    pd.testing.assert_frame_equal(results(store, sweep).drop(columns="model_path"), undisturbed)
    now = store.children(sweep)
    assert [name for name in names if now[name].info.run_id == groups[name].info.run_id] == ["untouched"]
    assert store.client.get_run(dead.info.run_id).info.status == "KILLED"


def test_of_a_sweep_that_died_before_its_end_nothing_is_computed_again(
    store: Store, step: Steps, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_computing(monkeypatch)
    monkeypatch.setenv(GRACE, "0")
    only_began = store.client.create_run(dead.info.experiment_id, tags={"mlflow.project.entryPoint": "dbscan_sweep"})
    store.client.log_param(only_began.info.run_id, "eps", EPS)
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    assert require_whole(store).data.metrics["groups_with_best_eps"] == 3
    assert store.client.get_run(only_began.info.run_id).info.status == "KILLED", "its process died before it could do more"


def test_a_resumed_sweep_that_dies_is_resumed_itself(store: Store, step: Steps, dead: Run) -> None:
    Damage(store, store.children(dead)["Dream"]).open_group()
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    second = store.only_finished("dbscan_sweep")
    die(store, second)
    Damage(store, store.children(second)["Biscoe"]).open_group()
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    require_whole(store)


def test_a_finished_sweep_is_shown_again_and_nothing_is_added(
    store: Store, step: Steps, finished: Run, original: tuple[Store, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    printed = capfd.readouterr().out
    assert f"the run {finished.info.run_id} has finished this work: nothing is left to do" in printed
    results_before, _, commands_before = original[1].partition("look at it:")  # which is another store
    assert results_before in printed
    assert commands_before.partition("next:")[2] in printed
    assert require_whole(store).info.run_id == finished.info.run_id


def test_under_mlflow_run_a_run_that_finds_nothing_to_do_stays_and_is_not_taken_for_the_work(
    store: Store, step: Steps, finished: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = store.client.create_run(finished.info.experiment_id, tags={"mlflow.project.entryPoint": "dbscan_sweep"})
    for run_id in (opened.info.run_id, ""):
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        assert step(dbscan_sweep, eps=EPS, resume=True) == 0
        assert f"the run {finished.info.run_id} has finished this work: nothing is left to do" in capfd.readouterr().out
    stays = store.client.get_run(opened.info.run_id)
    assert (stays.info.status, stays.data.tags["finished_by"]) == ("FINISHED", finished.info.run_id)
    store.client.delete_run(opened.info.run_id)
    assert require_whole(store).info.run_id == finished.info.run_id


def test_a_grace_period_that_is_no_number_ends_a_resume_before_it_changes_a_run(
    store: Store, step: Steps, dead: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(GRACE, "ten")
    assert step(dbscan_sweep, eps=EPS, resume=True) == 2
    assert capfd.readouterr().err == (
        "error: The environment variable PENGUINS_GRACE_S must be a number of seconds, 0 or more. Got 'ten' instead.\n"
    )
    left = store.client.get_run(dead.info.run_id)
    assert left.info.status == "RUNNING"
    assert CLAIMED_BY not in left.data.params


def test_without_resume_a_dead_sweep_is_left_as_it_is(store: Store, step: Steps, dead: Run) -> None:
    assert step(dbscan_sweep, eps=EPS) == 0
    left = store.client.get_run(dead.info.run_id)
    assert left.info.status == "RUNNING"
    assert set(store.children(left)) == set(ISLANDS)
    assert set(store.children(store.only_finished("dbscan_sweep"))) == set(ISLANDS)


@pytest.mark.parametrize("kind", ["finished", "unfinished"])
def test_a_sweep_that_is_repeated_with_more_values_starts_afresh_and_says_so(
    store: Store, step: Steps, finished: Run, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if kind == "unfinished":
        die(store, finished)
    assert step(dbscan_sweep, eps="0.5,0.9,1.1", models="all", runs="groups", resume=True) == 0
    expected = f"the last {kind} run, {finished.info.run_id}, differs in eps (0.5,0.9 before, 0.5,0.9,1.1 now), runs"
    assert f"resume: starts afresh: {expected}" in capfd.readouterr().out
    [sweep] = [run for run in store.runs() if run.info.run_name == "dbscan_sweep" and run.info.run_id != finished.info.run_id]
    assert set(store.children(sweep)) == set(ISLANDS)
    assert results(store, sweep)["eps"].tolist() == [0.5, 0.9, 1.1] * 3


def test_other_work_starts_afresh_and_the_output_says_what_differs(
    store: Store, step: Steps, dead: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(SEED_ROWS).iloc[:-1].to_csv("changed.csv", index=False)
    assert step(dbscan_sweep, eps=EPS, models="none", data="changed.csv", resume=True) == 0
    differences = "models (all before, none now), the data"
    expected = f"resume: starts afresh: the last unfinished run, {dead.info.run_id}, differs in {differences}\n"
    assert expected in capfd.readouterr().out
    assert store.client.get_run(dead.info.run_id).info.status == "RUNNING"
    assert set(store.children(dead)) == set(ISLANDS)


def test_where_the_work_is_done_and_logged_makes_no_other_work(
    store: Store, step: Steps, dead: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    Damage(store, store.children(dead)["Dream"]).open_child()
    assert step(dbscan_sweep, eps=EPS, log_from="executors", spark="local[1]", resume=True) == 0
    assert "resume: 2 of 3 groups are taken over" in capfd.readouterr().out
    require_whole(store)


def test_a_model_that_was_loaded_in_between_is_complete(
    store: Store, step: Steps, dead: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ISLANDS:
        mlflow.pyfunc.load_model(store.model_uri(store.only(f"{name}-eps0.9")))
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    assert "resume: 3 of 3 groups are taken over" in capfd.readouterr().out
    require_whole(store)


def test_where_the_data_lie_makes_no_other_work(store: Store, step: Steps, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("one.csv", "other.csv"):
        shutil.copy(SEED_ROWS, name)
    assert step(dbscan_sweep, eps=EPS, runs="groups", data="one.csv", group_by="island") == 0
    die(store, store.only("dbscan_sweep"))
    assert step(dbscan_sweep, eps=EPS, runs="groups", data="other.csv", group_by="island", resume=True) == 0
    assert "3 of 3 groups are taken over" in capfd.readouterr().out


def test_a_sweep_that_is_alive_is_not_taken_over(
    store: Store, step: Steps, dead: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    set_heartbeat(store.client, dead.info.run_id, ALIVE)
    assert step(dbscan_sweep, eps=EPS, resume=True) == 1
    assert f"The run {dead.info.run_id} does this work and is alive (process" in capfd.readouterr().err
    assert store.client.get_run(dead.info.run_id).info.status == "RUNNING"
    assert set(store.children(dead)) == set(ISLANDS)


def test_a_table_that_spark_reads_is_the_same_work_by_its_rows(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    penguins = pd.read_csv(SEED_ROWS).dropna()
    session.createDataFrame(penguins.sample(frac=1, random_state=0)).createOrReplaceTempView("shuffled")
    session.createDataFrame(penguins.sample(frac=1, random_state=1)).createOrReplaceTempView("in_another_order")
    assert step(dbscan_sweep, eps=EPS, runs="groups", data="shuffled", group_by="island") == 0
    die(store, store.only("dbscan_sweep"))
    assert step(dbscan_sweep, eps=EPS, runs="groups", data="in_another_order", group_by="island", resume=True) == 0
    assert "3 of 3 groups are taken over" in capfd.readouterr().out


def test_a_group_that_a_dead_worker_logs_late_is_ended(
    store: Store, step: Steps, dead: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Damage(store, store.children(dead)["Dream"]).open_group()
    remove_leftovers = driver.remove_leftovers

    def log_late(context: SweepContext, *others: Any) -> None:
        tags = {"mlflow.parentRunId": dead.info.run_id, "sweep": dead.info.run_id}
        group = store.client.create_run(context.experiment_id, run_name="Dream", tags=tags)
        store.client.set_terminated(group.info.run_id, "FINISHED")
        remove_leftovers(context, *others)

    monkeypatch.setattr("penguins.sweep.driver.remove_leftovers", log_late)
    assert step(dbscan_sweep, eps=EPS, resume=True) == 0
    require_whole(store)
