"""Recognise the tables of data lakes at URIs that only Spark reads."""

import re
from pathlib import PurePosixPath

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from penguins.data.lake import LakeTable, possible_tables
from penguins.errors import InputError
from penguins.text import quote

# The scheme and the host of a URI, and its path.
URI = re.compile(r"([\w+.-]+:(?://[^/]*)?)(/.*)")
NOT_THERE = "PATH_NOT_FOUND"


def require_no_lake_table(session: SparkSession, uri: str) -> None:
    """Raise InputError where the file or folder at `uri` is a table of a data lake or lies in one."""
    found = URI.fullmatch(uri)
    if found is None:
        return
    host, path = found[1], PurePosixPath(found[2])
    tables = list(possible_tables(path))
    # One look for all, because a look takes 0.05 s. Only if it finds something, or fails, is there one for each.
    # Braces hold the alternatives, so that a comma or a brace in the path rules this out.
    if not set(found[2]) & set("{,}") and _marker_condition(session, _alternatives(host, tables)) == NOT_THERE:
        return
    for table in tables:
        if not _marker_condition(session, f"{host}/{_marker(table)}"):
            is_in = "is" if table.root == path else "lies in"
            raise InputError(
                f"The 'data' parameter must name a CSV file or a plain Parquet table. Got {quote(uri)}, which {is_in} "
                f"{table.format.name}, {table.advice(f'{host}{table.root}')}"
            )


def _alternatives(host: str, tables: list[LakeTable[PurePosixPath]]) -> str:
    return f"{host}/{{{','.join(map(_marker, tables))}}}"


def _marker(table: LakeTable[PurePosixPath]) -> str:
    return str(table.root / table.format.marker).lstrip("/")


def _marker_condition(session: SparkSession, pattern: str) -> str:
    """Return the condition of Spark's error at a look for files that match `pattern`, or an empty text where it finds one.

    Spark looks when it plans to read them, and reads none; this works on a Connect server, too.
    """
    try:
        session.read.format("binaryFile").load(pattern).columns  # noqa: B018  # on a Connect server, this makes the plan
    except PySparkException as error:
        return error.getCondition() or "unknown"
    except Py4JJavaError:
        return "unknown"
    return ""
