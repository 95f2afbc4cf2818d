"""The rows that a step holds out, on which a new model and the present champion are compared."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mlflow
import numpy as np
import pandas as pd

from penguins.text import quote
from penguins.tracking.row_hashes import PANDAS, hash_frame


@dataclass(frozen=True)
class Figure:
    """A figure by which models are compared: its name, its ending in the names of metrics, and whether the higher one wins."""

    name: str
    key: str
    higher_wins: bool = True

    def is_better(self, new: float, champion: float) -> bool:
        """Tell whether `new` beats the figure of the champion; a tie does not."""
        return new > champion if self.higher_wins else new < champion


ACCURACY = Figure("accuracy", "acc")
RMSE = Figure("root mean squared error", "rmse", higher_wins=False)


class HeldOut(Protocol):
    """Rows that were held out: how to score a registered model on them, and how to hash them."""

    @property
    def n_rows(self) -> int: ...

    @property
    def columns(self) -> Collection[str]:
        """The features and the target."""

    @property
    def method(self) -> str:
        """The function that hashes the rows, as in `RowHashes`."""

    def score(self, uri: str) -> float:
        """Return the figure of the model at `uri`. Raises any error where it cannot be loaded or does not take the rows."""

    def hashes(self, columns: Sequence[str], n_zero_bits: int) -> np.ndarray:
        """Return the hashes of the rows in `columns` that are kept, as uint64."""


@dataclass(frozen=True)
class HeldOutFrame:
    """Rows in a frame with the features and the `target`. `figure_of` returns the figure of the true and predicted values."""

    frame: pd.DataFrame
    target: str
    figure_of: Callable[[pd.Series, Any], float]
    method: str = PANDAS

    @property
    def n_rows(self) -> int:
        return len(self.frame)

    @property
    def columns(self) -> Collection[str]:
        return [str(name) for name in self.frame.columns]

    def score(self, uri: str) -> float:
        model = mlflow.pyfunc.load_model(uri)
        schema = model.metadata.get_input_schema()
        features = [name for name in self.frame if name != self.target]
        if schema and schema.has_input_names():
            require_inputs(schema.required_input_names(), self.columns, self.target)
            features = [name for name in features if name in schema.input_names()]  # MLflow warns of any other
        return self.figure_of(self.frame[self.target], model.predict(self.frame[features]))

    def hashes(self, columns: Sequence[str], n_zero_bits: int) -> np.ndarray:
        return hash_frame(self.frame, columns, n_zero_bits)


def require_inputs(names: Collection[str], columns: Collection[str], target: str) -> None:
    """Raise ValueError where a model takes columns that are no features among `columns`."""
    if missing := sorted(set(names) - set(columns) | {target} & set(names)):
        raise ValueError(f"it takes {', '.join(map(quote, missing[:5]))}, and this run has no such feature")


def accuracy(counts: Mapping[tuple[str, str], int]) -> float:
    """Return the share of rows whose class is predicted, of counts by true and predicted class, as text.

    Raises ValueError where no prediction is a class of the rows, as by a model of another target.
    """
    truth, predicted = ({pair[place] for pair in counts} for place in (0, 1))
    if truth.isdisjoint(predicted):
        raise ValueError(
            f"it predicts {quote(min(predicted))}, and the classes here are {', '.join(map(quote, sorted(truth)[:5]))}"
        )
    return sum(n for (true, found), n in counts.items() if true == found) / sum(counts.values())


def root_mean_squared_error(truth: pd.Series, predicted: Any) -> float:
    """Return the root of the mean squared error. Raises ValueError where a prediction is no finite number."""
    numbers = np.asarray(predicted, dtype=np.float64).reshape(len(truth))
    if not np.isfinite(numbers).all():
        raise ValueError("it predicts values that are no finite numbers")
    return float(np.sqrt(np.mean((numbers - truth.to_numpy(dtype=np.float64)) ** 2)))
