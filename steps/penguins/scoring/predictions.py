"""Predict in this process, and put the predictions beside the rows of the user's table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from pandas.api import types

from penguins.cli.signals import raise_if_interrupted
from penguins.data.checks import OF_MODEL, require_finite, require_numbers
from penguins.data.table import Table
from penguins.errors import WorkError
from penguins.scoring.evaluation import class_texts
from penguins.scoring.models import CLUSTER, REASON, ScoredModel, load_estimator
from penguins.text import one_line
from penguins.tracking.table_rows import PredictorOfRows

# So many rows at a time bound the memory that a prediction takes.
ROWS_IN_BLOCK = 200_000
MISSES_A_VALUE = "misses a value"


@dataclass(frozen=True)
class Predicted:
    """Predictions for complete rows, a frame with the columns `model.outputs`.

    A model of Spark ML also gives the probabilities of its classes, of shape (n_rows, n_classes).
    """

    frame: pd.DataFrame
    probabilities: np.ndarray | None = None


def require_fitting_table(table: Table, model: ScoredModel) -> None:
    """Raise InputError where a column holds text or infinite numbers, and the model takes finite numbers."""
    require_numbers(table, OF_MODEL, model.numbers)
    require_finite(table, OF_MODEL, model.columns)


def predict(model: ScoredModel, rows: pd.DataFrame) -> Predicted:
    """Return what the model predicts for complete rows. Raises WorkError where it fails."""
    with report_model_errors():
        function = mlflow.pyfunc.load_model(model.folder, suppress_warnings=True)
        predicted = [as_frame(model, function.predict(block)) for block in _blocks(rows)]
        return Predicted(pd.concat(predicted, ignore_index=True))


def predict_probabilities(model: ScoredModel, rows: pd.DataFrame) -> np.ndarray | None:
    """Return the probabilities of the classes, of shape (n_rows, n_classes), or None where the model gives none."""
    function = getattr(load_estimator(model), "predict_proba", None)
    if function is None:
        return None
    predictor = PredictorOfRows({**dict.fromkeys(model.numbers), **model.texts}, function)
    with report_model_errors():
        return np.vstack([predictor.predict(block) for block in _blocks(rows)])


def _blocks(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(rows), ROWS_IN_BLOCK):
        raise_if_interrupted()
        yield rows.iloc[start : start + ROWS_IN_BLOCK]


def model_classes(model: ScoredModel) -> list[str]:
    """Return the classes that a model of scikit-learn predicts, as text."""
    return list(class_texts(pd.Series(load_estimator(model).classes_)))


@contextmanager
def report_model_errors() -> Iterator[None]:
    """Raise WorkError with the reason where a model fails in the block."""
    try:
        yield
    except Exception as error:  # the model's own code may raise anything
        raise WorkError(f"The model cannot predict: {type(error).__name__}: {one_line(error)[:300]}") from error


def as_frame(model: ScoredModel, predicted: Any) -> pd.DataFrame:
    """Return predictions, an array or a frame, as a frame with the columns `model.outputs`, clusters as nullable integers."""
    if model.is_router:
        frame: pd.DataFrame = pd.DataFrame(predicted)[list(model.outputs)].reset_index(drop=True)
        frame[REASON] = frame[REASON].fillna("")
    else:
        [name] = model.outputs
        frame = pd.DataFrame({name: np.asarray(predicted)})
    if CLUSTER in frame:
        frame[CLUSTER] = frame[CLUSTER].astype("Float64").astype("Int64")
    return frame


def whole_result(ids: pd.DataFrame, places: np.ndarray, predicted: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each row of the user's table: `row`, the `id` columns, the predictions, missing where a value misses.

    `ids` has a row for each row of that table. `places`, of shape (n_predicted,), holds where the rows of `predicted` stand.
    """
    n_rows = len(ids)
    rows = pd.DataFrame({"row": np.arange(n_rows)})
    result = pd.concat([rows, ids.reset_index(drop=True)], axis="columns")
    for name, values in predicted.items():
        nullable = _nullable(values)
        nullable.index = pd.Index(places)
        result[name] = nullable.reindex(range(n_rows))
    if REASON in predicted:
        is_left_out = ~np.isin(np.arange(n_rows), places)
        result.loc[is_left_out, REASON] = MISSES_A_VALUE
    return result


def _nullable(values: pd.Series) -> pd.Series:
    """Return predictions in a type that may miss a value and otherwise keeps theirs."""
    if types.is_bool_dtype(values):
        return values.astype("boolean")
    return values.astype("Int64") if types.is_integer_dtype(values) else values.copy()


def reason_counts(reasons: pd.Series) -> str:
    """Say how many rows have each reason, the most frequent one first, or return an empty text."""
    counts = reasons[reasons != ""].value_counts()
    return ", ".join(f"{one_line(reason)} ({number})" for reason, number in counts.head(5).items())
