"""The functions that Spark's workers run on one group. The package is shipped to them, and nothing of it is imported there."""

import os

import pandas as pd
from mlflow import set_tracking_uri

from penguins.sweep.context import SweepContext
from penguins.sweep.fit import GroupResult, fit_grid
from penguins.sweep.log_runs import log_group
from penguins.sweep.settings import SweepSettings
from penguins.sweep.transfer import fitted_group_to_frame, logged_group_to_frame
from penguins.text import one_line
from penguins.tracking.run import quiet_libraries
from penguins.tracking.server import acknowledge_at_once, set_credentials
from penguins.tracking.store import restore_retries

# The column of the frame that the workers get with the row's place in the table, if it has one.
ORDER = "order"


def group_fields(settings: SweepSettings) -> list[str]:
    """Return the names under which the columns of groups are sent to the workers."""
    return [f"group_{index}" for index in range(len(settings.group_columns))]


def feature_column(index: int) -> str:
    """Return the name under which the feature at `index` is sent to the workers."""
    return f"feature_{index}"


def fit_group(records: pd.DataFrame, settings: SweepSettings) -> GroupResult:
    """Cluster the records of one group. Whatever fails becomes the group's failure and affects no other group."""
    key = tuple(str(records[name].iloc[0]) for name in group_fields(settings))
    # An algorithm numbers its clusters by the order of the records, and Spark may send them in any order.
    ordered = records.sort_values(ORDER) if ORDER in records else records.sort_values(list(records.columns))
    X = pd.DataFrame({feature: ordered[feature_column(index)] for index, feature in enumerate(settings.features)})
    try:
        fit = fit_grid(settings.of_algorithm, X, settings.grid, settings.seed, settings.metric, settings.scale)
        choice = fit.choose(settings.select_by, settings.min_coverage)
    except Exception as error:  # noqa: BLE001  # any failure is this group's result
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return GroupResult(key, len(X), [], None, failure=kind + one_line(error))
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
    )


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
