"""What a column of rows may hold for a model, and how it is converted into what the model was fitted on."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penguins.tracking.table_rows import PredictorOfRows, to_numbers, to_texts

NUMBERS: dict[str, tuple[Any, list[float]]] = {
    "whole numbers": ([1, 2], [1, 2]),
    "fractions": ([0.5, 2], [0.5, 2]),
    "booleans": ([True, False], [1, 0]),
    "booleans beside a gap": (pd.Series([True, False], dtype=object), [1, 0]),
    "booleans and numbers": (pd.Series([True, 3], dtype=object), [1, 3]),
    "decimals": ([Decimal("1.5"), Decimal(2)], [1.5, 2]),
    "nullable integers": (pd.array([1, 2], dtype="Int64"), [1, 2]),
    "nullable floats": (pd.array([0.5, 2], dtype="Float32"), [0.5, 2]),
    "nullable booleans": (pd.array([True, False], dtype="boolean"), [1, 0]),
    "categories of numbers": (pd.Categorical([2, 1]), [2, 1]),
    "integers that no float holds": ([2**60 + 1, 1], [2**60 + 1, 1]),
    "integers of more than 64 bits": ([10**30, 1], [1e30, 1]),
    "no rows": (pd.array([], dtype="Int64"), []),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_of_any_type_are_taken(case: str) -> None:
    values, expected = NUMBERS[case]
    assert to_numbers(pd.Series(values), "x").tolist() == expected


TEXTS = ["4", "007", "f", "TRUE", "1.5", "8", "08"]
CONVERTED: dict[str, tuple[Any, list[str]]] = {
    "text": (["f", "new"], ["f", "new"]),
    "nullable text": (pd.array(["f", "4"], dtype="string"), ["f", "4"]),
    "categories": (pd.Categorical(["f", "4"]), ["f", "4"]),
    "whole numbers": ([4, 4], ["4", "4"]),
    "whole numbers beside a gap": ([4.0, 4.0], ["4", "4"]),
    "nullable integers": (pd.array([4, 7], dtype="Int64"), ["4", "007"]),
    "numbers written with zeros in training": ([7, 9], ["007", "9"]),
    "numbers written in two ways in training": ([8], ["8"]),
    "fractions": ([1.5, 2.5], ["1.5", "2.5"]),
    "booleans": ([True, False], ["TRUE", "False"]),
    "one, which is not TRUE": ([1], ["1"]),
    "text and numbers": (pd.Series(["f", 4, True], dtype=object), ["f", "4", "TRUE"]),
}


@pytest.mark.parametrize("case", CONVERTED)
def test_values_become_the_texts_that_pandas_reads_as_them(case: str) -> None:
    values, expected = CONVERTED[case]
    assert to_texts(pd.Series(values), "x", TEXTS).tolist() == expected


REFUSED: dict[str, tuple[Any, str, str]] = {
    "text for numbers": (["1", 2], "number", "column 'x' must hold numbers, got '1' in row 0"),
    "some texts for numbers": ([1, "a", "b", "c"], "number", "column 'x' must hold numbers, got 'a' in row 1 (and 2 more)"),
    "a long text": (["a" * 99], "number", f"column 'x' must hold numbers, got '{'a' * 59}… in row 0"),
    "lists": ([[1]], "number", "column 'x' must hold numbers, got [1] in row 0"),
    "an infinite number": ([1, np.inf], "number", "column 'x' must hold finite numbers, got inf in row 1"),
    "a missing number": ([1, np.nan], "number", "column 'x' misses a value in row 1"),
    "missing numbers": ([None, 1, None, None], "number", "column 'x' misses a value in row 0 (and 2 more)"),
    "a missing nullable number": (pd.array([1, None], dtype="Int64"), "number", "column 'x' misses a value in row 1"),
    "a missing boolean": ([True, None], "number", "column 'x' misses a value in row 1"),
    "a missing text": (["f", None], "text", "column 'x' misses a value in row 1"),
    "a text that is not a number": (["f", np.nan], "text", "column 'x' misses a value in row 1"),
    "a missing nullable text": (pd.array(["f", None], dtype="string"), "text", "column 'x' misses a value in row 1"),
    "a missing category": (pd.Categorical(["f", None]), "text", "column 'x' misses a value in row 1"),
    "bytes": ([b"f"], "text", "column 'x' must hold text, got b'f' in row 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_column_may_not_hold_is_said_in_a_line_that_names_it(case: str) -> None:
    values, kind, message = REFUSED[case]
    predictor = PredictorOfRows({"x": TEXTS if kind == "text" else None}, len)
    with pytest.raises(ValueError, match=r"^column 'x'") as refusal:
        predictor.predict(pd.DataFrame({"x": values}, index=range(50, 50 + len(values))))
    assert str(refusal.value) == message


def test_the_model_gets_its_columns_alone_in_its_own_order_and_a_missing_one_is_named() -> None:
    predictor = PredictorOfRows({"b": None, "a": TEXTS}, lambda frame: frame)
    found = predictor.predict(pd.DataFrame({"other": [None], "a": [4], "b": [True]}, index=[7]))
    pd.testing.assert_frame_equal(found, pd.DataFrame({"b": [1.0], "a": ["4"]}, index=[7]))
    with pytest.raises(ValueError, match=r"^column 'b' is missing$"):
        predictor.predict(pd.DataFrame({"a": ["4"]}))


def test_the_name_of_a_column_stays_on_one_line() -> None:
    with pytest.raises(ValueError, match="misses a value") as refusal:
        to_numbers(pd.Series([None]), "a\nb")
    assert str(refusal.value) == "column 'a\\nb' misses a value in row 0"
