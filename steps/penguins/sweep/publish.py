"""The results of a whole sweep: as artifacts of its run, and on the terminal."""

import mlflow
import pandas as pd
from mlflow.entities import Run

from penguins.clustering.indices import (
    CALINSKI_HARABASZ,
    DAVIES_BOULDIN,
    N_CLUSTERED_RECORDS,
    N_CLUSTERS,
    S_DBW,
    SILHOUETTE,
)
from penguins.plots import metrics_by_eps_figure
from penguins.sweep.log_runs import TABLE
from penguins.sweep.results import SweepResults, table_text
from penguins.text import print_lines
from penguins.tracking.artifacts import log_figure

LONGEST_TABLE = 200
PANELS = {
    SILHOUETTE: "silhouette (highest is best)",
    CALINSKI_HARABASZ: "Calinski-Harabasz (highest is best)",
    DAVIES_BOULDIN: "Davies-Bouldin (lowest is best)",
    S_DBW: "S_Dbw (lowest is best)",
    N_CLUSTERS: "clusters",
    N_CLUSTERED_RECORDS: "records in clusters",
}


def log_results(results: SweepResults, group_by: str) -> None:
    """Log the table of all results as a file and as MLflow's own table, the picture of the indices, and the counts."""
    mlflow.log_metrics({"n_groups": len(results.groups), "groups_with_best_eps": len(results.best)})
    mlflow.log_text(table_text(group_by, results.rows()), TABLE)
    table = results.table(group_by)
    mlflow.log_table(table, "results.json")
    log_figure(metrics_by_eps_figure(table, group_by, PANELS, results.best), "metrics_by_eps.png")


def print_results(run: Run, results: SweepResults, group_by: str) -> None:
    """Print the table unless it is too long to read, the best eps of each group, and the run's id."""
    table = results.table(group_by).drop(columns="model_path")
    best = table[table["eps"] == table[group_by].map(results.best)]
    lines = [_format(table), ""] if len(table) <= LONGEST_TABLE else []
    lines += [f"best eps of {len(best)} of {len(results.groups)} groups:"]
    lines += [_format(best.drop(columns="reason").head(LONGEST_TABLE))] if len(best) else []
    print_lines(*lines, f"run: {run.info.run_id}")


def _format(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.4g}".format, na_rep="")
