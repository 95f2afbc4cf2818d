"""The frames of a sweep whose tables Spark writes: the nested rows of the groups, and what is derived from them."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import ArrayType, DataType, StructType

from penguins.data.spark_columns import quote_column
from penguins.data.spark_table import SparkTable
from penguins.spark.jobs import n_parallel_tasks
from penguins.sweep.chosen import CLUSTER, IS_CORE
from penguins.sweep.fit import group_name
from penguins.sweep.nested_rows import nested_rows
from penguins.sweep.results import Totals
from penguins.sweep.settings import ONE_GROUP, SweepSettings
from penguins.sweep.spark_groups import worker_frame
from penguins.sweep.tables import BOOLEAN, DOUBLE, LONG, STRING, result_types, swept_type
from penguins.sweep.workers import group_fields, id_column
from penguins.text import quote

# What a worker sorts at once, and does again where it dies. Smaller partitions take longer to begin than to compute.
MOST_RECORDS_IN_PARTITION, FEWEST_GROUPS_IN_PARTITION = 250_000, 32
# Of many groups, the last partitions end at about the same time.
PARTITIONS_PER_TASK = 4


def cluster_groups(table: SparkTable, settings: SweepSettings) -> DataFrame:
    """Return the groups as nested rows, which Spark computes whenever it looks at them."""
    keys, frame = group_fields(settings), worker_frame(table, settings, whole_as_text=False)
    schema = nested_type(frame, settings)
    in_arrow = to_arrow_schema(schema)

    def cluster(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return nested_rows(batches, settings, in_arrow)

    # The order of the records in a group, below that of the keys, is that of `split_columns`, which has whole ids as text.
    whole = [id_column(index) for index, name in enumerate(table.ids) if name in table.whole_ids]
    fields = [F.col(name).cast("string") if name in whole else F.col(name) for name in frame.columns]
    order: list[Column | str] = [field.asc_nulls_last() for field in fields]
    parts = frame.repartition(n_partitions(table.rows, settings.n_groups, n_parallel_tasks(frame.sparkSession)), *keys)
    return parts.sortWithinPartitions(*order).mapInArrow(cluster, schema)


def n_partitions(n_records: int, n_groups: int, n_parallel: int) -> int:
    """Return in how many partitions to cluster the groups."""
    at_once = min(n_parallel, n_groups)
    several = min(PARTITIONS_PER_TASK * n_parallel, n_groups // FEWEST_GROUPS_IN_PARTITION)
    return max(at_once, several, min(n_groups, math.ceil(n_records / MOST_RECORDS_IN_PARTITION)))


def nested_type(frame: DataFrame, settings: SweepSettings) -> StructType:
    """Return the type of a group's row; of `frame`, that of `worker_frame`, the columns that tell the records come along."""
    keys, n_features = group_fields(settings), len(settings.features)
    identity = frame.schema.fields[len(keys) + n_features :]
    records = _struct([(one.name, one.dataType) for one in identity], [(CLUSTER, LONG), (IS_CORE, BOOLEAN)])
    counts = [("n_records", LONG), ("failure", STRING), ("best", DOUBLE), ("is_doubtful", BOOLEAN), ("n_results", LONG)]
    lists = [
        ("results", ArrayType(_struct(result_types(settings.of_algorithm).items()))),
        ("records", ArrayType(records)),
    ]
    return _struct([(name, STRING) for name in keys], counts, lists, [("sample", STRING), ("sample_records", "binary")])


def _struct(*fields: Iterable[tuple[str, str | DataType]]) -> StructType:
    found = StructType()
    for name, kind in chain.from_iterable(fields):
        found.add(name, kind)
    return found


def _keys(settings: SweepSettings) -> list[Column]:
    """Return the columns of the group's key under the names of the user's table."""
    return [F.col(name).alias(of) for name, of in zip(group_fields(settings), settings.group_columns, strict=True)]


def results_frame(groups: DataFrame, settings: SweepSettings) -> DataFrame:
    """Return the table of results, a row for each group and value."""
    rows = groups.select(*_keys(settings), F.explode("results").alias("result"))
    columns = result_types(settings.of_algorithm)
    keys = [F.col(quote_column(name)) for name in settings.group_columns]
    return rows.select(*keys, *[F.col("result")[name].alias(name) for name in columns])


def clusters_frame(groups: DataFrame, table: SparkTable, settings: SweepSettings) -> DataFrame:
    """Return the table of clusters, a row for each row of the user's table."""
    kinds, whole = dict(table.frame.dtypes), table.whole_ids
    value = F.col("best").cast(swept_type(settings.of_algorithm)).alias(settings.swept)
    rows = groups.select(*_keys(settings), value, F.explode("records").alias("record"))
    ids = {name: F.col("record")[id_column(index)] for index, name in enumerate(table.ids)}
    fields = [field.cast(LONG if name in whole else kinds[name]).alias(name) for name, field in ids.items()]
    of_group = [F.col(quote_column(name)) for name in (*settings.group_columns, settings.swept)]
    found = rows.select(*fields, *of_group, *[F.col("record")[name].alias(name) for name in (CLUSTER, IS_CORE)])
    if table.incomplete is None or not table.left_out:
        return found
    best = groups.select(*_keys(settings), value)
    missing = (
        table.incomplete if settings.group_by else table.incomplete.withColumn(settings.group_columns[0], F.lit(ONE_GROUP))
    )
    missing = missing.join(best, list(settings.group_columns), "left")
    nothing = {CLUSTER: F.lit(None).cast(LONG), IS_CORE: F.lit(None).cast(BOOLEAN)}
    return found.unionByName(missing.withColumns(nothing).select(*[quote_column(name) for name in found.columns]))


def totals_of(groups: DataFrame, settings: SweepSettings) -> Totals:
    """Count the groups, and what came out of them."""
    keys = group_fields(settings)
    has_failed, best = F.col("failure").isNotNull(), F.col("best")
    found = (
        groups.agg(
            F.count("*").alias("n_groups"),
            F.count_distinct(*keys).alias("n_distinct"),
            F.sum("n_records").alias("n_records"),
            F.sum("n_results").alias("n_results"),
            F.count("failure").alias("n_failed"),
            F.count(best).alias("n_best"),
            F.count_if("is_doubtful").alias("n_doubtful"),
            F.min(F.when(has_failed, F.struct(*keys, "failure"))).alias("failure"),
            *[function(best).alias(name) for name, function in (("lowest", F.min), ("median", F.median), ("highest", F.max))],
        )
        .collect()[0]
        .asDict()
    )
    failure = found.pop("failure")
    text = f"{quote(group_name(failure[:-1]))} for one: {failure[-1]}" if failure else ""
    return Totals(**{name: value or 0 for name, value in found.items()}, failure=text)


def sample_frame(groups: DataFrame) -> DataFrame:
    """Return the rows that `logged_groups_from_rows` reads, of the groups of which the sweep has evidence."""
    sample = groups.where(F.col("sample").isNotNull())
    return sample.select(F.col("sample").alias("result"), F.col("sample_records").alias("records"), F.lit(None).alias("router"))
