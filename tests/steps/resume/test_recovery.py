"""Recovery: which runs are stale, who may claim them, and how they end."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dbscan_sweep
import pytest
from mlflow.entities import Run
from servers import environment
from stores import Store

from penguins.errors import WorkError
from penguins.resume.fingerprint import CODE, FINGERPRINT, STEP, WANTED, Fingerprint, code_digest
from penguins.resume.heartbeat import CLAIMED_BY, PROCESS, claim_run, heartbeat_tags, process_id
from penguins.resume.recovery import (
    claim_stale_runs,
    discard_run,
    end_runs_that_only_began,
    end_stale_run,
    end_stale_steps,
    finished_run,
    reason_to_start_afresh,
)

DEAD_PROCESS = "999999999 0.00"
DEAD, ALIVE = {PROCESS: DEAD_PROCESS}, {PROCESS: process_id()}
EXPERIMENT = "1"
THIS = Fingerprint("dbscan_sweep", {"eps": "0.5,0.9", "min_samples": "3"}, "data", "code")
PARENT_TAG, ENTRY_POINT = "mlflow.parentRunId", "mlflow.project.entryPoint"

NewRun = Callable[..., Run]


@pytest.fixture
def new_run(store: Store) -> NewRun:
    """Make a run with this status and these tags, by default a stale one with the fingerprint `THIS`."""

    def make(status: str = "RUNNING", tags: dict[str, str] | None = None, **params: str) -> Run:
        tags = heartbeat_tags() | THIS.tags() | DEAD if tags is None else tags
        run = store.client.create_run(EXPERIMENT, tags=tags)
        for name, text in params.items():
            store.client.log_param(run.info.run_id, name, text)
        if status != "RUNNING":
            store.client.set_terminated(run.info.run_id, status)
        return store.client.get_run(run.info.run_id)

    return make


@pytest.fixture
def run_id(new_run: NewRun) -> str:
    """The run that resumes."""
    return str(new_run(tags=heartbeat_tags()).info.run_id)


def test_stale_runs_with_the_fingerprint_are_claimed_in_the_order_of_their_start(
    store: Store, new_run: NewRun, run_id: str
) -> None:
    stale = [new_run(), new_run("FAILED"), new_run("KILLED")]
    other = new_run(tags=Fingerprint("dbscan_sweep", {}, "other data", "code").tags() | DEAD)
    finished = new_run("FINISHED")
    claimed = claim_stale_runs(EXPERIMENT, THIS, run_id)
    assert [run.info.run_id for run in claimed] == [run.info.run_id for run in stale]
    claims = {run.info.run_id: run.data.params.get(CLAIMED_BY) for run in store.runs()}
    assert {claims[run.info.run_id] for run in stale} == {run_id}
    assert claims[other.info.run_id] is claims[finished.info.run_id] is None
    assert THIS.tags().items() <= store.client.get_run(run_id).data.tags.items()


def test_a_run_that_is_alive_is_not_claimed(store: Store, new_run: NewRun, run_id: str) -> None:
    alive = new_run(tags=heartbeat_tags() | THIS.tags())
    with pytest.raises(WorkError, match=rf"The run {alive.info.run_id} does this work and is alive \(process"):
        claim_stale_runs(EXPERIMENT, THIS, run_id)
    assert store.client.get_run(alive.info.run_id).data.params == {}
    assert FINGERPRINT not in store.client.get_run(run_id).data.tags


def test_of_two_that_claim_at_the_same_time_the_first_wins(store: Store, new_run: NewRun, run_id: str) -> None:
    stale, rival = new_run(), new_run(tags=heartbeat_tags())  # the rival has not written the fingerprint on itself yet
    assert claim_run(stale.info.run_id, rival.info.run_id) == rival.info.run_id
    with pytest.raises(WorkError, match=f"The run {rival.info.run_id} does this work and is alive"):
        claim_stale_runs(EXPERIMENT, THIS, run_id)
    store.client.set_tag(rival.info.run_id, PROCESS, DEAD_PROCESS)
    claimed = claim_stale_runs(EXPERIMENT, THIS, run_id)
    assert {run.info.run_id for run in claimed} == {stale.info.run_id, rival.info.run_id}
    assert store.client.get_run(stale.info.run_id).data.params[CLAIMED_BY] == rival.info.run_id


def test_a_claim_that_is_lost_in_between_is_an_error(new_run: NewRun, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rival = new_run(tags=heartbeat_tags())
    new_run()
    monkeypatch.setattr("penguins.resume.recovery.claim_run", lambda *_: rival.info.run_id)
    with pytest.raises(WorkError, match=f"The run {rival.info.run_id} does this work and is alive"):
        claim_stale_runs(EXPERIMENT, THIS, run_id)


def test_stale_runs_whose_work_another_run_has_finished_are_left_to_it(store: Store, new_run: NewRun, run_id: str) -> None:
    first, second, third = new_run(), new_run(), new_run("FINISHED")
    claim_run(first.info.run_id, second.info.run_id)
    claim_run(second.info.run_id, third.info.run_id)
    assert claim_stale_runs(EXPERIMENT, THIS, run_id) == []
    store.client.update_run(third.info.run_id, status="RUNNING")
    store.client.set_tag(third.info.run_id, PROCESS, process_id())
    with pytest.raises(WorkError, match="is alive"):
        claim_stale_runs(EXPERIMENT, THIS, run_id)


@pytest.mark.parametrize(
    ("statuses", "found"), [((), False), (("FINISHED",), True), (("FINISHED", "FAILED"), False), (("KILLED", "FINISHED"), True)]
)
def test_work_is_finished_if_the_latest_run_of_it_is(new_run: NewRun, statuses: tuple[str, ...], found: bool) -> None:
    runs = [new_run(status) for status in statuses]
    finished = finished_run(EXPERIMENT, THIS)
    assert (finished is not None) == found
    assert finished is None or finished.info.run_id == runs[-1].info.run_id


@pytest.mark.parametrize(
    ("before", "differences"),
    [
        (Fingerprint("dbscan_sweep", {"eps": "'0.1'", "min_samples": "3"}, "data", "code"), "eps (0.1 before, 0.5,0.9 now)"),
        (
            Fingerprint("dbscan_sweep", {"eps": "0.1", "min_samples": "4"}, "data", "code"),
            "eps (0.1 before, 0.5,0.9 now), min_samples (4 before, 3 now)",
        ),
        (Fingerprint("dbscan_sweep", THIS.parameters, "other", "code"), "the data"),
        (Fingerprint("dbscan_sweep", THIS.parameters, "data", "other"), "the code"),
        (Fingerprint("ridge_search", {}, "data", "code"), ""),
    ],
)
def test_the_reason_to_start_afresh_is_how_the_last_unfinished_run_differs(
    new_run: NewRun, before: Fingerprint, differences: str
) -> None:
    if differences:
        new_run("FINISHED", Fingerprint("dbscan_sweep", {}, "", "").tags())
    last = new_run("FAILED", before.tags(), **before.parameters)
    expected = f"the last unfinished run, {last.info.run_id}, differs in {differences}"
    assert reason_to_start_afresh(EXPERIMENT, THIS) == (expected if differences else "no unfinished run has this fingerprint")


def test_where_every_run_is_finished_the_reason_to_start_afresh_is_how_the_last_one_differs(new_run: NewRun) -> None:
    new_run("FINISHED", Fingerprint("dbscan_sweep", {"eps": "7"}, "data", "code").tags(), eps="7", min_samples="3")
    before = Fingerprint("dbscan_sweep", THIS.parameters | {"eps": "0.5"}, "data", "code")
    last = new_run("FINISHED", before.tags(), **before.parameters)
    expected = f"the last finished run, {last.info.run_id}, differs in eps (0.5 before, 0.5,0.9 now)"
    assert reason_to_start_afresh(EXPERIMENT, THIS) == expected


@pytest.mark.parametrize(
    ("status", "tags", "expected"),
    [
        ("RUNNING", {}, "KILLED"),
        ("FAILED", {}, "KILLED"),
        ("FAILED", {"error": "why"}, "FAILED"),
        ("KILLED", {"error": "why"}, "KILLED"),
        ("FINISHED", {}, "FINISHED"),
    ],
)
def test_a_stale_run_ends_killed_unless_it_ended_by_itself_with_a_reason(
    store: Store, new_run: NewRun, status: str, tags: dict[str, str], expected: str
) -> None:
    run = new_run(status, tags)
    end_stale_run(run)
    assert store.client.get_run(run.info.run_id).info.status == expected


@pytest.mark.parametrize("code", ["same", "changed"])
def test_the_steps_of_a_stale_main_are_ended_with_all_under_them_except_the_one_that_recovers_its_own(
    store: Store, new_run: NewRun, code: str
) -> None:
    main = new_run()
    under = {PARENT_TAG: main.info.run_id} | heartbeat_tags() | DEAD
    ridge = new_run(tags=under | {STEP: "ridge_search"})
    sweep = new_run(tags=under | {STEP: "dbscan_sweep", CODE: code_digest("dbscan_sweep") if code == "same" else "other"})
    finished = new_run("FINISHED", under | {STEP: "logistic_regression"})
    of_ridge, group = (new_run(tags={PARENT_TAG: run.info.run_id}) for run in (ridge, sweep))
    of_group = new_run(tags={PARENT_TAG: group.info.run_id})
    end_stale_steps(main, ["dbscan_sweep"])
    runs = (ridge, of_ridge, sweep, group, of_group, finished)
    statuses = [store.client.get_run(run.info.run_id).info.status for run in runs]
    of_sweep = "RUNNING" if code == "same" else "KILLED"
    assert statuses == ["KILLED", "KILLED", of_sweep, of_sweep, of_sweep, "FINISHED"]


def test_a_step_of_a_stale_main_that_does_not_end_is_an_error(new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.resume.recovery.GRACE_S", 0.0)
    monkeypatch.setattr("penguins.resume.recovery.POLL_S", 0.0)
    main = new_run()
    step = new_run(tags={PARENT_TAG: main.info.run_id, STEP: "ridge_search"} | heartbeat_tags())
    with pytest.raises(WorkError, match=f"The run {step.info.run_id} does this work and is alive"):
        end_stale_steps(main, ["dbscan_sweep"])


PARAMETERS = dbscan_sweep.Parameters(eps=(0.5, 0.9))
BY_MLFLOW, BY_STEP = {ENTRY_POINT: "dbscan_sweep"}, {STEP: "dbscan_sweep"} | heartbeat_tags() | DEAD
ONLY_BEGAN: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "mlflow run logged the same parameters": (BY_MLFLOW, {"eps": "'0.5, 0.9'"}, "KILLED"),
    "mlflow run logged the same in another place": (BY_MLFLOW, {"eps": "0.5,0.9", "spark": "'local[*]'"}, "KILLED"),
    "mlflow run logged other parameters": (BY_MLFLOW, {"eps": "0.3"}, "RUNNING"),
    "mlflow run logged what a step refuses": (BY_MLFLOW, {"eps": "'"}, "RUNNING"),
    "another step": ({ENTRY_POINT: "ridge_search"}, {}, "RUNNING"),
    "the step logged the same parameters": (BY_STEP, {"eps": "0.5,0.9"}, "KILLED"),
    "the step logged other parameters": (BY_STEP, {"eps": "0.5"}, "RUNNING"),
    "the step wants the same work": (BY_STEP | {WANTED: THIS.key}, {}, "KILLED"),
    "the step wants other work": (BY_STEP | {WANTED: "other"}, {"eps": "0.5,0.9"}, "RUNNING"),
    "the step is alive": (BY_STEP | ALIVE, {"eps": "0.5,0.9"}, "RUNNING"),
    "the step has written its fingerprint": (BY_STEP | {FINGERPRINT: THIS.key}, {"eps": "0.5,0.9"}, "RUNNING"),
}


@pytest.mark.parametrize("case", ONLY_BEGAN)
def test_a_run_whose_process_died_while_it_was_starting_is_ended(store: Store, new_run: NewRun, run_id: str, case: str) -> None:
    tags, params, expected = ONLY_BEGAN[case]
    began = new_run(tags=tags, **params)
    end_runs_that_only_began(EXPERIMENT, THIS, run_id, PARAMETERS)
    assert store.client.get_run(began.info.run_id).info.status == expected


def test_a_run_does_not_end_itself(store: Store, new_run: NewRun) -> None:
    began = new_run(tags=BY_STEP, eps="0.5,0.9")
    end_runs_that_only_began(EXPERIMENT, THIS, began.info.run_id, PARAMETERS)
    assert store.client.get_run(began.info.run_id).info.status == "RUNNING"


@pytest.mark.parametrize(("uri", "status"), [("sqlite:///mlflow.db", "RUNNING"), ("sqlite:///other.db", "KILLED")])
def test_a_run_that_an_mlflow_run_at_this_store_may_have_opened_is_left_alone(
    store: Store, new_run: NewRun, run_id: str, tmp_path: Path, uri: str, status: str
) -> None:
    # What `mlflow run` looks like before it has started its step.
    (tmp_path / "mlflow").write_text("import time\nprint(flush=True)\ntime.sleep(600)")
    command = [sys.executable, "mlflow", "run", "."]
    with subprocess.Popen(command, env=environment(MLFLOW_TRACKING_URI=uri), stdout=subprocess.PIPE) as starting:
        assert starting.stdout
        starting.stdout.readline()
        opened = new_run(tags=BY_MLFLOW, eps="0.5,0.9")
        end_runs_that_only_began(EXPERIMENT, THIS, run_id, PARAMETERS)
        starting.kill()
    assert store.client.get_run(opened.info.run_id).info.status == status


def test_on_a_server_a_run_that_another_machine_has_just_opened_is_left_alone(
    store: Store, new_run: NewRun, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = new_run(tags=BY_MLFLOW, eps="0.5,0.9")
    monkeypatch.setattr("penguins.resume.recovery.is_server", lambda _: True)
    for patience, status in ((600, "RUNNING"), (0, "KILLED")):
        monkeypatch.setattr("penguins.resume.recovery.STARTING_S", patience)
        end_runs_that_only_began(EXPERIMENT, THIS, run_id, PARAMETERS)
        assert store.client.get_run(opened.info.run_id).info.status == status


@pytest.mark.parametrize("under_mlflow_run", [True, False])
def test_a_run_that_had_nothing_to_do_is_deleted_after_mlflow_run_has_ended_it(
    store: Store, new_run: NewRun, monkeypatch: pytest.MonkeyPatch, under_mlflow_run: bool
) -> None:
    scheduled: list[Any] = []

    def schedule(status: str) -> bool:
        scheduled.append(status)
        return under_mlflow_run

    monkeypatch.setattr("penguins.resume.recovery.schedule_final_status", schedule)
    run = new_run("FINISHED")
    discard_run(run)
    assert scheduled == ["deleted"]
    assert [found.info.run_id for found in store.runs()] == ([run.info.run_id] if under_mlflow_run else [])
