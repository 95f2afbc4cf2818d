"""The `id` columns, which come along into the results: they tell the records, and are kept as the table has them."""

import re
from collections.abc import Iterable, Mapping

import pandas as pd
from pandas.api import types

# Texts of CSV that are numbers and lose nothing as numbers: 007 and 1e5 are not among them.
WHOLE_ID = r"0|-?[1-9][0-9]{0,17}"
NUMBER_ID = r"(?:0|-?[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?"


def id_columns(ids: Iterable[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Map each of `ids` that is not among `columns` (column to parameter) to the parameter that names it."""
    return {name: "id" for name in ids if name not in columns}


def to_whole_numbers(texts: pd.Series) -> pd.Series:
    """Convert texts of whole numbers, of which some may be missing, to Int64."""
    whole = [None if pd.isna(text) else int(text) for text in texts]
    return pd.Series(pd.array(whole, dtype="Int64"), texts.index)


def to_ids(values: pd.Series) -> pd.Series:
    """Convert a column of texts, of which some may be missing, to Int64 or float64 if that changes none; others stay."""
    present = values.dropna()
    if present.empty or not (types.is_object_dtype(values) and all(isinstance(value, str) for value in present)):
        return values
    if all(re.fullmatch(WHOLE_ID, text) for text in present):
        return to_whole_numbers(values)
    return values.astype("float64") if all(re.fullmatch(NUMBER_ID, text) for text in present) else values
