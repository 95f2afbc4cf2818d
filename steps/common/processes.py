"""The process among others: told to end by a signal or by the end of the one above it, and known by name elsewhere."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from types import FrameType

GRACE_S = 25.0
WATCH_S = 0.5
SHELLS = ("bash", "sh", "dash", "zsh")


class Interrupted(KeyboardInterrupt):
    """The process was told to end."""


class _Told:
    """What this process was told: the signal, and whether whoever is at work may be stopped by it."""

    signal: int | None = None
    listening = False
    interruptible = False


def listen() -> None:
    """From here on a signal to end is kept until `interruptible` can act on it, rather than end the process at once.

    Where `mlflow run` started this process, its death counts as such a signal, for it would leave this one an orphan.
    """
    if current_thread() is not main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _tell)
    _Told.listening = True
    if os.environ.get("MLFLOW_RUN_ID"):
        Thread(target=_watch_those_above, daemon=True).start()


def _tell(number: int, _frame: FrameType | None) -> None:
    if not os.environ.get("MLFLOW_RUN_ID") and not _Told.interruptible:
        # No run is open yet that could be left behind.
        os._exit(128 + number)
    if _Told.signal is None:
        _Told.signal = number
        Thread(target=_end_by_force, daemon=True).start()
        if _Told.interruptible:
            raise interruption()


def interruption() -> Interrupted:
    """The exception for the signal that was received."""
    return Interrupted(f"interrupted by {signal.Signals(_Told.signal or signal.SIGINT).name}")


def exit_code() -> int:
    """What a process that was told to end ends with."""
    return 128 + (_Told.signal or signal.SIGINT)


def end() -> None:
    """Tells this process to end, as SIGTERM from elsewhere does."""
    if _Told.listening:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, a signal to end raises Interrupted, once; one that came before it does so at once."""
    _Told.interruptible = _Told.listening
    try:
        if _Told.signal is not None:
            raise interruption()
        yield
    finally:
        _Told.interruptible = False


def _end_by_force() -> None:
    time.sleep(GRACE_S)
    print(f"error: ended by force, {GRACE_S:.0f} s after it was told to end", file=sys.stderr, flush=True)
    os._exit(exit_code())


def _watch_those_above() -> None:
    import psutil

    try:
        parent = psutil.Process().parent()
        above = parent.parent() if parent and parent.name() in SHELLS else None
        ids = (parent and parent.pid, above and above.pid)
        while os.getppid() == ids[0] and (above is None or parent.ppid() == ids[1]):
            time.sleep(WATCH_S)
    except psutil.Error:
        pass
    end()


def end_children() -> None:
    """Tells the processes that this one started to end."""
    import psutil

    for child in psutil.Process().children():
        try:
            child.terminate()
        except psutil.Error:
            continue


def machine() -> str:
    """The name of this machine since it was started, and the space in which its processes have their numbers."""
    import psutil

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


def process() -> str:
    """The name of this process: its number, and when it started, since numbers are used again."""
    import psutil

    return f"{os.getpid()} {psutil.Process().create_time():.2f}"


def lives(name: str) -> bool:
    """Whether the process that called itself `name`, on this machine, is there."""
    import psutil

    number, _, started = name.partition(" ")
    try:
        found = psutil.Process(int(number))
        return f"{found.create_time():.2f}" == started and found.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False
