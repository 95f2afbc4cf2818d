"""The scoring with Spark: of a table that this machine reads, or of one that Spark reads itself."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from penguins.data.checks import OF_MODEL, refuse_empty
from penguins.data.locate import is_read_here
from penguins.data.output import Output, report_errors
from penguins.data.spark_checks import require_spark_classes, require_spark_finite, require_spark_numbers
from penguins.data.spark_columns import class_name, quote_column
from penguins.data.spark_output import require_schema
from penguins.data.spark_table import SparkTable, load_spark_table
from penguins.resume.step_run import record_fingerprint
from penguins.scoring.evaluation import Evaluation, require_known_class
from penguins.scoring.models import Kind
from penguins.scoring.output import write_result
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
from penguins.spark.session import step_session
from penguins.spark.target import SparkTarget


def score_with_spark(scoring: Scoring, target: SparkTarget, stack: ExitStack) -> Evaluation:
    """Predict in the session of `target`, which `stack` closes; write and evaluate."""
    shared = shared_folder(target) if scoring.model.is_spark else ""
    session = stack.enter_context(step_session(target))
    require_schema(session, scoring.parameters.output)
    if scoring.model.is_spark:
        use_volume(session, scoring.parameters.output)
    scorer = open_scorer(scoring.model, session, shared)
    if is_read_here(scoring.parameters.data):
        return score_table(scoring, partial(predict_in_spark, scorer), partial(write_with_session, scorer), scorer.classes)
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
    require_spark_finite(table, OF_MODEL, model.columns)
    classes = (scorer.classes or model_classes(model)) if target and model.kind == "classes" else ()
    if target:
        require_spark_target(table, target, model.kind, classes)
    record_fingerprint(scoring.entry_point, parameters, table.digest)
    scored = persist(scorer.transform(table.frame))
    result = result_in_spark(scored, table, model, parameters.id)
    if scoring.output.kind in ("uri", "table"):
        with report_errors(scoring.output):
            write_in_spark(result, scoring.output)
    else:
        write_result(collect_result(result, table.rows + table.left_out), scoring.output)
    report_result(scoring.output, table.rows, table.rows + table.left_out)
    return evaluate_in_spark(scored, scorer, target, classes) if target else Evaluation({})


def require_spark_target(table: SparkTable, target: str, kind: Kind, classes: Sequence[str]) -> None:
    """Raise InputError where the target is missing in all rows, or does not hold what the model predicts."""
    present = table.frame.where(F.col(quote_column(target)).isNotNull())
    if present.isEmpty():
        refuse_empty("target", target)
    if kind == "numbers":
        require_spark_numbers(table, "target", [target])
    if kind != "numbers":
        require_spark_classes(table, "target", target)
    if kind == "classes":
        names = present.select(class_name(present, target).alias(target)).distinct()
        if names.where(F.col(quote_column(target)).isin(list(classes))).isEmpty():
            require_known_class(np.array([row[0] for row in names.take(3)], dtype=object), classes)
