"""Recovery: find the stale runs with the same fingerprint, claim each of them once and for good, and end them."""

import os
import shlex
import time
from collections.abc import Collection, Mapping
from typing import Any

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT

from penguins.cli.parameters import parse_parameters, to_texts
from penguins.cli.signals import GRACE_S, POLL_S
from penguins.errors import InputError, WorkError
from penguins.resume.fingerprint import CODE, FINGERPRINT, IRRELEVANT, STEP, WANTED, Fingerprint, code_digest
from penguins.resume.heartbeat import CLAIMED_BY, PROCESS, claim_run, is_alive, owner
from penguins.tracking.final_status import DELETED, schedule_final_status
from penguins.tracking.store import SQLITE, absolute_tracking_uri, child_runs, is_server, search_runs

FINISHED = "FINISHED"
# A run that `mlflow run` has opened on another machine has this long to send its first heartbeat.
STARTING_S = 600


def finished_run(experiment_id: str, fingerprint: Fingerprint) -> Run | None:
    """Return the latest run with this fingerprint if it finished."""
    runs = _runs_with(experiment_id, fingerprint)
    return runs[-1] if runs and runs[-1].info.status == FINISHED else None


def _runs_with(experiment_id: str, fingerprint: Fingerprint) -> list[Run]:
    return list(search_runs(experiment_id, f"tags.{FINGERPRINT} = '{fingerprint.key}'"))


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


def discard_run(run: Run) -> None:
    """Delete this process's run, which had nothing to do, so that the finished work is seen only once."""
    if not schedule_final_status(DELETED):
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
        until = time.monotonic() + GRACE_S
        while is_alive(MlflowClient().get_run(child.info.run_id)):
            if time.monotonic() > until:
                raise _in_use(child)
            time.sleep(POLL_S)
        tags = child.data.tags
        step = tags.get(STEP, "")
        recovers_itself = step in except_steps and tags.get(CODE) == code_digest(step)
        if not recovers_itself and child.info.status != FINISHED:
            _end_with_children(MlflowClient().get_run(child.info.run_id))


def _end_with_children(run: Run) -> None:
    end_stale_run(run)
    for child in child_runs(run.info.run_id, run.info.experiment_id):
        _end_with_children(child)


def end_runs_that_only_began(experiment_id: str, fingerprint: Fingerprint, run_id: str, parameters: Any) -> None:
    """End the runs for the same work whose process died before it could write the fingerprint on its run."""
    for tag in (STEP, MLFLOW_PROJECT_ENTRY_POINT):
        where = f"tags.`{tag}` = '{fingerprint.step}' and attributes.status = 'RUNNING'"
        for run in list(search_runs(experiment_id, where)):
            tags = run.data.tags
            if run.info.run_id == run_id or FINGERPRINT in tags:
                continue
            same = tags[WANTED] == fingerprint.key if WANTED in tags else _has_same_parameters(run, parameters)
            alive = is_alive(run) if PROCESS in tags else _may_be_starting(run)
            if same and not alive:
                end_stale_run(run)


def _has_same_parameters(run: Run, parameters: Any) -> bool:
    """Tell whether the run has the same relevant parameters; those that `mlflow run` logged are quoted for a shell."""
    wanted = to_texts(parameters)
    logged_by_step = PROCESS in run.data.tags
    try:
        texts = {
            name: text if logged_by_step else " ".join(shlex.split(text))
            for name, text in run.data.params.items()
            if name in wanted
        }
        logged = to_texts(parse_parameters(type(parameters), texts))
    except (InputError, ValueError):
        return False
    return all(logged[name] == wanted[name] for name in wanted if name not in IRRELEVANT)


def _may_be_starting(run: Run) -> bool:
    """Tell whether a process of this machine, or of another one, may be about to work on the run."""
    own = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    for process in psutil.process_iter():
        try:
            if process.pid in own:
                continue
            if process.environ().get("MLFLOW_RUN_ID") == run.info.run_id or _may_have_opened(process, run):
                return True
        except psutil.Error:
            continue
    age = time.time() - run.info.start_time / 1000
    return is_server(absolute_tracking_uri()) and age < STARTING_S


def _may_have_opened(process: psutil.Process, run: Run) -> bool:
    """Tell whether the process is an `mlflow run` that is older than the run and not at work on another one."""
    command = process.cmdline()
    if "run" not in command or not any(part.endswith("mlflow") for part in command[:3]) or _has_another_store(process):
        return False
    at_work = any("MLFLOW_RUN_ID" in child.environ() for child in process.children())
    return not at_work and process.create_time() * 1000 <= run.info.start_time


def _has_another_store(process: psutil.Process) -> bool:
    """Tell whether the process uses an SQLite file other than ours; a server may have many names."""
    theirs, ours = process.environ().get("MLFLOW_TRACKING_URI", ""), absolute_tracking_uri()
    if not (theirs.startswith(SQLITE) and ours.startswith(SQLITE)):
        return False
    path = os.path.join(process.cwd(), theirs.removeprefix(SQLITE))
    return bool(os.path.realpath(path) != os.path.realpath(ours.removeprefix(SQLITE)))


def reason_to_start_afresh(experiment_id: str, fingerprint: Fingerprint) -> str:
    """Explain why there is nothing to resume: how the last unfinished run of the step differs, else the last finished one."""
    others = [
        run
        for run in search_runs(experiment_id, f"tags.`{STEP}` = '{fingerprint.step}'")
        if run.data.tags.get(FINGERPRINT, fingerprint.key) != fingerprint.key and CLAIMED_BY not in run.data.params
    ]
    if not others:
        return "no unfinished run has this fingerprint"
    unfinished = [run for run in others if run.info.status != FINISHED]
    last, kind = (unfinished[-1], "unfinished") if unfinished else (others[-1], "finished")
    parameters = {name: text.strip("'") for name, text in last.data.params.items()}
    differences = ", ".join(fingerprint.differences(last.data.tags, parameters))
    return f"the last {kind} run, {last.info.run_id}, differs in {differences}"
