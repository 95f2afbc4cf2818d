"""The heartbeat of a run: who is alive, who is stale, and how a run is claimed once and for good."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import logistic_regression
import pytest
from heartbeats import DEAD, set_heartbeat
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from stores import Store

from penguins.resume.heartbeat import (
    CLAIMED_BY,
    GRACE_PERIOD_S,
    HEARTBEAT,
    Heartbeat,
    claim_run,
    heartbeat_now,
    is_alive,
    is_process_alive,
    last_heartbeat,
    machine_id,
    owner,
    process_id,
    send_heartbeats,
)
from penguins.resume.step_run import step_run


@pytest.fixture
def run(store: Store) -> Run:
    return store.client.create_run("1", tags=heartbeat_now().tags())


def heartbeat(store: Store, run: Run) -> Heartbeat:
    found = last_heartbeat(store.client.get_run(run.info.run_id))
    assert found
    return found


def wait_for(condition: Iterator[bool]) -> None:
    until = time.monotonic() + 20
    while not next(condition):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_run_of_a_step_has_a_heartbeat_that_is_renewed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.resume.heartbeat.INTERVAL_S", 0.02)
    began = time.time()
    with step_run("logistic_regression", logistic_regression.Parameters(), "data") as run:
        wait_for(heartbeat(store, run).time > began + 0.5 for _ in iter(int, 1))
        assert (heartbeat(store, run).machine, heartbeat(store, run).process) == (machine_id(), process_id())
    time.sleep(0.1)
    last = heartbeat(store, run)
    time.sleep(0.3)
    assert heartbeat(store, run) == last, "it has stopped"


def test_a_heartbeat_goes_on_after_the_store_was_away(store: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = store.client.set_tag, []

    def fail_at_first(_: object, *arguments: str) -> None:
        calls.append(arguments)
        if len(calls) < 3:
            raise MlflowException("away")
        real(*arguments)

    monkeypatch.setattr("penguins.resume.heartbeat.INTERVAL_S", 0.01)
    monkeypatch.setattr("mlflow.MlflowClient.set_tag", fail_at_first)
    with send_heartbeats(run.info.run_id):
        wait_for(len(calls) > 3 for _ in iter(int, 1))


def test_a_process_whose_run_was_claimed_ends_itself(store: Store, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    monkeypatch.setattr("penguins.resume.heartbeat.INTERVAL_S", 0.01)
    monkeypatch.setattr("penguins.resume.heartbeat.interrupt_self", lambda: ended.append(True))
    with send_heartbeats(run.info.run_id):
        assert claim_run(run.info.run_id, "another") == "another"
        wait_for(bool(ended) for _ in iter(int, 1))
    time.sleep(0.05)
    assert ended == [True]


def test_on_this_machine_a_run_is_alive_while_its_process_exists(store: Store, run: Run) -> None:
    assert is_alive(run)
    set_heartbeat(store.client, run.info.run_id, DEAD)
    assert not is_alive(store.client.get_run(run.info.run_id))


def test_a_run_that_has_ended_is_not_alive(store: Store, run: Run) -> None:
    store.client.set_terminated(run.info.run_id, "FINISHED")
    assert not is_alive(store.client.get_run(run.info.run_id))


@pytest.mark.parametrize(
    ("age", "moves", "expected"),
    [
        (10, False, True),
        (-10, False, True),
        (10_000, False, False),
        (10_000, True, True),
        (-10_000, True, True),
        (None, False, False),
    ],
)
def test_on_another_machine_a_run_is_alive_while_its_heartbeat_is_young_or_moves(
    store: Store, run: Run, monkeypatch: pytest.MonkeyPatch, age: int | None, moves: bool, expected: bool
) -> None:
    client, run_id = store.client, run.info.run_id
    waits: list[float] = []

    def beat(age_s: int) -> None:
        set_heartbeat(client, run_id, Heartbeat(time.time() - age_s, "1 1.00", "elsewhere").tags())

    def beat_once(seconds: float) -> None:
        waits.append(seconds)
        if moves and age is not None:
            beat(age - 10)

    monkeypatch.setattr("penguins.resume.heartbeat.time", SimpleNamespace(time=time.time, sleep=beat_once))
    if age is None:
        client.delete_tag(run_id, HEARTBEAT)
    else:
        beat(age)
    assert is_alive(client.get_run(run_id)) == expected
    assert len(waits) == (age is not None and abs(age) > GRACE_PERIOD_S), "an old heartbeat is watched, since clocks differ"


def test_the_first_claim_holds_for_good(store: Store, run: Run) -> None:
    assert claim_run(run.info.run_id, "one") == "one"
    assert claim_run(run.info.run_id, "another") == "one"
    assert store.client.get_run(run.info.run_id).data.params == {CLAIMED_BY: "one"}


def test_a_process_is_known_by_its_number_and_the_time_of_its_start() -> None:
    number, started = process_id().split()
    assert int(number) == os.getpid()
    assert is_process_alive(process_id())
    assert not is_process_alive(f"{number} {float(started) - 1:.2f}"), "its number was used again"
    assert not is_process_alive(f"999999999 {started}")
    assert not is_process_alive("")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_process_alive(f"{child.pid} {started}"), "a zombie does no work"


def test_a_machine_is_known_by_its_name_its_boot_and_its_namespace() -> None:
    assert len(machine_id().split()) == 3
    assert machine_id() == machine_id()


def test_the_owner_of_a_run_can_be_found_by_a_person(store: Store, run: Run) -> None:
    assert owner(run) == f"process {os.getpid()} on {machine_id().split()[0]}"
    assert owner(store.client.create_run("1")) == "an unknown process"
