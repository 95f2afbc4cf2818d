"""An archive of the classes that Spark's JVM loads, so that it starts sooner: `python steps/common/spark_archive.py`, once.

Java calls it class-data sharing: https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html. The archive lies in the
Python environment whose Spark it was made of. A JVM that it does not fit, as after an update of Spark or Java, does without.
"""

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from common import spark
from common.options import FAILED_WORK, WorkError, one_line, quoted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def make(path: Path) -> None:
    """Starts Spark, has it do what the steps do, and keeps the classes that this took in the file `path`.

    Raises WorkError where Spark does not start or Java keeps nothing, OSError where there can be no such file.
    """
    from pyspark import SparkContext

    path.parent.mkdir(parents=True, exist_ok=True)
    # It gets its name when it is whole: others may be starting.
    part = path.with_name(f"{path.name}.{os.getpid()}")
    os.environ[spark.OPTIONS] = shlex.quote(f"-XX:ArchiveClassesAtExit={part}")
    try:
        with spark.session("local[2]") as session:
            _work_as_the_steps_do(session)
        gateway = SparkContext._gateway
        assert gateway is not None  # noqa: S101  # for the type checker: a classic session has one
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()
        if not part.is_file():
            raise WorkError(f"Java has kept no archive in {quoted(str(path.parent))}. Is there no room?")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _work_as_the_steps_do(session: "SparkSession") -> None:
    """A table from here, one from a file, a pandas function by group, a model that is fitted and saved."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StandardScaler, StringIndexer, VectorAssembler

    with tempfile.TemporaryDirectory() as folder:
        rows = session.createDataFrame(
            [(float(n), float(n % 7), f"{n % 3}") for n in range(60)], "x double, y double, name string"
        )
        rows.write.parquet(f"{folder}/rows")
        read = session.read.parquet(f"{folder}/rows").dropna().persist()
        read.groupBy("name").applyInPandas(lambda part: part, read.schema).collect()
        stages: list[Any] = [
            StringIndexer(inputCol="name", outputCol="label"),
            VectorAssembler(inputCols=["x", "y"], outputCol="together"),
            StandardScaler(inputCol="together", outputCol="features", withMean=True),
            LogisticRegression(),
        ]
        model = Pipeline(stages=stages).fit(read)
        model.transform(read).select("prediction", "probability").toPandas()
        model.write().save(f"{folder}/model")


def main() -> int:
    """Makes the archive of this Python's environment, says where it is, and returns the exit code."""
    try:
        make(spark.ARCHIVE)
    except (WorkError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return FAILED_WORK
    print(f"Spark starts from {spark.ARCHIVE} from now on ({spark.ARCHIVE.stat().st_size / 2**20:.0f} MiB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
