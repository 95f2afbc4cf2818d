"""Recovery: which runs are stale, who may claim them, and how they end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from heartbeats import ALIVE, DEAD, set_heartbeat
from mlflow.entities import Run
from stores import Store

from penguins.errors import InputError, WorkError
from penguins.resume.fingerprint import FINGERPRINT, STEP, Fingerprint, fingerprint_from_texts
from penguins.resume.heartbeat import CLAIMED_BY, claim_run
from penguins.resume.recovery import (
    FINISHED_BY,
    GRACE,
    beginning_grace_s,
    claim_stale_runs,
    discard_run,
    end_runs_that_only_began,
    end_stale_run,
    end_stale_steps,
    finished_run,
    reason_to_start_afresh,
)

EXPERIMENT = "1"
THIS = Fingerprint("dbscan_sweep", {"eps": "0.5,0.9", "min_samples": "3"}, "data", "code")
PARENT_TAG, ENTRY_POINT = "mlflow.parentRunId", "mlflow.project.entryPoint"

NewRun = Callable[..., Run]


@pytest.fixture
def new_run(store: Store) -> NewRun:
    """Make a run with this status and these tags, by default a stale one with the fingerprint `THIS`."""

    def make(status: str = "RUNNING", tags: dict[str, str] | None = None, **params: str) -> Run:
        tags = THIS.tags() | DEAD if tags is None else tags
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
    return str(new_run(tags=ALIVE).info.run_id)


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
    alive = new_run(tags=ALIVE | THIS.tags())
    with pytest.raises(WorkError, match=rf"The run {alive.info.run_id} does this work and is alive \(process"):
        claim_stale_runs(EXPERIMENT, THIS, run_id)
    assert store.client.get_run(alive.info.run_id).data.params == {}
    assert FINGERPRINT not in store.client.get_run(run_id).data.tags


def test_of_two_that_claim_at_the_same_time_the_first_wins(store: Store, new_run: NewRun, run_id: str) -> None:
    stale, rival = new_run(), new_run(tags=ALIVE)  # the rival has not written the fingerprint on itself yet
    assert claim_run(stale.info.run_id, rival.info.run_id) == rival.info.run_id
    with pytest.raises(WorkError, match=f"The run {rival.info.run_id} does this work and is alive"):
        claim_stale_runs(EXPERIMENT, THIS, run_id)
    set_heartbeat(store.client, rival.info.run_id, DEAD)
    claimed = claim_stale_runs(EXPERIMENT, THIS, run_id)
    assert {run.info.run_id for run in claimed} == {stale.info.run_id, rival.info.run_id}
    assert store.client.get_run(stale.info.run_id).data.params[CLAIMED_BY] == rival.info.run_id


def test_a_claim_that_is_lost_in_between_is_an_error(new_run: NewRun, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rival = new_run(tags=ALIVE)
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
    set_heartbeat(store.client, third.info.run_id, ALIVE)
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
    under = {PARENT_TAG: main.info.run_id} | DEAD
    ridge = new_run(tags=under | {STEP: "ridge_search"})
    fingerprint = fingerprint_from_texts("dbscan_sweep", {}, "data")
    sweep = new_run(tags=under | (fingerprint if code == "same" else replace(fingerprint, code="other")).tags())
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
    monkeypatch.setattr("penguins.resume.recovery.RECORD_S", 0.0)
    monkeypatch.setattr("penguins.resume.recovery.POLL_S", 0.0)
    main = new_run()
    step = new_run(tags={PARENT_TAG: main.info.run_id, STEP: "ridge_search"} | ALIVE)
    with pytest.raises(WorkError, match=f"The run {step.info.run_id} does this work and is alive"):
        end_stale_steps(main, ["dbscan_sweep"])


BY_MLFLOW, BY_STEP = {ENTRY_POINT: "dbscan_sweep"}, {STEP: "dbscan_sweep"} | DEAD
ONLY_BEGAN: dict[str, tuple[dict[str, str], str, str]] = {
    "mlflow run opened it, and no step came": (BY_MLFLOW, "0", "KILLED"),
    "mlflow run has just opened it": (BY_MLFLOW, "600", "RUNNING"),
    "mlflow run has just opened it, and nobody says how long that may take": (BY_MLFLOW, "", "RUNNING"),
    "mlflow run opened it for another step": ({ENTRY_POINT: "ridge_search"}, "0", "RUNNING"),
    "mlflow run of another project opened it": (BY_MLFLOW | {"mlflow.source.name": "elsewhere"}, "0", "RUNNING"),
    "the process of the step is gone": (BY_MLFLOW | BY_STEP, "600", "KILLED"),
    "the process of a script is gone": (BY_STEP, "600", "KILLED"),
    "the step is alive": (BY_STEP | ALIVE, "0", "RUNNING"),
    "the step has written its fingerprint": (BY_STEP | {FINGERPRINT: THIS.key}, "0", "RUNNING"),
}


@pytest.mark.parametrize("case", ONLY_BEGAN)
def test_a_run_whose_process_died_while_it_was_starting_is_ended(
    store: Store, new_run: NewRun, run_id: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    tags, grace, expected = ONLY_BEGAN[case]
    monkeypatch.setenv(GRACE, grace) if grace else monkeypatch.delenv(GRACE, raising=False)
    began = new_run(tags=tags)
    end_runs_that_only_began(EXPERIMENT, "dbscan_sweep", ["eps"], store.client.get_run(run_id))
    assert store.client.get_run(began.info.run_id).info.status == expected


@pytest.mark.parametrize(
    ("params", "metrics", "expected"),
    [({"eps": "1"}, [], "KILLED"), ({"eps": "1", "town": "x"}, [], "RUNNING"), ({"eps": "1"}, ["loss"], "RUNNING")],
)
def test_a_run_of_another_project_with_an_entry_point_of_this_name_goes_on(
    store: Store, new_run: NewRun, run_id: str, monkeypatch: pytest.MonkeyPatch, params: dict[str, str], metrics: list[str],
    expected: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(GRACE, "0")
    other = new_run(tags=BY_MLFLOW | {"mlflow.source.name": "a clone"}, **params)
    for name in metrics:
        store.client.log_metric(other.info.run_id, name, 1)
    end_runs_that_only_began(EXPERIMENT, "dbscan_sweep", ["eps", "min_samples"], store.client.get_run(run_id))
    assert store.client.get_run(other.info.run_id).info.status == expected


def test_a_run_does_not_end_itself(store: Store, new_run: NewRun) -> None:
    began = new_run(tags=BY_STEP)
    end_runs_that_only_began(EXPERIMENT, "dbscan_sweep", ["eps"], began)
    assert store.client.get_run(began.info.run_id).info.status == "RUNNING"


@pytest.mark.parametrize("text", ["ten", "-1", "nan", "inf"])
def test_a_grace_period_that_is_no_number_of_seconds_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GRACE, text)
    expected = f"The environment variable PENGUINS_GRACE_S must be a number of seconds, 0 or more. Got '{text}' instead."
    with pytest.raises(InputError, match=expected):
        beginning_grace_s()


@pytest.mark.parametrize("by_mlflow_run", [True, False])
def test_a_run_that_had_nothing_to_do_is_deleted_or_names_the_run_that_did_the_work(
    store: Store, new_run: NewRun, by_mlflow_run: bool
) -> None:
    finished = new_run("FINISHED")
    run = new_run("FINISHED", THIS.tags() | (BY_MLFLOW if by_mlflow_run else {}))
    discard_run(run, finished)
    named = {found.info.run_id: found.data.tags.get(FINISHED_BY) for found in store.runs()}
    assert named == {finished.info.run_id: None} | ({run.info.run_id: finished.info.run_id} if by_mlflow_run else {})
    found = finished_run(EXPERIMENT, THIS)
    assert found is not None
    assert found.info.run_id == finished.info.run_id
    other = Fingerprint("dbscan_sweep", {}, "other data", "code")
    assert f"the last finished run, {finished.info.run_id}, differs in" in reason_to_start_afresh(EXPERIMENT, other)
