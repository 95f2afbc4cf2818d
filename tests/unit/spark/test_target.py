"""The `spark` parameter: every form that its rule admits answers every question."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from penguins.spark.target import REMOTE, SparkTarget, reason_for_no_spark, target_of_sweep, target_or_none

HERE, BACKGROUND, CONNECT, JAVA = "is_on_this_machine", "starts_jvm_in_background", "is_connect", "needs_java"
QUESTIONS = {HERE, BACKGROUND, CONNECT, JAVA, "is_active", "is_connect_local", "is_local_cluster", "has_local_connect_server"}


@pytest.fixture(autouse=True)
def no_remote_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in REMOTE:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "answers", "master"),
    [
        ("local", {HERE, BACKGROUND, JAVA}, "local"),
        ("local[*]", {HERE, BACKGROUND, JAVA}, "local[*]"),
        ("local-cluster[2,1,1024]", {HERE, BACKGROUND, JAVA, "is_local_cluster"}, "local-cluster[2,1,1024]"),
        ("connect-local[2]", {HERE, CONNECT, JAVA, "is_connect_local"}, "local[2]"),
        ("spark://host:7077", {BACKGROUND, JAVA}, "spark://host:7077"),
        ("k8s://https://host", {BACKGROUND, JAVA}, "k8s://https://host"),
        ("yarn", {BACKGROUND, JAVA}, "yarn"),
        ("sc://host:15002", {CONNECT}, "sc://host:15002"),
        ("sc://localhost:15002/;token=t", {CONNECT, "has_local_connect_server"}, "sc://localhost:15002/;token=t"),
        ("sc://[::1]", {CONNECT, "has_local_connect_server"}, "sc://[::1]"),
        ("active", {JAVA, "is_active"}, "active"),
    ],
)
def test_a_target_tells_where_spark_runs_and_how_it_is_reached(text: str, answers: set[str], master: str) -> None:
    target = SparkTarget(text)
    assert {question for question in QUESTIONS if getattr(target, question)} == answers
    assert target.master == master
    assert target.connect_url == (text if text.startswith("sc://") else "")


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("SPARK_REMOTE", "sc://host:15002", "sc://host:15002"),
        ("SPARK_CONNECT_MODE_ENABLED", "1", ""),
        ("DATABRICKS_RUNTIME_VERSION", "18.0", ""),
    ],
)
def test_an_active_session_that_is_remote_needs_no_java_and_may_be_a_connect_server(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, url: str
) -> None:
    monkeypatch.setenv(variable, value)
    target = SparkTarget("active")
    assert not target.needs_java
    assert not target.starts_jvm_in_background
    assert (target.connect_url, target.is_connect) == (url, bool(url))


def test_the_environment_speaks_for_an_active_session_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://host:15002")
    target = SparkTarget("local[2]")
    assert target.needs_java
    assert not target.is_connect


@pytest.mark.parametrize(
    ("text", "java", "variable", "reason"),
    [
        ("none", True, "", "spark=none asks for none"),
        ("local[*]", True, "", ""),
        ("local[*]", False, "", "no Java is found. To have Spark: Install it with 'apt-get install"),
        ("local[*]", False, "JAVA_HOME", ""),  # a wrong one is an error of the session
        ("local[*]", False, "DATABRICKS_RUNTIME_VERSION", ""),
        ("local[2]", False, "", ""),
        ("active", False, "", ""),
        ("sc://host", False, "", ""),
    ],
)
def test_only_none_and_the_default_without_java_do_without_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, java: bool, variable: str, reason: str
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if java:
        (tmp_path / "java").write_text("")
        (tmp_path / "java").chmod(0o755)
    if variable:
        monkeypatch.setenv(variable, "/x")
    assert reason_for_no_spark(text).startswith(reason)
    assert bool(reason_for_no_spark(text)) == bool(reason)
    assert target_or_none(text) == (None if reason else SparkTarget(text))


@pytest.mark.parametrize(
    ("runs", "output", "is_long"), [("none", "out", True), ("none", "", False), ("groups", "out", False), ("auto", "", False)]
)
def test_only_a_sweep_whose_tables_spark_writes_is_expected_to_be_long(runs: str, output: str, is_long: bool) -> None:
    parameters = SimpleNamespace(spark="local[2]", runs=runs, output=output)
    assert target_of_sweep(parameters) == SparkTarget("local[2]", is_long)
