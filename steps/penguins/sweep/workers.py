"""The functions that Spark's workers run on one group. The package is shipped to them, and nothing of it is imported there."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from mlflow import set_tracking_uri

from penguins.sweep.algorithm import Params
from penguins.sweep.chosen import ChosenClustering, clustering_without_choice
from penguins.sweep.context import SweepContext
from penguins.sweep.fit import GroupResult, SweepFit, fit_grid
from penguins.sweep.log_runs import log_group
from penguins.sweep.settings import SweepSettings
from penguins.sweep.transfer import chosen_to_frame, fitted_group_to_frame, logged_group_to_frame
from penguins.text import one_line
from penguins.tracking.run import quiet_libraries
from penguins.tracking.server import acknowledge_at_once, set_credentials
from penguins.tracking.store import restore_retries

# The column of the frame that the workers get with the row's place in the user's table, if it has one.
ROW = "row"


def group_fields(settings: SweepSettings) -> list[str]:
    """Return the names under which the columns of groups are sent to the workers."""
    return [f"group_{index}" for index in range(len(settings.group_columns))]


def feature_column(index: int) -> str:
    """Return the name under which the feature at `index` is sent to the workers."""
    return f"feature_{index}"


def id_column(index: int) -> str:
    """Return the name under which the column of ids at `index` is sent to the workers."""
    return f"id_{index}"


def split_columns(records: pd.DataFrame, settings: SweepSettings) -> tuple[tuple[str, ...], pd.DataFrame, pd.DataFrame]:
    """Return the key of the group, its features, and the identity of its records: their places, or their ids.

    Both frames have the order of the user's table, or of the features where Spark reads it.
    """
    fields, features = group_fields(settings), [feature_column(index) for index in range(len(settings.features))]
    # An algorithm numbers its clusters by the order of the records, and Spark may send them in any order.
    ordered = records.sort_values(ROW if ROW in records else features, ignore_index=True)
    X = ordered[features].set_axis(list(settings.features), axis="columns")
    return tuple(str(records[name].iloc[0]) for name in fields), X, ordered.drop(columns=[*fields, *features])


def fit_group(records: pd.DataFrame, settings: SweepSettings) -> GroupResult:
    """Cluster the records of one group. Whatever fails becomes the group's failure and affects no other group."""
    key, X, identity = split_columns(records, settings)
    try:
        fit = _fit(X, settings)
        choice = fit.choose(settings.select_by, settings.min_coverage)
        position = choice.position
        chosen = (
            clustering_without_choice(identity) if position is None else fit.chosen(position, X, identity, settings.has_router)
        )
    except Exception as error:  # noqa: BLE001  # any failure is this group's result
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        failure = kind + one_line(error)
        chosen = clustering_without_choice(identity)
        return GroupResult(key, len(X), [], None, failure=failure, chosen=chosen, digest=digest_of(X))
    to_log = settings.models_to_log([outcome.params for outcome in fit.outcomes], len(X), choice.position)
    return GroupResult(
        key,
        len(X),
        fit.outcomes,
        choice.position,
        choice.warning,
        proposals=fit.proposals,
        example=X.mean().tolist(),
        median_distance=fit.median_distance() if choice.position is None else None,
        models={position: fit.model_that_predicts(position) for position in to_log},
        chosen=chosen,
        digest=digest_of(X),
    )


def digest_of(X: pd.DataFrame) -> str:
    """Return a digest of records by which MLflow tells datasets apart, of eight signs as its own are."""
    names = "\0".join(map(str, X.columns)).encode()
    return hashlib.sha256(names + np.ascontiguousarray(X.to_numpy(dtype=float)).tobytes()).hexdigest()[:8]


def _fit(X: pd.DataFrame, settings: SweepSettings) -> SweepFit:
    return fit_grid(settings.of_algorithm, X, settings.grid, settings.seed, settings.metric, settings.scale)


def fit_chosen_in_worker(
    records: pd.DataFrame, settings: SweepSettings, best: Mapping[tuple[str, ...], Params]
) -> pd.DataFrame:
    """Cluster a group once more with the parameters in `best`, and return its chosen clustering, of which no run is logged."""
    lower_priority()
    key, X, identity = split_columns(records, settings)
    chosen: ChosenClustering = clustering_without_choice(identity)
    if key in best:
        grid = {name: [value] for name, value in best[key].items()}
        chosen = _fit(X, replace(settings, grid=grid)).chosen(0, X, identity, settings.has_router)
    return chosen_to_frame(key, chosen)


def fit_in_worker(records: pd.DataFrame, settings: SweepSettings) -> pd.DataFrame:
    """Cluster a group and return it for the driver to log."""
    lower_priority()
    return fitted_group_to_frame(fit_group(records, settings))


def log_in_worker(records: pd.DataFrame, context: SweepContext) -> pd.DataFrame:
    """Cluster a group and log its runs from the worker; only the rows of the table go to the driver."""
    quiet_libraries()
    acknowledge_at_once()
    set_tracking_uri(context.tracking_uri)
    group = fit_group(records, context.settings)
    with set_credentials(context.credentials), restore_retries():
        return logged_group_to_frame(log_group(context, group))


def lower_priority() -> None:
    """Let the driver go first where it shares the machine: a sweep waits for its logging, not for the workers."""
    if hasattr(os, "nice") and os.nice(0) == 0:
        os.nice(10)
