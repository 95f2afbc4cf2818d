"""Everything: runs the experiments as MLflow projects under one parent run, and sums up how each of them went.

Independent steps run at the same time, as far as there are cores. A step that fails does not stop the others; at the end it
makes this one fail, by name. Logs `summary.csv`, and `report.html` by the step `report`, which comes last.
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
    SparkOrNone,
    TestSize,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import CHARACTER, Choice, ListOf, Text
from penguins.cli.script import check_command_line, run_script, step_refusal
from penguins.cli.steps import Step, declared_steps, entry_points

STEP = Step(
    "main",
    question="all of the following, under one run",
    holds="`report.html`; `summary.csv`: step, run, status, duration in seconds, headline metric and its value",
)
NAME, REPORT = STEP.name, "report"
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
            ListOf(Choice(("all", *sorted([*EXPERIMENTS, REPORT])))),
            f"all, or which steps to run, as a list; all leaves out {', '.join(NOT_IN_ALL)}, and ends with {REPORT}",
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
    spark: SparkOrNone = "local[*]"
    env_manager: Annotated[
        str,
        Parameter(Choice(("local", "uv", "virtualenv", "conda")), "environment of the steps: local is the one of main"),
    ] = "local"
    resume: Resume = False
    read: Read = DETECT
    experiment: Experiment = ""


if __name__ == "__main__":
    check_command_line(NAME, Parameters)

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.cli.config import Entries, read_config
from penguins.cli.environment import secrets_in_environment
from penguins.cli.parameters import to_texts
from penguins.cli.rules import to_text
from penguins.cli.signals import POLL_S, terminate_children, wait_for
from penguins.data.locate import BUNDLED, absolute_data_path, data_digest, require_exists, table_digest
from penguins.errors import InputError, WorkError
from penguins.project import PROJECT
from penguins.resume.fingerprint import Fingerprint, fingerprint_from_texts, step_fingerprint
from penguins.resume.recovery import (
    FINISHED_BY,
    claim_stale_runs,
    discard_run,
    end_runs_that_only_began,
    end_stale_run,
    end_stale_steps,
    finished_run,
    reason_to_start_afresh,
)
from penguins.resume.step_run import step_run
from penguins.spark.target import reason_for_no_spark
from penguins.temporary import temporary_folder
from penguins.text import count, print_lines
from penguins.tracking.conclusion import ANSWER, conclude
from penguins.tracking.run import PARENT, create_project_run, failure_reason, record_failure
from penguins.tracking.store import absolute_tracking_uri, now_ms
from penguins.tracking.summary import SUMMARY, StepResult, conclusion_of_main, summary


def chosen_steps(parameters: Parameters, config: Mapping[str, Any]) -> list[str]:
    """Return the experiments to run: those of `steps`; `all` adds those in the configuration, and for the penguins the usual.

    Raises InputError where the report alone is asked for.
    """
    named = set(parameters.steps)
    if "all" in named:
        is_described = bool(config) and parameters.data != BUNDLED
        named |= set(config) | (set() if is_described else {name for name, step in EXPERIMENTS.items() if step.in_all})
    chosen = [step for step in EXPERIMENTS if step in named]
    if named == {REPORT}:
        raise InputError(
            "The 'steps' parameter must name an experiment beside report. Got 'report' alone, which reports on a run: for "
            "one that has ended, run the entry point report with its run_id."
        )
    return chosen


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


def leave_out_spark(texts: dict[str, dict[str, str]], named: Sequence[str]) -> None:
    """Take the steps that need Spark out of `texts` where there is none, and print which.

    Raises InputError where one of them is among those `named`, or nothing is left.
    """
    for step in [step for step in texts if EXPERIMENTS[step].needs_spark]:
        if reason := reason_for_no_spark(texts[step]["spark"]):
            if step in named or len(texts) == 1:
                raise InputError(f"The 'steps' parameter must name steps that run without Spark. Got {step}: {reason}")
            print_lines(f"{step} is left out, because it needs Spark: {reason}")
            del texts[step]


def run_step(step: str, texts: dict[str, str], parent: Run, env_manager: str) -> StepResult:
    """Run one step through `mlflow.run` and return how it went; raise nothing."""
    print_lines(f"{step}: running")
    try:
        result = step_result(step, *start_step(step, texts, parent, env_manager))
    except Exception as error:  # noqa: BLE001  # the other steps go on
        result = StepResult(step, "", "FAILED", 0.0, None, failure_reason(error))
    print_lines(": ".join(filter(None, [step, f"{result.status} in {result.duration:.0f} s", result.reason or result.answer])))
    return result


def start_step(step: str, texts: dict[str, str], parent: Run, env_manager: str) -> tuple[str, str]:
    """Run one step to its end under `parent`; return the id of its run, which ends in any case, and why it failed."""
    # Made here and not by `mlflow.run`, which does not name a run whose process it could not start.
    client, run_id = MlflowClient(), create_project_run(step, parent)
    options = {"experiment_id": parent.info.experiment_id, "env_manager": env_manager, "storage_dir": temporary_folder()}
    try:
        mlflow.run(str(PROJECT), step, parameters=texts, run_id=run_id, **options)
    except Exception as error:  # noqa: BLE001  # of MLflow or of the system
        if client.get_run(run_id).info.status == "RUNNING":
            record_failure(run_id, step, failure_reason(error))
            client.set_terminated(run_id, "FAILED")
        return run_id, failure_reason(error)
    return run_id, ""


def step_result(step: str, run_id: str, failure: str) -> StepResult:
    """Return how a step went according to its run; `failure` is the reason where the run has none."""
    run = MlflowClient().get_run(run_id)
    if finished_by := run.data.tags.get(FINISHED_BY):  # it had nothing left to do
        return step_result(step, finished_by, "")
    duration = ((run.info.end_time or now_ms()) - run.info.start_time) / 1000
    why = run.data.tags.get("error", failure)
    has_model = run.info.status == "FINISHED" and run.outputs is not None and bool(run.outputs.model_outputs)
    model_uri = f"runs:/{run_id}/{declared_steps()[step].model}" if has_model else ""
    value = run.data.metrics.get(declared_steps()[step].headline)
    return StepResult(step, run_id, run.info.status, duration, value, why, model_uri, run.data.tags.get(ANSWER, ""))


def run_steps(steps: Sequence[str], texts: Mapping[str, dict[str, str]], env_manager: str, parent: Run) -> list[StepResult]:
    """Run the steps, as many at a time as there are cores; one at a time where each may build an environment."""
    n_parallel = min(len(steps), os.cpu_count() or 1) if env_manager == "local" else 1
    prepare_environment(parent.info.run_id)
    try:
        with secrets_in_environment(texts) as hidden, ThreadPoolExecutor(max(1, n_parallel)) as pool:
            running = [pool.submit(run_step, step, hidden[step], parent, env_manager) for step in steps]
            try:
                return [wait_for(future) for future in running]
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


def recover(fingerprint: Fingerprint, texts: Mapping[str, dict[str, str]], parent: Run) -> dict[str, StepResult]:
    """Claim the stale runs with the fingerprint for the run `parent`, and return the steps that are finished."""
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
    for name in EXPERIMENTS:
        end_runs_that_only_began(experiment_id, name, entry_points()[name], parent)
    end_runs_that_only_began(experiment_id, REPORT, ["run_id"], parent)
    if not stale and not finished:
        print_lines(f"resume: starts afresh: {reason_to_start_afresh(experiment_id, fingerprint)}")
    return finished


def fingerprint_with_defaults(step: str, texts: dict[str, str]) -> Fingerprint:
    """Return the fingerprint of a step that gets these parameters, and else the defaults of MLproject."""
    defaults = {name: to_text(declared["default"]) for name, declared in entry_points()[step].items()}
    return fingerprint_from_texts(step, defaults | texts, table_digest(texts["data"]))


def report_on(results: Sequence[StepResult], env_manager: str, parent: Run) -> list[StepResult]:
    """Log the summary of the steps, from which the step `report` knows their runs, and run that step."""
    mlflow.log_text(summary(results).to_csv(index=False), SUMMARY)
    return run_steps([REPORT], {REPORT: {"run_id": parent.info.run_id}}, env_manager, parent)


def log_summary(parameters: Parameters, results: Sequence[StepResult], parent: Run) -> None:
    """Log and print the summary. Raises WorkError that names the steps that failed."""
    table = summary(results)
    mlflow.log_text(table.to_csv(index=False), SUMMARY)
    lines = ["", table.to_string(index=False, float_format="{:.4g}".format, na_rep="")]
    conclude(parent, conclusion_of_main(parameters, results, parent.info.experiment_id), lines)
    failed = [result for result in results if result.status != "FINISHED"]
    if failed:
        reasons = "; ".join(f"{result.step} (run {result.run or 'not opened'}): {result.reason}" for result in failed)
        raise WorkError(f"{len(failed)} of {count(len(results), 'step')} failed: {reasons}")


def main(parameters: Parameters) -> None:
    """Run the steps under an MLflow run and sum them up."""
    with step_run(NAME, parameters, table_digest(parameters.data)) as parent:
        fingerprint = step_fingerprint(NAME, parameters, data_digest(parameters.data))
        before = finished_run(parent.info.experiment_id, fingerprint) if parameters.resume else None
        entries = {step: entry_points()[step] for step in EXPERIMENTS}
        config = read_config(parameters.config, entries)
        texts = {step: step_parameters(step, parameters, config, entries) for step in chosen_steps(parameters, config)}
        leave_out_spark(texts, parameters.steps)
        for of_step in texts.values():
            require_exists(of_step["data"])
            of_step["data"] = absolute_data_path(of_step["data"])
        require_accepted(texts)
        finished = recover(fingerprint, texts, parent) if parameters.resume else {}
        mlflow.set_tags(fingerprint.tags())
        left = [step for step in texts if step not in finished]
        results = [*run_steps(left, texts, parameters.env_manager, parent), *finished.values()]
        if {"all", REPORT} & set(parameters.steps) and not (before and not left):
            results += report_on(results, parameters.env_manager, parent)
        log_summary(parameters, results, parent)
    if before and not left:
        discard_run(parent, before)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
