"""The results of a sweep: a row for each group and eps, and their table as CSV and as a data frame."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from penguins.clustering.indices import INDICES, METRICS, N_CLUSTERED_RECORDS, N_CLUSTERS
from penguins.sweep.fit import GroupResult, Outcome
from penguins.text import is_number

COUNTS = (N_CLUSTERS, N_CLUSTERED_RECORDS)
# A group may have any name, and the csv module reads fields of 131,072 characters at most by default.
csv.field_size_limit(2**31 - 1)

RESULT_COLUMNS = ("eps", *METRICS, "model_path", "reason")


@dataclass(frozen=True)
class ResultRow:
    """The row of one group and eps: the defined metrics by name, the model's URI, and why something is missing."""

    group: str
    eps: float
    metrics: Mapping[str, float]
    model_path: str
    reason: str

    def cells(self) -> list[object]:
        """Return the cells of the table: the group, then those of `RESULT_COLUMNS`, None where a metric is undefined."""
        return [self.group, self.eps, *[self._cell(name) for name in METRICS], self.model_path, self.reason]

    def _cell(self, name: str) -> float | int | None:
        value = self.metrics.get(name)
        if value is None or math.isnan(value):
            return None
        return int(value) if name in COUNTS else value


@dataclass(frozen=True)
class LoggedGroup:
    """One group as it was logged: its run, its rows in ascending order of eps, its best eps, and why it failed, if so."""

    name: str
    run_id: str
    rows: Sequence[ResultRow]
    best_eps: float | None
    failure: str = ""


@dataclass
class SweepResults:
    """The groups that a sweep has logged so far, by name."""

    groups: dict[str, LoggedGroup] = field(default_factory=dict)

    def add(self, group: LoggedGroup) -> None:
        """Add a group."""
        self.groups[group.name] = group

    @property
    def best(self) -> dict[str, float]:
        """The best eps of each group that has one."""
        return {name: group.best_eps for name, group in self.groups.items() if group.best_eps is not None}

    @property
    def failures(self) -> dict[str, str]:
        """The reason of each group that failed."""
        return {name: group.failure for name, group in self.groups.items() if group.failure}

    def rows(self) -> list[ResultRow]:
        """Return the rows of all groups, sorted by group and eps."""
        return [row for name in sorted(self.groups, key=group_sort_key) for row in self.groups[name].rows]

    def table(self, group_by: str) -> pd.DataFrame:
        """Return the rows as a data frame whose first column is called `group_by`."""
        types = dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(INDICES, "float64")
        return pd.DataFrame([row.cells() for row in self.rows()], columns=[group_by, *RESULT_COLUMNS]).astype(types)


def group_sort_key(name: str) -> tuple[int, float, str]:
    """Return a key that sorts groups which are numbers by their value, and after them the others by their name."""
    return (0, float(name), name) if is_number(name) else (1, 0.0, name)


def result_rows(group: GroupResult, models: Sequence[tuple[str, str]]) -> list[ResultRow]:
    """Return the rows of a group; `models` holds for each outcome its model's URI and why it could not be stored."""
    return [_result_row(group.name, outcome, *model) for outcome, model in zip(group.outcomes, models, strict=True)]


def _result_row(group: str, outcome: Outcome, model_path: str, failure: str) -> ResultRow:
    return ResultRow(group, outcome.eps, dict(outcome.metrics), model_path, failure or outcome.reason)


def failure_rows(group: str, eps_values: Iterable[float], why: str) -> list[ResultRow]:
    """Return the rows of a group that failed: without metrics, with the reason."""
    return [ResultRow(group, eps, {}, "", why) for eps in sorted(eps_values)]


def table_text(group_by: str, rows: Sequence[ResultRow]) -> str:
    """Write the rows as CSV with a header.

    The csv module quotes a name with a carriage return only if lines end in one, so in that case they do.
    """
    text = io.StringIO()
    has_return = any("\r" in name for name in [group_by, *[row.group for row in rows]])
    writer = csv.writer(text, lineterminator="\r\n" if has_return else "\n")
    writer.writerow((group_by, *RESULT_COLUMNS))
    writer.writerows(row.cells() for row in rows)
    return text.getvalue()


def parse_table(text: str) -> list[ResultRow]:
    """Read the rows that `table_text` wrote. Raises ValueError where the text is not complete."""
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    rows = []
    for cells in lines:
        if len(cells) != len(RESULT_COLUMNS) + 1:
            raise ValueError(f"a row of {len(header)} columns has {len(cells)}")
        group, eps, *values, path, reason = cells
        metrics = {name: float(value) for name, value in zip(METRICS, values, strict=True) if value}
        rows.append(ResultRow(group, float(eps), metrics, path, reason))
    return rows
