"""The function that workers run on one group to compute it and to log its runs as well. Unlike `workers`, it needs MLflow."""

import pandas as pd
from mlflow import set_tracking_uri

from penguins.sweep.context import SweepContext
from penguins.sweep.log_runs import log_group
from penguins.sweep.transfer import logged_group_to_frame
from penguins.sweep.workers import fit_group
from penguins.tracking.run import quiet_libraries
from penguins.tracking.server import acknowledge_at_once, set_variables
from penguins.tracking.store import restore_retries


def log_in_worker(records: pd.DataFrame, context: SweepContext) -> pd.DataFrame:
    """Cluster a group and log its runs from the worker; only the rows of the table go to the driver."""
    quiet_libraries()
    set_tracking_uri(context.tracking_uri)
    group = fit_group(records, context.settings)
    with set_variables(context.variables), restore_retries():
        acknowledge_at_once()
        return logged_group_to_frame(log_group(context, group))
