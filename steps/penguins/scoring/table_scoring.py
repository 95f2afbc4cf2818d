"""The scoring of a table that this machine reads: predict its complete rows, write the result of all, evaluate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from penguins.data.load import load_table
from penguins.data.table import Table
from penguins.resume.step_run import record_fingerprint
from penguins.scoring.evaluation import (
    Evaluation,
    area_of_classes,
    class_texts,
    evaluate_classes,
    evaluate_clusters,
    evaluate_numbers,
)
from penguins.scoring.models import CLUSTER, PREDICTION, REASON, ScoredModel
from penguins.scoring.output import Output
from penguins.scoring.predictions import (
    model_classes,
    predict_probabilities,
    reason_counts,
    require_fitting_table,
    whole_result,
)
from penguins.text import one_line, print_lines
from penguins.tracking.artifacts import log_table


@dataclass(frozen=True)
class Scoring:
    """What is asked for: the parameters, the model, the columns that the table needs (column to parameter), the output."""

    entry_point: str
    parameters: Any
    model: ScoredModel
    columns: dict[str, str]
    output: Output

    @property
    def classes(self) -> str:
        """The target if it is compared as classes, or an empty text."""
        return "" if self.model.kind == "numbers" else str(self.parameters.target)


# Predicts complete rows: the columns `model.outputs`, and the probabilities of the classes where they come along.
Predict = Callable[[pd.DataFrame], tuple[pd.DataFrame, np.ndarray | None]]


def score_table(scoring: Scoring, predict_rows: Predict, write: Callable[[pd.DataFrame, Output], None]) -> Evaluation:
    """Read the table here, predict its complete rows, write the result of all rows, and evaluate those with a target."""
    parameters, model = scoring.parameters, scoring.model
    table = load_table(
        parameters.data,
        scoring.columns,
        model.groups,
        parameters.read,
        scoring.classes,
        codes=list(model.texts),
        ids=parameters.id,
        optional=parameters.target,
    )
    require_fitting_table(table, model)
    rows = table.frame[list(model.columns)]
    log_table(rows, table.source, table.name, table.left_out, read_as=table.read_as)
    record_fingerprint(scoring.entry_point, parameters, table.digest)
    predicted, probabilities = predict_rows(rows)
    result = whole_result(table.whole[list(parameters.id)], table.places, predicted)
    write(result, scoring.output)
    report_result(scoring.output, len(predicted), len(result))
    if REASON in predicted and (counts := reason_counts(predicted[REASON])):
        print_lines(f"without a cluster: {counts}")
    return evaluate(scoring, table, predicted, probabilities) if parameters.target else Evaluation({})


def report_result(output: Output, n_predicted: int, n_rows: int) -> None:
    """Print where the predictions are, and log it as the tag `predictions`."""
    mlflow.set_tag("predictions", output.where)
    print_lines(f"predictions: {n_predicted} of {n_rows} rows, in {one_line(output.where)}")


def evaluate(scoring: Scoring, table: Table, predicted: pd.DataFrame, probabilities: np.ndarray | None) -> Evaluation:
    """Compare the predictions with the target of the rows that have one."""
    model, target = scoring.model, scoring.parameters.target
    has_target = table.frame[target].notna().to_numpy()
    present, predicted = table.frame[target][has_target], predicted[has_target]
    print_lines(f"compared with {one_line(target)}: {len(present)} rows")
    if model.kind == "numbers":
        return evaluate_numbers(present.to_numpy(dtype=float), predicted[PREDICTION].to_numpy(dtype=float))
    truth = class_texts(present)
    if model.kind == "clusters":
        keys = [table.frame[has_target][name] for name in model.groups] + [predicted[CLUSTER]]
        clusters = pd.Series(list(zip(*keys, strict=True)), dtype=object)
        has_cluster = predicted[CLUSTER].notna().to_numpy()
        weights = pd.Series(1, index=range(len(truth)))[has_cluster]
        return evaluate_clusters(pd.Series(truth)[has_cluster], clusters[has_cluster], weights)
    classes = model_classes(model)
    evaluation = evaluate_classes(truth, class_texts(predicted[PREDICTION]), classes, np.ones(len(truth)))
    if probabilities is None:
        given = predict_probabilities(model, table.frame.loc[has_target, list(model.columns)])
    else:
        given = probabilities[has_target]
    if given is not None:
        evaluation.figures.update(area_of_classes(truth, given, classes))
    return evaluation
