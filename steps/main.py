"""Everything: runs the experiments as MLflow projects under one parent run, and sums up how each of them went.

Independent steps run at the same time, as far as there are cores. A step that fails does not stop the others; at the end it
makes this one fail, by name. Logs `summary.csv`.
"""

import os
import sys
from dataclasses import dataclass
from typing import Annotated

from penguins.cli.parameters import (
    DEFAULT_ALPHAS,
    DEFAULT_EPS,
    Alphas,
    Data,
    Eps,
    Experiment,
    MinSamples,
    Parameter,
    Read,
    Resume,
    Seed,
    Spark,
    TestSize,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import CHARACTER, Choice, ListOf, Text
from penguins.cli.script import check_command_line, run_script, step_refusal
from penguins.cli.steps import Step, declared_steps

STEP = Step(
    "main",
    question="all of the following, under one run",
    holds="`summary.csv`: step, run, status, duration in seconds, headline metric and its value",
)
NAME = STEP.name
# The experiments by name, in the order in which they start: the longest first, so that the last to end are short.
EXPERIMENTS = {name: step for name, step in reversed(declared_steps().items()) if name != NAME and not step.runs_alone}

NOT_IN_ALL = sorted(name for name, step in EXPERIMENTS.items() if not step.in_all)


@dataclass(frozen=True)
class Parameters:
    """Every experiment, or some of them, under one run."""

    data: Data = "penguins"
    steps: Annotated[
        tuple[str, ...],
        Parameter(
            ListOf(Choice(("all", *sorted(EXPERIMENTS)))),
            f"all, or which steps to run, as a list; all leaves out {', '.join(NOT_IN_ALL)}",
        ),
    ] = ("all",)
    config: Annotated[
        str,
        Parameter(Text("the path of a YAML file", rf"{CHARACTER}*"), "a YAML file: step, then its parameters; empty for none"),
    ] = ""
    test_size: TestSize = 0.2
    alphas: Alphas = DEFAULT_ALPHAS
    eps: Eps = DEFAULT_EPS
    min_samples: MinSamples = (3,)
    seed: Seed = 0
    spark: Spark = "local[*]"
    env_manager: Annotated[
        str,
        Parameter(Choice(("local", "uv", "virtualenv", "conda")), "environment of the steps: local is the one of main"),
    ] = "local"
    resume: Resume = False
    read: Read = DETECT
    experiment: Experiment = ""


if __name__ == "__main__":
    check_command_line(NAME, Parameters)

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.cli.config import Entries, read_config
from penguins.cli.parameters import to_texts
from penguins.cli.rules import to_text
from penguins.cli.signals import POLL_S, terminate_children
from penguins.data.locate import BUNDLED, absolute_data_path, require_exists, table_digest
from penguins.errors import InputError, WorkError
from penguins.project import PROJECT
from penguins.resume.fingerprint import Fingerprint, fingerprint_from_texts, step_fingerprint
from penguins.resume.recovery import (
    claim_stale_runs,
    discard_run,
    end_runs_that_only_began,
    end_stale_run,
    end_stale_steps,
    finished_run,
    reason_to_start_afresh,
)
from penguins.resume.step_run import record_fingerprint, step_run
from penguins.text import one_line, print_lines
from penguins.tracking.run import PARENT, set_parent
from penguins.tracking.store import absolute_tracking_uri, now_ms

RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True)
class StepResult:
    """How one step went; `duration` is in seconds, `value` is its headline metric if it got that far."""

    step: str
    run: str
    status: str
    duration: float
    value: float | None
    reason: str


def chosen_steps(parameters: Parameters, config: Mapping[str, Any]) -> list[str]:
    """Return the steps to run: those of `steps`; `all` adds those in the configuration, and for the penguins the usual ones."""
    named = set(parameters.steps)
    if "all" in named:
        is_described = bool(config) and parameters.data != BUNDLED
        named |= set(config) | (set() if is_described else {name for name, step in EXPERIMENTS.items() if step.in_all})
    return [step for step in EXPERIMENTS if step in named]


def step_parameters(
    step: str, parameters: Parameters, config: Mapping[str, Mapping[str, str]], entries: Entries
) -> dict[str, str]:
    """Return what to pass to one step: the parameters of `main` that it takes; the configuration wins over defaults only."""
    own, defaults = to_texts(parameters), to_texts(Parameters())
    texts = {name: text for name, text in own.items() if name in entries[step]}
    return texts | {name: text for name, text in config.get(step, {}).items() if own.get(name) == defaults.get(name)}


def require_accepted(texts: Mapping[str, dict[str, str]]) -> None:
    """Raise InputError where a step would refuse its parameters, for example in a table of one's own without a target."""
    for step, of_step in texts.items():
        if why := step_refusal(step, of_step):
            remedy = f"write them to a YAML file for 'config', as in {step}: {{…}}, or name other steps in 'steps'"
            raise InputError(f"{why} These are parameters of {step}: {remedy}.")


def run_step(step: str, texts: dict[str, str], parent: Run, env_manager: str) -> StepResult:
    """Run one step through `mlflow.run` and return how it went; raise nothing."""
    print_lines(f"{step}: running")
    run_id, failure = "", ""
    try:
        submitted = mlflow.run(
            str(PROJECT),
            entry_point=step,
            parameters=texts,
            experiment_id=parent.info.experiment_id,
            env_manager=env_manager,
        )
        run_id = submitted.run_id
    except MlflowException as error:
        found = RUN_ID.search(str(error))
        run_id, failure = found.group() if found else "", one_line(error)
    if run_id:
        set_parent(MlflowClient(), run_id, parent.info.run_id)
    result = step_result(step, run_id, failure)
    print_lines(f"{step}: {result.status} in {result.duration:.0f} s{': ' if result.reason else ''}{result.reason}")
    return result


def step_result(step: str, run_id: str, failure: str) -> StepResult:
    """Return how a step went according to its run, if it has one."""
    if not run_id:
        return StepResult(step, "", "FAILED", 0.0, None, failure)
    run = MlflowClient().get_run(run_id)
    duration = ((run.info.end_time or now_ms()) - run.info.start_time) / 1000
    why = run.data.tags.get("error", failure)
    return StepResult(step, run_id, run.info.status, duration, run.data.metrics.get(EXPERIMENTS[step].headline), why)


def run_steps(steps: Sequence[str], texts: Mapping[str, dict[str, str]], env_manager: str, parent: Run) -> list[StepResult]:
    """Run the steps, as many at a time as there are cores; one at a time where each may build an environment."""
    n_parallel = min(len(steps), os.cpu_count() or 1) if env_manager == "local" else 1
    prepare_environment(parent.info.run_id)
    try:
        with ThreadPoolExecutor(max(1, n_parallel)) as pool:
            running = [pool.submit(run_step, step, texts[step], parent, env_manager) for step in steps]
            try:
                return [future.result() for future in running]
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                while not all(future.done() for future in running):
                    terminate_children()
                    wait(running, timeout=POLL_S)
                raise
    finally:
        os.environ.pop(PARENT, None)


def prepare_environment(parent_id: str) -> None:
    """Set what the steps' processes inherit: this Python, an absolute store, and the run to go under."""
    mlflow.set_tracking_uri(absolute_tracking_uri())
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    os.environ[PARENT] = parent_id


def data_digest(parameters: Parameters) -> str:
    """Return the digest of the table; a table that cannot be read from here counts by its name."""
    return table_digest(parameters.data) or parameters.data


def recover(parameters: Parameters, texts: Mapping[str, dict[str, str]], parent: Run) -> dict[str, StepResult]:
    """Write the fingerprint on the run and, to resume, claim stale runs of it; return the steps that are finished."""
    if not parameters.resume:
        record_fingerprint(NAME, parameters, data_digest(parameters))
        return {}
    fingerprint = step_fingerprint(NAME, parameters, data_digest(parameters))
    experiment_id, run_id = parent.info.experiment_id, parent.info.run_id
    stale = claim_stale_runs(experiment_id, fingerprint, run_id)
    finished = {}
    for step in texts:
        if before := finished_run(experiment_id, fingerprint_with_defaults(step, texts[step])):
            if before.data.tags.get(MLFLOW_PARENT_RUN_ID) in {run.info.run_id for run in stale}:
                MlflowClient().set_tag(before.info.run_id, MLFLOW_PARENT_RUN_ID, run_id)
            finished[step] = step_result(step, before.info.run_id, "")
            print_lines(f"{step}: finished before, by the run {before.info.run_id}")
    for run in stale:
        end_stale_steps(run, [name for name, step in EXPERIMENTS.items() if step.recovers])
        end_stale_run(run)
    end_runs_that_only_began(experiment_id, fingerprint, run_id, parameters)
    if not stale and not finished:
        print_lines(f"resume: starts afresh: {reason_to_start_afresh(experiment_id, fingerprint)}")
    return finished


def fingerprint_with_defaults(step: str, texts: dict[str, str]) -> Fingerprint:
    """Return the fingerprint of a step that gets these parameters, and else the defaults of MLproject."""
    defaults = {name: to_text(declared["default"]) for name, declared in entry_points()[step].items()}
    return fingerprint_from_texts(step, defaults | texts, table_digest(texts["data"]))


def entry_points() -> dict[str, dict[str, Any]]:
    """Return the parameters of each step as MLproject declares them."""
    project = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))
    return {step: project["entry_points"][step]["parameters"] for step in EXPERIMENTS}


def summary(results: Sequence[StepResult]) -> pd.DataFrame:
    """Return a table with a row for each step, in alphabetical order."""
    return pd.DataFrame(
        {
            "step": result.step,
            "run": result.run,
            "status": result.status,
            "duration": round(result.duration, 1),
            "headline_metric": EXPERIMENTS[result.step].headline,
            "value": result.value,
        }
        for result in sorted(results, key=lambda result: result.step)
    )


def log_summary(results: Sequence[StepResult], parent: Run) -> None:
    """Log and print the summary. Raises WorkError that names the steps that failed."""
    table = summary(results)
    mlflow.log_text(table.to_csv(index=False), "summary.csv")
    print_lines("", table.to_string(index=False, float_format="{:.4g}".format, na_rep=""), f"run: {parent.info.run_id}")
    failed = [result for result in results if result.status != "FINISHED"]
    if failed:
        reasons = "; ".join(f"{result.step} (run {result.run or 'not opened'}): {result.reason}" for result in failed)
        raise WorkError(f"{len(failed)} of {len(results)} steps failed: {reasons}")


def main(parameters: Parameters) -> None:
    """Run the steps under an MLflow run and sum them up."""
    with step_run(NAME, parameters, table_digest(parameters.data)) as parent:
        fingerprint = step_fingerprint(NAME, parameters, data_digest(parameters))
        was_finished = parameters.resume and finished_run(parent.info.experiment_id, fingerprint) is not None
        entries = entry_points()
        config = read_config(parameters.config, entries)
        texts = {step: step_parameters(step, parameters, config, entries) for step in chosen_steps(parameters, config)}
        for of_step in texts.values():
            require_exists(of_step["data"])
            of_step["data"] = absolute_data_path(of_step["data"])
        require_accepted(texts)
        finished = recover(parameters, texts, parent)
        left = [step for step in texts if step not in finished]
        log_summary([*run_steps(left, texts, parameters.env_manager, parent), *finished.values()], parent)
    if was_finished and not left:
        discard_run(parent)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
