"""Functions that a pool of processes applies to numbers, some of which end their process."""

import os
import signal
from pathlib import Path


def square(number: int) -> int:
    return number * number


def square_or_die_once(number: int, mark: Path) -> int:
    """Square the number; the first process that gets a 3 ends without a word, and leaves the file `mark`."""
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def square_or_die(number: int) -> int:
    """Square the number; each process that gets a 3 ends without a word."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def square_or_raise(number: int) -> int:
    if number == 3:
        raise ValueError("no 3")
    return number * number
