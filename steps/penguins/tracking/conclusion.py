"""The end of a step that has its results: the description of its run, and what it prints."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from penguins.cli.parameters import BUNDLED, to_texts
from penguins.project import PROJECT
from penguins.redaction import redact
from penguins.text import QUIET, count, one_line, output, print_always, print_lines, print_warnings
from penguins.tracking.addresses import NextStep, artifact_page, local_file, project_command, run_page, ui_command
from penguins.tracking.notes import describe
from penguins.tracking.run import LONGEST_TAG, PARENT

# The tag of a run that holds its result in a sentence, and the page that the step `report` adds.
ANSWER, REPORT_PAGE = "answer", "report.html"


@dataclass(frozen=True)
class Conclusion:
    """What was asked and what came out, in a sentence each, with a table, warnings, and what may come next."""

    asked: str
    result: str
    header: Sequence[str] = ("metric", "value")
    rows: Sequence[Sequence[object]] = ()
    warnings: Sequence[str] = ()
    next_steps: Sequence[NextStep] = field(default=())


def conclude(run: Run, conclusion: Conclusion, lines: Sequence[str] = ()) -> None:
    """Describe the active run, which is `run`, and print `lines`, its id, where to look at it, and what may come next."""
    commands = [project_command(step, run.info.experiment_id, run.data.tags) for step in conclusion.next_steps]
    found = conclusion
    note = describe(found.asked, found.result, found.header, found.rows, found.warnings, commands)
    mlflow.set_tags({MLFLOW_RUN_NOTE: note, ANSWER: redact(found.result)[:LONGEST_TAG]})
    print_end(run, lines, conclusion.next_steps)


def conclude_with_metrics(
    run: Run,
    entry_point: str,
    conclusion: Conclusion,
    metrics: Mapping[str, float],
    of_columns: Mapping[str, str] | None = None,
) -> None:
    """Conclude a step whose results are metrics, which are printed, a line each.

    `of_columns` names the column in whose unit a metric is.
    """
    units = {name: f" ({one_line(column)})" for name, column in (of_columns or {}).items()}
    print_warnings(*conclusion.warnings)
    conclude(
        run, conclusion, [entry_point, *[f"  {name}: {value:.4g}{units.get(name, '')}" for name, value in metrics.items()]]
    )


def print_end(run: Run, lines: Sequence[str] = (), next_steps: Sequence[NextStep] = ()) -> None:
    """Print `lines`, the id of a run that has its results, where to look at it, and the commands of the steps that come next.

    A quiet output is the id alone. A step of `main` leaves the rest to `main`, and so it does the id in a quiet output.
    """
    is_step_of_main = bool(os.environ.get(PARENT))
    if output() == QUIET:
        print_always(*([] if is_step_of_main else [run.info.run_id]))
        return
    lines = [*lines, f"run: {run.info.run_id}"]
    if not is_step_of_main:
        lines += ["look at it:", *[f"  {line}" for line in (ui_command(), run_page(run)) if line]]
        # The working folder may be another one, and it decides which store is the default one.
        folder = str(PROJECT)
        commands = [project_command(step, run.info.experiment_id, run.data.tags, folder) for step in next_steps]
        lines += ["next:", *[f"  {command}" for command in commands]] if commands else []
        lines += report_line(run)
    print_lines(*lines)


def report_line(run: Run) -> list[str]:
    """Return the line with the address of the report on a run, if the run holds one."""
    if not any(file.path == REPORT_PAGE for file in MlflowClient().list_artifacts(run.info.run_id)):
        return []
    return [f"report: {local_file(run, REPORT_PAGE) or artifact_page(run, REPORT_PAGE)}"]


def score_of(model_uri: str, parameters: Any, target: str = "") -> NextStep:
    """Return the step that predicts the rows of the table with a model, to be tried as it is or with another table."""
    texts = to_texts(parameters)
    found = {"model_uri": model_uri, "data": _data_anywhere(parameters.data), "read": texts.get("read", "")}
    if "spark" in texts and not _is_read_here(parameters.data):
        found["spark"] = texts["spark"]
    return NextStep("score", {name: text for name, text in (found | {"target": target}).items() if text})


def report_of(run: Run) -> NextStep:
    """Return the step that reports on a run."""
    return NextStep("report", {"run_id": run.info.run_id})


def resume_of(entry_point: str, parameters: Any) -> NextStep:
    """Return the step that continues one with these parameters."""
    texts, defaults = to_texts(parameters), to_texts(type(parameters)())
    own = {name: text for name, text in texts.items() if text != defaults[name] and name not in ("experiment", "resume")}
    data = {"data": _data_anywhere(parameters.data)} if "data" in own else {}
    return NextStep(entry_point, own | data | {"resume": "true"})


def _data_anywhere(data: str) -> str:
    """Return a table as it is named in any folder; one whose URI holds a secret by the variable in which that may stand."""
    if redact(data) != data:
        return "$TABLE_URL"
    return os.path.abspath(data) if data != BUNDLED and os.path.exists(data) else data


def _is_read_here(data: str) -> bool:
    """Tell whether a table can be read without Spark: a file of this machine, an artifact, or one on the web."""
    return (
        data == BUNDLED
        or os.path.exists(data)
        or data.startswith(("http://", "https://", "runs:", "models:", "mlflow-artifacts:"))
    )


def conclusion_of_classifier(parameters: Any, metrics: Mapping[str, float], n_held_out: int, model_uri: str) -> Conclusion:
    """Return the conclusion of a logistic regression with these parameters, whose columns are resolved."""
    accuracy, baseline = metrics["eval_acc"], metrics.get("baseline_acc")
    of_largest = "" if baseline is None else f"; always giving the largest class would be right for {baseline:.1%}"
    is_useless = baseline is not None and accuracy <= baseline
    return Conclusion(
        f"Which {parameters.target} does a row of {parameters.data} have? A logistic regression on "
        f"{count(len(parameters.features), 'feature')}: {', '.join(parameters.features)}. {parameters.test_size:.0%} of the "
        "rows are held out.",
        f"The class is right for {accuracy:.1%} of the {count(n_held_out, 'row')} held out{of_largest}.",
        rows=list(metrics.items()),
        warnings=["it is not better than always giving the largest class: try other features"] if is_useless else [],
        next_steps=[score_of(model_uri, parameters, parameters.target)],
    )
