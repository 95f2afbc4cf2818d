"""The Spark session of a step: find or start it, with Java checked first and its output kept off the terminal."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from penguins.errors import WorkError
from penguins.spark.jobs import is_connect_session
from penguins.spark.target import SparkTarget
from penguins.text import one_line, quote
from penguins.tracking.server import PASSWORD, TOKEN, USERNAME

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

MINIMUM_JAVA = 17
INSTALL_JAVA = (
    "Install it with 'apt-get install openjdk-17-jre-headless' (Debian, Ubuntu), 'brew install openjdk@17' (macOS) or "
    "'conda install -c conda-forge openjdk=17', or set JAVA_HOME to one."
)
# Options of the driver's JVM. A setting of the session would replace those of the site, whereas these are added to them.
JVM_OPTIONS = "SPARK_SUBMIT_OPTS"
# When memory runs out, any thread of the JVM may die, and Spark may wait for it forever: the JVM has to exit instead.
EXIT_ON_OUT_OF_MEMORY, OUT_OF_MEMORY_EXIT_CODE = "-XX:+ExitOnOutOfMemoryError", 3
EXIT_S = 5
OUT_OF_MEMORY = (
    "Spark's driver ran out of memory. Let Spark read the table itself, by a URI such as file:///… or s3a://…, rather than "
    "from a path of this machine, or give the driver more: set SPARK_DRIVER_MEMORY, to 4g for example (1g if it is not set)."
)
# A compiler and a collector for a JVM that lives for a minute.
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
LOCAL_SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.driver.host": "127.0.0.1",
    "spark.executor.extraJavaOptions": SHORT_LIVED,
}
SETTINGS = {
    # On one machine the workers inherit the driver's environment, and only those that log may have its credentials.
    **{f"spark.executorEnv.{name}": "" for name in (USERNAME, PASSWORD, TOKEN)},
    "spark.sql.caseSensitive": "true",
    "spark.log.level": "ERROR",
    # Merged partitions would leave small groups to one worker.
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}

_starting: dict[SparkTarget, "Future[SparkContext]"] = {}


def start_in_background(target: SparkTarget) -> None:
    """Start the JVM of `target`, if it is the step's own, while Python imports; `spark_session` waits for it."""
    if target not in _starting and target.starts_jvm_in_background:
        _starting[target] = Future()
        Thread(target=_fulfil, args=(_starting[target], target), daemon=True).start()


def _fulfil(future: "Future[SparkContext]", target: SparkTarget) -> None:
    try:
        future.set_result(_start_classic(target))
    except BaseException as error:  # noqa: BLE001  # raised where the session is waited for
        future.set_exception(error)


@contextmanager
def spark_session(target: SparkTarget) -> Iterator["SparkSession"]:
    """Open the session of `target` for the block, or use the one that is active; stop it only if it was started here.

    Raises WorkError where Java is missing, Spark does not start, or its driver runs out of memory.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    session = _start(target)
    try:
        yield session
    except BaseException as error:
        # Whatever ended the step may have ended Spark as well. Only the first failure is reported.
        with suppress(PySparkException, Py4JError, OSError):
            _stop(session, target)
        if isinstance(error, Exception) and not is_connect_session(session) and _is_out_of_memory():
            raise WorkError(OUT_OF_MEMORY) from error
        raise
    _stop(session, target)


def _start(target: SparkTarget) -> "SparkSession":
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    start_in_background(target)
    try:
        if target in _starting:
            return SparkSession(_starting.pop(target).result())
        if target.needs_java:
            require_java()
        if target.is_active:
            return SparkSession.builder.getOrCreate()
        if target.is_connect_local:
            return _start_connect_server(target)
        return SparkSession.builder.remote(target.text).getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        raise WorkError(f"Spark could not be started at {quote(target.text)}: {one_line(error)[:300]}") from error


def _stop(session: "SparkSession", target: SparkTarget) -> None:
    if not target.is_active:
        session.stop()


def _is_out_of_memory() -> bool:
    """Tell whether the JVM that was started here has exited, or is about to exit, because it ran out of memory."""
    from py4j.java_gateway import JavaGateway
    from pyspark import SparkContext

    gateway: JavaGateway | None = SparkContext._gateway
    process = getattr(gateway, "proc", None)
    if gateway is None or process is None:
        return False
    with suppress(subprocess.TimeoutExpired):
        # The connection breaks a moment before the process exits.
        process.wait(0 if _is_answering(gateway) else EXIT_S)
    return bool(process.returncode == OUT_OF_MEMORY_EXIT_CODE)


def _is_answering(gateway: Any) -> bool:
    try:
        gateway.jvm.System.nanoTime()
    except Exception:  # noqa: BLE001  # each kind of broken connection raises its own
        return False
    return True


def _start_classic(target: SparkTarget) -> "SparkContext":
    """Start Spark in a JVM of its own, whose output is shown only if it fails to start."""
    require_java()
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException
    from pyspark.java_gateway import launch_gateway

    options = os.environ.get(JVM_OPTIONS, "")
    if EXIT_ON_OUT_OF_MEMORY not in options:
        os.environ[JVM_OPTIONS] = f"{options} {EXIT_ON_OUT_OF_MEMORY}".strip()
    conf = SparkConf().setMaster(target.master).setAppName("sweep")
    for key, value in _settings(target).items():
        conf.setIfMissing(key, value)
    with tempfile.TemporaryFile() as output:
        try:
            return SparkContext(conf=conf, gateway=launch_gateway(conf, {"stdout": output, "stderr": output}))
        except PySparkException as error:
            raise WorkError(f"Spark could not be started at {quote(target.text)}: {_first_error(output)}") from error


def _start_connect_server(target: SparkTarget) -> "SparkSession":
    """Start a Connect server on this machine and a client of it; the server's JVM inherits a silent standard error."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.remote(target.master)
    for key, value in _settings(target).items():
        builder = builder.config(key, value)
    with _silence_standard_error_of_children():
        return builder.getOrCreate()


def _settings(target: SparkTarget) -> dict[str, str]:
    """Return the settings of a session at `target`, and set the environment variables that its workers need."""
    if not target.is_on_this_machine:
        return SETTINGS
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if target.is_local_cluster:
        # Spark starts these executors from its own folder, which the package from PyPI does not tell it.
        import pyspark

        os.environ.setdefault("SPARK_HOME", os.path.dirname(pyspark.__file__))
    return SETTINGS | LOCAL_SETTINGS | {"spark.sql.shuffle.partitions": str(os.cpu_count())}


@contextmanager
def _silence_standard_error_of_children() -> Iterator[None]:
    original = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
        os.close(null)


def _first_error(output: IO[bytes]) -> str:
    """Return the first line of a JVM's output that names an error, or else its last line."""
    output.seek(0)
    lines = [line for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Exception" in line or "Error" in line]
    return one_line((errors or lines[-1:] or ["it said nothing"])[0])[:300]


def require_java() -> None:
    """Raise WorkError with the command that installs Java where it is missing or older than Spark needs."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if java is None or not os.path.exists(java):
        where = f"JAVA_HOME is {quote(home)}, which holds no bin/java" if home else "no 'java' is on PATH"
        raise WorkError(f"Spark needs Java {MINIMUM_JAVA} or later, and {where}. {INSTALL_JAVA}")
    printed = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', printed)
    if version is None or int(version.group(1)) < MINIMUM_JAVA:
        found = one_line(printed.partition("\n")[0]) or "nothing"
        raise WorkError(f"Spark needs Java {MINIMUM_JAVA} or later, and {java} says {quote(found)}. {INSTALL_JAVA}")
