"""Runs that take up others: those that did the same work and died are found, claimed once and for good, and ended."""

import os
import shlex
import time
from collections.abc import Mapping
from typing import Any

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT

from common import afterword, lease, options, processes, tracking, work
from common.options import InputError, WorkError
from common.work import Work

FINISHED = "FINISHED"
# A run that `mlflow run` has opened on another machine is given this long to say that its process is alive.
STARTING_S = 600


def finished(experiment_id: str, this: Work) -> Run | None:
    """The run that did the same work last, if it finished it."""
    runs = _same_work(experiment_id, this)
    return runs[-1] if runs and runs[-1].info.status == FINISHED else None


def _same_work(experiment_id: str, this: Work) -> list[Run]:
    return list(tracking.search(experiment_id, f"tags.{work.KEY} = '{this.key}'"))


def dead_runs(experiment_id: str, this: Work, run_id: str) -> list[Run]:
    """The runs with the same work that did not finish and that nobody works on: taken over for the run `run_id`, for good.

    From here on that run says that the work is its own. Raises WorkError where another one is alive, or faster to take over.
    """
    client = MlflowClient()
    runs = {run.info.run_id: run for run in _same_work(experiment_id, this) if run.info.run_id != run_id}
    for run in list(runs.values()):
        claimant = run.data.params.get(lease.TAKEN_OVER_BY)
        if claimant and claimant not in runs and claimant != run_id:
            # It took over, and has not come to say that the work is its own.
            runs[claimant] = client.get_run(claimant)
    dead = [run for run in runs.values() if run.info.status != FINISHED and not _is_done(run, runs)]
    for run in dead:
        if lease.is_alive(run):
            raise _taken(run)
    for run in sorted(dead, key=lambda run: (run.info.start_time, run.info.run_id)):
        if lease.TAKEN_OVER_BY not in run.data.params:
            claimant = lease.claim(run.info.run_id, run_id)
            if claimant != run_id:
                raise _taken(client.get_run(claimant))
    for key, value in this.tags().items():
        client.set_tag(run_id, key, value)
    return dead


def _is_done(run: Run, runs: Mapping[str, Run]) -> bool:
    """Whether one that took the run over, or took over the one that did, has finished the work."""
    seen = set[str]()
    while (claimant := run.data.params.get(lease.TAKEN_OVER_BY, "")) in runs and claimant not in seen:
        seen.add(claimant)
        run = runs[claimant]
    return bool(run.info.status == FINISHED)


def _taken(run: Run) -> WorkError:
    return WorkError(
        f"The run {run.info.run_id} does this work and is alive ({lease.holder(run)}): wait for it, or end it and try again."
    )


def discard(run: Run) -> None:
    """Deletes this process's run, which had nothing to do: what it was to do is to be seen once."""
    if not processes.leave_word(afterword.DELETED):
        MlflowClient().delete_run(run.info.run_id)


def close(run: Run) -> None:
    """Ends a dead run as KILLED, unless it has ended by itself and says why."""
    if run.info.status != FINISHED and not (run.info.status in ("FAILED", "KILLED") and "error" in run.data.tags):
        MlflowClient().set_terminated(run.info.run_id, "KILLED")


def close_those_that_only_began(experiment_id: str, this: Work, run_id: str, parameters: Any) -> None:
    """Ends the runs that were to do or to take up the same work, and whose process died before it came to it."""
    for tag in (work.STEP, MLFLOW_PROJECT_ENTRY_POINT):
        for run in list(tracking.search(experiment_id, f"tags.`{tag}` = '{this.step}' and attributes.status = 'RUNNING'")):
            tags = run.data.tags
            if run.info.run_id == run_id or work.KEY in tags:
                continue
            same = tags[work.WANTED] == this.key if work.WANTED in tags else _asks_for(run, parameters)
            alive = lease.is_alive(run) if lease.PROCESS in tags else _may_be_starting(run)
            if same and not alive:
                close(run)


def _asks_for(run: Run, parameters: Any) -> bool:
    """Whether `mlflow run` has opened the run for the same parameters, which it writes as a shell would read them."""
    names = options.as_texts(parameters)
    logged_by_step = lease.PROCESS in run.data.tags
    try:
        given = {
            name: text if logged_by_step else " ".join(shlex.split(text))
            for name, text in run.data.params.items()
            if name in names
        }
        asked = options.as_texts(options.read(type(parameters), given))
    except (InputError, ValueError):
        return False
    return all(asked[name] == names[name] for name in names if name not in work.INDIFFERENT)


def _may_be_starting(run: Run) -> bool:
    """Whether a process of this machine, or of another one, may be about to work on the run."""
    mine = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    for process in psutil.process_iter():
        try:
            if process.pid in mine:
                continue
            if process.environ().get("MLFLOW_RUN_ID") == run.info.run_id or _may_have_opened(process, run):
                return True
        except psutil.Error:
            continue
    age = time.time() - run.info.start_time / 1000
    return tracking.is_server(tracking.absolute_uri()) and age < STARTING_S


def close_steps(dead: Run, but: str) -> None:
    """Ends what a dead run has left open under it, once its steps are dead too; those of the step `but` see to it themselves.

    A step ends itself soon after the process that started it. Raises WorkError where one does not.
    """
    for child in tracking.children(dead.info.run_id, dead.info.experiment_id):
        until = time.monotonic() + processes.GRACE_S
        while lease.is_alive(MlflowClient().get_run(child.info.run_id)):
            if time.monotonic() > until:
                raise _taken(child)
            time.sleep(processes.WATCH_S)
        if child.data.tags.get(work.STEP) != but and child.info.status != FINISHED:
            close(MlflowClient().get_run(child.info.run_id))
            for grandchild in tracking.children(child.info.run_id, child.info.experiment_id):
                close(grandchild)


def _may_have_opened(process: psutil.Process, run: Run) -> bool:
    """Whether the process is an `mlflow run` that was there before the run, and is not at work on another one."""
    command = process.cmdline()
    if "run" not in command or not any(part.endswith("mlflow") for part in command[:3]) or _has_another_store(process):
        return False
    at_work = any("MLFLOW_RUN_ID" in child.environ() for child in process.children())
    return not at_work and process.create_time() * 1000 <= run.info.start_time


def _has_another_store(process: psutil.Process) -> bool:
    """Whether the process keeps its runs in an SQLite file that is not this one's; a server may have many names."""
    theirs, ours = process.environ().get("MLFLOW_TRACKING_URI", ""), tracking.absolute_uri()
    if not (theirs.startswith(tracking.SQLITE) and ours.startswith(tracking.SQLITE)):
        return False
    there = os.path.join(process.cwd(), theirs.removeprefix(tracking.SQLITE))
    return bool(os.path.realpath(there) != os.path.realpath(ours.removeprefix(tracking.SQLITE)))


def why_afresh(experiment_id: str, this: Work) -> str:
    """Why there is nothing to take up: in what the last run of the step that did not finish differs, or that there is none."""
    unfinished = [
        run
        for run in tracking.search(experiment_id, f"tags.`{work.STEP}` = '{this.step}' and attributes.status != '{FINISHED}'")
        if run.data.tags.get(work.KEY, this.key) != this.key and lease.TAKEN_OVER_BY not in run.data.params
    ]
    if not unfinished:
        return "no run of this work is unfinished"
    last = unfinished[-1]
    said = {name: text.strip("'") for name, text in last.data.params.items()}
    return f"the last unfinished run, {last.info.run_id}, differs in {', '.join(this.differences(last.data.tags, said))}"
