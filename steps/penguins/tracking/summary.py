"""How the steps of `main` went: their table, and the conclusion of `main`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from penguins.cli.steps import declared_steps
from penguins.text import count
from penguins.tracking.addresses import run_link
from penguins.tracking.conclusion import Conclusion, resume_of, score_of

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class StepResult:
    """How one step went; `duration` is in seconds, `value` is its headline metric if it got that far.

    `model_uri` is that of the model that it logged, if it did, and `answer` its result in a sentence.
    """

    step: str
    run: str
    status: str
    duration: float
    value: float | None
    reason: str
    model_uri: str = ""
    answer: str = ""


def summary(results: Sequence[StepResult]) -> pd.DataFrame:
    """Return a table with a row for each step, in alphabetical order."""
    return pd.DataFrame(
        {
            "step": result.step,
            "run": result.run,
            "status": result.status,
            "duration": round(result.duration, 1),
            "headline_metric": declared_steps()[result.step].headline,
            "value": result.value,
        }
        for result in sorted(results, key=lambda result: result.step)
    )


def conclusion_of_main(parameters: Any, results: Sequence[StepResult], experiment_id: str) -> Conclusion:
    """Return the conclusion of `main` with these parameters: how its steps went, and how to continue."""
    failed = [result for result in results if result.status != "FINISHED"]
    ordered = sorted(results, key=lambda result: result.step)
    rows = [
        [
            run_link(result.step, experiment_id, result.run) if result.run else result.step,
            result.answer or result.status,
            f"{result.duration:.1f} s",
            declared_steps()[result.step].headline,
            result.value,
        ]
        for result in ordered
    ]
    next_steps = [score_of(result.model_uri, parameters) for result in ordered if result.model_uri][:1]
    return Conclusion(
        f"What do all experiments say of {parameters.data}? Each has a run of its own under this one.",
        f"{len(results) - len(failed)} of {count(len(results), 'step')} finished.",
        ["step", "answer", "duration", "headline metric", "value"],
        rows,
        [f"{result.step}: {result.reason}" for result in failed],
        [*next_steps, *([resume_of("main", parameters)] if failed else [])],
    )
