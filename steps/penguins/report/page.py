"""The page: one HTML file that needs no network, no other file and no storage."""

import html
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from penguins.cli.parameters import BUNDLED
from penguins.cli.steps import declared_steps
from penguins.report.predictions import predictions_part
from penguins.report.runs import REPORT, StepRun, finished_run_of, steps_without_run
from penguins.report.sweep import sweep_part
from penguins.report.texts import page_text
from penguins.text import count
from penguins.tracking.addresses import run_page
from penguins.tracking.conclusion import ANSWER

SCRIPTS = ("charts.js", "sweep.js", "page.js")


def report_page(run: StepRun, steps: Sequence[StepRun]) -> str:
    """Return the HTML of the report on a run of `main` or of a step, or, if it is a run of `report`, on these runs of steps."""
    parts = sorted((_step_part(step) for step in steps), key=lambda part: part["sweep"] is None)
    missing = [f"{name}: its run could not be opened" for name in steps_without_run(run)]
    title = _title(run.step, [run]) if run.step != REPORT else _title(count(len(steps), "step"), steps)
    return render({"title": page_text(title), "steps": parts, "remarks": missing, **_texts(run)})


def _title(what: str, runs: Sequence[StepRun]) -> str:
    """Return the title of a page about `what`, on the data of these runs."""
    tables = {run.parameters.get("data", "") for run in runs}
    return f"{what} on {tables.pop() if len(tables) == 1 else count(len(tables), 'table')}"


def _step_part(step: StepRun) -> dict[str, Any]:
    """Return what the page shows of one step."""
    run = finished_run_of(step)
    declared = declared_steps().get(step.step)
    return {
        "name": step.step,
        # The question is about the penguins.
        "question": declared.question if declared and run.parameters.get("data") == BUNDLED else "",
        "run_id": run.run_id,
        "url": run_page(run.run),
        "status": run.run.info.status,
        "seconds": round(run.seconds, 1),
        "left_out": int(run.metrics["n_rows_left_out"]) if "n_rows_left_out" in run.metrics else None,
        "answer": page_text(run.tags.get(ANSWER, "")),
        "error": page_text(run.tags.get("error", "")),
        "sweep": sweep_part(run),
        **_texts(run),
        **predictions_part(run),
    }


def _texts(run: StepRun) -> dict[str, list[tuple[str, str]]]:
    """Return the facts and the parameters of a run."""
    pairs = {"facts": run.facts(), "parameters": run.parameter_texts()}
    return {name: [(key, page_text(text)) for key, text in texts] for name, texts in pairs.items()}


def render(content: dict[str, Any]) -> str:
    """Return the page with this content, in which no text can become markup."""
    parts = files("penguins.report").joinpath("page")
    # In the JSON of a script element, only "<" could end the element.
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return Template(parts.joinpath("page.html").read_text("utf-8")).substitute(
        title=html.escape(str(content["title"])),
        style=parts.joinpath("page.css").read_text("utf-8"),
        data=data,
        script="".join(parts.joinpath(name).read_text("utf-8") for name in SCRIPTS),
    )
