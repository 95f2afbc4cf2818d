"""Convert the columns of a table, complete and as pandas reads them, into the types that the steps work with."""

from datetime import date
from typing import NoReturn

import numpy as np
import pandas as pd
from pandas.api import types

from penguins.data.checks import OF_MODEL, refuse_fractions, rule_of_columns
from penguins.data.numbers import NO_DATES
from penguins.errors import InputError
from penguins.text import format_number, quote

# Whole numbers from here on do not fit into the 64 bits of a class.
LARGEST_CLASS = 2.0**63


def as_names(values: pd.Series) -> pd.Series:
    """Return `values` as the text by which people call classes and groups: 2007 rather than 2007.0."""
    return values.map(format_number) if types.is_float_dtype(values) else values.astype(str)


def to_numbers_or_text(values: pd.Series, column: str, parameter: str) -> pd.Series:
    """Convert a column without missing values to float64, or to text. Raises InputError where it holds anything else.

    True and False are the numbers 1 and 0, except in a target, where they are classes.
    """
    if is_boolean(values) and parameter != "target":
        return values.astype(bool).astype(np.float64)
    if types.is_bool_dtype(values) or isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(str)
    if types.is_numeric_dtype(values) and not types.is_complex_dtype(values):
        return values.astype(np.float64)
    if types.is_string_dtype(values) or all(isinstance(value, str | bool) for value in values):
        return values.astype(str)
    if _are_dates(values):
        example = values.astype(str).iloc[0]  # as a CSV file has it
        refuse_unread_numbers(f"dates, for example {quote(example)}: {NO_DATES}", column, parameter)
    return refuse_kind(parameter, column, str(values.dtype), values.iloc[0])


def _are_dates(values: pd.Series) -> bool:
    return types.is_datetime64_any_dtype(values) or (not values.empty and all(isinstance(value, date) for value in values))


def is_boolean(values: pd.Series) -> bool:
    """Tell whether a column without missing values holds booleans alone; where some were missing, its type is object."""
    is_object = types.is_object_dtype(values) and not values.empty
    return types.is_bool_dtype(values) or (is_object and all(isinstance(value, bool | np.bool_) for value in values))


def to_classes(values: pd.Series, column: str, parameter: str) -> pd.Series:
    """Convert a column of classes without missing values to int64, bool, float64 (whole numbers) or text, as dates become.

    Raises InputError where it holds anything else, because scikit-learn takes numbers with fractions for no classes.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if is_boolean(values):
        return values.astype(bool)
    if _are_dates(values):
        return values.astype(str)  # as a CSV file has them
    if not types.is_numeric_dtype(values) or types.is_complex_dtype(values):
        return to_numbers_or_text(values, column, parameter)
    is_whole = (values % 1 == 0) & (values.abs() < LARGEST_CLASS)
    if not is_whole.all():
        refuse_fractions(column, parameter, format_number(values[~is_whole].iloc[0]))
    return values.astype(np.float64 if types.is_float_dtype(values) else np.int64)


def to_codes(values: pd.Series, column: str, parameter: str) -> pd.Series:
    """Convert a column of categories without missing values to float64 or text; whole numbers keep their type."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    is_whole = types.is_integer_dtype(values) and isinstance(values.dtype, np.dtype)
    return values if is_whole else to_numbers_or_text(values, column, parameter)


def refuse_kind(parameter: str, column: str, kind: str, example: object) -> NoReturn:
    """Raise InputError for a column that holds neither numbers nor text, but `kind`."""
    raise InputError(
        f"{rule_of_columns(parameter, 'numbers or text')} Got {quote(column)}, "
        f"which holds {kind}, for example {quote(str(example))}."
    )


def refuse_unread_numbers(found: str, column: str, parameter: str, parameter_of_codes: str = "") -> NoReturn:
    """Raise InputError that says what a column of text holds, and the remedy; a parameter may make categories of the texts.

    Only features can be categories or be left out.
    """
    categories = f" name it in {parameter_of_codes} if its texts are categories," if parameter_of_codes else ""
    others = f",{categories} or leave the column out" if parameter == "features" else ", or name another column"
    others = "" if parameter == OF_MODEL else others
    raise InputError(f"{rule_of_columns(parameter, 'numbers or text')} Got {quote(column)}, which holds {found}{others}.")
