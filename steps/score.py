"""What does a model say of new rows? Any model of this project, over any table.

Needs a logged model (`model_uri`) and a table with the columns that it takes. Logs a prediction for each row of the table, null
where a row misses a value that the model needs: as the artifact `predictions.parquet`, or to `output`. With a `target`, it logs
the metrics that training logs, over the rows that have one.
"""

from dataclasses import dataclass
from typing import Annotated

from penguins.cli.combinations import require_spark_for_table
from penguins.cli.parameters import (
    NONE,
    SPARK_PHRASE,
    SPARK_TARGET,
    Data,
    Experiment,
    Id,
    Parameter,
    Read,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import CHARACTER, Text
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step
from penguins.spark.session import start_in_background
from penguins.spark.target import SparkTarget

STEP = Step(
    "score",
    question="what does a model say of new rows?",
    holds="`predictions.parquet`; with `target` the metrics of training, such as `eval_acc`, "
    "`conf_matrix.png` and `conf_matrix.csv`",
    runs_alone=True,
)
NAME = STEP.name


@dataclass(frozen=True)
class Parameters:
    """Predictions of a logged model for each row of a table."""

    model_uri: Annotated[
        str,
        Parameter(
            Text("the URI of a model, such as models:/name/version or runs:/id/model, or its folder"),
            "the model: runs:/id/name, models:/m-…, models:/name/version, models:/name@alias, or a folder",
        ),
    ]
    data: Data = "penguins"
    target: Annotated[
        str,
        Parameter(
            Text("the name of a column, or empty", rf"{CHARACTER}*", exact=True),
            "the column with what is right, to compare the predictions with, where it is known; empty: none",
        ),
    ] = ""
    id: Id = ()  # the name of the parameter
    output: Annotated[
        str,
        Parameter(
            Text("empty, a folder, a URI or catalog.schema.table", rf"{CHARACTER}*"),
            "where the predictions go: a folder, a URI, with Spark catalog.schema.table; empty: predictions.parquet of the run",
        ),
    ] = ""
    spark: Annotated[
        str,
        Parameter(
            Text(f"none, {SPARK_PHRASE}", rf"{NONE}|{SPARK_TARGET}"),
            "none: without Spark; else where it runs, as in other steps",
        ),
    ] = NONE
    read: Read = DETECT
    experiment: Experiment = ""

    def __post_init__(self) -> None:
        require_spark_for_table(self.output, self.spark)


if __name__ == "__main__":
    checked = check_command_line(NAME, Parameters)
    if checked.spark != NONE:
        start_in_background(SparkTarget(checked.spark))

from penguins.scoring.step import run_scoring


def main(parameters: Parameters) -> None:
    """Predict, write and evaluate in an MLflow run."""
    run_scoring(NAME, parameters)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
