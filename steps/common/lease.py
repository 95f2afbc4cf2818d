"""Whether a run's process is alive: it says so on the run, on which machine it is, and every few seconds that it still is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from common import processes

MACHINE, PROCESS, HEARTBEAT = "lease.machine", "lease.process", "lease.heartbeat"
TAKEN_OVER_BY = "taken_over_by"
BEAT_S = 10.0
# Longer than a server may be away, and the heartbeat with it.
EXPIRES_S = 90.0


def tags() -> dict[str, str]:
    """What a run that this process works on says of it."""
    return {MACHINE: processes.machine(), PROCESS: processes.process(), HEARTBEAT: _now()}


@contextmanager
def held(run_id: str) -> Iterator[None]:
    """While the block lasts, renews the heartbeat of the run, and ends this process if another one has taken the run over."""
    done = Event()
    thread = Thread(target=_beat, args=(MlflowClient(), run_id, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _beat(client: MlflowClient, run_id: str, done: Event) -> None:
    while not done.wait(BEAT_S):
        try:
            if TAKEN_OVER_BY in client.get_run(run_id).data.params:
                processes.end()
                return
            client.set_tag(run_id, HEARTBEAT, _now())
        except (MlflowException, OSError):
            continue


def _now() -> str:
    return f"{time.time():.0f}"


def is_alive(run: Run) -> bool:
    """Whether the process of a run that is open may still be at work.

    On this machine the process itself is looked for. On another one its heartbeat tells; since clocks differ, one that looks
    old is given the time of a heartbeat to change.
    """
    if run.info.status != "RUNNING":
        return False
    said = run.data.tags
    if said.get(MACHINE) == processes.machine():
        return processes.lives(said.get(PROCESS, ""))
    last = said.get(HEARTBEAT)
    if last is None:
        return False
    if abs(time.time() - float(last)) < EXPIRES_S:
        return True
    time.sleep(1.5 * BEAT_S)
    return bool(MlflowClient().get_run(run.info.run_id).data.tags.get(HEARTBEAT) != last)


def holder(run: Run) -> str:
    """Who works on a run, for a person to find it."""
    said = run.data.tags
    host = said.get(MACHINE, "an unknown machine").partition(" ")[0]
    return f"process {said.get(PROCESS, 'unknown').partition(' ')[0]} on {host}"


def claim(run_id: str, claimant: str) -> str:
    """Takes a run that nobody works on over for the run `claimant`; returns the id of the run that has it, one for good.

    A parameter is written once, by the first who comes: that is what makes it a claim.
    """
    client = MlflowClient()
    with suppress(MlflowException):
        client.log_param(run_id, TAKEN_OVER_BY, claimant)
    return str(client.get_run(run_id).data.params.get(TAKEN_OVER_BY, ""))
