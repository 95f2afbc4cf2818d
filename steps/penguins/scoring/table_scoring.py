"""The scoring of a table that this machine reads: predict its complete rows, write the result of all, evaluate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from penguins.data.checks import refuse_infinite, rule_of_columns
from penguins.data.load import load_table
from penguins.data.output import Output, require_uploads
from penguins.data.table import Table
from penguins.errors import InputError
from penguins.redaction import redact
from penguins.resume.step_run import record_fingerprint
from penguins.scoring.evaluation import (
    Evaluation,
    area_of_classes,
    class_texts,
    evaluate_classes,
    evaluate_clusters,
    evaluate_numbers,
    require_known_class,
)
from penguins.scoring.models import CLUSTER, PREDICTION, REASON, Kind, ScoredModel
from penguins.scoring.predictions import (
    Predicted,
    model_classes,
    predict_probabilities,
    reason_counts,
    require_fitting_table,
    whole_result,
)
from penguins.text import one_line, print_lines, quote
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


def score_table(
    scoring: Scoring,
    predict_rows: Callable[[pd.DataFrame], Predicted],
    write: Callable[[pd.DataFrame, Output], None],
    classes: Sequence[str] = (),
) -> Evaluation:
    """Read the table here, predict its complete rows, write the result of all rows, and evaluate those with a target."""
    parameters, model = scoring.parameters, scoring.model
    require_uploads(scoring.output)
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
    if parameters.target:
        classes = classes or (model_classes(model) if model.kind == "classes" else ())
        require_fitting_target(table.frame[parameters.target].dropna(), parameters.target, model.kind, classes)
    predicted = predict_rows(rows)
    result = whole_result(table.whole[list(parameters.id)], table.places, predicted.frame)
    write(result, scoring.output)
    report_result(scoring.output, len(rows), len(result))
    if REASON in predicted.frame and (counts := reason_counts(predicted.frame[REASON])):
        print_lines(f"without a cluster: {counts}")
    return evaluate(scoring, table, predicted, classes) if parameters.target else Evaluation({})


def require_fitting_target(values: pd.Series, target: str, kind: Kind, classes: Sequence[str]) -> None:
    """Raise InputError where the present values of the target are not of the kind that the model predicts."""
    if kind == "classes":
        require_known_class(class_texts(values), classes)
    elif kind == "numbers":
        for value in values:
            if isinstance(value, str):
                example = f"Got {quote(target)}, which holds text, for example {quote(value)}."
                raise InputError(f"{rule_of_columns('target', 'numbers')} {example}")
        refuse_infinite(int(np.isinf(values.to_numpy(dtype=float)).sum()), len(values), "target", target)


def report_result(output: Output, n_predicted: int, n_rows: int) -> None:
    """Print where the predictions are, and log it as the tag `predictions`."""
    mlflow.set_tag("predictions", redact(output.where))
    print_lines(f"predictions: {n_predicted} of {n_rows} rows, in {one_line(output.where)}")


def evaluate(scoring: Scoring, table: Table, predicted: Predicted, classes: Sequence[str]) -> Evaluation:
    """Compare the predictions with the target of the rows that have one."""
    model, target = scoring.model, scoring.parameters.target
    has_target = table.frame[target].notna().to_numpy()
    rows, found = table.frame[has_target].reset_index(drop=True), predicted.frame[has_target].reset_index(drop=True)
    print_lines(f"compared with {one_line(target)}: {len(rows)} rows")
    if model.kind == "numbers":
        return evaluate_numbers(rows[target].to_numpy(dtype=float), found[PREDICTION].to_numpy(dtype=float))
    truth = class_texts(rows[target])
    if model.kind == "clusters":
        clusters = pd.Series(list(zip(*[rows[name] for name in model.groups], found[CLUSTER], strict=True)), dtype=object)
        has_cluster = found[CLUSTER].notna().to_numpy()
        weights = pd.Series(1, index=rows.index)[has_cluster]
        return evaluate_clusters(pd.Series(truth)[has_cluster], clusters[has_cluster], weights)
    evaluation = evaluate_classes(truth, class_texts(found[PREDICTION]), classes, np.ones(len(truth)))
    if predicted.probabilities is not None:
        probabilities: np.ndarray | None = predicted.probabilities[has_target]
    else:
        probabilities = predict_probabilities(model, rows[list(model.columns)])
    if probabilities is not None:
        evaluation.figures.update(area_of_classes(truth, probabilities, classes))
    return evaluation
