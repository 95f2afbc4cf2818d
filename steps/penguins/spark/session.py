"""The Spark session of a step: find or start it, with Java checked first and its output kept off the terminal."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Thread
from typing import IO, TYPE_CHECKING

from penguins.errors import WorkError
from penguins.redaction import redact
from penguins.spark.jobs import spark_failure_reason
from penguins.spark.jvm import EXIT_ON_OUT_OF_MEMORY, forget_jvm, has_jvm_ended, jvm_failure, silence_broken_connections
from penguins.spark.target import INSTALL_JAVA, MINIMUM_JAVA, SparkTarget
from penguins.text import one_line, quote
from penguins.tracking.server import CLOUD_SECRETS, TRACKING_SECRETS

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# Options of the driver's JVM. A setting of the session would replace those of the site, whereas these are added to them.
JVM_OPTIONS = "SPARK_SUBMIT_OPTS"
REGISTRY = "MLFLOW_REGISTRY_URI"
# The collector of a small heap, and a compiler for a JVM that lives for a minute. The other one takes longer, and its code half
# the time.
LONG_LIVED = "-XX:+UseSerialGC"
SHORT_LIVED = f"-XX:TieredStopAtLevel=1 {LONG_LIVED}"
LOCAL_SETTINGS = {
    # A cluster elsewhere has secrets of its own in these variables.
    **{f"spark.executorEnv.{name}": "" for name in CLOUD_SECRETS},
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
SETTINGS = {
    # On one machine the workers inherit the driver's environment, and only those that log may have its credentials.
    **{f"spark.executorEnv.{name}": "" for name in TRACKING_SECRETS},
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


def start_in_background(target: SparkTarget | None) -> None:
    """Start the JVM of `target`, if it is the step's own, while Python imports; `spark_session` waits for it."""
    if target is not None and target not in _starting and target.starts_jvm_in_background:
        _starting[target] = Future()
        Thread(target=_fulfil, args=(_starting[target], target), daemon=True).start()


def _fulfil(future: "Future[SparkContext]", target: SparkTarget) -> None:
    try:
        future.set_result(_start_classic(target))
    except BaseException as error:  # noqa: BLE001  # raised where the session is waited for
        future.set_exception(error)


@contextmanager
def step_session(target: SparkTarget) -> Iterator["SparkSession"]:
    """Open the session of a step for the block, as `spark_session` does, and keep MLflow from asking it again.

    A client of MLflow asks the active session for the registry's URI, and so fails where Spark has failed.
    """
    import mlflow

    with spark_session(target) as session:
        before = os.environ.get(REGISTRY)
        os.environ[REGISTRY] = mlflow.get_registry_uri()
        try:
            yield session
        finally:
            os.environ.pop(REGISTRY)
            if before is not None:
                os.environ[REGISTRY] = before


@contextmanager
def spark_session(target: SparkTarget) -> Iterator["SparkSession"]:
    """Open the session of `target` for the block, or use the one that is active; stop it only if it was started here.

    Raises WorkError where Java is missing, where Spark does not start, and where Spark fails or its JVM ends in the block.
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    session = _start(target) if active is None else active
    # Where Spark fails, the error says why; PySpark warns before it that it cannot go on.
    warnings.filterwarnings("ignore", message="toPandas attempted Arrow optimization")
    try:
        yield session
    except Exception as error:
        if why := _spark_failure(error):
            raise WorkError(why) from error
        raise
    finally:
        if active is None:
            _stop(session, target)


def _spark_failure(error: Exception) -> str:
    """Return why Spark failed, on one line, if `error` is its failure, as any is once its JVM has ended; else an empty text."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    if why := jvm_failure():
        return why
    return f"Spark failed: {spark_failure_reason(error)}" if isinstance(error, PySparkException | Py4JError) else ""


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
    """Stop a session that was started here. A failure is not reported: the work is done, or has failed for another reason."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    if target.is_active:
        return
    with suppress(PySparkException, Py4JError, OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session.stop()
    if has_jvm_ended():
        forget_jvm()


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
            context = SparkContext(conf=conf, gateway=launch_gateway(conf, {"stdout": output, "stderr": output}))
        except PySparkException as error:
            raise WorkError(f"Spark could not be started at {quote(target.text)}: {_first_error(output)}") from error
    silence_broken_connections()
    return context


def _start_connect_server(target: SparkTarget) -> "SparkSession":
    """Start a Connect server on this machine and a client of it; the server's JVM inherits a silent standard error."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.remote(target.master)
    for key, value in _settings(target).items():
        builder = builder.config(key, value)
    with _silence_standard_error_of_children():
        session = builder.getOrCreate()
    silence_broken_connections()
    _give_up_with_server(session)
    return session


def _give_up_with_server(session: "SparkSession") -> None:
    """Have the client repeat no request once the JVM of its server has ended. By default, it does so for ten minutes."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    class PolicyOfLocalServer(DefaultPolicy):
        def can_retry(self, e: BaseException) -> bool:
            return not has_jvm_ended() and bool(super().can_retry(e))

    session.client.set_retry_policies([PolicyOfLocalServer()])


def _settings(target: SparkTarget) -> dict[str, str]:
    """Return the settings of a session at `target`, and set the environment variables that its workers need."""
    if not target.is_on_this_machine:
        return SETTINGS
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if target.is_local_cluster:
        # Spark starts these executors from its own folder, which the package from PyPI does not tell it.
        import pyspark

        os.environ.setdefault("SPARK_HOME", os.path.dirname(pyspark.__file__))
    java = {f"spark.{of}.extraJavaOptions": LONG_LIVED if target.is_long else SHORT_LIVED for of in ("driver", "executor")}
    return SETTINGS | _hidden_variables() | LOCAL_SETTINGS | java | {"spark.sql.shuffle.partitions": str(os.cpu_count())}


def _hidden_variables() -> dict[str, str]:
    """Return settings that empty, for the workers, each environment variable that holds a URL with a secret.

    A tracking URI with a password is one. The workers may need proxies.
    """
    names = [name for name, text in os.environ.items() if redact(text) != text and not name.lower().endswith("_proxy")]
    return {f"spark.executorEnv.{name}": "" for name in names}


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
