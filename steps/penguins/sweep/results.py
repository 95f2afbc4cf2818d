"""The results of a sweep: a row for each group and value, and their table as CSV and as a data frame."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from penguins.clustering.indices import DBCV, INDICES, N_CLUSTERED_RECORDS, N_CLUSTERS
from penguins.sweep.fit import GroupResult
from penguins.text import is_number

COUNTS = (N_CLUSTERS, N_CLUSTERED_RECORDS)
# A group may have any name, and the csv module reads fields of 131,072 characters at most by default.
csv.field_size_limit(2**31 - 1)

# The metrics in the order of the table; `dbcv` came later, and columns stay where they are.
EARLY_METRICS = (*[name for name in INDICES if name != DBCV], *COUNTS)
LATE_COLUMNS = (DBCV, "min_samples", "n_records", "coverage", "best", "warning")
RESULT_COLUMNS = ("eps", *EARLY_METRICS, "model_path", "reason", *LATE_COLUMNS)


@dataclass(frozen=True)
class ResultRow:
    """The row of one group and value: the defined metrics by name, the model's URI, and why something is missing.

    `eps` is NaN in a group that failed before it had any. `warning` says why the best value deserves doubt; in a group without
    a best value it stands in every row.
    """

    group: str
    eps: float
    metrics: Mapping[str, float]
    model_path: str
    reason: str
    min_samples: int
    n_records: int
    best: bool = False
    warning: str = ""

    @property
    def coverage(self) -> float | None:
        """The share of the group's records that the clusters hold, if it is known."""
        n_clustered = self.metrics.get(N_CLUSTERED_RECORDS)
        return n_clustered / self.n_records if n_clustered is not None and self.n_records else None

    def cells(self) -> list[object]:
        """Return the cells of the table: the group, then those of `RESULT_COLUMNS`, None where something is undefined."""
        early = [None if math.isnan(self.eps) else self.eps, *[self._cell(name) for name in EARLY_METRICS]]
        late = [self._cell(DBCV), self.min_samples, self.n_records, self.coverage, str(self.best).lower(), self.warning]
        return [self.group, *early, self.model_path, self.reason, *late]

    def _cell(self, name: str) -> float | int | None:
        value = self.metrics.get(name)
        if value is None or math.isnan(value):
            return None
        return int(value) if name in COUNTS else value


@dataclass(frozen=True)
class LoggedGroup:
    """One group as it was logged: its run, its rows in ascending order of eps and min_samples, and why it failed, if so.

    `median_distance` is that of `GroupResult`, where it is known.
    """

    name: str
    run_id: str
    n_records: int
    rows: Sequence[ResultRow]
    failure: str = ""
    median_distance: float | None = None

    @property
    def best(self) -> ResultRow | None:
        """The row of the best value."""
        return next((row for row in self.rows if row.best), None)

    @property
    def warning(self) -> str:
        """Why the best value deserves doubt, or why there is none."""
        return next((row.warning for row in self.rows if row.warning), "")


@dataclass
class SweepResults:
    """The groups that a sweep has logged so far, by name."""

    groups: dict[str, LoggedGroup] = field(default_factory=dict)

    def add(self, group: LoggedGroup) -> None:
        """Add a group."""
        self.groups[group.name] = group

    @property
    def best(self) -> dict[str, ResultRow]:
        """The row of the best value of each group that has one."""
        return {name: group.best for name, group in self.groups.items() if group.best}

    @property
    def warnings(self) -> dict[str, str]:
        """The warning of each group that has one and did not fail."""
        return {name: group.warning for name, group in self.groups.items() if group.warning and not group.failure}

    @property
    def failures(self) -> dict[str, str]:
        """The reason of each group that failed."""
        return {name: group.failure for name, group in self.groups.items() if group.failure}

    def rows(self) -> list[ResultRow]:
        """Return the rows of all groups, sorted by group, eps and min_samples."""
        return [row for name in sorted(self.groups, key=group_sort_key) for row in self.groups[name].rows]

    def table(self, group_by: str) -> pd.DataFrame:
        """Return the rows as a data frame whose first column is called `group_by`."""
        floats = ("eps", *INDICES, "coverage")
        types = dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(floats, "float64")
        table = pd.DataFrame([row.cells() for row in self.rows()], columns=[group_by, *RESULT_COLUMNS])
        return table.assign(best=table["best"] == "true").astype(types)


def group_sort_key(name: str) -> tuple[int, float, str]:
    """Return a key that sorts groups which are numbers by their value, and after them the others by their name."""
    return (0, float(name), name) if is_number(name) else (1, 0.0, name)


def result_rows(group: GroupResult, models: Sequence[tuple[str, str]]) -> list[ResultRow]:
    """Return the rows of a group; `models` holds for each outcome its model's URI and why it could not be stored."""
    return [_result_row(group, position, *model) for position, model in enumerate(models)]


def _result_row(group: GroupResult, position: int, model_path: str, failure: str) -> ResultRow:
    outcome = group.outcomes[position]
    is_best = position == group.best
    return ResultRow(
        group.name,
        outcome.eps,
        dict(outcome.metrics),
        model_path,
        failure or outcome.reason,
        outcome.min_samples,
        group.n_records,
        is_best,
        group.warning if is_best or group.best is None else "",
    )


def failure_rows(group: str, values: Iterable[tuple[float, int]], n_records: int, why: str) -> list[ResultRow]:
    """Return the rows of a group that failed, for each value of eps and min_samples: without metrics, with the reason."""
    return [ResultRow(group, eps, {}, "", why, min_samples, n_records) for eps, min_samples in values]


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
        rows.append(_parse_row(cells))
    return rows


def _parse_row(cells: Sequence[str]) -> ResultRow:
    group, *texts = cells
    cell = dict(zip(RESULT_COLUMNS, texts, strict=True))
    return ResultRow(
        group=group,
        eps=float(cell["eps"] or "nan"),
        metrics={name: float(cell[name]) for name in (*EARLY_METRICS, DBCV) if cell[name]},
        model_path=cell["model_path"],
        reason=cell["reason"],
        min_samples=int(cell["min_samples"]),
        n_records=int(cell["n_records"]),
        best=cell["best"] == "true",
        warning=cell["warning"],
    )
