"""Signals that end a step: SIGINT and SIGTERM, and the death of the `mlflow run` that started it."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from types import FrameType

GRACE_S = 25.0
POLL_S = 0.5
REPEAT_S = 0.05
# Modules whose work on a database must not be interrupted half-way.
TRANSACTIONS = ("sqlalchemy.", "mlflow.store.db.", "mlflow.store.tracking.sqlalchemy_store")
SHELLS = ("bash", "sh", "dash", "zsh")


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work."""


class _State:
    """The signal that has come, the run of `mlflow run`, its processes, and whether the work may be interrupted now."""

    signal: int | None = None
    on_signal: Callable[[], object] = staticmethod(lambda: None)
    run_id = ""
    parents = (0, 0)
    listening = False
    interruptible = False


def listen_for_signals(on_signal: Callable[[], object]) -> None:
    """Handle SIGINT and SIGTERM from now on.

    Before `interruptible`, a signal ends the process at once, or is held back if `mlflow run` has opened a run for it.
    `on_signal` is called once, when the first signal comes. Where `mlflow run` started this process, the death of `mlflow run`
    counts as a signal, because it would leave this process an orphan.
    """
    if current_thread() is not main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _handle_signal)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _interrupt)
    _State.on_signal = staticmethod(on_signal)
    _State.listening = True
    _State.run_id = os.environ.get("MLFLOW_RUN_ID", "")
    if _State.run_id:
        Thread(target=_watch_parents, daemon=True).start()


def _handle_signal(number: int, frame: FrameType | None) -> None:
    if not _State.run_id and not _State.interruptible:
        # No run is open yet.
        os._exit(128 + number)
    if _State.signal is None:
        _State.signal = number
        Thread(target=_end_by_force, daemon=True).start()
        # Libraries complain when they are interrupted. Our own message goes to the original standard error.
        logging.disable()
        sys.unraisablehook = lambda _: None
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # closed when the process ends
        _State.on_signal()
        _interrupt(number, frame)


def mlflow_run_above() -> tuple[str, int] | None:
    """Return the id of the run that `mlflow run` opened for this process and the process id of that `mlflow run`.

    Returns None where this process was started in another way, or where that `mlflow run` is gone.
    """
    import psutil

    parent, above = _State.parents
    if not _State.run_id or os.getppid() != parent or not psutil.pid_exists(above or parent):
        return None
    return _State.run_id, above or parent


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Raise Interrupted in the main thread, but never inside a database transaction, which would leave the store locked.

    Code that drops exceptions may swallow it: an alarm repeats it until some block handles it.
    """
    if not _State.interruptible:
        return
    if hasattr(signal, "SIGALRM"):
        signal.setitimer(signal.ITIMER_REAL, REPEAT_S)
        if _is_in_transaction(frame) or _is_being_handled():
            return
    raise interruption()


def _is_being_handled() -> bool:
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    return error is not None


def is_interrupted() -> bool:
    """Tell whether a signal has come. If so, it is the reason for the end, whatever else fails on the way."""
    return _State.signal is not None


def _is_in_transaction(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(TRANSACTIONS):
            return True
        frame = frame.f_back
    return False


def interruption() -> Interrupted:
    """Return the exception for the signal that has come."""
    return Interrupted(f"interrupted by {signal.Signals(_State.signal or signal.SIGINT).name}")


def interrupted_exit_code() -> int:
    """Return the exit code of a process that a signal ended."""
    return 128 + (_State.signal or signal.SIGINT)


def interrupt_self() -> None:
    """Send SIGTERM to this process if it listens for signals."""
    if _State.listening:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal raise Interrupted inside the block; a signal that came before raises it at once."""
    _State.interruptible = _State.listening
    try:
        if is_interrupted():
            raise interruption()
        yield
    finally:
        _State.interruptible = False
        if hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _end_by_force() -> None:
    time.sleep(GRACE_S)
    print(f"error: ended by force, {GRACE_S:.0f} s after the signal", file=sys.__stderr__, flush=True)
    os._exit(interrupted_exit_code())


def _parents() -> tuple[int, int]:
    """Return the process ids of the parent and, where the parent is a shell, of the shell's parent (else 0)."""
    import psutil

    parent = psutil.Process(os.getppid())
    return parent.pid, parent.ppid() if parent.name() in SHELLS else 0


def parent_folder() -> str:
    """Return the working folder of the process that started this one, perhaps through a shell; else this process's own."""
    import psutil

    try:
        parent, above = _parents()
        return str(psutil.Process(above or parent).cwd())
    except psutil.Error:
        return os.getcwd()


def _watch_parents() -> None:
    import psutil

    try:
        parent, above = _State.parents = _parents()
        while os.getppid() == parent and (not above or psutil.Process(parent).ppid() == above):
            time.sleep(POLL_S)
    except psutil.Error:
        pass
    interrupt_self()


def terminate_children() -> None:
    """Send SIGTERM to the processes that this one started, except those with a session of their own."""
    import psutil

    for child in psutil.Process().children():
        try:
            if os.getsid(child.pid) == os.getsid(0):
                child.terminate()
        except (psutil.Error, OSError):
            continue
