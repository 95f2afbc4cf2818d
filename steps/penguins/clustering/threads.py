"""The number of threads for a computation."""

import os

# A smaller group runs in one thread: such groups are many and run side by side, which keeps all cores busy.
MOST_RECORDS_IN_ONE_THREAD = 4_000


def n_threads(n_records: int) -> int:
    """Return the number of threads for `n_records`: 1 if they are few, otherwise the number of cores of this process."""
    if n_records <= MOST_RECORDS_IN_ONE_THREAD:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
