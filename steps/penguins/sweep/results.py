"""The results of a sweep: a row for each group and value, and their table as CSV and as a data frame."""

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from penguins.clustering.indices import DBCV, INDICES, N_CLUSTERED_RECORDS, N_CLUSTERS
from penguins.sweep.algorithm import Algorithm, Params
from penguins.sweep.chosen import ChosenClustering
from penguins.sweep.fit import GroupResult, group_name
from penguins.text import csv_text, is_number

COUNTS = (N_CLUSTERS, N_CLUSTERED_RECORDS)
# A group may have any name, and the csv module reads fields of 131,072 characters at most by default.
csv.field_size_limit(2**31 - 1)

# The metrics in the order of the table; `dbcv` came later, and columns stay where they are.
EARLY_METRICS = (*[name for name in INDICES if name != DBCV], *COUNTS)


def result_columns(algorithm: Algorithm) -> tuple[str, ...]:
    """Return the columns of the table of results, after those of the group."""
    metrics = [name for name in EARLY_METRICS if name != algorithm.swept]
    return (
        *(algorithm.swept, *metrics, "model_path", "reason", DBCV),
        *(*algorithm.fixed, "n_records", "coverage", "best", "warning", "estimated"),
    )


@dataclass(frozen=True)
class ResultRow:
    """The row of one group and value: its parameters, the defined metrics by name, the model's URI, and why one is missing.

    `key` holds the group's value in each column of groups.
    The swept parameter is NaN in a group that failed before it had any value. `warning` says why the best value deserves doubt;
    in a group without a best value it stands in every row. `estimated` says on which sample an index was computed, if one was.
    """

    key: tuple[str, ...]
    params: Params
    metrics: Mapping[str, float]
    model_path: str
    reason: str
    n_records: int
    best: bool = False
    warning: str = ""
    estimated: str = ""

    @property
    def group(self) -> str:
        """What people call the group."""
        return group_name(self.key)

    @property
    def coverage(self) -> float | None:
        """The share of the group's records that the clusters hold, if it is known."""
        n_clustered = self.metrics.get(N_CLUSTERED_RECORDS)
        return n_clustered / self.n_records if n_clustered is not None and self.n_records else None

    @property
    def n_clusters(self) -> int:
        """The number of clusters, which is a parameter where it is swept. Raises KeyError where it is unknown."""
        return int({**self.metrics, **self.params}[N_CLUSTERS])

    def cells(self, columns: Sequence[str]) -> list[object]:
        """Return the cells of the table: the group's key, then those of `columns`, None where something is undefined."""
        numbers = {**self.metrics, **{name: self._count(name) for name in COUNTS}, **self.params}
        cells: dict[str, object] = {
            name: value for name, value in numbers.items() if value is not None and not math.isnan(value)
        }
        cells |= {"model_path": self.model_path, "reason": self.reason, "n_records": self.n_records, "coverage": self.coverage}
        cells |= {"best": str(self.best).lower(), "warning": self.warning, "estimated": self.estimated}
        return [*self.key, *[cells.get(name) for name in columns]]

    def _count(self, name: str) -> int | None:
        value = self.metrics.get(name)
        return None if value is None or math.isnan(value) else int(value)


@dataclass(frozen=True)
class LoggedGroup:
    """One group as it was logged: its run, its rows in ascending order of their parameters, and why it failed, if so.

    `run_id` is empty where groups have no runs. `median_distance` and `chosen` are those of `GroupResult`, where known.
    """

    key: tuple[str, ...]
    run_id: str
    n_records: int
    rows: Sequence[ResultRow]
    failure: str = ""
    median_distance: float | None = None
    chosen: ChosenClustering | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """What people call the group."""
        return group_name(self.key)

    @property
    def best(self) -> ResultRow | None:
        """The row of the best value."""
        return next((row for row in self.rows if row.best), None)

    def with_rows(self, values: Iterable[Params]) -> "LoggedGroup":
        """Return the group; one that failed before it had any rows, with empty rows for `values` that hold the reason."""
        if self.rows or not self.failure:
            return self
        return replace(self, rows=failure_rows(self.key, values, self.n_records, self.failure))

    @property
    def warning(self) -> str:
        """Why the best value deserves doubt, or why there is none."""
        return next((row.warning for row in self.rows if row.warning), "")


@dataclass(frozen=True)
class Totals:
    """What came out of all groups, in numbers: how many there are, have a best value, deserve doubt or have failed.

    `n_distinct` counts their different keys. `lowest`, `median` and `highest` are those of the best values; `failure` names one
    group that failed, with its reason.
    """

    n_groups: int
    n_distinct: int
    n_records: int
    n_results: int
    n_failed: int
    n_best: int
    n_doubtful: int
    lowest: float
    median: float
    highest: float
    failure: str = ""


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

    def totals(self, swept: str) -> Totals:
        """Return the numbers of all groups."""
        groups = self.groups.values()
        values = [row.params[swept] for row in self.best.values()] or [math.nan]
        return Totals(
            n_groups=len(groups),
            n_distinct=len(groups),
            n_records=sum(group.n_records for group in groups),
            n_results=sum(len(group.rows) for group in groups),
            n_failed=len(self.failures),
            n_best=len(self.best),
            n_doubtful=sum(bool(group.best and group.warning) for group in groups),
            lowest=min(values),
            median=statistics.median(values),
            highest=max(values),
        )

    def in_order(self) -> list[LoggedGroup]:
        """Return the groups, sorted by key."""
        return sorted(self.groups.values(), key=lambda group: key_order(group.key))

    def rows(self) -> list[ResultRow]:
        """Return the rows of all groups, sorted by group and parameters."""
        return [row for group in self.in_order() for row in group.rows]

    def table(self, group_by: Sequence[str], algorithm: Algorithm) -> pd.DataFrame:
        """Return the rows as a data frame whose first columns are called `group_by`."""
        columns, rows = result_columns(algorithm), self.rows()
        whole = [name for name in (algorithm.swept, *algorithm.fixed) if _is_whole([row.params[name] for row in rows])]
        types = dict.fromkeys(columns, "float64") | dict.fromkeys((*COUNTS, *whole), "Int64") | {"n_records": "int64"}
        texts = ("model_path", "reason", "best", "warning", "estimated")
        table = pd.DataFrame([row.cells(columns) for row in rows], columns=[*group_by, *columns])
        types = {name: kind for name, kind in types.items() if name in columns and name not in texts}
        return table.assign(best=table["best"] == "true").astype(types)


def _is_whole(values: Sequence[float]) -> bool:
    """Tell whether these are whole numbers by their type; a missing one does not count."""
    return {type(value) for value in values if not math.isnan(value)} == {int}


def key_order(key: Sequence[str]) -> list[tuple[int, float, str]]:
    """Return what sorts the keys of groups, column by column: numbers by their value, and after them the other names."""
    return [(0, float(name), name) if is_number(name) else (1, 0.0, name) for name in key]


def result_rows(group: GroupResult, models: Sequence[tuple[str, str]]) -> list[ResultRow]:
    """Return the rows of a group; `models` holds for each outcome its model's URI and why it could not be stored."""
    return [_result_row(group, position, *model) for position, model in enumerate(models)]


def group_without_run(group: GroupResult) -> LoggedGroup:
    """Return a group that has no run and no models."""
    rows = result_rows(group, [("", "")] * len(group.outcomes))
    return LoggedGroup(group.key, "", group.n_records, rows, group.failure, group.median_distance, group.chosen)


def _result_row(group: GroupResult, position: int, model_path: str, failure: str) -> ResultRow:
    outcome = group.outcomes[position]
    is_best = position == group.best
    return ResultRow(
        group.key,
        outcome.params,
        dict(outcome.metrics),
        model_path,
        failure or outcome.reason,
        group.n_records,
        is_best,
        group.warning if is_best or group.best is None else "",
        outcome.estimated,
    )


def failure_rows(key: tuple[str, ...], values: Iterable[Params], n_records: int, why: str) -> list[ResultRow]:
    """Return the rows of a group that failed, for each value of its parameters: without metrics, with the reason."""
    return [ResultRow(key, params, {}, "", why, n_records) for params in values]


def table_text(group_by: Sequence[str], algorithm: Algorithm, rows: Sequence[ResultRow]) -> str:
    """Write the rows as CSV with a header."""
    columns = result_columns(algorithm)
    return csv_text([(*group_by, *columns), *[row.cells(columns) for row in rows]])


def parse_table(text: str, algorithm: Algorithm) -> list[ResultRow]:
    """Read the rows that `table_text` wrote. Raises ValueError where the text is not complete."""
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    columns = result_columns(algorithm)
    n_keys = len(header) - len(columns)
    if n_keys < 1 or tuple(header[n_keys:]) != columns:
        raise ValueError(f"the header has {len(header)} columns, which are not those of a table of results")
    rows = []
    for cells in lines:
        if len(cells) != len(header):
            raise ValueError(f"a row of {len(header)} columns has {len(cells)}")
        rows.append(_parse_row(tuple(cells[:n_keys]), dict(zip(columns, cells[n_keys:], strict=True)), algorithm))
    return rows


def _parse_row(key: tuple[str, ...], cell: Mapping[str, str], algorithm: Algorithm) -> ResultRow:
    names = (algorithm.swept, *algorithm.fixed)
    metrics = [name for name in (*EARLY_METRICS, DBCV) if name not in names]
    return ResultRow(
        key=key,
        params={name: _parse_number(cell[name]) for name in names},
        metrics={name: float(cell[name]) for name in metrics if cell[name]},
        model_path=cell["model_path"],
        reason=cell["reason"],
        n_records=int(cell["n_records"]),
        best=cell["best"] == "true",
        warning=cell["warning"],
        estimated=cell["estimated"],
    )


def _parse_number(text: str) -> float:
    """Read a number with the type with which it was written: Python writes a float with a point or an exponent."""
    return int(text) if text.isdigit() else float(text or "nan")
