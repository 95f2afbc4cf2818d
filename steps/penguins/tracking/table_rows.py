"""Predict from rows of a table as pandas reads them, and refuse what a column may not hold.

A model carries a copy of this file, with which MLflow loads it as a python_function in an environment that does not have this
project. It therefore imports nothing of the project.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LONGEST_VALUE = 60
NUMBERS = (Real, Decimal, np.bool_)


@dataclass(frozen=True)
class PredictorOfRows:
    """A fitted model, and the features that it takes: each column's name and, of a column of text, its texts in training.

    A column without texts is one of numbers. `predict_converted` takes a frame of numbers and texts.
    """

    columns: Mapping[str, Sequence[str] | None]
    predict_converted: Callable[[pd.DataFrame], Any]

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return the prediction for each row. Raises ValueError that names the first column that holds what it may not."""
        converted = {}
        for name, texts in self.columns.items():
            if name not in rows:
                raise ValueError(f"column {name!r} is missing")
            converted[name] = to_numbers(rows[name], name) if texts is None else to_texts(rows[name], name, texts)
        return self.predict_converted(pd.DataFrame(converted, index=rows.index))


def to_numbers(values: pd.Series, name: str) -> np.ndarray:
    """Return a column as float64, or as int64 if it holds whole numbers. Raises ValueError where it may not hold a value."""
    _require_present(values, name)
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iufb":
        numbers = values.to_numpy()
    else:
        present = list(values.astype(object))
        _refuse(present, name, "numbers", [not isinstance(value, NUMBERS) for value in present])
        numbers = np.array(present)
    if numbers.dtype.kind not in "iu":
        numbers = numbers.astype(np.float64)
    _refuse(values, name, "finite numbers", ~np.isfinite(numbers))
    return numbers


def to_texts(values: pd.Series, name: str, texts: Sequence[str]) -> np.ndarray:
    """Return a column as text. Raises ValueError where it may not hold a value.

    pandas reads some columns of text as numbers or booleans if they hold nothing else, as a few rows of a table may: such a
    value becomes the one of `texts` that pandas reads in this way.
    """
    _require_present(values, name)
    present = list(values.astype(object))
    known = defaultdict(list)
    for text in texts:
        known[_read_text(text)].append(text)
    converted = np.empty(len(present), dtype=object)
    for row, value in enumerate(present):
        converted[row] = value if isinstance(value, str) else _write_text(value, known)
    _refuse(present, name, "text", [text is None for text in converted])
    return converted


def _require_present(values: pd.Series, name: str) -> None:
    """Raise ValueError with the first row in which a column misses a value, if any; rows are counted from 0."""
    missing = np.flatnonzero(values.isna().to_numpy(dtype=bool))
    if len(missing):
        raise ValueError(f"column {name!r} misses a value in row {missing[0]}{_count_more(missing)}")


def _refuse(values: Any, name: str, kind: str, is_wrong: Any) -> None:
    """Raise ValueError with the first row that is wrong, if any; rows are counted from 0."""
    wrong = np.flatnonzero(is_wrong)
    if len(wrong):
        value = repr(pd.Series(values, dtype=object).iloc[wrong[0]])
        value = value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…"
        raise ValueError(f"column {name!r} must hold {kind}, got {value} in row {wrong[0]}{_count_more(wrong)}")


def _count_more(rows: np.ndarray) -> str:
    return f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""


def _read_text(text: str) -> float | bool | None:
    """Return the number or boolean that pandas reads from a text in CSV, or None."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text) if text.isascii() and text.isdigit() else float(text)  # a float rounds whole numbers of 17 digits
    except ValueError:
        return None


def _write_text(value: Any, known: Mapping[Any, Sequence[str]]) -> str | None:
    """Return the text of the training that was read as `value`, or how `value` is written; None for no number or boolean."""
    if not isinstance(value, NUMBERS):
        return None
    is_boolean = isinstance(value, bool | np.bool_)
    own = str(value).removesuffix(".0")
    texts = [text for text in known.get(value, ()) if (text.lower() in ("true", "false")) == is_boolean]
    return texts[0] if len(texts) == 1 else own


def _load_pyfunc(path: str) -> PredictorOfRows:
    """Load the model for MLflow, which looks for a function of this name. `path` is that of the description of the columns."""
    described = json.loads(Path(path).read_text(encoding="utf-8"))
    loader = import_module(described["loader_module"])
    model = loader._load_pyfunc(str(Path(path).parent / described["data"]))
    return PredictorOfRows({column["name"]: column["texts"] for column in described["columns"]}, model.predict)
