"""The Spark session of a step: found or started from the `spark` parameter, with Java checked first and its noise kept off."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from common import credentials
from common.options import WorkError, one_line, quoted

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import DataFrame, SparkSession

MINIMUM_JAVA = 17
INSTALL_JAVA = (
    "Install it with 'apt-get install openjdk-17-jre-headless' (Debian, Ubuntu), 'brew install openjdk@17' (macOS) or "
    "'conda install -c conda-forge openjdk=17', or set JAVA_HOME to one."
)
CONNECT_LOCAL = "connect-"
# What tells that Spark is somewhere else, by way of Connect, or is Databricks's own: no Java is wanted here.
REMOTE = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "DATABRICKS_RUNTIME_VERSION")
# Spark's default, where a session does not say how many it has, as Databricks's serverless does not.
SHUFFLE_PARTITIONS = 200

# Where the memory of the JVM is full, any thread may be the one that ends, and Spark may wait for it for ever: all of it ends.
# Spark's launcher adds these options to those of a site, which a setting of the session would replace.
OPTIONS = "SPARK_SUBMIT_OPTS"
END_WHEN_FULL, FULL = "-XX:+ExitOnOutOfMemoryError", 3
# What spark_archive.py makes, where somebody runs it in this environment.
ARCHIVE = Path(sys.prefix, "share", "penguins", "spark.jsa")
ENDING_S = 5

# Small tables on one machine: as many shuffle partitions as cores, not merged into one worker, no page to serve, and a
# compiler and a collector for a process that lives for a minute.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
LOCAL_SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.driver.host": "127.0.0.1",
    "spark.executor.extraJavaOptions": SHORT_LIVED,
}
SETTINGS = {
    # On one machine workers have the driver's environment: what it shows a tracking server is for those alone who log.
    **{f"spark.executorEnv.{name}": "" for name in (credentials.USERNAME, credentials.PASSWORD, credentials.TOKEN)},
    "spark.sql.caseSensitive": "true",
    "spark.log.level": "ERROR",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
RAN_FULL = (
    "Spark's driver ran out of memory. Let Spark read the table itself, by a URI such as file:///… or s3a://…, rather than "
    "from a path of this machine, or give the driver more: set SPARK_DRIVER_MEMORY, to 4g for example (1g if it is not set)."
)


_begun: dict[str, "Future[SparkContext]"] = {}


def begin(where: str) -> None:
    """Starts Spark in the background, for `session` to wait for: its JVM and the imports of Python start side by side."""
    if where not in _begun and not where.startswith((CONNECT_LOCAL, "sc://", "active")):
        _begun[where] = Future()
        Thread(target=_fulfil, args=(_begun[where], where), daemon=True).start()


def _fulfil(future: "Future[SparkContext]", where: str) -> None:
    try:
        future.set_result(_start_classic(where))
    except BaseException as error:  # noqa: BLE001  # whoever waits for the session is told
        future.set_exception(error)


@contextmanager
def session(where: str) -> Iterator["SparkSession"]:
    """The session that the `spark` parameter asks for; stopped at the end if it was started here.

    Raises WorkError where Java is missing or Spark does not start.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    found = SparkSession.getActiveSession()
    if found is not None:
        yield found
        return
    begin(where)
    try:
        if where in _begun:
            started = SparkSession(_begun.pop(where).result())
        elif where == "active":
            if not any(name in os.environ for name in REMOTE):
                require_java()
            started = SparkSession.builder.getOrCreate()
        elif where.startswith("sc://"):
            started = SparkSession.builder.remote(where).getOrCreate()
        else:
            started = _start_connect(where.removeprefix(CONNECT_LOCAL))
    except (PySparkException, OSError) as error:
        raise WorkError(f"Spark could not be started at {quoted(where)}: {one_line(error)[:300]}") from error
    try:
        yield started
    except BaseException as error:
        # What ends the step may have ended Spark, too; of the two failures, the first one tells.
        with suppress(PySparkException, Py4JError, OSError):
            _stop(started, where)
        if isinstance(error, Exception) and not _is_connect(started) and _ran_full():
            raise WorkError(RAN_FULL) from error
        raise
    _stop(started, where)


def _stop(started: "SparkSession", where: str) -> None:
    if where != "active":
        started.stop()


def _ran_full() -> bool:
    """Whether the JVM that was started here is gone, or about to go, since its memory was full."""
    from py4j.java_gateway import JavaGateway
    from pyspark import SparkContext

    gateway: JavaGateway | None = SparkContext._gateway
    process = getattr(gateway, "proc", None)
    if gateway is None or process is None:
        return False
    with suppress(subprocess.TimeoutExpired):
        # The connection breaks a moment before the process is gone.
        process.wait(0 if _answers(gateway) else ENDING_S)
    return bool(process.returncode == FULL)


def _answers(gateway: Any) -> bool:
    try:
        gateway.jvm.System.nanoTime()
    except Exception:  # noqa: BLE001  # it has ended, whatever that broke
        return False
    return True


def kept(frame: "DataFrame") -> "DataFrame":
    """`frame`, kept by Spark once it is read, where Spark can: a serverless session cannot, and reads it again each time."""
    from pyspark.errors import PySparkException

    try:
        return frame.persist()
    except PySparkException:
        return frame


def tag_jobs(session: "SparkSession", tag: str) -> None:
    """Gives the jobs that this thread starts from now on a tag, for `end_jobs`.

    A classic session's own tags would leave in it what cannot be serialised, and with it the models that are fitted there.
    """
    if _is_connect(session):
        session.addTag(tag)
    else:
        session.sparkContext.addJobTag(tag)


def end_jobs(session: "SparkSession", tag: str) -> None:
    """Ends the jobs that bear the tag."""
    if _is_connect(session):
        session.interruptTag(tag)
    else:
        session.sparkContext.cancelJobsWithTag(tag)


def _is_connect(session: "SparkSession") -> bool:
    return type(session).__module__.startswith("pyspark.sql.connect")


def tasks_at_once(session: "SparkSession") -> int:
    """About how many tasks the session runs at the same time: as many as it has partitions to shuffle into."""
    number = session.conf.get("spark.sql.shuffle.partitions") or "auto"
    return int(number) if number.isdecimal() else SHUFFLE_PARTITIONS


def reason(error: Exception) -> str:
    """Why a job of Spark failed, on one line: of a long stack of two languages, the line that tells."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"\w*(Error|Exception)\b", line)] or lines or [type(error).__name__]
    return one_line(telling[-1])[:300]


def _start_classic(master: str) -> "SparkContext":
    """Starts Spark in a JVM of its own whose output is kept, and shown only where it does not start."""
    require_java()
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    _add_option(END_WHEN_FULL)
    _start_from_archive()
    conf = SparkConf().setMaster(master).setAppName("sweep")
    for key, value in _settings(master).items():
        conf.setIfMissing(key, value)
    with tempfile.TemporaryFile() as output:
        try:
            return SparkContext(conf=conf, gateway=launch_gateway(conf, {"stdout": output, "stderr": output}))
        except PySparkException as error:
            raise WorkError(f"Spark could not be started at {quoted(master)}: {_last_words(output)}") from error


def _start_connect(master: str) -> "SparkSession":
    """Starts a Connect server in a process of this machine and a client of it; its JVM inherits a silent standard error."""
    require_java()
    from pyspark.sql import SparkSession

    _start_from_archive()
    builder = SparkSession.builder.remote(master)
    for key, value in _settings(master).items():
        builder = builder.config(key, value)
    with _standard_error_of_children_silenced():
        return builder.getOrCreate()


def _add_option(option: str) -> None:
    options = os.environ.get(OPTIONS, "")
    if option not in options:
        os.environ[OPTIONS] = f"{options} {option}".strip()


def _start_from_archive() -> None:
    if ARCHIVE.is_file() and "Archive" not in os.environ.get(OPTIONS, ""):
        _add_option(shlex.quote(f"-XX:SharedArchiveFile={ARCHIVE}"))


def _settings(master: str) -> dict[str, str]:
    here = master.startswith("local")
    if here:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if master.startswith("local-cluster"):
        # Its executors are started from Spark's own folder, which the package does not tell them.
        import pyspark

        os.environ.setdefault("SPARK_HOME", os.path.dirname(pyspark.__file__))
    settings = {**SETTINGS, **(LOCAL_SETTINGS if here else {})}
    if here:
        settings["spark.sql.shuffle.partitions"] = str(os.cpu_count())
    return settings


@contextmanager
def _standard_error_of_children_silenced() -> Iterator[None]:
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _last_words(output: IO[bytes]) -> str:
    output.seek(0)
    lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "Exception" in line or "Error" in line] or lines[-1:] or ["it said nothing"]
    return one_line(telling[0])[:300]


def require_java() -> None:
    """Raises WorkError with the command that installs Java where it is missing or older than Spark 4 needs."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if java is None or not os.path.exists(java):
        where = f"JAVA_HOME is {quoted(home)}, which holds no bin/java" if home else "no 'java' is on PATH"
        raise WorkError(f"Spark needs Java {MINIMUM_JAVA} or later, and {where}. {INSTALL_JAVA}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version.group(1)) < MINIMUM_JAVA:
        found = one_line(said.partition("\n")[0]) or "nothing"
        raise WorkError(f"Spark needs Java {MINIMUM_JAVA} or later, and {java} says {quoted(found)}. {INSTALL_JAVA}")
