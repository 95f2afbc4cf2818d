"""The tables of evidence of a sweep: records with their cluster at every value, and how far the records are apart."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from penguins.data.ids import to_whole_numbers
from penguins.data.table import GroupedTable
from penguins.sweep.evidence import DISTANCE_COLUMNS, LABELS, Evidence
from penguins.sweep.results import LoggedGroup, SweepResults, key_order
from penguins.sweep.settings import GROUP_COLUMN, SweepSettings
from penguins.sweep.workers import ROW, id_column


def point_columns(settings: SweepSettings) -> list[str]:
    """Return the columns of the table of points that no feature may be called."""
    return [ROW, LABELS] if settings.group_by else [GROUP_COLUMN, ROW, LABELS]


def points_table(results: SweepResults, table: GroupedTable, settings: SweepSettings) -> pd.DataFrame:
    """Return a row for each sampled record, sorted by group as the results are, then in the order of the user's table.

    The columns are those of the groups, `row` (the place in the user's table; only where this machine has read it), the ids,
    the features in the table's units, and `labels`, an array of int32: the label at each of the group's values, in the order of
    its rows in the table of results.
    """
    groups = _groups_with_evidence(results)
    if not groups:
        names = [*settings.group_columns, *_identity_columns(table, settings), *settings.features, LABELS]
        return pd.DataFrame(columns=pd.Index(names))
    sizes = [len(evidence.places) for _, evidence in groups]
    keys = pd.DataFrame([group.key for group, _ in groups], columns=pd.Index(settings.group_columns), dtype=object)
    X = pd.DataFrame(np.concatenate([evidence.X for _, evidence in groups]), columns=pd.Index(settings.features))
    parts = [keys.loc[keys.index.repeat(sizes)].reset_index(drop=True), _identity(groups, table, settings), X]
    return pd.concat(parts, axis="columns").assign(**{LABELS: [row for _, evidence in groups for row in evidence.labels]})


def _groups_with_evidence(results: SweepResults) -> list[tuple[LoggedGroup, Evidence]]:
    """Return the groups that did not fail and have evidence, sorted."""
    groups = sorted(results.groups.values(), key=lambda group: key_order(group.key))
    return [(one, one.chosen.evidence) for one in groups if not one.failure and one.chosen and one.chosen.evidence]


def _identity_columns(table: GroupedTable, settings: SweepSettings) -> list[str]:
    """Return the columns that tell the records, those of groups and the features aside."""
    ids = table.ids if table.whole is None else [ROW, *table.whole.columns]
    return [name for name in ids if name not in (*settings.group_columns, *settings.features)]


def _identity(groups: Sequence[tuple[LoggedGroup, Evidence]], table: GroupedTable, settings: SweepSettings) -> pd.DataFrame:
    """Return what tells the sampled records of the groups."""
    records = [(group.chosen.records, evidence.places) for group, evidence in groups if group.chosen]
    columns = _identity_columns(table, settings)
    if table.whole is not None:
        rows = np.concatenate([of_group[ROW].to_numpy()[places] for of_group, places in records])
        return table.whole.iloc[rows].assign(**{ROW: rows})[columns].reset_index(drop=True)
    found = {}
    for name in columns:
        column = id_column(table.ids.index(name))
        found[name] = pd.concat([one[column].iloc[places].astype(object) for one, places in records], ignore_index=True)
    whole = table.whole_ids
    return pd.DataFrame({name: to_whole_numbers(values) if name in whole else values for name, values in found.items()})


def distances_table(results: SweepResults, settings: SweepSettings) -> list[list[object]]:
    """Return the lines of a table with the curve of each group and min_samples, sorted; the first has the names of columns.

    The curves are those of `distance_curve`, in the unit and the space of eps, of the groups that the table of points has.
    """
    lines: list[list[object]] = [[*settings.group_columns, *DISTANCE_COLUMNS]]
    for group, evidence in _groups_with_evidence(results):
        lines += [[*group.key, int(number), share, distance] for number, share, distance in evidence.curves.tolist()]
    return lines
