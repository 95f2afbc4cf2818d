"""What the page shows of the records of a group: points, distances, the profile of each cluster, the noise."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from penguins.projection import principal_components
from penguins.report.numbers import cell, cells, coordinates
from penguins.report.texts import page_text

ROW, CLUSTER, LABELS, TYPICAL_PREFIX = "row", "cluster", "labels", "typical_"
OF_FEATURE = ("_mean", "_std", "_median", "_typical")
MOST_FEATURES = 12
# Of the noise, each group has a part of so many records in the page.
MOST_NOISE, MOST_NOISE_IN_GROUP, FEWEST_NOISE_IN_GROUP = 20_000, 200, 5


def profiled_features(profiles: pd.DataFrame) -> list[str]:
    """Return the features in the order of the table of profiles, which has four columns for each."""
    names = list(profiles.columns)
    place, found = names.index("share") + 1, []
    while place + len(OF_FEATURE) <= len(names):
        feature = names[place].removesuffix("_mean")
        if names[place : place + len(OF_FEATURE)] != [feature + end for end in OF_FEATURE]:
            break
        found.append(feature)
        place += len(OF_FEATURE)
    return found


def points_part(
    points: pd.DataFrame, features: Sequence[str], ids: Sequence[str], parameters: Mapping[str, str]
) -> dict[str, Any]:
    """Return the points of a group: their names, features, principal components and their label at each value."""
    X = points[list(features)].to_numpy(float)
    components, shares = np.empty((len(X), 0)), np.empty(0)
    if len(features) > 2 and len(X) > 1:
        components, shares = principal_components(X, is_scaled=parameters.get("scale") != "none")
    labels = np.array(points[LABELS].tolist(), dtype=int).T
    return {
        "names": [_record_name(row, ids) for row in points.drop(columns=LABELS).to_dict("records")],
        "features": [coordinates(column) for column in X.T[:MOST_FEATURES]],
        "components": [coordinates(column) for column in components.T],
        "explained": [round(float(share), 3) for share in shares],
        "labels": labels.tolist(),
    }


def _record_name(row: Mapping[Any, Any], ids: Sequence[str]) -> str:
    """Return what tells a record: its ids, and its place in the table where it is known."""
    parts = [page_text(str(row[name])) for name in ids if name in row]
    return ", ".join([*parts, f"row {row[ROW]}"] if ROW in row else parts) or "record"


def distances_part(distances: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the sorted distances of a group, for each number of neighbours."""
    return [
        {"min_samples": cell(str(number)), "share": cells(rows["share"]), "distance": cells(rows["distance"])}
        for number, rows in distances.groupby("min_samples", sort=False)
    ]


def profiles_part(profiles: pd.DataFrame, features: Sequence[str], n_profiled: int) -> list[dict[str, Any]]:
    """Return the profile of each cluster of a group in `features`, the first of the `n_profiled` in the table."""
    columns = list(profiles.columns)
    typical = columns[columns.index("share") + 1 + len(OF_FEATURE) * n_profiled :]
    parts = []
    for row in profiles.to_dict("records"):
        known = [(name.removeprefix(TYPICAL_PREFIX), row[name]) for name in typical if row[name]]
        parts.append(
            {
                "cluster": cell(row[CLUSTER]),
                "size": cell(row["size"]),
                "share": cell(row["share"]),
                "features": [[cell(row[name + end]) for end in OF_FEATURE[:3]] for name in features],
                "typical": page_text(", ".join(f"{name} {text}" for name, text in known)),
            }
        )
    return parts


def noise_part(
    noise: pd.DataFrame, ids: Sequence[str], points: pd.DataFrame | None, features: Sequence[str], n_groups: int
) -> dict[str, Any]:
    """Return the first noise records of a group at its chosen value; with their features where `points` has them all."""
    most = min(MOST_NOISE_IN_GROUP, max(FEWEST_NOISE_IN_GROUP, MOST_NOISE // n_groups))
    names = [name for name in (ROW, *ids) if name in noise]
    first = noise[names].head(most)
    if points is not None and ROW in names and first[ROW].isin(points[ROW]).all():
        shown = [name for name in features[:MOST_FEATURES] if name not in names]
        first = first.join(points.set_index(ROW)[shown], on=ROW)
        names += shown
    lines = [[_exact(value) for value in line] for line in first[names].astype(object).itertuples(index=False)]
    return {"columns": [page_text(name) for name in names], "rows": lines if names else [], "n_all": len(noise)}


def _exact(value: Any) -> str | None:
    """Return a value of the user's table as text."""
    if value is None or value is pd.NA or value != value:  # NaN and NaT
        return None
    if isinstance(value, float | np.floating):
        return f"{float(value)!r}".removesuffix(".0")
    return page_text(str(value))
