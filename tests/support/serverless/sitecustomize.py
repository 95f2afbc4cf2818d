"""What a Python function meets on serverless compute: no network, and 1,024 MiB. Python imports this as a worker starts."""

import os
import signal
import sys
import threading
import time
from typing import Any

MOST_MIB = 1_024
POLL_S = 0.02


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise OSError where a function opens a connection."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        raise OSError(f"no network in functions: {arguments[1]}")


def end_beyond_memory() -> None:
    """End this process once it takes more memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    while True:
        with open("/proc/self/statm", encoding="ascii") as file:
            if int(file.read().split()[1]) * page > MOST_MIB << 20:
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(POLL_S)


def begin_in_worker() -> None:
    """Begin both in a worker that Spark's daemon has forked."""
    sys.addaudithook(refuse_network)
    threading.Thread(target=end_beyond_memory, daemon=True).start()


os.register_at_fork(after_in_child=begin_in_worker)
