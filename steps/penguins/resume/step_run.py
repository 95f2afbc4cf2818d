"""Open the run of a step with the fingerprint and the heartbeat that a later resume needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.entities import Run

from penguins.cli.parameters import to_texts
from penguins.resume.fingerprint import STEP, step_fingerprint
from penguins.resume.heartbeat import heartbeat_now, send_heartbeats
from penguins.resume.recovery import end_runs_that_only_began
from penguins.tracking.run import open_run


@contextmanager
def step_run(entry_point: str, parameters: Any, data: str) -> Iterator[Run]:
    """Open the run of a step for the block, as `open_run` does, and send heartbeats for it.

    `data` is the digest of the step's table, or empty where it is known only after the table is read. A step that is to resume
    ends the runs of the same step that only began.
    """
    tags = heartbeat_now().tags() | _early_tags(entry_point, parameters, data)
    with open_run(entry_point, parameters, tags) as run, send_heartbeats(run.info.run_id):
        if getattr(parameters, "resume", False):
            end_runs_that_only_began(run.info.experiment_id, entry_point, to_texts(parameters), run)
        yield run


def _early_tags(entry_point: str, parameters: Any, data: str) -> dict[str, str]:
    """Return the tags that are known before the table is read: the step and its fingerprint, unless it has to claim first."""
    if not data or getattr(parameters, "resume", False):
        return {STEP: entry_point}
    return step_fingerprint(entry_point, parameters, data).tags()


def record_fingerprint(entry_point: str, parameters: Any, data: str) -> None:
    """Write the step's fingerprint on the active run, so that a later run can recognise it; `data` is the table's digest."""
    mlflow.set_tags(step_fingerprint(entry_point, parameters, data).tags())
