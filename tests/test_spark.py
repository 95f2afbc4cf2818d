"""Java and Spark: what is missing is said in one line with the command that installs it."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import dbscan_sweep
import pytest
from conftest import Steps, Store
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from servers import environment

from common import spark, spark_archive
from common.options import PROJECT, WorkError


def fake_java(folder: Path, says: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ('openjdk version "11.0.2" 2019', 'openjdk version "11.0.2" 2019'),
        ('java version "1.8.0_202"', "1.8.0_202"),
        ("hm", "hm"),
    ],
)
def test_an_old_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, found: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, says)))
    with pytest.raises(WorkError) as refused:
        spark.require_java()
    assert str(refused.value).startswith("Spark needs Java 17 or later, and ")
    assert found in str(refused.value)


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_a_new_java_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, f'openjdk version "{version}"')))
    spark.require_java()


@pytest.mark.parametrize("home", [None, "/nowhere"])
def test_a_missing_java_fails_the_step_with_the_commands_that_install_it(
    store: Store,
    step: Steps,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    home: str | None,
) -> None:
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    (tmp_path / "git").symlink_to(str(shutil.which("git")))  # which MLflow looks for
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)
    assert step(dbscan_sweep) == 1
    said = capfd.readouterr().err
    assert said.startswith("error: Spark needs Java 17 or later, and ")
    assert said.count("\n") == 1
    for command in (
        "apt-get install openjdk-17-jre-headless",
        "brew install openjdk@17",
        "conda install -c conda-forge openjdk=17",
    ):
        assert command in said
    run = store.only("dbscan_sweep")
    assert run.info.status == "FAILED"
    assert said == f"error: {run.data.tags['error']}\n"


def test_a_session_that_keeps_no_frame_and_counts_no_partitions_is_served_all_the_same() -> None:
    class Serverless:
        """What Databricks's serverless answers."""

        conf: ClassVar = {"spark.sql.shuffle.partitions": "auto"}

        def persist(self) -> None:
            raise PySparkException("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute.")

    session: Any = Serverless()
    assert spark.tasks_at_once(session) == spark.SHUFFLE_PARTITIONS
    assert spark.kept(session) is session


def test_a_driver_without_memory_ends_with_a_line_that_says_what_to_do() -> None:
    script = (
        "from common import options, spark\n"
        "try:\n"
        "    with spark.session('local[1]') as session:\n"
        "        session.range(1).selectExpr(\"repeat('x', 1000000000) AS text\").collect()\n"
        "except options.WorkError as error:\n"
        "    print(error)\n"
    )
    variables = environment(SPARK_DRIVER_MEMORY="512m", PYTHONPATH=str(PROJECT / "steps"))
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == f"{spark.RAN_FULL}\n", done.stderr


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux shows what a process has mapped")
def test_spark_starts_from_the_archive_of_its_environment() -> None:
    until = time.monotonic() + 300
    while not spark.ARCHIVE.is_file():  # conftest.py has it made
        assert time.monotonic() < until
        time.sleep(0.5)
    started = """
from pathlib import Path
from common import spark
with spark.session("local[1]") as session:
    print(Path(f"/proc/{session._jvm.ProcessHandle.current().pid()}/maps").read_text())
"""
    done = subprocess.run(
        [sys.executable, "-c", started],
        env=environment(PYTHONPATH=str(PROJECT / "steps")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert str(spark.ARCHIVE) in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/dev/null/a/spark.jsa", "Not a directory"),
        ("here/spark.jsa", "Spark needs Java 17 or later, and JAVA_HOME is"),
    ],
)
def test_an_archive_that_cannot_be_made_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str, says: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv(spark.OPTIONS, "")
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr(spark, "ARCHIVE", tmp_path / path)
    assert spark_archive.main() == 1
    [line] = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.rglob("*.jsa*"))
