"""The tables that a sweep gives back: the cluster of each row of the user's table, and the profile of each cluster."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from penguins.clustering.profiles import profile_columns
from penguins.data.ids import to_whole_numbers
from penguins.data.table import GroupedTable
from penguins.sweep.chosen import CLUSTER, IS_CORE, clustering_without_choice
from penguins.sweep.evidence import DISTANCE_COLUMNS, LABELS
from penguins.sweep.results import SweepResults, key_order
from penguins.sweep.settings import ONE_GROUP, SweepSettings
from penguins.sweep.workers import ROW, id_column

TYPICAL_PREFIX = "typical_"


def reserved_columns(settings: SweepSettings) -> list[str]:
    """Return the columns of the tables given back that are neither those of the groups nor ids nor features."""
    own = [ROW, settings.swept, CLUSTER, IS_CORE, *profile_columns(settings.features), TYPICAL_PREFIX + ROW]
    own += [LABELS, *(DISTANCE_COLUMNS if settings.has_distances else ())]
    return own if settings.group_by else [*own, *settings.group_columns]


def clusters_table(results: SweepResults, table: GroupedTable, settings: SweepSettings) -> pd.DataFrame:
    """Return a row for each row of the user's table, in its order where this machine has read it.

    The columns are `row` (the place in that table, from 0; only where this machine has read it), the ids, those of the groups,
    the value that was chosen for the group, `cluster` (-1 for noise) and `is_core`. The last two are missing in rows that were
    left out; the last three in groups without a best value.
    """
    found = (
        _rows_of_spark(results, table, settings.group_columns) if table.whole is None else _rows_read_here(results, table.whole)
    )
    if not settings.group_by:
        found = found.assign(**{settings.group_columns[0]: ONE_GROUP})
    best = {group.key: group.best.params[settings.swept] for group in results.groups.values() if group.best}
    values = [best.get(key) for key in zip(*[found[name] for name in settings.group_columns], strict=True)]
    are_whole = all(isinstance(value, int) for value in best.values())
    value = pd.Series(values, found.index, dtype="Int64" if are_whole else "float64")
    ids = [name for name in found.columns if name not in (*settings.group_columns, CLUSTER, IS_CORE)]
    return found.assign(**{settings.swept: value})[[*ids, *settings.group_columns, settings.swept, CLUSTER, IS_CORE]]


def _rows_read_here(results: SweepResults, whole: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `whole` with the place of each row and what the clusterings say of it."""
    found = whole.assign(
        **{CLUSTER: pd.array([pd.NA] * len(whole), "Int64"), IS_CORE: pd.array([pd.NA] * len(whole), "boolean")}
    )
    found.insert(0, ROW, np.arange(len(whole)))
    records = [group.chosen.records for group in results.groups.values() if group.chosen]
    if records:
        of_rows = pd.concat(records).set_index(ROW)
        found.loc[of_rows.index, [CLUSTER, IS_CORE]] = of_rows[[CLUSTER, IS_CORE]]
    return found


def _rows_of_spark(results: SweepResults, table: GroupedTable, group_columns: Sequence[str]) -> pd.DataFrame:
    """Return the ids and groups of all rows of a table that Spark reads, with what the clusterings say of them."""
    names = {id_column(index): name for index, name in enumerate(table.ids)}
    parts = []
    for group in results.groups.values():
        if group.chosen:
            key = dict(zip(group_columns, group.key, strict=True))
            parts.append(group.chosen.records.rename(columns=names).assign(**key))
    left_out = table.rows_left_out()
    if left_out is not None:
        parts.append(clustering_without_choice(left_out).records)
    found = pd.concat([part.astype(object) for part in parts], ignore_index=True).astype({CLUSTER: "Int64", IS_CORE: "boolean"})
    return found.assign(**{name: to_whole_numbers(found[name]) for name in table.whole_ids})


def profiles_table(results: SweepResults, table: GroupedTable, settings: SweepSettings) -> list[list[object]]:
    """Return the lines of a table with a row for each group and cluster of its chosen value, noise included, sorted by both.

    The first line has the names of the columns: those of the groups, those of `profile_columns`, and what tells the most
    typical record of the cluster, its place in the user's table, if this machine has read it, and its ids.
    """
    whole, group_by = table.whole, settings.group_by
    ids = {} if whole is None else {name: whole[name].array for name in whole.columns if name not in group_by}
    columns = table.ids if whole is None else [ROW, *ids]
    lines: list[list[object]] = [
        [*settings.group_columns, *profile_columns(settings.features), *[TYPICAL_PREFIX + name for name in columns]]
    ]
    for group in sorted(results.groups.values(), key=lambda one: key_order(one.key)):
        if not group.chosen or not group.chosen.profiles:
            continue
        records = {name: values.array for name, values in group.chosen.records.items()}
        for profile, place in zip(group.chosen.profiles, group.chosen.typical, strict=True):
            typical: list[Any] = [None] * len(columns)
            if place is not None and whole is None:
                typical = [records[id_column(index)][place] for index in range(len(columns))]
            elif place is not None:
                row = int(records[ROW][place])
                typical = [row, *[values[row] for values in ids.values()]]
            lines.append([*group.key, *[None if pd.isna(cell) else cell for cell in [*profile, *typical]]])
    return lines
