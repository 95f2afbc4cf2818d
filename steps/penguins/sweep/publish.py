"""The results of a whole sweep: as artifacts of its run, and on the terminal."""

from collections import Counter
from collections.abc import Sequence

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Run

from penguins.clustering.doubts import SEPARATOR
from penguins.clustering.indices import (
    CALINSKI_HARABASZ,
    DAVIES_BOULDIN,
    DBCV,
    N_CLUSTERED_RECORDS,
    N_CLUSTERS,
    S_DBW,
    SILHOUETTE,
)
from penguins.clustering.profiles import profile_columns
from penguins.data.spark_table import SparkTable
from penguins.plots import metrics_by_value_figure
from penguins.sweep.algorithm import HAVERSINE
from penguins.sweep.clusters_table import clusters_table, profiles_table
from penguins.sweep.context import SweepContext
from penguins.sweep.fit import group_name
from penguins.sweep.log_runs import TABLE
from penguins.sweep.nearest import NearestRecords
from penguins.sweep.results import LoggedGroup, SweepResults, csv_text, table_text
from penguins.sweep.router import Router
from penguins.sweep.router_model import log_router
from penguins.sweep.run_contents import NO_BEST_VALUE
from penguins.sweep.settings import SweepSettings
from penguins.text import print_lines, quote
from penguins.tracking.artifacts import log_figure, log_parquet

CLUSTERS, PROFILES = "clusters.parquet", "cluster_profiles.csv"
LONGEST_TABLE, MOST_WARNINGS = 200, 10
PANELS = {
    SILHOUETTE: "silhouette (highest is best)",
    DBCV: "DBCV (highest is best)",
    CALINSKI_HARABASZ: "Calinski-Harabasz (highest is best)",
    DAVIES_BOULDIN: "Davies-Bouldin (lowest is best)",
    S_DBW: "S_Dbw (lowest is best)",
    N_CLUSTERS: "clusters",
    N_CLUSTERED_RECORDS: "records in clusters",
}


def log_results(results: SweepResults, settings: SweepSettings) -> None:
    """Log the table of all results as a file and as MLflow's own table, the picture of the indices, and the counts."""
    swept, group_by = settings.swept, settings.group_columns
    mlflow.log_metrics({"n_groups": len(results.groups), f"groups_with_best_{swept}": len(results.best)})
    mlflow.log_text(table_text(group_by, settings.of_algorithm, results.rows()), TABLE)
    table = results.table(group_by, settings.of_algorithm)
    mlflow.log_table(table, "results.json")
    name = group_name(group_by)
    named = table.assign(**{name: [row.group for row in results.rows()]})
    curves = curves_in_picture(named, name, swept, settings.of_algorithm.fixed)
    panels = {metric: title for metric, title in PANELS.items() if metric != swept}
    figure = metrics_by_value_figure(curves, name, swept, panels, _axis_label(settings))
    log_figure(figure, f"metrics_by_{swept}.png")


def log_clusters(results: SweepResults, table: SparkTable, settings: SweepSettings) -> None:
    """Log the cluster of each row of the user's table, and the profile of each cluster."""
    log_parquet(clusters_table(results, table, settings), CLUSTERS)
    mlflow.log_text(csv_text(profiles_table(results, table, settings)), PROFILES)


def log_model_of_all_groups(results: SweepResults, context: SweepContext) -> str:
    """Log the router of the sweep, which assigns new records of every group, and return its URI.

    Returns an empty text where it has nothing to assign to, or where no models are to be logged.
    """
    settings, groups = context.settings, results.groups.values()
    with_clusters = next((group for group in groups if group.chosen and group.chosen.nearest), None)
    if not settings.has_router or not with_clusters or not with_clusters.chosen:
        return ""
    profile = dict(zip(profile_columns(settings.features), with_clusters.chosen.profiles[-1], strict=True))
    example: dict[str, object] = dict(zip(settings.group_by, with_clusters.key, strict=False))
    example |= {name: profile[f"{name}_typical"] for name in settings.features}
    router = Router(
        group_by=settings.group_by,
        columns=settings.features,
        is_sphere=settings.metric == HAVERSINE,
        groups={group.key if settings.group_by else (): _nearest_or_reason(group) for group in groups},
    )
    return str(log_router(router, settings.algorithm, example, context.requirements).model_uri)


def _nearest_or_reason(group: LoggedGroup) -> NearestRecords | str:
    """Return by which records of a group new ones are assigned, or why there are none."""
    if group.chosen and group.chosen.nearest:
        return group.chosen.nearest
    why = f"failed: {group.failure}" if group.failure else f"has no best value: {group.warning or NO_BEST_VALUE}"
    return f"the group {quote(group.name)} {why}"


def _axis_label(settings: SweepSettings) -> str:
    """Return the swept parameter with its unit, if it is a distance."""
    if not settings.of_algorithm.is_distance:
        return settings.swept
    unit = {"haversine": "in kilometres", "none": "in the unit of the features"}
    return f"{settings.swept} ({unit.get(settings.metric) or unit.get(settings.scale) or 'in the scaled space'})"


def curves_in_picture(table: pd.DataFrame, group_by: str, swept: str, fixed: Sequence[str]) -> pd.DataFrame:
    """Return the rows of one curve for each group: those with the fixed parameters of its best value, or of its first."""
    shown = table[table[swept].notna()].sort_values("best", ascending=False, kind="stable")
    for name in fixed:
        shown = shown[shown[name] == shown.groupby(group_by)[name].transform("first")]
    return shown.sort_index()


def print_results(run: Run, results: SweepResults, settings: SweepSettings) -> None:
    """Print the table unless it is too long to read, the best value of each group, the warnings, and the run's id."""
    table = results.table(settings.group_columns, settings.of_algorithm).drop(columns=["model_path", "warning", "estimated"])
    best = table[table["best"]].drop(columns="best")
    lines = [_format(table.drop(columns="best")), ""] if len(table) <= LONGEST_TABLE else []
    lines += [f"best {settings.swept} of {len(best)} of {len(results.groups)} groups:"]
    lines += [_format(best.drop(columns="reason").head(LONGEST_TABLE))] if len(best) else []
    print_lines(*lines, *_warning_lines(results), *_estimate_lines(results), f"run: {run.info.run_id}")


def _warning_lines(results: SweepResults) -> list[str]:
    """Return a line for each group with a warning, or, where they are many, a line for each kind with the number of groups."""
    warnings = results.warnings
    if len(warnings) <= MOST_WARNINGS:
        lines = [f"warning: {quote(name)}: {warning}" for name, warning in warnings.items()]
    else:
        kinds = Counter(kind for warning in warnings.values() for kind in warning.split(SEPARATOR))
        lines = [f"warning: {number} of {len(results.groups)} groups: {kind}" for kind, number in kinds.most_common()]
    without = [group for name, group in results.groups.items() if name in warnings and not group.best]
    if without:
        sizes = [group.n_records for group in without]
        known = [group.median_distance for group in without if group.median_distance is not None]
        distances = f"; the distance to the min_samples-th nearest record is {np.median(known):.3g}" if known else ""
        lines.append(
            f"In the median, the {len(without)} groups without a best value have {np.median(sizes):g} records "
            f"({min(sizes)} to {max(sizes)}){distances}."
        )
    return lines


def _estimate_lines(results: SweepResults) -> list[str]:
    """Return a line with the number of values that have an index from a sample, and an example; none where all are exact."""
    rows = [row for row in results.rows() if row.estimated]
    if not rows:
        return []
    n_groups = len({row.group for row in rows})
    example = max((row.estimated for row in rows), key=len)
    return [
        f"estimated on a sample: indices of {len(rows)} values in {n_groups} of {len(results.groups)} groups, for example "
        f"{example}; the column estimated of {TABLE} has all"
    ]


def _format(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.4g}".format, na_rep="")
