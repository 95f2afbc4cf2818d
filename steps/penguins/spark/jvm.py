"""The JVM of a classic session, or of a Connect server that this process started: how it ended, and what that leaves behind."""

import logging
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

# When memory runs out, any thread of the JVM may die, and Spark may wait for it forever: the JVM has to exit instead.
EXIT_ON_OUT_OF_MEMORY, OUT_OF_MEMORY_EXIT_CODE = "-XX:+ExitOnOutOfMemoryError", 3
EXIT_S = 5
OUT_OF_MEMORY = (
    "Spark's driver ran out of memory. Let Spark read the table itself, by a URI such as file:///… or s3a://…, rather than "
    "from a path of this machine, or give the driver more: set SPARK_DRIVER_MEMORY, to 4g for example (1g if it is not set)."
)
LESS_MEMORY = "let fewer tasks run at the same time, with spark=local[1] for example, or give Spark's machines more memory"


def jvm_failure() -> str:
    """Return how the JVM has ended, on one line with the remedy; an empty text where it answers, or where there is none."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None or _is_answering(gateway):
        return ""
    process = getattr(gateway, "proc", None)
    if process is None:
        return "Spark's JVM, which this step did not start, does not answer any more."
    with suppress(subprocess.TimeoutExpired):
        process.wait(EXIT_S)  # The connection breaks a moment before the process exits.
    return _describe_exit(process.returncode)


def has_jvm_ended() -> bool:
    """Tell whether the JVM that this process started has ended."""
    from pyspark import SparkContext

    process = getattr(SparkContext._gateway, "proc", None)
    return process is not None and process.poll() is not None


def forget_jvm() -> None:
    """Let the next session of this process start a JVM of its own. PySpark would go on asking the one that has ended."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    SparkContext._active_spark_context = SparkContext._gateway = SparkContext._jvm = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None


def silence_broken_connections() -> None:
    """Keep PySpark and py4j from printing a traceback, beside the error that they raise, when the JVM ends."""
    from pyspark import SparkContext

    logging.getLogger().addFilter(_is_not_of_py4j)  # py4j logs a request that breaks off to the root logger

    server = getattr(SparkContext._active_spark_context, "_accumulatorServer", None)
    if server is not None:
        server.handle_error = lambda *_: None


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return os.path.basename(os.path.dirname(record.pathname)) != "py4j"


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "Spark's JVM does not answer any more, although its process runs."
    if code == OUT_OF_MEMORY_EXIT_CODE:
        return OUT_OF_MEMORY
    number = -code if code < 0 else code - 128  # a JVM that handles a signal ends as a shell's command does
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"Spark's JVM ended with the exit code {code}."
    if name == "SIGKILL":  # by name: Windows has no such signal
        return f"Spark's JVM was ended by {name} (exit code {code}), most often for lack of memory: {LESS_MEMORY}."
    return f"Spark's JVM was ended by {name} (exit code {code})."


def _is_answering(gateway: Any) -> bool:
    """Tell whether the JVM answers, be it with a refusal, as a secured one does.

    py4j raises the same error for a refusal as for an old connection that breaks. The second request opens a new one.
    """
    from py4j.protocol import Py4JNetworkError

    for _ in range(2):
        try:
            gateway.jvm.System.nanoTime()
        except (Py4JNetworkError, OSError, EOFError):
            return False
        except Exception:  # noqa: BLE001, S112  # any other answer is one
            continue
    return True
