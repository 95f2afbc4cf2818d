"""What the page shows of a sweep: its groups with their curves, points, profiles and noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from mlflow.entities import Run

from penguins.report.numbers import cell, cells, exact_cells
from penguins.report.records import (
    CLUSTER,
    MOST_FEATURES,
    ROW,
    distances_part,
    noise_part,
    points_part,
    profiled_features,
    profiles_part,
)
from penguins.report.runs import StepRun
from penguins.report.texts import page_text
from penguins.tracking.addresses import model_page, run_page
from penguins.tracking.artifact_names import CLUSTERS, DISTANCES, POINTS, PROFILES, RESULTS
from penguins.tracking.store import child_runs

SEPARATOR = ", "
COVERAGE = "coverage"
METRICS = {
    "silhouette": "silhouette (highest is best)",
    "dbcv": "DBCV (highest is best)",
    "calinski-harabasz": "Calinski-Harabasz (highest is best)",
    "davies-bouldin": "Davies-Bouldin (lowest is best)",
    "s-dbw": "S_Dbw (lowest is best)",
    "n_clusters": "clusters",
    COVERAGE: "share of the records in clusters",
}
MOST_GROUPS = 2_000
# In the profiles of all clusters, each with three numbers.
MOST_PROFILE_CELLS = 100_000

Key = tuple[str, ...]
Tables = Mapping[Key, pd.DataFrame]


@dataclass(frozen=True)
class Columns:
    """The columns of results.csv by what they hold; their order is part of the public interface."""

    group: list[str]
    swept: str
    fixed: list[str]

    def by_group(self, table: pd.DataFrame | None) -> dict[Key, pd.DataFrame]:
        """Return the rows of a table by the key of their group."""
        if table is None or table.empty:
            return {}
        keys = list(zip(*[table[name].astype(str) for name in self.group], strict=True))
        return dict(iter(table.groupby(pd.Series(keys, table.index), sort=False)))


def result_columns(results: pd.DataFrame) -> Columns:
    """Return the columns of a table of results."""
    names = list(results.columns)
    swept = names.index("silhouette") - 1
    return Columns(names[:swept], names[swept], names[names.index("dbcv") + 1 : names.index("n_records")])


def sweep_part(step: StepRun) -> dict[str, Any] | None:
    """Return what the page shows of a sweep, or None if the run holds no table of one."""
    table = step.csv(RESULTS)
    if table is None or table.empty:
        return None
    columns = result_columns(table)
    rows = columns.by_group(table)
    points = columns.by_group(step.parquet(POINTS))
    shown = _shown_groups(list(rows), points)
    profiles = step.csv(PROFILES)
    features = [] if profiles is None else profiled_features(profiles)
    n_profiles = 0 if profiles is None else len(profiles)
    profiled = features[: max(1, MOST_PROFILE_CELLS // max(1, n_profiles))]
    groups = _groups(step, columns, {key: rows[key] for key in shown}, points, columns.by_group(profiles), features, profiled)
    fixed = [{params[place] for group in groups for params in group["values"]} for place in range(1, len(columns.fixed) + 1)]
    return {
        "swept": columns.swept,
        "label": swept_label(columns.swept, step.parameters),
        "is_distance": columns.swept == "eps",
        "fixed": columns.fixed,
        "varies": [len(values) > 1 for values in fixed],
        "group_columns": [page_text(name) for name in columns.group],
        "features": [page_text(name) for name in features[:MOST_FEATURES]],
        "profile_features": [page_text(name) for name in profiled],
        "metrics": [{"key": key, "name": name} for key, name in METRICS.items() if key != columns.swept],
        "remark": _remark(len(shown), len(rows), len(profiled), len(features)),
        "no_points": f"There are no records to draw: the run has no {POINTS}, or none of this group is in it.",
        "groups": groups,
    }


def _remark(n_groups: int, n_all_groups: int, n_profiled: int, n_features: int) -> str:
    """Return what the page leaves out of a sweep, in sentences."""
    groups = f"The page has {n_groups:,} of {n_all_groups:,} groups; {RESULTS} has all." if n_groups < n_all_groups else ""
    left_out = f"Clusters are described by {n_profiled} of {n_features} features; {PROFILES} has all."
    return " ".join(filter(None, [groups, left_out if n_profiled < n_features else ""]))


def _groups(
    step: StepRun,
    columns: Columns,
    rows: Tables,
    points: Tables,
    profiles: Tables,
    features: Sequence[str],
    profiled: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the part of each group; the profiles have the features `profiled` alone."""
    runs = _group_runs(step)
    distances = columns.by_group(step.csv(DISTANCES))
    noise = columns.by_group(step.parquet(CLUSTERS, [(CLUSTER, "==", -1)]))
    own = {ROW, *columns.group, columns.swept, CLUSTER, "is_core"}
    ids = [name for name in step.parquet_columns(CLUSTERS) if name not in own]
    groups = []
    for key, of_group in rows.items():
        group = _numbers(of_group, key, columns, runs.get(SEPARATOR.join(key)))
        some = points.get(key)
        if some is not None:
            group["points"] = points_part(some, features, ids, step.parameters) | {"n_all": group["n"]}
        group["distances"] = distances_part(distances[key]) if key in distances else []
        group["profiles"] = profiles_part(profiles[key], profiled, len(features)) if key in profiles else []
        if group["best"] is not None:
            group["noise"] = noise_part(noise[key], ids, some, features, len(rows)) if key in noise else NO_NOISE
        groups.append(group)
    return groups


NO_NOISE: dict[str, Any] = {"columns": [], "rows": [], "n_all": 0}


def swept_label(swept: str, parameters: Mapping[str, str]) -> str:
    """Return the swept parameter with its unit, if it is a distance."""
    if swept != "eps":
        return swept
    if parameters.get("metric") == "haversine":
        return "eps (in kilometres)"
    return "eps (in the unit of the features)" if parameters.get("scale") == "none" else "eps (in the scaled space)"


def _shown_groups(keys: list[Key], points: Tables) -> list[Key]:
    """Return the groups of the page: all, or, where they are many, those whose records are at hand."""
    if len(keys) <= MOST_GROUPS:
        return keys
    return [key for key in keys if key in points][:MOST_GROUPS] or keys[:MOST_GROUPS]


def _group_runs(step: StepRun) -> dict[str, Run]:
    """Return the runs of the groups by name."""
    return {run.data.params.get("group", ""): run for run in child_runs(step.run_id, step.run.info.experiment_id)}


def _numbers(rows: pd.DataFrame, key: Key, columns: Columns, run: Run | None) -> dict[str, Any]:
    """Return the numbers of one group: of each value its parameters, metrics, coverage and remarks, and which is the best."""
    tried = rows[rows[columns.swept] != ""]
    is_best = (tried["best"] == "true").tolist()
    best = is_best.index(True) if True in is_best else None
    failure = ""
    if tried.empty or (run is not None and run.info.status == "FAILED"):
        failure = (run.data.tags.get("error") if run else None) or next(filter(None, rows["reason"]), "for an unknown reason")
    model = tried["model_path"].iloc[best] if best is not None else ""
    return {
        "name": page_text(SEPARATOR.join(key)),
        "run_id": run.info.run_id if run else "",
        "url": run_page(run) if run else "",
        "model": model,
        "model_url": model_page(run, model) if run and model else "",
        "n": cell(rows["n_records"].iloc[0]) or 0,
        "best": best,
        "warning": page_text(next(filter(None, rows["warning"]), "")),
        "failure": page_text(failure),
        "choice": page_text(run.data.tags.get("choice", "") if run else ""),
        "values": [
            list(params) for params in zip(*[exact_cells(tried[name]) for name in (columns.swept, *columns.fixed)], strict=True)
        ],
        "metrics": {name: cells(tried[name]) for name in METRICS if name != COVERAGE},
        "coverage": cells(tried[COVERAGE]),
        "reasons": [
            page_text(reason or estimated) for reason, estimated in zip(tried["reason"], tried["estimated"], strict=True)
        ],
        "points": None,
        "noise": None,
    }
