"""What a report reads from the tracking store: the runs of steps, their facts and their tables."""

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID, MLFLOW_PROJECT_ENTRY_POINT

from penguins.cli.steps import declared_steps, entry_points
from penguins.errors import InputError
from penguins.resume.fingerprint import STEP
from penguins.resume.recovery import FINISHED_BY
from penguins.text import quote
from penguins.tracking.artifacts import READ_AS, fetch_artifact
from penguins.tracking.run import VERSIONS
from penguins.tracking.store import child_runs, now_ms, search_runs
from penguins.tracking.summary import SUMMARY

MAIN, REPORT = "main", "report"
# What stands before a time in the parameter `run_id`.
SINCE = "since:"


@dataclass(frozen=True)
class StepRun:
    """The run of a step with what it has logged."""

    run: Run

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return str(self.run.info.run_id)

    @property
    def step(self) -> str:
        """The entry point of the run, or an empty text if it is none of this project."""
        # Older runs have no such tag.
        named = self.tags.get(STEP) or self.tags.get(MLFLOW_PROJECT_ENTRY_POINT) or self.run.info.run_name
        return str(named) if named in declared_steps() else ""

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of the run."""
        return self.run.data.tags  # type: ignore[no-any-return]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of each metric of the run."""
        return self.run.data.metrics  # type: ignore[no-any-return]

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters as text. `mlflow run` logs them in the quotes of a shell."""
        return {name: _unquote(text) for name, text in sorted(self.run.data.params.items())}

    @property
    def seconds(self) -> float:
        """The duration of the run, so far if it has not ended."""
        return float((self.run.info.end_time or now_ms()) - self.run.info.start_time) / 1000

    @cached_property
    def artifacts(self) -> frozenset[str]:
        """The artifacts at the top level of the run."""
        return frozenset(file.path for file in MlflowClient().list_artifacts(self.run_id))

    def path(self, name: str) -> Path | None:
        """Return a local copy of an artifact, or None if the run has none of this name."""
        return Path(fetch_artifact(f"runs:/{self.run_id}/{name}")) if name in self.artifacts else None

    def csv(self, name: str) -> pd.DataFrame | None:
        """Return a CSV artifact, all cells as text, or None if the run has none of this name."""
        path = self.path(name)
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False) if path else None

    def parquet(self, name: str, filters: list[tuple[str, str, int]] | None = None) -> pd.DataFrame | None:
        """Return the rows of a Parquet artifact that pass pyarrow's `filters`, or None if the run has none of this name."""
        path = self.path(name)
        return pq.read_table(path, filters=filters).to_pandas() if path else None

    def parquet_columns(self, name: str) -> list[str]:
        """Return the columns of a Parquet artifact, none if the run has none of this name."""
        path = self.path(name)
        return list(pq.ParquetDataset(path).schema.names) if path else []

    def facts(self) -> list[tuple[str, str]]:
        """Return what the run was made of, as pairs of a name and a text: data, rows, code, versions, time."""
        pairs = [("data", self.parameters.get("data", "")), ("read as", self._reading())]
        if "n_rows" in self.metrics:
            left_out = self.metrics.get("n_rows_left_out", 0)
            more = f", {left_out:,.0f} left out, since a value that the step uses is missing" if left_out else ""
            pairs.append(("rows", f"{self.metrics['n_rows']:,.0f} used{more}"))
        started = datetime.fromtimestamp(self.run.info.start_time / 1000, UTC)
        pairs += [("code", self.tags.get(MLFLOW_GIT_COMMIT, "")), ("versions", self.tags.get(VERSIONS, ""))]
        pairs += [("started", f"{started:%Y-%m-%d %H:%M} UTC"), ("duration", f"{self.seconds:.0f} s"), ("run", self.run_id)]
        return [(name, text) for name, text in pairs if text]

    def parameter_texts(self) -> list[tuple[str, str]]:
        """Return the parameters of the step as pairs of a name and a text, with the columns for which `auto` stood."""
        declared = entry_points().get(self.step, {})
        return [(name, self.tags.get(name, text) or "(empty)") for name, text in self.parameters.items() if name in declared]

    def _reading(self) -> str:
        """Return how the table was read, as the run has logged it, or an empty text."""
        text = self.parameters.get(READ_AS, "")
        return ", ".join(f"{name} {value!r}" for name, value in json.loads(text).items()) if text else ""


def _unquote(text: str) -> str:
    """Return a parameter without the quotes of a shell, if it has any."""
    with suppress(ValueError):
        words = shlex.split(text)
        if len(words) <= 1 and shlex.quote(word := "".join(words)) == text:
            return word
    return text


def find_run(run_id: str) -> StepRun:
    """Return the run of `main` or of a step. Raises InputError where the store has no such run."""
    try:
        found = StepRun(MlflowClient().get_run(run_id))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise InputError(
            f"The 'run_id' parameter must be the id of a run of main or of a step. Got {quote(run_id)}, which this tracking "
            "store does not have: check MLFLOW_TRACKING_URI, and copy the id from the last line that the step printed."
        ) from error
    if not found.step or found.step == REPORT:
        parent = found.tags.get(MLFLOW_PARENT_RUN_ID)
        remedy = f"give its parent's, {parent}" if parent else "give that of main or of a step"
        raise InputError(
            f"The 'run_id' parameter must be the id of a run of main or of a step. Got {quote(run_id)}, a run called "
            f"{quote(found.run.info.run_name)}: {remedy}."
        )
    return found


def runs_since(experiment_id: str, text: str) -> list[StepRun]:
    """Return the newest run of each step in an experiment since the time in `text`, `since:2026-01-31T12:00` for example.

    The time is in ISO 8601, in UTC where it names no other zone, or in milliseconds since 1970.
    Raises InputError where it is none, or where no step has run since.
    """
    since = text.removeprefix(SINCE)
    try:
        start = int(since) if since.isdecimal() and len(since) > len("20260131") else _milliseconds(since)
    except ValueError as error:
        raise InputError(
            f"The 'run_id' parameter must name a time after {SINCE}, such as {SINCE}2026-01-31T12:00. Got {quote(text)}."
        ) from error
    found = map(StepRun, search_runs(experiment_id, f"attributes.start_time >= {start}"))
    newest = {run.step: run for run in found if STEP in run.tags and run.step not in (REPORT, MAIN, "")}
    if not newest:
        raise InputError(
            f"The 'run_id' parameter must name a time since which a step has run in this experiment. Got {quote(text)}: give "
            "an earlier time, or the name of the experiment in which they ran."
        )
    return list(newest.values())


def _milliseconds(text: str) -> int:
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def steps_of(run: StepRun) -> list[StepRun]:
    """Return the runs of the steps of `main` in the order of its summary, or the run itself if it is that of a step.

    Before `main` has a summary, they are its children.
    """
    if run.step != MAIN:
        return [run]
    summary = run.csv(SUMMARY)
    if summary is None:
        found = [StepRun(child) for child in child_runs(run.run_id, run.run.info.experiment_id)]
    else:
        found = [StepRun(MlflowClient().get_run(run_id)) for run_id in summary["run"] if run_id]
    return [step for step in found if step.step not in (REPORT, MAIN, "")]


def steps_without_run(run: StepRun) -> list[str]:
    """Return the names of the steps of `main` for which no run could be opened."""
    summary = run.csv(SUMMARY) if run.step == MAIN else None
    return [] if summary is None else summary["step"][summary["run"] == ""].tolist()


def finished_run_of(run: StepRun) -> StepRun:
    """Return the run that holds the results: another one where this one had nothing left to do."""
    other = run.tags.get(FINISHED_BY)
    return StepRun(MlflowClient().get_run(other)) if other else run
