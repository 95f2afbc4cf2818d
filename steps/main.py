"""Everything: runs the experiments as MLflow projects under one parent run, and sums up how each of them went.

Independent steps run at the same time, as far as there are cores. A step that fails does not stop the others; at the end it
makes this one fail, by name. Logs `summary.csv`.
"""

import os
import sys
from dataclasses import dataclass

from common import options

NAME = "main"
HEADLINES = {  # the longest first, so that the last to end are short ones
    "dbscan_sweep": "groups_with_best_eps",
    "spark_logistic_regression": "eval_acc",
    "ridge_search": "best_cv_score",
    "logistic_regression": "eval_acc",
}
STEPS = tuple(sorted(HEADLINES))
SWEEP = "dbscan_sweep"  # the step that resumes itself


@dataclass(frozen=True)
class Parameters:
    """Every experiment, or some of them, under one run."""

    data: str = options.data()
    steps: tuple[str, ...] = options.parameter(
        "all", options.ListOf(options.Choice(("all", *STEPS))), "all, or which of the steps to run, as a list"
    )
    config: str = options.parameter(
        "",
        options.Text("the path of a YAML file", rf"{options.SIGN}*"),
        "a YAML file: step, then its parameters; empty for none",
    )
    test_size: float = options.test_size()
    alphas: tuple[float, ...] = options.alphas()
    eps: tuple[float, ...] = options.eps()
    min_samples: int = options.min_samples()
    seed: int = options.seed()
    spark: str = options.spark()
    env_manager: str = options.parameter(
        "local",
        options.Choice(("local", "uv", "virtualenv", "conda")),
        "environment of the steps: local is the one of main",
    )
    resume: bool = options.resume()
    experiment: str = options.experiment()


if __name__ == "__main__":
    options.check(NAME, Parameters)

import re
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from common import dataset, processes, takeover, tracking, work
from common.work import Work

RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")

Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """How one step went; `duration` in seconds, `value` of its headline metric where it got that far."""

    step: str
    run: str
    status: str
    duration: float
    value: float | None
    reason: str


def read_config(path: str, entries: Entries) -> dict[str, dict[str, str]]:
    """The parameters by step that the YAML file at `path` gives, as texts; `entries` maps each step to its parameters.

    Raises InputError where the file cannot be read or names a step or a parameter that is not there.
    """
    if not path:
        return {}
    rule = "The 'config' parameter must be a YAML file that maps steps to their parameters."
    try:
        file = Path(path).expanduser()
        if file.exists() and not file.is_file():
            raise ValueError("it is not a file")
        content = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # it is a safe loader
    except (OSError, RuntimeError, ValueError, yaml.YAMLError) as error:  # and one of too many brackets is a RecursionError
        why = options.one_line(error)[: options.LONGEST_REASON]
        raise options.InputError(f"{rule} Got {options.quoted(path)}: {why}") from error
    if not isinstance(content, dict) or not all(isinstance(given, dict) for given in content.values()):
        raise options.InputError(f"{rule} Got {options.quoted(path)}, which holds something else.")
    for step, given in content.items():
        if step not in STEPS:
            hint = options.nearest(str(step), STEPS)
            raise options.InputError(f"{rule} Got {options.quoted(path)}, with the unknown step {options.quoted(step)}.{hint}")
        for name, value in given.items():
            if not all(isinstance(item, str | bool | int | float) for item in (value if isinstance(value, list) else [value])):
                raise options.InputError(
                    f"{rule} Got {options.quoted(path)}, with {options.quoted(value)} for {options.quoted(name)} of {step}: "
                    "write a text, a number, true, false, or a list of those."
                )
            if name not in entries[step]:
                hint = options.nearest(str(name), entries[step])
                raise options.InputError(
                    f"{rule} Got {options.quoted(path)}, with {options.quoted(name)}, which {step} does not take.{hint}"
                )
    texts = {step: {name: options.as_text(value) for name, value in given.items()} for step, given in content.items()}
    for step, given in texts.items():
        if why := options.refusal(step, given):
            raise options.InputError(f"{why} It stands in {options.quoted(path)} for {step}.")
    return texts


class _Loader(yaml.SafeLoader):
    """Reads YAML that says each thing once: of two entries of one name, YAML's own loader would drop the first."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"it has {options.quoted(twice[0])} more than once")
        return dict(super().construct_mapping(node, deep))


def chosen(parameters: Parameters, config: Mapping[str, Any]) -> list[str]:
    """The steps to run: those of `steps`; for all of a table of one's own, those that the configuration describes, if any."""
    if "all" not in parameters.steps:
        return [step for step in HEADLINES if step in parameters.steps]
    described = config if config and parameters.data != dataset.BUNDLED else HEADLINES
    return [step for step in HEADLINES if step in described]


def parameters_of(
    step: str, parameters: Parameters, config: Mapping[str, Mapping[str, str]], entries: Entries
) -> dict[str, str]:
    """What to give to one step: this run's parameters that it takes; the configuration's win over defaults alone."""
    mine, defaults = options.as_texts(parameters), options.as_texts(Parameters())
    given = {name: text for name, text in mine.items() if name in entries[step]}
    overruled = {name: text for name, text in config.get(step, {}).items() if mine.get(name) == defaults.get(name)}
    return given | overruled


def run_step(step: str, given: dict[str, str], parent: mlflow.ActiveRun, env_manager: str) -> Outcome:
    """Runs one step through `mlflow.run` and tells how it went; raises nothing."""
    options.say(f"{step}: running")
    run_id, failure = "", ""
    try:
        submitted = mlflow.run(
            str(options.PROJECT),
            entry_point=step,
            parameters=given,
            experiment_id=parent.info.experiment_id,
            env_manager=env_manager,
        )
        run_id = submitted.run_id
    except MlflowException as error:
        found = RUN_ID.search(str(error))
        run_id, failure = found.group() if found else "", options.one_line(error)
    if run_id:
        tracking.place_under(MlflowClient(), run_id, parent.info.run_id)
    outcome = _outcome(step, run_id, failure)
    options.say(f"{step}: {outcome.status} in {outcome.duration:.0f} s{': ' if outcome.reason else ''}{outcome.reason}")
    return outcome


def _outcome(step: str, run_id: str, failure: str) -> Outcome:
    if not run_id:
        return Outcome(step, "", "FAILED", 0.0, None, failure)
    run = MlflowClient().get_run(run_id)
    duration = ((run.info.end_time or tracking.now_ms()) - run.info.start_time) / 1000
    why = run.data.tags.get("error", failure)
    return Outcome(step, run_id, run.info.status, duration, run.data.metrics.get(HEADLINES[step]), why)


def run_all(
    steps: Sequence[str], given: Mapping[str, dict[str, str]], env_manager: str, parent: mlflow.ActiveRun
) -> list[Outcome]:
    """Runs the steps, as many at a time as there are cores; one at a time where they might build an environment."""
    at_a_time = min(len(steps), os.cpu_count() or 1) if env_manager == "local" else 1
    with ThreadPoolExecutor(max(1, at_a_time)) as pool:
        running = [pool.submit(run_step, step, given[step], parent, env_manager) for step in steps]
        try:
            return [future.result() for future in running]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in running):
                processes.end_children()
                wait(running, timeout=processes.WATCH_S)
            raise


def work_of(parameters: Parameters) -> Work:
    """What this step is to do; a table that cannot be seen from here counts by its name."""
    return work.of(NAME, parameters, dataset.digest(parameters.data) or parameters.data)


def resumes_a_finished_run(parameters: Parameters, parent: mlflow.ActiveRun) -> bool:
    """Whether this run is to resume one that has nothing left to do."""
    return parameters.resume and takeover.finished(parent.info.experiment_id, work_of(parameters)) is not None


def take_up(
    parameters: Parameters, given: Mapping[str, dict[str, str]], declared: Mapping[str, Any], parent: mlflow.ActiveRun
) -> dict[str, Outcome]:
    """Says on the run what its work is and, to resume it, takes over what dead runs of it left; returns what is finished."""
    this = work_of(parameters)
    if not parameters.resume:
        tracking.log_work(this)
        return {}
    experiment_id, run_id = parent.info.experiment_id, parent.info.run_id
    dead = takeover.dead_runs(experiment_id, this, run_id)
    done = {}
    for step, texts in given.items():
        defaults = {name: options.as_text(of["default"]) for name, of in declared[step]["parameters"].items()}
        before = takeover.finished(experiment_id, work.of_texts(step, defaults | texts, dataset.digest(texts["data"])))
        if before:
            if before.data.tags.get(MLFLOW_PARENT_RUN_ID) in {run.info.run_id for run in dead}:
                MlflowClient().set_tag(before.info.run_id, MLFLOW_PARENT_RUN_ID, run_id)
            done[step] = _outcome(step, before.info.run_id, "")
            options.say(f"{step}: finished before, by the run {before.info.run_id}")
    for run in dead:
        takeover.close_steps(run, but=SWEEP)
        takeover.close(run)
    takeover.close_those_that_only_began(experiment_id, this, run_id, parameters)
    if not dead and not done:
        options.say(f"resume: starts afresh: {takeover.why_afresh(experiment_id, this)}")
    return done


def summary(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """A row for each step, in the alphabet's order."""
    rows = [
        {
            "step": outcome.step,
            "run": outcome.run,
            "status": outcome.status,
            "duration": round(outcome.duration, 1),
            "headline_metric": HEADLINES[outcome.step],
            "value": outcome.value,
        }
        for outcome in sorted(outcomes, key=lambda outcome: outcome.step)
    ]
    return pd.DataFrame(rows)


def prepare_environment(parent_id: str) -> None:
    """What the steps' processes inherit: this Python, this store from whatever folder, and the run to go under."""
    mlflow.set_tracking_uri(tracking.absolute_uri())
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    os.environ[tracking.PARENT] = parent_id


def main(parameters: Parameters) -> None:
    """Runs the steps in an MLflow run and sums them up."""
    with tracking.step_run(NAME, parameters) as parent:
        finished = resumes_a_finished_run(parameters, parent)
        project = yaml.safe_load((options.PROJECT / "MLproject").read_text(encoding="utf-8"))
        entries = {step: project["entry_points"][step]["parameters"] for step in STEPS}
        config = read_config(parameters.config, entries)
        steps = chosen(parameters, config)
        given = {step: parameters_of(step, parameters, config, entries) for step in steps}
        for texts in given.values():
            dataset.require_there(texts["data"])
            texts["data"] = dataset.absolute(texts["data"])
        done = take_up(parameters, given, project["entry_points"], parent)
        prepare_environment(parent.info.run_id)
        try:
            outcomes = run_all([step for step in steps if step not in done], given, parameters.env_manager, parent)
        finally:
            os.environ.pop(tracking.PARENT, None)

        outcomes += done.values()
        table = summary(outcomes)
        with tempfile.TemporaryDirectory() as folder:
            table.to_csv(Path(folder, "summary.csv"), index=False)
            mlflow.log_artifact(str(Path(folder, "summary.csv")))
        options.say("", table.to_string(index=False, float_format="{:.4g}".format, na_rep=""), f"run: {parent.info.run_id}")
        failed = [outcome for outcome in outcomes if outcome.status != "FINISHED"]
        if failed:
            reasons = "; ".join(f"{outcome.step} (run {outcome.run or 'not opened'}): {outcome.reason}" for outcome in failed)
            raise options.WorkError(f"{len(failed)} of {len(outcomes)} steps failed: {reasons}")
    if finished and len(done) == len(steps):
        takeover.discard(parent)


if __name__ == "__main__":
    options.script(NAME, main, Parameters)
