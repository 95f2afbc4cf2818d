"""Spark in processes of its own on loopback: a Connect server, and a standalone master with two workers."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark
from servers import environment, free_port

from penguins.spark.session import SHORT_LIVED

HOME = Path(pyspark.__file__).parent
# For small tables on one machine: by default a cluster takes two hundred partitions and compiles for days of work.
SETTINGS = {
    "spark.driver.extraJavaOptions": SHORT_LIVED,
    "spark.driver.host": "127.0.0.1",
    "spark.executor.extraJavaOptions": SHORT_LIVED,
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
}
LONGEST_S = 90


def submit_options(**more: str) -> list[str]:
    """Return the options of spark-submit for the settings and for `more`, whose names are without `spark.`."""
    settings = SETTINGS | {f"spark.{name}": value for name, value in more.items()}
    return [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]


def submit_variables(**more: str) -> dict[str, str]:
    """Return the environment variables with which a step's own session at a cluster has these settings."""
    return {"PYSPARK_SUBMIT_ARGS": shlex.join([*submit_options(**more), "pyspark-shell"]), "PYSPARK_PYTHON": sys.executable}


@contextmanager
def _spark_process(folder: Path, name: str, command: list[str], sign: str, **more: str) -> Iterator[None]:
    """Run a process of Spark in `folder` during the block, without this project's code; wait until it has printed `sign`."""
    inherited = {key: value for key, value in environment().items() if not key.startswith(("PYTHON", "SPARK_", "PYSPARK_"))}
    variables = inherited | {"SPARK_HOME": str(HOME), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"} | more
    variables["SPARK_DAEMON_JAVA_OPTS"] = SHORT_LIVED
    output = folder / f"{name}.txt"
    with output.open("ab") as file:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=file, stderr=file, start_new_session=True)
    try:
        until = time.monotonic() + LONGEST_S
        while sign not in output.read_text(errors="replace"):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < until, output.read_text()
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def connect_server(folder: Path, **variables: str) -> Iterator[str]:
    """Run a Connect server with two cores and these environment variables during the block, and yield its URL."""
    port = free_port()
    command = [str(HOME / "bin" / "spark-submit"), "--master", "local[2]", *submit_options()]
    command += ["--conf", f"spark.connect.grpc.binding.port={port}", "--conf", "spark.connect.grpc.binding.address=127.0.0.1"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with _spark_process(folder, "connect", command, "started at:", **variables):
        yield f"sc://127.0.0.1:{port}"


@dataclass(frozen=True)
class Cluster:
    """A standalone cluster: its master's URL, and the folder in which its executors work, one in it for each application."""

    url: str
    work: Path


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a standalone master with two workers of one core during the block.

    On Linux each worker is on what Spark takes for a host of its own.
    """
    url = f"spark://127.0.0.1:{free_port()}"
    start = [str(HOME / "bin" / "spark-class")]
    pages = ["--webui-port", "0"]
    master = [*start, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", url.rpartition(":")[2], *pages]
    limits = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / "work")]
    with ExitStack() as stack:
        stack.enter_context(_spark_process(folder, "master", master, "New state: ALIVE"))
        for host in ("127.0.0.1", "127.0.0.2"):
            worker = [*start, "org.apache.spark.deploy.worker.Worker", "--host", host, *pages, *limits, url]
            sign = "Successfully registered"
            stack.enter_context(_spark_process(folder, f"worker-{host}", worker, sign, SPARK_LOCAL_IP=host))
        yield Cluster(url, folder / "work")
