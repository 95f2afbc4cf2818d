"""The process among others: told to end by a signal or by the end of the one above it, and known by name elsewhere."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from types import FrameType

from common import afterword

GRACE_S = 25.0
WATCH_S = 0.5
AGAIN_S = 0.05
# The modules whose work on a database must not be broken off in the middle.
TRANSACTIONS = ("sqlalchemy.", "mlflow.store.db.", "mlflow.store.tracking.sqlalchemy_store")
SHELLS = ("bash", "sh", "dash", "zsh")


class Interrupted(KeyboardInterrupt):
    """The process was told to end."""


class _Told:
    """What this process was told: the signal, by whom it was started, and whether whoever is at work may be stopped."""

    signal: int | None = None
    run_id = ""
    above = (0, 0)
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
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _interrupt)
    _Told.listening = True
    _Told.run_id = os.environ.get("MLFLOW_RUN_ID", "")
    if _Told.run_id:
        Thread(target=_watch_those_above, daemon=True).start()


def _tell(number: int, frame: FrameType | None) -> None:
    if not _Told.run_id and not _Told.interruptible:
        # No run is open yet that could be left behind.
        os._exit(128 + number)
    if _Told.signal is None:
        _Told.signal = number
        Thread(target=_end_by_force, daemon=True).start()
        # What libraries say of being broken off is of no use to anybody; this project's own words go around it.
        logging.disable()
        sys.unraisablehook = lambda _: None
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # it ends with the process
        leave_word(afterword.KILLED)
        _interrupt(number, frame)


def leave_word(word: str) -> bool:
    """Has a word said on the run that `mlflow run` opened for this process, once that is through; False where none has."""
    import psutil

    parent, above = _Told.above
    if not _Told.run_id or os.getppid() != parent or not psutil.pid_exists(above or parent):
        return False
    afterword.leave(word, _Told.run_id, os.getpid(), above or parent)
    return True


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Interrupts the work; if it is in a transaction, which would keep the store locked, as soon as that is over.

    It may come in a place where exceptions are dropped: until somebody handles it, it comes again.
    """
    if not _Told.interruptible:
        return
    if hasattr(signal, "SIGALRM"):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        if _is_in_transaction(frame) or _is_being_handled():
            return
    raise interruption()


def _is_being_handled() -> bool:
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None


def was_told_to_end() -> bool:
    """Whether a signal to end has come: then it is what ends the work, whatever breaks on the way."""
    return _Told.signal is not None


def _is_in_transaction(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(TRANSACTIONS):
            return True
        frame = frame.f_back
    return False


def interruption() -> Interrupted:
    """The exception for the signal that has come."""
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
    """Within the block, a signal to end raises Interrupted until that is handled; one that came before does so at once."""
    _Told.interruptible = _Told.listening
    try:
        if was_told_to_end():
            raise interruption()
        yield
    finally:
        _Told.interruptible = False
        if hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _end_by_force() -> None:
    time.sleep(GRACE_S)
    print(f"error: ended by force, {GRACE_S:.0f} s after it was told to end", file=sys.__stderr__, flush=True)
    os._exit(exit_code())


def _those_above() -> tuple[int, int]:
    """The numbers of the process that started this one and, where that is a shell, of the one that started the shell, or 0."""
    import psutil

    parent = psutil.Process(os.getppid())
    return parent.pid, parent.ppid() if parent.name() in SHELLS else 0


def folder_above() -> str:
    """The folder of whoever started this process, perhaps by way of a shell; this process's own where nobody tells."""
    import psutil

    try:
        parent, above = _those_above()
        return str(psutil.Process(above or parent).cwd())
    except psutil.Error:
        return os.getcwd()


def _watch_those_above() -> None:
    import psutil

    try:
        parent, above = _Told.above = _those_above()
        while os.getppid() == parent and (not above or psutil.Process(parent).ppid() == above):
            time.sleep(WATCH_S)
    except psutil.Error:
        pass
    end()


def end_children() -> None:
    """Tells the processes that this one started to end."""
    import psutil

    for child in psutil.Process().children():
        try:
            if os.getsid(child.pid) == os.getsid(0):  # a word that is left is to be said
                child.terminate()
        except (psutil.Error, OSError):
            continue


def give_way() -> None:
    """Lets other processes of the machine go first: a driver that logs is what a sweep waits for, not its workers."""
    if hasattr(os, "nice") and os.nice(0) == 0:
        os.nice(10)


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
