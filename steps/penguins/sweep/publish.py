"""The results of a whole sweep as artifacts of its run."""

from collections.abc import Sequence

import mlflow
import numpy as np
import pandas as pd

from penguins.clustering.indices import (
    CALINSKI_HARABASZ,
    DAVIES_BOULDIN,
    DBCV,
    N_CLUSTERS,
    S_DBW,
    SILHOUETTE,
)
from penguins.clustering.profiles import profile_columns
from penguins.data.table import GroupedTable
from penguins.plots.clusters import GroupClusters, clusters_figure
from penguins.plots.values import metrics_by_value_figure
from penguins.sweep.algorithm import HAVERSINE
from penguins.sweep.clusters_table import profiles_table
from penguins.sweep.context import SweepContext
from penguins.sweep.evidence_tables import distances_table, points_table
from penguins.sweep.fit import group_name
from penguins.sweep.log_runs import TABLE
from penguins.sweep.nearest import NearestRecords
from penguins.sweep.results import LoggedGroup, ResultRow, SweepResults, Totals, key_order, table_text
from penguins.sweep.router import Router
from penguins.sweep.router_model import log_router
from penguins.sweep.run_contents import NO_BEST_VALUE, in_words
from penguins.sweep.settings import SweepSettings
from penguins.text import quote
from penguins.tracking.artifact_names import DISTANCES, POINTS, PROFILES
from penguins.tracking.artifacts import log_csv, log_figure, log_parquet

COVERAGE = "coverage"
PANELS = {
    SILHOUETTE: "silhouette\n(highest is best)",
    DBCV: "DBCV\n(highest is best)",
    CALINSKI_HARABASZ: "Calinski-Harabasz\n(highest is best)",
    DAVIES_BOULDIN: "Davies-Bouldin\n(lowest is best)",
    S_DBW: "S_Dbw\n(lowest is best)",
    N_CLUSTERS: "clusters",
    COVERAGE: "share of the records\nin clusters",
}


def log_results(results: SweepResults, settings: SweepSettings, totals: Totals | None = None) -> None:
    """Log the table of results as a file and as MLflow's own table, the picture of the indices, and the counts.

    These are `totals` where `results` are a sample.
    """
    swept, group_by = settings.swept, settings.group_columns
    totals = totals or results.totals(swept)
    mlflow.log_metrics({"n_groups": totals.n_groups, f"groups_with_best_{swept}": totals.n_best})
    mlflow.log_text(table_text(group_by, settings.of_algorithm, results.rows()), TABLE)
    table = results.table(group_by, settings.of_algorithm)
    mlflow.log_table(table, "results.json")
    name = group_name(group_by)
    named = table.assign(**{name: [row.group for row in results.rows()]})
    curves = curves_in_picture(named, name, swept, settings.of_algorithm.fixed)
    without = (swept, COVERAGE) if swept == N_CLUSTERS else (swept,)  # Where their number is given, clusters hold all records.
    panels = {metric: title for metric, title in PANELS.items() if metric not in without}
    figure = metrics_by_value_figure(curves, name, swept, panels, _axis_label(settings))
    log_figure(figure, f"metrics_by_{swept}.png")


def log_profiles(results: SweepResults, table: GroupedTable, settings: SweepSettings) -> None:
    """Log the profile of each cluster."""
    log_csv(profiles_table(results, table, settings), PROFILES)


def log_evidence(results: SweepResults, table: GroupedTable, settings: SweepSettings) -> None:
    """Log records with their cluster at every value, the picture of the best ones, and how far the records are apart."""
    points = points_table(results, table, settings)
    log_parquet(points, POINTS)
    log_clusters_figure(points, results, settings)
    if settings.has_distances:
        log_csv(distances_table(results, settings), DISTANCES)


def log_clusters_figure(points: pd.DataFrame, results: SweepResults, settings: SweepSettings) -> None:
    """Log the picture of the clusters of each group's best value, unless there is none.

    `points` has a row for each sampled record, with the columns of the groups, the features and `labels`: the record's cluster
    at each value, in the order of the group's rows.
    """
    places: dict[tuple[str, ...], list[int]] = {}
    for place, key in enumerate(zip(*[points[name] for name in settings.group_columns], strict=True)):
        places.setdefault(key, []).append(place)
    features = settings.features
    if settings.metric == HAVERSINE:  # Maps have the longitude across.
        features = (features[1], features[0])
    X, labels = points[list(features)].to_numpy(dtype=float), points["labels"].array
    groups = []
    for group in sorted(results.groups.values(), key=lambda one: key_order(one.key)):
        if group.best and group.key in places:
            at_best, rows = group.rows.index(group.best), places[group.key]
            clusters = np.array([labels[row][at_best] for row in rows], dtype=int)
            groups.append(GroupClusters(group.name, _clustering_in_words(group.best), X[rows], clusters, group.n_records))
    if groups:
        is_scaled = settings.scale != "none"
        log_figure(clusters_figure(groups, group_name(settings.group_columns), features, is_scaled), "clusters.png")


def _clustering_in_words(best: ResultRow) -> str:
    """Return the best value of a group, and the number of its clusters and the share of noise on a line of their own."""
    n_clusters = best.n_clusters
    noise = "" if best.coverage is None else f", {1 - best.coverage:.0%} noise"
    return f"{in_words(best.params)}\n{n_clusters} cluster{'s' if n_clusters != 1 else ''}{noise}"


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
