"""How many threads a computation may have."""

import os

# Up to here, one: such groups are many, and keep the other cores busy themselves.
FEW_RECORDS = 5_000


def threads(n_records: int) -> int:
    """As many as this process has cores, where there are records enough to share out."""
    if n_records <= FEW_RECORDS:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
