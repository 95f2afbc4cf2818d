"""A signal is noted, and the work ends where it looks for one."""

import signal
from concurrent.futures import Future
from threading import Timer

import pytest

from penguins.cli import signals
from penguins.cli.signals import Interrupted, interrupt_self, is_interrupted, raise_if_interrupted, wait_for


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that have come to a process that listens for them."""
    noted: list[int] = []
    monkeypatch.setattr(signals._State, "signals", noted)
    monkeypatch.setattr(signals._State, "is_listening", True)
    return noted


def test_the_first_signal_is_the_reason_for_the_end(noted: list[int]) -> None:
    raise_if_interrupted()
    noted += [signal.SIGINT, signal.SIGTERM]
    with pytest.raises(Interrupted, match="interrupted by SIGINT"):
        raise_if_interrupted()


def test_a_process_interrupts_itself_only_where_no_signal_has_come_and_it_listens(
    noted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_self()
    interrupt_self()
    assert noted == [signal.SIGTERM]
    noted.clear()
    monkeypatch.setattr(signals._State, "is_listening", False)
    interrupt_self()
    assert not is_interrupted()


def test_a_future_is_waited_for_until_its_result_or_a_signal_comes(noted: list[int]) -> None:
    future = Future[str]()
    Timer(0.05, future.set_result, ["done"]).start()
    assert wait_for(future) == "done"
    Timer(0.05, noted.append, [signal.SIGTERM]).start()
    with pytest.raises(Interrupted, match="interrupted by SIGTERM"):
        wait_for(Future[str]())
