"""The columns that a step uses where its parameters are `auto`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import mlflow

from penguins.cli.parameters import BUNDLED, NONE, P, is_auto
from penguins.cli.rules import to_text
from penguins.data.auto import Column, choose_features
from penguins.errors import InputError
from penguins.text import quote, suggestion
from penguins.tracking.run import LONGEST_TAG


def resolve_columns(
    parameters: P, penguins: Mapping[str, Any], describe: Callable[[str], Sequence[Column]], with_texts: bool
) -> P:
    """Return a step's parameters with the names of columns in place of `auto`, and log them as tags of the active run.

    `penguins` holds the columns for the bundled table by parameter. In another table `describe` says what the columns hold:
    `features` are those of numbers and, if `with_texts`, of booleans and of few distinct texts, that no other parameter names,
    and the `categorical_features`; nothing is grouped.
    Raises InputError where no column can be a feature, or a categorical feature is none of the features.
    """
    data: str = getattr(parameters, "data")  # noqa: B009  # P is any dataclass of parameters
    columns = {name: getattr(parameters, name) for name in penguins}
    auto = [name for name, value in columns.items() if is_auto(value)]
    if data == BUNDLED:
        columns |= {name: penguins[name] for name in auto}
    else:
        columns |= {name: () for name in auto if name != "features"}
    others = {name for key, names in columns.items() if key != "features" for name in _listed(names)}
    categorical: Sequence[str] = getattr(parameters, "categorical_features", ())
    if "features" in auto and data == BUNDLED:
        columns["features"] = tuple(name for name in penguins["features"] if name not in others)
    elif "features" in auto:
        columns["features"] = choose_features(describe(data), others, with_texts, categorical)
    require_among_features(categorical, columns["features"])
    mlflow.set_tags({name: (to_text(columns[name]) or NONE)[:LONGEST_TAG] for name in auto})
    return replace(parameters, **columns)  # type: ignore[type-var]  # P is a dataclass


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def require_among_features(categorical: Sequence[str], features: Sequence[str]) -> None:
    """Raise InputError that names the first of the `categorical` features that is none of the `features`."""
    for name in categorical:
        if name not in features:
            raise InputError(
                f"The 'categorical_features' parameter must name columns of the 'features' parameter. Got {quote(name)}, which "
                f"is none of them.{suggestion(name, features) or ' Add it there, or leave it out here.'}"
            )
