"""Check the columns and rows of a table before anything is fitted."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import pandas as pd

from penguins.data.table import Table
from penguins.errors import InputError
from penguins.text import format_number, one_line, print_lines, quote, similar_name, suggestion

# The mean and the variance of larger numbers overflow a float.
LARGEST = 1e150
# In degrees; longitudes are written from -180 or from 0.
LATITUDES, LONGITUDES = (-90.0, 90.0), (-180.0, 360.0)
MOST_COLUMNS_LISTED, LONGEST_LIST = 20, 400
# The parameter of the columns that no parameter names, but a model that is to predict from the table.
OF_MODEL = "data"
# The memory that a fit may take beside its table: half of what a small laptop has.
LARGEST_FIT_BYTES = 4 << 30
# A classifier has a coefficient for each class and encoded column. Its solver, L-BFGS, keeps the last ten steps, in all some
# forty arrays of that size. The scores of a row and their gradients are two numbers for each class.
COPIES_OF_COEFFICIENTS, COPIES_OF_SCORES = 40, 2
# A column with so many different values, and with so many of them for its rows, holds no categories.
FEWEST_IDENTIFIERS, LEAST_SHARE_OF_IDENTIFIERS = 10, 0.8


def columns_in_use(**parameters: str | Iterable[str]) -> dict[str, str]:
    """Map each column that a step uses to the parameter that names it, as in `columns_in_use(features=[…], target="sex")`.

    Raises InputError where two parameters name the same column: a target among the features would be predicted from itself.
    """
    columns: dict[str, str] = {}
    for parameter, value in parameters.items():
        for column in [value] if isinstance(value, str) else value:
            if column in columns:
                raise InputError(
                    f"The {quote(parameter)} parameter must not name a column of the "
                    f"{quote(columns[column])} parameter. Got {quote(column)} in both."
                )
            columns[column] = parameter
    return columns


def rule_of_columns(parameter: str, kinds: str) -> str:
    """Return the sentence that the columns of `parameter` hold `kinds`, such as "numbers or text"."""
    if parameter == OF_MODEL:
        return f"The 'data' parameter must name a table with {kinds} in the columns of the model."
    return f"The {quote(parameter)} parameter must name columns of {kinds}."


def require_single_columns(columns: Mapping[str, str], available: Sequence[str], data: str) -> None:
    """Raise InputError where one of `columns` (column to parameter) is a name that the table has more than once."""
    for column, parameter in columns.items():
        if available.count(column) > 1:
            raise InputError(
                f"The {quote(parameter)} parameter must name columns that the table has once. Got {quote(column)}, which "
                f"{quote(data)} has {available.count(column)} times: rename one of them."
            )


def require_columns(columns: Mapping[str, str], available: Sequence[str]) -> None:
    """Raise InputError that names the first of `columns` (column to parameter) that is not `available`.

    Of the columns that a model demands, it names all.
    """
    missing = [column for column, parameter in columns.items() if parameter == OF_MODEL and column not in available]
    if missing:
        listed = ", ".join(map(quote, missing[:MOST_COLUMNS_LISTED]))
        more = f" and {len(missing) - MOST_COLUMNS_LISTED} more" if len(missing) > MOST_COLUMNS_LISTED else ""
        others = [column for column in available if column not in columns]
        similar = [found for column in missing[:MOST_COLUMNS_LISTED] if (found := similar_name(column, others))]
        hint = f" Did you mean {', '.join(map(quote, similar))}? Then rename it there." if similar else ""
        raise InputError(
            f"The 'data' parameter must name a table with the columns of the model. Got one without {listed}{more}."
            f"{hint or f' It has {_shortened_list(available)}.'}"
        )
    for column, parameter in columns.items():
        if column not in available:
            raise InputError(
                f"The {quote(parameter)} parameter must name columns of the table. Got {quote(column)}, "
                f"which it does not have.{suggestion(column, available) or f' It has {_shortened_list(available)}.'}"
            )


def _shortened_list(names: Sequence[str]) -> str:
    listed = ", ".join(map(str, names[:MOST_COLUMNS_LISTED]))
    return listed if len(listed) <= LONGEST_LIST else listed[:LONGEST_LIST] + "…"


def refuse_empty(parameter: str, column: str) -> NoReturn:
    """Raise InputError for a `column` without a value in any row that is complete otherwise."""
    raise InputError(
        f"The {quote(parameter)} parameter must name a column with values. Got {quote(column)}, which has none in any row "
        "that misses no value in the other columns."
    )


def require_other_names(columns: Mapping[str, str], reserved: Sequence[str]) -> None:
    """Raise InputError where one of `columns` (column to parameter) has a name that is `reserved` for the step's results."""
    for column, parameter in columns.items():
        if column in reserved:
            raise InputError(
                f"The {quote(parameter)} parameter must not name a column that has the name of a result. "
                f"Got {quote(column)}: rename it in the table."
            )


def require_numbers(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError that names the first of `columns` that holds text, with an example."""
    for column in columns:
        if column in table.texts:
            values = table.frame[column]
            text = values[pd.to_numeric(values, errors="coerce").isna()]
            example = quote(values.iloc[0] if text.empty else text.iloc[0])
            raise InputError(
                f"{rule_of_columns(parameter, 'numbers')} Got {quote(column)}, which holds text, for example {example}."
            )


def require_finite(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError that names the first of `columns` that holds a number beyond `LARGEST`."""
    for column in columns:
        if column in [*table.numbers, *table.codes]:
            refuse_infinite(int((table.frame[column].abs() > LARGEST).sum()), len(table.frame), parameter, column)


def refuse_fractions(column: str, parameter: str, example: str) -> NoReturn:
    """Raise InputError for a column of classes that holds numbers such as `example`, which are none."""
    raise InputError(
        f"The {quote(parameter)} parameter must name a column of classes: text, booleans or whole numbers of at most 64 bits. "
        f"Got {quote(column)}, which holds {example}: predict numbers with ridge_search, or write the classes as text."
    )


def require_categories(table: Table, parameter: str, columns: Sequence[str]) -> dict[str, int]:
    """Print and return how many categories each of `columns` has that does not hold numbers.

    Raises InputError that names the first one with nearly as many categories as rows: it holds names or free text.
    """
    categorical = [column for column in columns if column in (*table.texts, *table.codes)]
    n_distinct = {column: len(set(table.frame[column])) for column in categorical}
    refuse_identifiers(n_distinct, len(table.frame), parameter)
    return n_distinct


def require_encodable(table: Table, columns: Sequence[str], encoding: str, target: str, n_classes: int = 1) -> None:
    """Print how many categories the features `columns` have, and raise InputError where these are no categories or too many."""
    n_distinct = require_categories(table, "features", columns)
    widening = n_distinct if encoding == "onehot" else {}
    remedy = "Give encoding=ordinal, which keeps each column as one, or leave the column out of 'features'"
    require_memory(len(table.frame), widening, len(columns) - len(widening), target, n_classes, remedy)


def require_memory(
    n_rows: int, n_distinct: Mapping[str, int], n_numbers: int, target: str, n_classes: int, remedy: str
) -> None:
    """Raise InputError where a regression would take more than `LARGEST_FIT_BYTES` beside its table, estimated from shapes.

    `n_distinct` holds the columns that become one for each of their categories, `n_numbers` counts the other features.
    `n_classes` is 1 for a target of numbers, and `n_rows` 0 where the rows are not in memory together. `remedy` says what to do
    with the column of the most categories.
    """
    n_outputs = 1 if n_classes == 2 else n_classes
    of_columns = 8 * n_outputs * COPIES_OF_COEFFICIENTS * (sum(n_distinct.values()) + n_numbers + 1)
    of_rows = 8 * n_outputs * COPIES_OF_SCORES * n_rows
    if of_columns + of_rows <= LARGEST_FIT_BYTES:
        return
    needed = f"the fit would take {(of_columns + of_rows) / 2**30:.1f} GiB, and may take {LARGEST_FIT_BYTES >> 30}"
    if n_distinct and of_columns > of_rows:
        widest = max(n_distinct, key=lambda column: n_distinct[column])
        beside = f" with {n_classes} classes of {quote(target)}" if n_classes > 1 else ""
        raise InputError(
            f"The 'features' parameter must name columns that fit into memory when encoded. Got {quote(widest)}, which "
            f"has {n_distinct[widest]} categories:{beside} {needed}. {remedy}."
        )
    raise InputError(
        f"The 'target' parameter must name a column of classes that fit into memory. Got {quote(target)}, which has "
        f"{n_classes}: {needed}. Group rare classes into one, or take fewer rows."
    )


def refuse_identifiers(n_distinct: Mapping[str, int], n_rows: int, parameter: str) -> None:
    """Raise InputError where a column, given its number of categories, has nearly as many as `n_rows`; else print them."""
    for column, number in n_distinct.items():
        if number >= FEWEST_IDENTIFIERS and number >= n_rows * LEAST_SHARE_OF_IDENTIFIERS:
            raise InputError(
                f"The {quote(parameter)} parameter must name columns of numbers or of categories. Got {quote(column)}, which "
                f"has {number} different values in {n_rows} rows, as names and free text do: leave it out."
            )
    if n_distinct:
        print_lines("categories: " + ", ".join(f"{one_line(column)} ({number})" for column, number in n_distinct.items()))


def require_position(parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError unless there are two columns, which hold latitude and longitude."""
    if len(columns) != 2:
        raise InputError(
            f"The {quote(parameter)} parameter must name two columns with metric=haversine, latitude and longitude in degrees, "
            f"in this order. Got {len(columns)}: {quote(','.join(columns))}."
        )


def require_degrees(table: Table, parameter: str, columns: Sequence[str]) -> None:
    """Raise InputError where the first of two `columns` is no latitude or the second no longitude in degrees."""
    values = table.frame[list(columns)]
    refuse_no_degrees(parameter, columns, values.min().tolist(), values.max().tolist())


def refuse_no_degrees(parameter: str, columns: Sequence[str], lowest: Sequence[float], highest: Sequence[float]) -> None:
    """Raise InputError unless two `columns` with these extremes can be latitude and longitude in degrees, in this order."""
    for column, low, high, allowed in zip(columns, lowest, highest, (LATITUDES, LONGITUDES), strict=True):
        refuse_beyond(parameter, column, (low, high), allowed)


def refuse_beyond(parameter: str, column: str, found: tuple[float, float], allowed: tuple[float, float]) -> None:
    """Raise InputError if `column`, with values from found[0] to found[1], has any that is not `allowed`."""
    for value, is_wrong in ((found[0], found[0] < allowed[0]), (found[1], found[1] > allowed[1])):
        if is_wrong:
            raise InputError(
                f"The {quote(parameter)} parameter must name latitude and longitude in degrees with metric=haversine, in this "
                f"order. Got {quote(column)}, which holds {format_number(value)}: not in [{allowed[0]:g}, {allowed[1]:g}]."
            )


def refuse_infinite(n_infinite: int, n_rows: int, parameter: str, column: str) -> None:
    """Raise InputError if `column` is infinite in any of its `n_rows` rows."""
    if n_infinite:
        raise InputError(
            f"{rule_of_columns(parameter, 'finite numbers')} Got {quote(column)}, which "
            f"is infinite in {n_infinite} of {n_rows} rows (a number beyond {LARGEST:g} counts as infinite)."
        )


def require_classes(counts: Mapping[str, int], target: str) -> None:
    """Raise InputError unless `counts`, the rows of each class, has two classes or more with two rows or more each."""
    rule = "The 'target' parameter must name a column with two classes or more, each with two rows or more."
    rows = sum(counts.values())
    if len(counts) < 2:
        only = quote(next(iter(counts)))
        raise InputError(f"{rule} Got {quote(target)}, which has only {only} in {rows} complete rows.")
    rarest = min(counts, key=lambda name: counts[name])
    if counts[rarest] < 2:
        raise InputError(f"{rule} Got {quote(target)}, in which {quote(rarest)} has one row of {rows}.")


def require_split(counts: Mapping[str, int], test_size: float) -> None:
    """Raise InputError where a stratified split by `test_size` cannot leave a row of each class on both sides.

    `counts` holds the rows of each class.
    """
    rows = sum(counts.values())
    held_out = math.ceil(rows * test_size)
    if min(held_out, rows - held_out) < len(counts):
        raise InputError(
            f"The 'test_size' parameter must leave a row of each of the {len(counts)} classes on both sides. "
            f"Got {test_size:g}, which holds out {held_out} of {rows} rows."
        )


def require_both_sides(train: Mapping[str, int], held_out: Mapping[str, int], test_size: float) -> None:
    """Raise InputError that names the first class without a row on one side of the split, given the rows of each class."""
    for name in sorted(train.keys() | held_out.keys()):
        rows = train.get(name, 0) + held_out.get(name, 0)
        for side, purpose in ((train, "trained on"), (held_out, "held out")):
            if not side.get(name):
                other_size = "larger" if side is held_out else "smaller"
                raise InputError(
                    f"The 'test_size' parameter must leave a row of each class on both sides. Got {test_size:g}, with which "
                    f"none of the {rows} rows of {quote(name)} is {purpose}: try a {other_size} one, "
                    "another seed or more rows."
                )


def require_variety(table: Table, column: str) -> None:
    """Raise InputError where the target `column` has the same number in all rows, which leaves nothing to predict."""
    values = table.frame[column]
    if values.nunique() < 2:
        raise InputError(
            f"The 'target' parameter must name a column of numbers that differ. "
            f"Got {quote(column)}, which is {format_number(values.iloc[0])} in all {len(values)} rows."
        )


def require_rows(table: Table, parameter: str, number: int) -> None:
    """Raise InputError where the table has fewer rows than `number`, the value of `parameter`."""
    if len(table.frame) < number:
        raise InputError(
            f"The {quote(parameter)} parameter must not be greater than the number of complete rows, "
            f"{len(table.frame)}. Got {number} instead."
        )
