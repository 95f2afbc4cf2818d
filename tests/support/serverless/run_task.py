"""Run a script as a task on serverless compute does: `python run_task.py <Connect URL> <Volumes> <script> <arguments …>`.

The session is there before the script, which has no `__file__`, and refuses what that of serverless compute refuses. `Volumes`
stands for the folder `/Volumes`. The worker's side of it is `sitecustomize.py`.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlparse

import mlflow.spark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.connect.catalog import Catalog
from pyspark.sql.connect.conf import RuntimeConf
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.readwriter import DataFrameReader, DataFrameWriter

# The settings that a session of serverless compute has.
SETTINGS = (
    "spark.databricks.execution.timeout",
    "spark.sql.ansi.enabled",
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
)
# Databricks's own function, by which MLflow asks what the functions of users run on.
VERSION = (
    "CREATE OR REPLACE TEMPORARY FUNCTION current_version() RETURNS STRUCT<dbr_version: STRING> "
    "RETURN named_struct('dbr_version', '18.0.x-scala2.13')"
)


def refuse(kind: type, *names: str) -> None:
    """Have the methods of a class raise what serverless compute answers."""

    def refused(*_: Any, **__: Any) -> NoReturn:
        raise PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] It is not supported on serverless compute. SQLSTATE: 0A000")

    for name in names:
        setattr(kind, name, refused)


def refuse_local_files(kind: type, name: str, volumes: str) -> None:
    """Have a method whose first argument is a path refuse one of this machine outside of the Volumes."""
    original: Callable[..., Any] = getattr(kind, name)

    def checked(self: Any, path: Any = None, *more: Any, **named: Any) -> Any:
        for one in [path] if isinstance(path, str) else path or ():
            url = urlparse(one)
            if url.scheme in ("", "file") and not url.path.startswith(volumes):
                raise PySparkException(f"[LOCAL_FILE_ACCESS] Access of the local file system is forbidden: {one}")
        return original(self, path, *more, **named)

    setattr(kind, name, checked)


def refuse_settings() -> None:
    """Have a session state the settings of serverless compute alone, except to PySpark itself, whose own differs there."""
    for name in ("get", "set"):
        original: Callable[..., Any] = getattr(RuntimeConf, name)

        def checked(self: Any, key: str, *more: Any, original: Callable[..., Any] = original) -> Any:
            by = str(sys._getframe(1).f_globals["__name__"])
            if key not in SETTINGS and not by.startswith("pyspark."):
                raise PySparkException(f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. SQLSTATE: 42K0I")
            return original(self, key, *more)

        setattr(RuntimeConf, name, checked)


def dress(url: str, volumes: str) -> SparkSession:
    """Return the session of the server at `url`, which now does what one of serverless compute does."""
    session = SparkSession.builder.remote(url).getOrCreate()
    session.sql(VERSION)
    refuse(DataFrame, "persist", "cache", "unpersist", "checkpoint", "localCheckpoint", "createOrReplaceGlobalTempView")
    refuse(Catalog, "cacheTable", "clearCache", "uncacheTable")
    for kind, name in ((DataFrameReader, "load"), (DataFrameWriter, "save")):
        refuse_local_files(kind, name, volumes)
    refuse_settings()
    # MLflow looks for the path of a Volume, which is that of a test here.
    mlflow.spark._is_uc_volume_uri = lambda uri: urlparse(uri).path.startswith(volumes)
    os.environ["DATABRICKS_RUNTIME_VERSION"] = "client.5.0"
    return session


def main() -> None:
    """Dress the session and run the script."""
    url, volumes, script, *arguments = sys.argv[1:]
    dress(url, volumes)
    sys.path[0] = str(Path(script).parent)
    if script.endswith("steps/" + Path(script).name):
        from penguins.spark import ml_models

        ml_models.VOLUMES = Path(volumes)
    sys.argv = [script, *arguments]
    exec(compile(Path(script).read_text(encoding="utf-8"), script, "exec"), {"__name__": "__main__"})  # noqa: S102


if __name__ == "__main__":
    main()
