"""Recovery: find the stale runs with the same fingerprint, claim each of them once and for good, and end them."""

import math
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT, MLFLOW_SOURCE_NAME

from penguins.cli.signals import GRACE_S, POLL_S, RECORD_S, raise_if_interrupted
from penguins.errors import InputError, WorkError
from penguins.resume.fingerprint import FINGERPRINT, STEP, Fingerprint, has_code
from penguins.resume.heartbeat import CLAIMED_BY, HEARTBEAT, claim_run, is_alive, owner
from penguins.text import quote
from penguins.tracking.store import child_runs, now_ms, search_runs

FINISHED = "FINISHED"
# A tag of a run that had nothing to do: the id of the run that holds the finished work.
FINISHED_BY = "finished_by"
# The environment variable that sets the grace period of a run without a heartbeat.
GRACE = "PENGUINS_GRACE_S"


def finished_run(experiment_id: str, fingerprint: Fingerprint) -> Run | None:
    """Return the latest run with this fingerprint that had work to do, if it finished."""
    runs = _runs_with(experiment_id, fingerprint)
    return runs[-1] if runs and runs[-1].info.status == FINISHED else None


def _runs_with(experiment_id: str, fingerprint: Fingerprint) -> list[Run]:
    found = search_runs(experiment_id, f"tags.`{FINGERPRINT}` = '{fingerprint.key}'")
    return [run for run in found if FINISHED_BY not in run.data.tags]


def claim_stale_runs(experiment_id: str, fingerprint: Fingerprint, run_id: str) -> list[Run]:
    """Claim for the run `run_id` the unfinished runs with this fingerprint on which nobody works, and return them.

    From then on the run `run_id` has the fingerprint itself. Raises WorkError where such a run is alive, or where another run
    was faster to claim one.
    """
    client = MlflowClient()
    runs = {run.info.run_id: run for run in _runs_with(experiment_id, fingerprint) if run.info.run_id != run_id}
    for run in list(runs.values()):
        claimant = run.data.params.get(CLAIMED_BY)
        if claimant and claimant not in runs and claimant != run_id:
            # It has claimed the run, and has not written the fingerprint on itself yet.
            runs[claimant] = client.get_run(claimant)
    stale = [run for run in runs.values() if run.info.status != FINISHED and not _is_completed(run, runs)]
    for run in stale:
        if is_alive(run):
            raise _in_use(run)
    for run in sorted(stale, key=lambda run: (run.info.start_time, run.info.run_id)):
        if CLAIMED_BY not in run.data.params:
            claimant = claim_run(run.info.run_id, run_id)
            if claimant != run_id:
                raise _in_use(client.get_run(claimant))
    for key, value in fingerprint.tags().items():
        client.set_tag(run_id, key, value)
    return stale


def _is_completed(run: Run, runs: Mapping[str, Run]) -> bool:
    """Tell whether a run that claimed this one, directly or through others, has finished the work."""
    seen = set[str]()
    while (claimant := run.data.params.get(CLAIMED_BY, "")) in runs and claimant not in seen:
        seen.add(claimant)
        run = runs[claimant]
    return bool(run.info.status == FINISHED)


def _in_use(run: Run) -> WorkError:
    return WorkError(
        f"The run {run.info.run_id} does this work and is alive ({owner(run)}): wait for it, or end it and try again."
    )


def discard_run(run: Run, finished: Run) -> None:
    """Delete this process's run, which had nothing to do, so that the finished work is seen only once.

    A run of `mlflow run`, which writes to it until the end, stays, with a tag that names the run `finished`.
    """
    if MLFLOW_PROJECT_ENTRY_POINT in run.data.tags:
        MlflowClient().set_tag(run.info.run_id, FINISHED_BY, finished.info.run_id)
    else:
        MlflowClient().delete_run(run.info.run_id)


def end_stale_run(run: Run) -> None:
    """End a stale run as KILLED, unless it has ended by itself and holds the reason."""
    if run.info.status != FINISHED and not (run.info.status in ("FAILED", "KILLED") and "error" in run.data.tags):
        MlflowClient().set_terminated(run.info.run_id, "KILLED")


def end_stale_steps(stale: Run, except_steps: Collection[str]) -> None:
    """End the open children of a stale run, and all under them, once their processes are gone.

    The steps `except_steps` recover their own runs, unless their code has changed since. A step ends by itself soon after the
    process that started it. Raises WorkError where one does not.
    """
    for child in child_runs(stale.info.run_id, stale.info.experiment_id):
        until = time.monotonic() + GRACE_S + RECORD_S
        while is_alive(MlflowClient().get_run(child.info.run_id)):
            raise_if_interrupted()
            if time.monotonic() > until:
                raise _in_use(child)
            time.sleep(POLL_S)
        recovers_itself = any(has_code(child.data.tags, step) for step in except_steps)
        if not recovers_itself and child.info.status != FINISHED:
            _end_with_children(MlflowClient().get_run(child.info.run_id))


def _end_with_children(run: Run) -> None:
    end_stale_run(run)
    for child in child_runs(run.info.run_id, run.info.experiment_id):
        _end_with_children(child)


def end_runs_that_only_began(experiment_id: str, step: str, parameters: Collection[str], run: Run) -> None:
    """End the open runs of `step`, except `run`, whose process died before it could write the fingerprint on its run.

    A run without a heartbeat counts as dead after the grace period. Other projects in the experiment may have an entry point of
    the same name: the run must
    have no metric and no parameter but those in `parameters`, or, if it has none of these either, the same source as `run`.
    Raises InputError as `beginning_grace_s` does.
    """
    latest = now_ms() - 1000 * beginning_grace_s()
    for tag in (STEP, MLFLOW_PROJECT_ENTRY_POINT):
        for other in list(search_runs(experiment_id, f"tags.`{tag}` = '{step}' and attributes.status = 'RUNNING'")):
            if other.info.run_id == run.info.run_id or FINGERPRINT in other.data.tags:
                continue
            if HEARTBEAT in other.data.tags:
                is_stale = not is_alive(other)
            else:
                is_stale = other.info.start_time <= latest and _is_of_this_project(other, parameters, run)
            if is_stale:
                end_stale_run(other)


def _is_of_this_project(other: Run, parameters: Collection[str], run: Run) -> bool:
    """Tell whether `mlflow run` of this project opened a run to which nothing was logged yet except its parameters."""
    has_source = other.data.tags.get(MLFLOW_SOURCE_NAME) == run.data.tags.get(MLFLOW_SOURCE_NAME)
    names = other.data.params.keys()
    return not other.data.metrics and (names <= set(parameters) if names else has_source)


def beginning_grace_s() -> float:
    """Return the grace period of a run that `mlflow run` has opened and whose step has not begun, in seconds.

    Raises InputError where the environment variable that sets it holds no such number.
    """
    text = os.environ.get(GRACE) or "600"
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise InputError(f"The environment variable {GRACE} must be a number of seconds, 0 or more. Got {quote(text)} instead.")


def reason_to_start_afresh(experiment_id: str, fingerprint: Fingerprint) -> str:
    """Explain why there is nothing to resume: how the last unfinished run of the step differs, else the last finished one."""
    others = [
        run
        for run in search_runs(experiment_id, f"tags.`{STEP}` = '{fingerprint.step}'")
        if run.data.tags.get(FINGERPRINT, fingerprint.key) != fingerprint.key
        and CLAIMED_BY not in run.data.params
        and FINISHED_BY not in run.data.tags
    ]
    if not others:
        return "no unfinished run has this fingerprint"
    unfinished = [run for run in others if run.info.status != FINISHED]
    last, kind = (unfinished[-1], "unfinished") if unfinished else (others[-1], "finished")
    parameters = {name: text.strip("'") for name, text in last.data.params.items()}
    differences = ", ".join(fingerprint.differences(last.data.tags, parameters))
    return f"the last {kind} run, {last.info.run_id}, differs in {differences}"
