"""The scoring with Spark: of a table that this machine reads, or of one that Spark reads itself."""

from contextlib import ExitStack
from functools import partial

import pandas as pd
from pyspark.sql import functions as F

from penguins.data.checks import OF_MODEL, refuse_empty, refuse_infinite
from penguins.data.spark_checks import require_spark_numbers
from penguins.data.spark_columns import quote_column
from penguins.data.spark_table import SparkTable, is_read_here, load_spark_table
from penguins.resume.step_run import record_fingerprint
from penguins.scoring.evaluation import Evaluation
from penguins.scoring.models import ScoredModel
from penguins.scoring.output import Output, report_errors, write_result
from penguins.scoring.predictions import model_classes
from penguins.scoring.spark_predictions import (
    SparkScorer,
    collect_result,
    evaluate_in_spark,
    open_scorer,
    predict_in_spark,
    result_in_spark,
    write_in_spark,
)
from penguins.scoring.table_scoring import Scoring, report_result, score_table
from penguins.spark.jobs import persist
from penguins.spark.ml_models import shared_folder, use_volume
from penguins.spark.session import spark_session
from penguins.spark.target import SparkTarget


def score_with_spark(scoring: Scoring, target: SparkTarget, stack: ExitStack) -> Evaluation:
    """Predict in the session of `target`, which `stack` closes; write and evaluate."""
    shared = shared_folder(target) if scoring.model.is_spark else ""
    session = stack.enter_context(spark_session(target))
    if scoring.model.is_spark:
        use_volume(session)
    scorer = open_scorer(scoring.model, session, shared)
    if is_read_here(scoring.parameters.data):
        return score_table(scoring, partial(predict_in_spark, scorer), partial(write_with_session, scorer))
    return score_spark_table(scoring, scorer)


def write_with_session(scorer: SparkScorer, result: pd.DataFrame, output: Output) -> None:
    """Write predictions of this process, through Spark where they go to a table of its catalogue."""
    if output.kind != "table":
        write_result(result, output)
        return
    with report_errors(output):
        write_in_spark(scorer.session.createDataFrame(result), output)


def score_spark_table(scoring: Scoring, scorer: SparkScorer) -> Evaluation:
    """Predict a table that Spark reads itself, which has no order: the `id` columns tell its rows."""
    parameters, model, target = scoring.parameters, scoring.model, scoring.parameters.target
    table = load_spark_table(
        scorer.session,
        parameters.data,
        scoring.columns,
        model.groups,
        read=parameters.read,
        classes=scoring.classes,
        ids=parameters.id,
        optional=target,
    )
    require_spark_numbers(table, OF_MODEL, model.numbers)
    require_spark_finite_numbers(table, model)
    if target:
        require_spark_target(table, target, is_number=model.kind == "numbers")
    record_fingerprint(scoring.entry_point, parameters, table.digest)
    scored = persist(scorer.transform(table.frame))
    result = result_in_spark(scored, table, model)
    if scoring.output.kind in ("uri", "table"):
        with report_errors(scoring.output):
            write_in_spark(result, scoring.output)
    else:
        write_result(collect_result(result, table.rows + table.left_out), scoring.output)
    report_result(scoring.output, table.rows, table.rows + table.left_out)
    if not target:
        return Evaluation({})
    classes = model_classes(model, scorer.classes) if model.kind == "classes" else []
    return evaluate_in_spark(scored, scorer, target, classes)


def require_spark_finite_numbers(table: SparkTable, model: ScoredModel) -> None:
    """Raise InputError that names the first column of numbers that is infinite in a row: no model takes that."""
    infinite = [F.abs(F.col(quote_column(name))) == F.lit(float("inf")) for name in model.numbers]
    counts = table.frame.select(*map(F.count_if, infinite)).head() or ()
    for name, n_infinite in zip(model.numbers, counts, strict=True):
        refuse_infinite(n_infinite, table.rows, OF_MODEL, name)


def require_spark_target(table: SparkTable, target: str, is_number: bool) -> None:
    """Raise InputError where the target is missing in all rows, or should hold numbers and does not."""
    if table.frame.where(F.col(quote_column(target)).isNotNull()).isEmpty():
        refuse_empty("target", target)
    if is_number:
        require_spark_numbers(table, "target", [target])
