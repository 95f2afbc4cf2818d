"""Refuse a group that would not fit into the memory of a worker, before it is sent there."""

import re
from dataclasses import dataclass, replace

import psutil
from mlflow.utils.databricks_utils import is_in_databricks_serverless_runtime
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from penguins.cli.rules import Auto
from penguins.data.spark_columns import quote_column
from penguins.data.spark_table import SparkTable
from penguins.errors import InputError
from penguins.spark.jobs import is_connect_session, setting
from penguins.spark.target import SparkTarget
from penguins.sweep.fit import group_name
from penguins.sweep.settings import ONE_GROUP, SweepSettings
from penguins.sweep.workers import group_fields
from penguins.text import quote

SERVERLESS_MIB = 1_024
PYSPARK_MEMORY, CORES, MASTER = "spark.executor.pyspark.memory", "spark.executor.cores", "spark.master"
# In Spark's settings, an amount of memory without a unit is in MiB.
AMOUNT = re.compile(r"(\d+)\s*(?:([kmgtp])b?|b)?", re.IGNORECASE)
MIB_OF_UNIT = {"k": 2**-10, "m": 1, "g": 2**10, "t": 2**20, "p": 2**30}
MIB = 1 << 20

# What a worker takes, by benchmarks/group_memory.py: Python with its packages and the arrays of a few thousand records that the
# indices are computed on; then for each record so many bytes, for each feature and each value (with and without core records),
# and in each feature of each model that holds its records. The estimates are up to twice what was measured, and not less.
PROCESS_MIB = 400
BYTES_OF_RECORD, BYTES_OF_FEATURE = 300, 60
BYTES_OF_VALUE, BYTES_OF_VALUE_WITHOUT_CORE = 95, 30
BYTES_OF_FEATURE_OF_MODEL = 34
# How far the estimate may exceed the memory that is taken.
SAFETY = 2


@dataclass(frozen=True)
class WorkerLimit:
    """The memory that a worker has for a group, in MiB: who gives it, in words, and what gives more.

    With `is_estimated`, it is no rule that ends a worker but what the machine has at the moment.
    """

    mib: float
    giver: str
    remedy: str
    is_estimated: bool = False

    def is_exceeded_by(self, needed_mib: float) -> bool:
        """Tell whether a group that takes up to `needed_mib` is too large; by an estimated limit, only if it certainly is."""
        return needed_mib > self.mib * (SAFETY if self.is_estimated else 1)


def require_groups_that_fit(session: SparkSession, spark: str, table: SparkTable, settings: SweepSettings) -> None:
    """Raise InputError where the largest group would not fit into the memory of a worker. `spark` is the parameter."""
    limit = worker_limit(session, spark)
    # No group is larger than the table, whose rows are counted: of most tables, no group has to be.
    if limit is None or not limit.is_exceeded_by(group_mib(settings, table.rows)):
        return
    name, n_records = largest_group(table, settings)
    needed = group_mib(settings, n_records)
    if limit.is_exceeded_by(needed):
        raise InputError(
            f"The 'group_by' parameter must make groups that fit into the memory of a worker. Got {quote(name)} with "
            f"{n_records} records, which take about {needed:.0f} MiB of the {limit.mib:.0f} MiB that {limit.giver}: choose "
            f"{ways_out(settings, n_records, limit)}."
        )


def group_mib(settings: SweepSettings, n_records: int) -> float:
    """Estimate the memory, in MiB, of a worker that clusters a group of `n_records`: from what it takes to twice as much.

    It covers Python with its packages, and the copies of Arrow and pandas on both ways. It does not cover the neighbours that
    scikit-learn's DBSCAN collects in more than 15 features, which depend on the data.
    """
    n_features, n_values = len(settings.features), settings.most_values
    of_record = BYTES_OF_RECORD + BYTES_OF_FEATURE * n_features
    if settings.has_distances:
        of_record += BYTES_OF_VALUE * n_values + BYTES_OF_FEATURE_OF_MODEL * n_features * settings.most_models_per_group
    else:
        of_record += BYTES_OF_VALUE_WITHOUT_CORE * n_values
    return PROCESS_MIB + n_records * of_record / MIB


def largest_group(table: SparkTable, settings: SweepSettings) -> tuple[str, int]:
    """Return the name of the largest group of the table, the first by name of several, and the number of its records."""
    if not settings.group_by:
        return ONE_GROUP, table.rows
    fields = group_fields(settings)
    columns = [F.col(quote_column(name)).alias(field) for name, field in zip(settings.group_by, fields, strict=True)]
    sizes = table.frame.select(*columns).groupBy(*fields).count()
    row = sizes.orderBy(F.desc("count"), *fields).head()
    return (group_name([row[field] for field in fields]), int(row["count"])) if row else ("", 0)


def worker_limit(session: SparkSession, spark: str) -> WorkerLimit | None:
    """Return the memory that a worker of the session has for a group, or None where nothing tells it."""
    if is_in_databricks_serverless_runtime():
        return WorkerLimit(SERVERLESS_MIB, "serverless compute gives a Python function", "a job cluster")
    if stated := mib_of(setting(session, PYSPARK_MEMORY)):
        # Spark shares it out to the workers of an executor, one for each core that is stated.
        cores = int(setting(session, CORES) or 1)
        return WorkerLimit(stated / cores, f"{PYSPARK_MEMORY} gives a worker", f"a larger {PYSPARK_MEMORY}")
    is_here = SparkTarget(spark).is_on_this_machine
    if is_here or (not is_connect_session(session) and setting(session, MASTER).startswith("local")):
        available = psutil.virtual_memory().available / MIB
        return WorkerLimit(available, "this machine has available", "a machine with more memory", is_estimated=True)
    return None


def mib_of(amount: str) -> float:
    """Return an amount of memory in Spark's form, such as 512m or 2g, in MiB; 0 where it has another form."""
    found = AMOUNT.fullmatch(amount.strip())
    if found is None:
        return 0
    if amount.strip()[-1] in "bB" and not found[2]:
        return int(found[1]) / MIB
    return int(found[1]) * MIB_OF_UNIT[(found[2] or "m").lower()]


def ways_out(settings: SweepSettings, n_records: int, limit: WorkerLimit) -> str:
    """Say what makes a group of `n_records` smaller, or the limit larger, with what is true of these settings."""
    without_models = replace(settings, models="none")
    one_value = {name: values if isinstance(values, Auto) else values[:1] for name, values in settings.grid.items()}
    smallest = replace(without_models, features=settings.features[:1], grid=one_value | {settings.swept: [1]})
    ways = []
    if not limit.is_exceeded_by(group_mib(smallest, n_records)):
        if settings.most_models_per_group > 1 and group_mib(without_models, n_records) < group_mib(settings, n_records):
            ways.append("models=best or none")
        ways += [
            f"fewer {noun}" for noun, n in (("features", len(settings.features)), ("values", settings.most_values)) if n > 1
        ]
    ways += ["a finer group_by", limit.remedy]
    if not limit.is_estimated:
        ways.append("spark=local[*] on a machine with more memory")
    return f"{', '.join(ways[:-1])} or {ways[-1]}"
