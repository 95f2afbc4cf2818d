"""What came out? One HTML page about the run of `main` or of a step, to read, to send, to print.

Needs the id of the run (`run_id`), or `since:` with a time: then it is about the newest run of each step in the experiment
since then, as of a job whose tasks are the steps. Logs `report.html` to that run and to its own: the answers, what was asked,
and for each sweep the table of its groups with the curves, the clusters and the noise behind each choice. The page is one file,
which opens from disk without a network and in MLflow's page of the run. `main` ends with it.
"""

from dataclasses import dataclass
from typing import Annotated

from penguins.cli.parameters import Experiment, Parameter
from penguins.cli.rules import Text
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step

STEP = Step(
    "report",
    question="what came out?",
    holds="`report.html`, one page about a run of `main` or of a step, which that run holds as well; the last step of `main`",
    runs_alone=True,
)
NAME = STEP.name


@dataclass(frozen=True)
class Parameters:
    """One HTML page about the run of main or of a step."""

    run_id: Annotated[
        str,
        Parameter(
            Text(
                "the id of a run, such as 0123456789abcdef0123456789abcdef, or since:2026-01-31T12:00 (UTC)",
                r"[0-9a-zA-Z_-]{1,64}|since:[0-9TZ:.+-]{1,40}",
            ),
            "the id of a run of main or of a step, or since:<time>: the newest run of each step since then",
        ),
    ]
    experiment: Experiment = ""


if __name__ == "__main__":
    check_command_line(NAME, Parameters)

import mlflow
from mlflow import MlflowClient

from penguins.report.page import report_page
from penguins.report.runs import SINCE, StepRun, find_run, runs_since, steps_of
from penguins.resume.step_run import step_run
from penguins.text import print_lines
from penguins.tracking.conclusion import REPORT_PAGE, report_line


def main(parameters: Parameters) -> None:
    """Read the run, and log the page to it and to the run of this step."""
    with step_run(NAME, parameters, "") as run:
        if parameters.run_id.startswith(SINCE):
            reported = StepRun(run)
            page = report_page(reported, runs_since(run.info.experiment_id, parameters.run_id))
        else:
            reported = find_run(parameters.run_id)
            page = report_page(reported, steps_of(reported))
            MlflowClient().log_text(reported.run_id, page, REPORT_PAGE)
        mlflow.log_text(page, REPORT_PAGE)
        mlflow.log_metric("report_bytes", len(page.encode()))
        print_lines(*report_line(reported.run))


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
