"""The Spark session of a step: what it misses is said in one line with the remedy."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import dbscan_sweep
import mlflow
import pytest
from mlflow import MlflowClient
from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.sql import SparkSession
from servers import environment
from stores import Steps, Store

from penguins.errors import InputError, WorkError
from penguins.project import PROJECT
from penguins.spark.jvm import OUT_OF_MEMORY
from penguins.spark.session import REGISTRY, require_java, spark_session, step_session
from penguins.spark.target import SparkTarget

INSTALLERS = ("apt-get install openjdk-17-jre-headless", "brew install openjdk@17", "conda install -c conda-forge openjdk=17")


def fake_java(folder: Path, version: str) -> str:
    """Make a Java that prints `version`, and return its home."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{version}' >&2\n")
    java.chmod(0o755)
    return str(folder)


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)


@pytest.mark.parametrize("version", ['openjdk version "11.0.2" 2019', 'java version "1.8.0_202"', "hm", ""])
def test_an_old_java_is_refused_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", fake_java(tmp_path, version))
    with pytest.raises(WorkError) as refused:
        require_java()
    assert str(refused.value).startswith("Spark needs Java 17 or later, and ")
    assert (version or "nothing") in str(refused.value)


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_a_new_java_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("JAVA_HOME", fake_java(tmp_path, f'openjdk version "{version}"'))
    require_java()


@pytest.mark.parametrize("home", [None, "/nowhere"])
@pytest.mark.parametrize("spark", ["local[2]", "connect-local[2]", "active"])
def test_a_missing_java_fails_the_step_with_the_commands_that_install_it(
    store: Store,
    step: Steps,
    tmp_path: Path,
    no_session: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    home: str | None,
    spark: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GIT_PYTHON_REFRESH", "quiet")  # MLflow looks for git, too
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", home)
    assert step(dbscan_sweep, spark=spark) == 1
    printed = capfd.readouterr().err
    assert printed.startswith("error: Spark needs Java 17 or later, and ")
    assert printed.count("\n") == 1
    assert all(command in printed for command in INSTALLERS)
    run = store.only("dbscan_sweep")
    assert run.info.status == "FAILED"
    assert printed == f"error: {run.data.tags['error']}\n"


@pytest.mark.parametrize("before", [None, "sqlite:///registry.db"])
def test_mlflow_does_not_ask_the_session_of_a_step_for_its_registry(
    store: Store, session: SparkSession, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(REGISTRY, raising=False)
    if before:
        monkeypatch.setenv(REGISTRY, before)
    with step_session(SparkTarget("active")) as found:
        assert found is session
        monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: pytest.fail("MLflow asks the session"))
        assert mlflow.get_registry_uri() == (before or store.uri)
        assert MlflowClient().search_experiments()
    assert os.environ.get(REGISTRY) == before


class SecuredJvm:
    """A view of a JVM that refuses every class, as that of a shared cluster may do."""

    def __getattr__(self, name: str) -> None:
        raise Py4JError(f"{name} is not whitelisted")


@pytest.mark.parametrize("error", [InputError("The 'eps' parameter must be positive."), WorkError("no space"), KeyError("x")])
def test_a_failure_in_a_secured_session_of_somebody_else_is_not_taken_for_the_end_of_its_jvm(
    session: SparkSession, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(SparkContext._gateway, "proc", None)
    monkeypatch.setattr(SparkContext._gateway, "jvm", SecuredJvm())
    with pytest.raises(type(error)) as raised, spark_session(SparkTarget("active")):
        raise error
    assert raised.value is error


def output_in_another_process(target: SparkTarget, code: str = "pass", **variables: str) -> str:
    """Run `code` with the `session` of `target` in a process of its own, and return the reason why that fails."""
    script = f"""
from penguins.errors import WorkError
from penguins.spark.session import spark_session
from penguins.spark.target import SparkTarget
try:
    with spark_session({target!r}) as session:
        {code}
except WorkError as error:
    print(error)
"""
    more = environment(PYTHONPATH=str(PROJECT / "steps"), **variables)
    done = subprocess.run([sys.executable, "-c", script], env=more, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout or done.stderr


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("WARN one\\nException in thread main\\n\\tat Main.java\\nError: two", "Exception in thread main"),
        ("one\\ntwo\\n", "two"),
        ("", "it said nothing"),
    ],
)
def test_a_jvm_that_does_not_start_is_reported_with_the_line_that_says_why(tmp_path: Path, printed: str, reason: str) -> None:
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text(f"#!/bin/sh\nprintf '{printed}'\nexit 1\n")
    submit.chmod(0o755)
    output = output_in_another_process(SparkTarget("spark://127.0.0.1:1"), SPARK_HOME=str(tmp_path))
    assert output == f"Spark could not be started at 'spark://127.0.0.1:1': {reason}\n"


def test_a_driver_that_is_too_small_for_spark_is_reported_in_one_line() -> None:
    output = output_in_another_process(SparkTarget("local[1]"), SPARK_DRIVER_MEMORY="200m")
    assert output.startswith("Spark could not be started at 'local[1]': ")
    assert "System memory" in output
    assert output.count("\n") == 1


def test_a_driver_without_memory_ends_with_a_line_that_says_what_to_do() -> None:
    code = """session.range(1).selectExpr("repeat('x', 1000000000) AS text").collect()"""
    assert output_in_another_process(SparkTarget("local[1]"), code, SPARK_DRIVER_MEMORY="512m") == f"{OUT_OF_MEMORY}\n"


def test_the_workers_see_no_variable_that_holds_a_url_with_a_secret() -> None:
    names = {
        "MLFLOW_TRACKING_URI": "http://me:5ecret@host:5000", "TABLE_URL": "https://h/t.csv?sig=5ecret", "PLAIN": "https://h/t.csv",
        "HTTPS_PROXY": "http://me:5ecret@proxy:3128",
    }  # fmt: skip
    code = f"""
        read = lambda _: {{name: __import__("os").environ.get(name) for name in {sorted(names)}}}
        print(session.sparkContext.parallelize([0], 1).map(read).first())
    """
    seen = ast.literal_eval(output_in_another_process(SparkTarget("local[1]"), code.strip(), **names))
    assert seen == names | {"MLFLOW_TRACKING_URI": "", "TABLE_URL": ""}


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("", "Spark's JVM was ended by SIGKILL (exit code -9), most often for lack of memory"),
        ("SparkContext._gateway.proc = None; ", "Spark's JVM, which this step did not start, does not answer any more.\n"),
    ],
)
def test_the_end_of_a_jvm_is_noticed_while_its_connections_are_still_open(owner: str, expected: str) -> None:
    code = f"from pyspark import SparkContext; SparkContext._gateway.proc.kill(); {owner}raise ValueError('x')"
    assert output_in_another_process(SparkTarget("local[1]"), code).startswith(expected)


@pytest.mark.parametrize("is_long", [False, True])
def test_only_the_jvm_of_long_work_has_the_compiler_for_it(is_long: bool) -> None:
    code = "print(session._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments())"
    options = output_in_another_process(SparkTarget("local[1]", is_long), code)
    assert "-XX:+UseSerialGC" in options
    assert ("-XX:TieredStopAtLevel=1" in options) is not is_long
