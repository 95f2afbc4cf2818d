"""The groups of a sweep without Spark: computed in this process where they are little work, else in several."""

import warnings
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException

from penguins.cli.signals import raise_if_interrupted
from penguins.data.auto import Column
from penguins.data.checks import require_degrees, require_numbers
from penguins.data.describe import describe_columns
from penguins.data.load import load_table
from penguins.data.locate import require_read_here
from penguins.data.table import GroupedTable, Table
from penguins.errors import WorkError
from penguins.sweep.algorithm import HAVERSINE
from penguins.sweep.fit import group_name
from penguins.sweep.groups import Backend, GroupFunction, Groups, Key, refuse_same_name
from penguins.sweep.processes import n_processes, results_of_processes
from penguins.sweep.settings import ONE_GROUP, SweepSettings
from penguins.sweep.workers import ROW, feature_column, group_fields
from penguins.text import LONGEST_REASON
from penguins.tracking.artifacts import log_table
from penguins.tracking.run import failure_reason

# About how many seconds of one core a value of eps takes in a group: for itself, and for a thousand records. With nine values
# and all models, groups of 50, 1,000 and 5,000 records in four columns were measured. The other algorithms take longer.
SECONDS_OF_VALUE, SECONDS_OF_THOUSAND = 0.004, 0.015
# New processes import for so long before they compute.
SECONDS_TO_START = 3.0


class ProcessBackend(Backend):
    """Groups in processes of this machine. Raises InputError where only Spark reads the table."""

    def __init__(self, parameters: Any) -> None:
        require_read_here(parameters.data)
        self.read = parameters.read

    def describe(self, data: str) -> Sequence[Column]:
        return describe_columns(data, self.read)

    def load(self, parameters: Any, settings: SweepSettings, columns: Mapping[str, str]) -> "ProcessGroups":
        table = load_table(parameters.data, dict(columns), settings.group_by, self.read, ids=parameters.id)
        log_table(table.frame, table.source, table.name, table.left_out, read_as=table.read_as)
        require_numbers(table, "features", settings.features)
        places = _places_of_groups(table.frame, settings)
        _require_distinct_names(places, settings)
        if settings.metric == HAVERSINE:
            require_degrees(table, "features", settings.features)
        about = GroupedTable(
            rows=len(table.frame), left_out=table.left_out, n_names=len(places), digest=table.digest, whole=table.whole
        )
        return ProcessGroups(about, _worker_records(table, settings), places)


def _places_of_groups(frame: pd.DataFrame, settings: SweepSettings) -> dict[Key, list[int]]:
    """Return the places of the records of each group by its key, the largest group first."""
    # groupby takes texts that differ after a null character for one.
    places: dict[Key, list[int]] = {}
    keys = zip(*[frame[name] for name in settings.group_by], strict=True) if settings.group_by else [(ONE_GROUP,)] * len(frame)
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return dict(sorted(places.items(), key=lambda group: -len(group[1])))


def _require_distinct_names(keys: Collection[Key], settings: SweepSettings) -> None:
    """Raise InputError where two groups would have the same name, as ("a, b", "c") and ("a", "b, c") would."""
    found: dict[str, Key] = {}
    for key in sorted(keys):
        other = found.setdefault(group_name(key), key)
        if other != key:
            refuse_same_name(settings, other, key, group_name(key))


def _worker_records(table: Table, settings: SweepSettings) -> pd.DataFrame:
    """Return the complete rows under the names by which workers know their columns."""
    groups: list[Any] = [table.frame[name] for name in settings.group_by] or [ONE_GROUP]
    columns: dict[str, Any] = dict(zip(group_fields(settings), groups, strict=True))
    columns |= {feature_column(index): table.frame[name] for index, name in enumerate(settings.features)}
    return pd.DataFrame(columns | {ROW: table.places})


@dataclass(frozen=True)
class ProcessGroups(Groups):
    """Groups whose `records` this process holds: `places` has those of each group by its key, the largest group first."""

    records: pd.DataFrame
    places: Mapping[Key, list[int]]

    def apply(
        self,
        function: GroupFunction,
        settings: SweepSettings,
        tag: str,  # noqa: ARG002  # it is for Spark's jobs
        only: Collection[Key] = (),
        without: Collection[Key] = (),
    ) -> Generator[Sequence[Any], None, None]:
        chosen = set(only) or self.places.keys() - set(without)
        sizes = [len(places) for key, places in self.places.items() if key in chosen]
        inputs = [partial(self.records.take, places) for key, places in self.places.items() if key in chosen]
        n = min(n_processes(), len(inputs))
        is_large = saves_time(sizes, settings.most_values, n)
        results = results_of_processes(function, inputs, n) if is_large else _results_here(function, inputs)
        try:
            with closing(results):
                for frame in results:
                    yield frame.to_dict("records")
        except (MlflowException, OSError, MemoryError) as error:
            raise WorkError(f"The groups could not be computed: {failure_reason(error)[:LONGEST_REASON]}") from error


def saves_time(sizes: Sequence[int], n_values: int, n: int) -> bool:
    """Tell whether `n` processes end sooner than this one alone with groups of these sizes, each with `n_values` values."""
    seconds = n_values * sum(SECONDS_OF_VALUE + SECONDS_OF_THOUSAND * size / 1000 for size in sizes)
    return n > 1 and seconds / n + SECONDS_TO_START < seconds


def _results_here(function: GroupFunction, inputs: Sequence[Callable[[], pd.DataFrame]]) -> Generator[pd.DataFrame, None, None]:
    """Yield what `function` returns for each input, computed in this process."""
    for make_input in inputs:
        raise_if_interrupted()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nobody sees those of Spark's workers either
            result = function(make_input())
        yield result
