"""Open the run of a step with the fingerprint and the heartbeat that a later resume needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.entities import Run

from penguins.resume.fingerprint import STEP, WANTED, step_fingerprint
from penguins.resume.heartbeat import heartbeat_tags, send_heartbeats
from penguins.tracking.run import open_run


@contextmanager
def step_run(entry_point: str, parameters: Any, data: str) -> Iterator[Run]:
    """Open the run of a step for the block, as `open_run` does, and send heartbeats for it.

    `data` is the digest of the step's table, or empty where it is known only after the table is read.
    """
    tags = heartbeat_tags() | _early_tags(entry_point, parameters, data)
    with open_run(entry_point, parameters, tags) as run, send_heartbeats(run.info.run_id):
        yield run


def _early_tags(entry_point: str, parameters: Any, data: str) -> dict[str, str]:
    """Return the tags that are known before the table is read: the step, and its fingerprint or the one to resume."""
    tags = {STEP: entry_point}
    if not data:
        return tags
    fingerprint = step_fingerprint(entry_point, parameters, data)
    return tags | ({WANTED: fingerprint.key} if getattr(parameters, "resume", False) else fingerprint.tags())


def record_fingerprint(entry_point: str, parameters: Any, data: str) -> None:
    """Write the step's fingerprint on the active run, so that a later run can recognise it; `data` is the table's digest."""
    mlflow.set_tags(step_fingerprint(entry_point, parameters, data).tags())
