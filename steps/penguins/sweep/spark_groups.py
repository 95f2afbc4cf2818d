"""The groups of a sweep in Spark: the frame that its workers get, and what a session and a store must allow."""

import math
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from mlflow.utils.databricks_utils import is_in_databricks_serverless_runtime
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.cli.combinations import is_written_by_spark
from penguins.data.auto import Column
from penguins.data.describe_spark import describe_spark_columns
from penguins.data.spark_checks import require_spark_degrees, require_spark_numbers
from penguins.data.spark_columns import quote_column
from penguins.data.spark_output import require_schema
from penguins.data.spark_table import MOST_ROWS_HERE, SparkTable, load_spark_table, spark_uri
from penguins.errors import InputError
from penguins.spark.groups import group_results
from penguins.spark.jobs import n_parallel_tasks, setting
from penguins.spark.target import SparkTarget
from penguins.sweep.algorithm import HAVERSINE
from penguins.sweep.fit import SEPARATOR
from penguins.sweep.group_memory import require_groups_that_fit
from penguins.sweep.groups import Backend, GroupFunction, Groups, Key, refuse_same_name
from penguins.sweep.settings import ONE_GROUP, SweepSettings
from penguins.sweep.transfer import SCHEMA
from penguins.sweep.workers import ROW, feature_column, group_fields, id_column, lower_priority
from penguins.text import print_lines, quote
from penguins.tracking.store import absolute_tracking_uri, is_server

# A slice is collected by one job, which reads the whole table: few slices are fast, many let the logging begin early.
FEWEST_GROUPS_IN_SLICE, MOST_SLICES = 32, 64
# About how many bytes may come back for one slice, and an estimate of their parts.
SLICE_BYTES = 128 << 20
BYTES_PER_NUMBER, BYTES_PER_OUTCOME = 8, 1_000


class SparkBackend(Backend):
    """Groups in Spark. Raises InputError where workers cannot reach the store, or `output` is in no schema that is there."""

    def __init__(self, session: SparkSession, parameters: Any) -> None:
        require_shared_store(parameters, session)
        require_schema(session, parameters.output)
        self.session, self.read = session, parameters.read

    def describe(self, data: str) -> Sequence[Column]:
        return describe_spark_columns(self.session, data, self.read)

    def load(self, parameters: Any, settings: SweepSettings, columns: Mapping[str, str]) -> "SparkGroups":
        data = self._uri(parameters)
        table = load_spark_table(self.session, data, dict(columns), settings.group_by, True, self.read, ids=parameters.id)
        require_spark_numbers(table, "features", settings.features)
        require_distinct_names(table, settings)
        require_groups_that_fit(self.session, parameters.spark, table, settings.for_groups(table.n_names))
        if settings.metric == HAVERSINE:
            require_spark_degrees(table, "features", settings.features)
        return SparkGroups(table, n_parallel_tasks(self.session))

    def _uri(self, parameters: Any) -> str:
        """Return where the table is. Where Spark writes the results itself, it reads a large table of this machine itself."""
        if not is_written_by_spark(parameters) or not SparkTarget(parameters.spark).is_on_this_machine:
            return str(parameters.data)
        data = spark_uri(parameters.data)
        if data != parameters.data:
            print_lines(
                f"{parameters.data} has more than {MOST_ROWS_HERE:,} rows, so that Spark reads it itself: the table of "
                "clusters has no column row, and the id columns tell its rows"
            )
        return data


@dataclass(frozen=True)
class SparkGroups(Groups):
    """Groups that Spark's workers compute, `n_parallel` at a time."""

    table: SparkTable
    n_parallel: int

    def apply(
        self,
        function: GroupFunction,
        settings: SweepSettings,
        tag: str,
        only: Collection[Key] = (),
        without: Collection[Key] = (),
    ) -> Generator[Sequence[Any], None, None]:
        def apply_in_worker(records: pd.DataFrame) -> pd.DataFrame:
            lower_priority()
            return function(records)

        frame = worker_frame(self.table, settings)
        if only or without:
            frame = _join_keys(frame, only or without, settings, "left_semi" if only else "left_anti")
        n_groups = len(only) or self.table.n_names - len(without)
        n_slices = slice_count(n_groups, self.table.rows // self.table.n_names, settings, self.n_parallel)
        return group_results(frame, group_fields(settings), apply_in_worker, SCHEMA, n_slices, tag)


def _join_keys(frame: DataFrame, keys: Collection[Key], settings: SweepSettings, how: str) -> DataFrame:
    fields = group_fields(settings)
    groups = frame.sparkSession.createDataFrame(sorted(keys), ", ".join(f"{name} string" for name in fields))
    return frame.join(F.broadcast(groups), fields, how)


def worker_frame(table: SparkTable, settings: SweepSettings, whole_as_text: bool = True) -> DataFrame:
    """Return the table under names that Spark cannot misread: `group_0` …, `feature_0` …, `id_0` …, and `row` if it has one.

    With `whole_as_text`, ids that are whole numbers are text, because pandas would round those of a column with a missing one.
    """
    groups = [F.col(quote_column(name)) for name in settings.group_by] or [F.lit(ONE_GROUP)]
    columns = [values.alias(name) for values, name in zip(groups, group_fields(settings), strict=True)]
    columns += [F.col(quote_column(name)).alias(feature_column(index)) for index, name in enumerate(settings.features)]
    if table.order:
        columns.append(F.col(quote_column(table.order)).alias(ROW))
    as_text = table.whole_ids if whole_as_text else []
    for index, name in enumerate(table.ids):
        field = F.col(quote_column(name))
        columns.append((field.cast("string") if name in as_text else field).alias(id_column(index)))
    return table.frame.select(*columns)


def require_distinct_names(table: SparkTable, settings: SweepSettings) -> None:
    """Raise InputError where two groups would have the same name, as ("a, b", "c") and ("a", "b, c") would."""
    if len(settings.group_by) < 2:
        return
    fields = group_fields(settings)
    key = F.struct(*fields)
    names = worker_frame(table, settings).groupBy(F.concat_ws(SEPARATOR, *fields).alias("name"))
    clash = names.agg(F.min(key).alias("one"), F.max(key).alias("other")).where("one != other").sort("name").head()
    if clash:
        refuse_same_name(settings, tuple(clash["one"]), tuple(clash["other"]), clash["name"])


def slice_count(n_groups: int, n_records: int, settings: SweepSettings, n_parallel: int) -> int:
    """Return in how many slices to collect `n_groups` of some `n_records` each.

    A slice holds `n_parallel` groups or more, and no more models than the driver can take.
    """
    n_models = 0 if settings.logs_in_workers else settings.most_models_per_group
    bytes_per_record = BYTES_PER_NUMBER * (2 + len(settings.features))  # its label, its index and its coordinates
    bytes_per_group = settings.most_values * BYTES_PER_OUTCOME + (n_models + 1) * bytes_per_record * n_records
    in_slice = max(FEWEST_GROUPS_IN_SLICE, n_parallel, n_groups // MOST_SLICES)
    return math.ceil(n_groups / max(1, min(in_slice, SLICE_BYTES // bytes_per_group)))


def require_shared_store(parameters: Any, session: SparkSession) -> None:
    """Raise InputError where workers are to log to a store that they cannot reach."""
    uri = absolute_tracking_uri()
    if parameters.log_from == "driver":
        return
    if is_in_databricks_serverless_runtime():
        raise InputError(
            "The 'log_from' parameter must be driver on serverless compute, whose workers reach no network. "
            "Got 'executors' instead."
        )
    if is_server(uri):
        return
    master = setting(session, "spark.master") if parameters.spark == "active" else parameters.spark
    if not SparkTarget(str(master)).is_on_this_machine:
        raise InputError(
            f"The 'log_from' parameter must be driver where the workers cannot reach the tracking store. Got 'executors' with "
            f"Spark at {quote(master)} and the store {quote(uri)}, a file of this machine: set "
            "MLFLOW_TRACKING_URI to a tracking server's."
        )
