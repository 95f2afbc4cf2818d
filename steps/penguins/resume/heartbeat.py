"""The heartbeat of a run: its process writes on it, every few seconds, that it is alive."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from threading import Event, Thread

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from penguins.cli.signals import interrupt_self

# A tag of a run, and the parameter by which another run claims it.
HEARTBEAT = "penguins.heartbeat"
CLAIMED_BY = "claimed_by"
INTERVAL_S = 10.0
# Longer than a server may be away, during which there is no heartbeat.
GRACE_PERIOD_S = 90.0


@dataclass(frozen=True)
class Heartbeat:
    """A sign of life: when it came, in seconds since 1970, and the process and the machine that sent it, by their ids."""

    time: float
    process: str
    machine: str

    def tags(self) -> dict[str, str]:
        """Return the tag of a run that has this heartbeat."""
        return {HEARTBEAT: json.dumps(asdict(self))}


def heartbeat_now() -> Heartbeat:
    """Return the present heartbeat of this process."""
    return Heartbeat(round(time.time(), 1), process_id(), machine_id())


def last_heartbeat(run: Run) -> Heartbeat | None:
    """Return the last heartbeat of a run, or None where it never had one."""
    text = run.data.tags.get(HEARTBEAT)
    return Heartbeat(**json.loads(text)) if text else None


@contextmanager
def send_heartbeats(run_id: str) -> Iterator[None]:
    """Renew the heartbeat of the run during the block, and end this process if another run has claimed it."""
    done = Event()
    thread = Thread(target=_send_until_done, args=(MlflowClient(), run_id, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _send_until_done(client: MlflowClient, run_id: str, done: Event) -> None:
    while not done.wait(INTERVAL_S):
        try:
            if CLAIMED_BY in client.get_run(run_id).data.params:
                interrupt_self()
                return
            client.set_tag(run_id, HEARTBEAT, heartbeat_now().tags()[HEARTBEAT])
        except (MlflowException, OSError):
            continue


def is_alive(run: Run) -> bool:
    """Tell whether the process of a run may still be at work.

    On this machine the process itself is looked up. On another machine the heartbeat decides; since clocks differ, a heartbeat
    that looks old is watched for one and a half intervals.
    """
    last = last_heartbeat(run)
    if run.info.status != "RUNNING" or last is None:
        return False
    if last.machine == machine_id():
        return is_process_alive(last.process)
    if abs(time.time() - last.time) < GRACE_PERIOD_S:
        return True
    time.sleep(1.5 * INTERVAL_S)
    return last_heartbeat(MlflowClient().get_run(run.info.run_id)) != last


def owner(run: Run) -> str:
    """Return the process and the host that work on a run, for a person to find them."""
    last = last_heartbeat(run)
    return f"process {last.process.partition(' ')[0]} on {last.machine.partition(' ')[0]}" if last else "an unknown process"


def claim_run(run_id: str, claimant: str) -> str:
    """Claim a stale run for the run `claimant`, and return the id of the run whose claim holds.

    A parameter can be written only once, so that the first claim holds for good.
    """
    client = MlflowClient()
    with suppress(MlflowException):
        client.log_param(run_id, CLAIMED_BY, claimant)
    return str(client.get_run(run_id).data.params.get(CLAIMED_BY, ""))


def machine_id() -> str:
    """Return a name of this machine since its last boot, with the namespace in which its processes are numbered."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(path) if "/ns/" in path else _read(path))
        except OSError:
            parts.append(str(int(psutil.boot_time())))
    return " ".join(parts)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def process_id() -> str:
    """Return this process's number and the time of its start, because numbers are used again."""
    return f"{os.getpid()} {psutil.Process().create_time():.2f}"


def is_process_alive(process: str) -> bool:
    """Tell whether the process of this machine whose `process_id` was `process` still exists."""
    number, _, started = process.partition(" ")
    try:
        found = psutil.Process(int(number))
        return f"{found.create_time():.2f}" == started and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False
