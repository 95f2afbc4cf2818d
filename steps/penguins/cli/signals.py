"""Signals that end a step: SIGINT and SIGTERM, and the death of the `mlflow run` that started it.

A signal is only noted. The work looks for one between two runs, two groups or two waits, with `raise_if_interrupted`.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import Any, ClassVar, TypeVar

# One wish to end may come as several signals of a kind, as when a scheduler signals a whole group of processes, and `main` its
# steps; after this time, another one is a second wish.
SAME_WISH_S = 5.0
# The work has this long to look for a signal; then the process ends by force, once the ends of its runs are written or this
# has taken too long.
GRACE_S, RECORD_S = 25.0, 5.0
POLL_S = 0.5
T = TypeVar("T")


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work."""


class _State:
    """The signals that have come, whether this process listens for them, and whether it may have opened a run.

    Spark's workers get a copy, so that nothing may be in here that cannot be serialised.
    """

    signals: ClassVar[list[int]] = []
    noted_at = 0.0
    is_listening = False
    may_have_run = False


# What to call before the process ends by force, and the processes that were told to end.
_before_forced_end: list[Callable[[], object]] = []
_terminated: set[Any] = set()


def listen_for_signals() -> None:
    """Note SIGINT and SIGTERM from now on, and end the process if the work does not react to them.

    Where no run can be open yet, a signal ends the process at once. Where `mlflow run` started this process, the death of
    `mlflow run` counts as SIGTERM, because it would leave this process an orphan.
    """
    if current_thread() is not main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note_signal)
    _State.is_listening = True
    _State.may_have_run = bool(os.environ.get("MLFLOW_RUN_ID"))
    Thread(target=_watch, args=(os.getppid() if _State.may_have_run else None,), daemon=True).start()


def _note_signal(number: int, _frame: FrameType | None) -> None:
    if not _State.may_have_run:
        os._exit(128 + number)
    if number not in _State.signals or time.monotonic() > _State.noted_at + SAME_WISH_S:
        _State.signals.append(number)
        _State.noted_at = time.monotonic()


def stop_listening() -> None:
    """Give the signals their usual meaning again at the end of a step that none of them ended.

    The process may be an interpreter that goes on, as on Databricks. An interrupted process still has to end.
    """
    if _State.is_listening and not is_interrupted():
        _State.is_listening = False
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _watch(parent: int | None) -> None:
    """Wait for a signal, or for the end of the process `parent`, and end this process if it does not end by itself."""
    while not is_interrupted():
        time.sleep(POLL_S)
        if not _State.is_listening:
            return
        if parent is not None and os.getppid() != parent:
            interrupt_self()
    until = time.monotonic() + GRACE_S
    # Ctrl-C reaches a step from the terminal as SIGINT, and from `mlflow run` as SIGTERM: only a repeated one is a second.
    while time.monotonic() < until and len(_State.signals) == len(set(_State.signals)):
        time.sleep(POLL_S)
    record = Thread(target=_call_before_forced_end, daemon=True)
    record.start()
    record.join(RECORD_S)
    print(f"{interruption()}: ended by force", file=sys.stderr, flush=True)
    os._exit(interrupted_exit_code())


def _call_before_forced_end() -> None:
    for function in reversed(_before_forced_end):
        with suppress(Exception):
            function()


@contextmanager
def call_before_forced_end(function: Callable[[], object]) -> Iterator[None]:
    """Have `function` called, in another thread, if the process has to end by force during the block."""
    _before_forced_end.append(function)
    try:
        yield
    finally:
        _before_forced_end.remove(function)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Let signals wait for the next look during the block, in which a run may be open."""
    before, _State.may_have_run = _State.may_have_run, True
    try:
        yield
    finally:
        _State.may_have_run = before


def is_interrupted() -> bool:
    """Tell whether a signal has come. If so, it is the reason for the end, whatever else fails on the way."""
    return bool(_State.signals)


def raise_if_interrupted() -> None:
    """Raise Interrupted if a signal has come."""
    if is_interrupted():
        raise interruption()


def wait_for(future: Future[T]) -> T:
    """Return the result of `future`. Raises Interrupted if a signal comes first."""
    while not future.done():
        raise_if_interrupted()
        wait([future], timeout=POLL_S)
    return future.result()


def interruption() -> Interrupted:
    """Return the exception for the signal that has come."""
    return Interrupted(f"interrupted by {signal.Signals(_first_signal()).name}")


def interrupted_exit_code() -> int:
    """Return the exit code of a process that a signal ended."""
    return 128 + _first_signal()


def _first_signal() -> int:
    return next(iter(_State.signals), signal.SIGINT)


def interrupt_self() -> None:
    """Act as if SIGTERM had come, unless a signal has, if this process listens for signals."""
    if _State.is_listening and not is_interrupted():
        _State.signals.append(signal.SIGTERM)


def terminate_children() -> None:
    """Send SIGTERM to the processes that this one started, once to each."""
    import psutil

    for child in psutil.Process().children():
        if child not in _terminated:
            _terminated.add(child)
            with suppress(psutil.Error):
                child.terminate()
