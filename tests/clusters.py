"""Spark in processes of its own on loopback: a Connect server, and a standalone master with two workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark
from servers import environment, free_port

from common.spark import SHORT_LIVED

HOME = Path(pyspark.__file__).parent
SETTINGS = (
    "--conf", "spark.ui.enabled=false", "--conf", "spark.driver.host=127.0.0.1",
    "--conf", f"spark.driver.extraJavaOptions={SHORT_LIVED}", "--conf", f"spark.executor.extraJavaOptions={SHORT_LIVED}",
)  # fmt: skip


@contextmanager
def _started(folder: Path, name: str, command: list[str], sign: str, **more: str) -> Iterator[None]:
    """A process of Spark's that works in `folder`, knows nothing of this project, and has said `sign`."""
    kept = {key: value for key, value in environment().items() if not key.startswith(("PYTHON", "SPARK_", "PYSPARK_"))}
    variables = kept | {"SPARK_HOME": str(HOME), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"} | more
    variables["SPARK_DAEMON_JAVA_OPTS"] = SHORT_LIVED
    output = folder / f"{name}.txt"
    with output.open("ab") as file:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=file, stderr=file, start_new_session=True)
    try:
        until = time.monotonic() + 90
        while sign not in output.read_text(errors="replace"):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < until, output.read_text()
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """The URL of a Connect server with two cores."""
    port = free_port()
    command = [str(HOME / "bin" / "spark-submit"), "--master", "local[2]", *SETTINGS]
    command += ["--conf", f"spark.connect.grpc.binding.port={port}", "--conf", "spark.connect.grpc.binding.address=127.0.0.1"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with _started(folder, "connect", command, "started at:"):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def standalone(folder: Path) -> Iterator[str]:
    """The URL of a standalone master with two workers of one core, each on what is a host of its own to Spark (on Linux)."""
    url = f"spark://127.0.0.1:{free_port()}"
    start = [str(HOME / "bin" / "spark-class")]
    pages = ["--webui-port", "0"]
    master = [*start, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", url.rpartition(":")[2], *pages]
    limits = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / "work")]
    with ExitStack() as stack:
        stack.enter_context(_started(folder, "master", master, "New state: ALIVE"))
        for host in ("127.0.0.1", "127.0.0.2"):
            worker = [*start, "org.apache.spark.deploy.worker.Worker", "--host", host, *pages, *limits, url]
            stack.enter_context(_started(folder, f"worker-{host}", worker, "Successfully registered", SPARK_LOCAL_IP=host))
        yield url
