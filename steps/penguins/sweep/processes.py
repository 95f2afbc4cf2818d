"""Apply a function to many inputs in processes of this machine, and survive the death of one of them."""

import os
import re
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor, cpu_count

from penguins.cli.signals import POLL_S, raise_if_interrupted, wait_for
from penguins.errors import WorkError
from penguins.sweep.workers import lower_priority
from penguins.text import one_line, print_lines

# So many inputs for each process are on their way at a time: no process waits, and few results are in memory.
AHEAD = 2
# There are as many processes as cores that this process may use, or fewer if this variable says so.
N_PROCESSES = "LOKY_MAX_CPU_COUNT"
LESS_MEMORY = (
    f"let fewer groups be computed at the same time, with {N_PROCESSES}=1 in the environment, or give the machine more memory"
)
# How long an input takes at most to get into the queue of the processes.
LONGEST_WAIT_S = 5
# How the pool names the ends of its processes, as in {SIGKILL(-9)}.
ENDED_BY = re.compile(r"\{(.*)\}")
I = TypeVar("I")  # noqa: E741  # an input
R = TypeVar("R")
# What this process applies to its inputs, where it is one of a pool.
_function: list[Callable[[Any], Any]] = []


def n_processes() -> int:
    """Return how many processes compute at the same time."""
    return int(cpu_count())


def results_of_processes(function: Callable[[I], R], inputs: Sequence[Callable[[], I]], n: int) -> Generator[R, None, None]:
    """Yield what `function` returns for each input from `n` processes, in the order of the inputs unless a process dies.

    An input is made when it is sent. Where a process dies, the inputs at work are computed once more in new processes. Closing
    the generator ends the processes.
    Raises WorkError where the same happens again, once what has been computed is yielded, and whatever `function` raises.
    """
    left, at_work, repeated = deque(range(len(inputs))), dict[int, Future[R]](), set[int]()
    pool = _start_pool(function, n)
    try:
        while left or at_work:
            try:
                while left and len(at_work) < AHEAD * n:
                    at_work[left[0]] = pool.submit(_apply, inputs[left[0]]())
                    left.popleft()
                place = next(iter(at_work))
                result = wait_for(at_work[place])
                del at_work[place]
            except BrokenProcessPool as error:
                raise_if_interrupted()  # a signal to all processes has ended these
                _end_pool(pool, at_work.values())
                lost = [place for place, future in at_work.items() if future.exception()]
                yield from (future.result() for place, future in at_work.items() if place not in lost)
                if repeated.intersection(lost):
                    raise WorkError(f"The groups could not be computed: {_describe_end(error)}") from error
                print_lines(f"The groups at work are computed once more: {_describe_end(error)}")
                repeated.update(lost)
                left.extendleft(reversed(lost))
                at_work.clear()
                pool = _start_pool(function, n)
            else:
                yield result
    finally:
        _end_pool(pool, at_work.values())


def _start_pool(function: Callable[[I], R], n: int) -> ProcessPoolExecutor:
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")  # it is replaced
    # Arithmetic in several threads would only take the cores from the other processes.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return ProcessPoolExecutor(n, initializer=_begin_process, initargs=(function, os.getpid()), env=threads)


def _end_pool(pool: ProcessPoolExecutor, at_work: Iterable[Future[Any]]) -> None:
    """End the processes, once what is at work is in their queue: over the rest, the thread of the pool would fail."""
    until = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < until and not all(one.running() or one.done() for one in at_work):
        time.sleep(0.01)
    pool.shutdown(kill_workers=True)


def _begin_process(function: Callable[[Any], Any], parent: int) -> None:
    """Prepare a process of the pool: it prints nothing, leaves Ctrl-C to its parent, and ends with it."""
    _function.append(function)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    lower_priority()
    if sys.platform != "win32":  # there, a process does not learn that its parent has ended
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


def _apply(value: Any) -> Any:
    return _function[0](value)


def _describe_end(error: BrokenProcessPool) -> str:
    """Return how the processes of a pool ended, with the remedy."""
    found = ENDED_BY.search(str(error))
    how = f"a process was ended by {found[1]}" if found else f"a process ended without an answer ({one_line(error)[:100]})"
    return f"{how}, most often because the system killed it for lack of memory: {LESS_MEMORY}"
