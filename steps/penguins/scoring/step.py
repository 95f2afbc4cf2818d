"""The scoring as a step: the run, the model, the output, and whether Spark is needed."""

from contextlib import ExitStack
from functools import partial
from typing import Any

from penguins.data.checks import OF_MODEL, require_other_names
from penguins.data.locate import table_digest
from penguins.data.output import find_output
from penguins.errors import InputError
from penguins.resume.step_run import step_run
from penguins.scoring.evaluation import log_evaluation
from penguins.scoring.models import ScoredModel, find_model, log_model_in_use
from penguins.scoring.output import write_result
from penguins.scoring.predictions import predict
from penguins.scoring.table_scoring import Scoring, score_table
from penguins.spark.target import LOCAL, NONE, SparkTarget
from penguins.text import print_lines, quote
from penguins.tracking.conclusion import Conclusion, conclude_with_metrics


def run_scoring(entry_point: str, parameters: Any) -> None:
    """Predict, write and evaluate in an MLflow run, with the parameters of the entry point `score`."""
    with step_run(entry_point, parameters, table_digest(parameters.data)) as run, ExitStack() as stack:
        output = find_output(parameters.output, parameters.data, run.info.run_id)
        model = find_model(parameters.model_uri)
        log_model_in_use(model, run.info.run_id)
        require_other_names(dict.fromkeys(parameters.id, "id"), ["row", *model.outputs])
        scoring = Scoring(entry_point, parameters, model, columns_of_table(model, parameters.target), output)
        target = spark_target(parameters.spark, model)
        if target is None:
            evaluation = score_table(scoring, partial(predict, model), write_result)
        else:
            from penguins.scoring.spark_scoring import score_with_spark  # imports Spark

            evaluation = score_with_spark(scoring, target, stack)
        log_evaluation(evaluation, parameters.target)
        asked = f"What does the model {parameters.model_uri} say of the rows of {parameters.data}?"
        conclusion = Conclusion(asked, f"The predictions are in {output.where}.", rows=list(evaluation.figures.items()))
        conclude_with_metrics(run, entry_point, conclusion, evaluation.figures)


def columns_of_table(model: ScoredModel, target: str) -> dict[str, str]:
    """Map each column that is needed to the parameter that asks for it.

    Raises InputError if the model takes the column `target`.
    """
    if target in model.columns:
        raise InputError(
            "The 'target' parameter must not name a column that the model takes: it would be compared with itself. "
            f"Got {quote(target)}."
        )
    return dict.fromkeys(model.columns, OF_MODEL) | ({target: "target"} if target else {})


def spark_target(spark: str, model: ScoredModel) -> SparkTarget | None:
    """Return where Spark runs, or None where it is not needed."""
    if spark == NONE and not model.is_spark:
        return None
    if spark == NONE:
        print_lines(f"the model is one of Spark ML, which runs on {LOCAL}: spark=… names another Spark")
    return SparkTarget(LOCAL if spark == NONE else spark)
