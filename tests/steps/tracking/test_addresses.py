"""Where a person looks at a run: the address of its page on any store, and commands that can be pasted into a shell."""

import shlex
import subprocess
from pathlib import Path

import pytest
from mlflow.entities import Run
from stores import Store

from penguins.tracking.addresses import (
    NextStep,
    artifact_page,
    local_file,
    local_folder,
    project_command,
    run_page,
    shell_quote,
    ui_command,
)


@pytest.fixture
def run(store: Store) -> Run:
    return store.client.create_run("1")


SERVERS = {
    "https://host:8080": "https://host:8080/#/experiments/1/runs/{id}",
    "http://host/mlflow/": "http://host/mlflow/#/experiments/1/runs/{id}",
    "https://ada:hush@host": "https://host/#/experiments/1/runs/{id}",
    "https://token@host/?sig=hush": "https://host/#/experiments/1/runs/{id}",
}


@pytest.mark.parametrize("uri", SERVERS)
def test_a_server_shows_a_run_at_its_own_address_without_secrets(run: Run, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setattr("penguins.tracking.addresses.absolute_tracking_uri", lambda: uri)
    assert run_page(run) == SERVERS[uri].format(id=run.info.run_id)
    assert artifact_page(run, "a b/c#.html") == f"{run_page(run)}/artifacts/a%20b/c%23.html"
    assert ui_command() == ""


def test_a_page_in_a_workspace_names_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.tracking.addresses.absolute_tracking_uri", lambda: "https://host")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team a")
    assert run_page(run).endswith(f"/runs/{run.info.run_id}?workspace=team%20a")


def test_databricks_has_addresses_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.tracking.addresses.absolute_tracking_uri", lambda: "databricks")
    monkeypatch.setenv("DATABRICKS_HOST", "https://adb-1.azuredatabricks.net/")
    monkeypatch.setenv("DATABRICKS_TOKEN", "hush")
    monkeypatch.setenv("MLFLOW_ENABLE_DB_SDK", "false")  # it would ask the host for minutes
    assert run_page(run) == f"https://adb-1.azuredatabricks.net/ml/experiments/1/runs/{run.info.run_id}"
    assert ui_command() == ""


STORES = {
    "sqlite:////home/ada/mlflow.db": "mlflow ui --backend-store-uri sqlite:////home/ada/mlflow.db --port 5000",
    "/home/ada/my runs": "mlflow ui --backend-store-uri '/home/ada/my runs' --port 5000",
    "postgresql://ada:hush@host/db": 'mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI" --port 5000',
}


@pytest.mark.parametrize("uri", STORES)
def test_a_store_without_a_server_is_served_by_a_command_and_the_address_is_on_that(
    run: Run, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setattr("penguins.tracking.addresses.absolute_tracking_uri", lambda: uri)
    assert ui_command() == STORES[uri]
    assert run_page(run) == f"http://127.0.0.1:5000/#/experiments/1/runs/{run.info.run_id}"


def test_only_an_artifact_on_this_machine_has_an_address_as_a_file(store: Store, run: Run) -> None:
    store.client.log_text(run.info.run_id, "<html>", "a b/report.html")
    uri = local_file(run, "a b/report.html")
    assert uri
    assert uri.startswith("file:///")
    assert Path(uri.removeprefix("file://").replace("%20", " ")).read_text() == "<html>"
    assert local_file(run, "nowhere.html") is None
    run.info._artifact_uri = "mlflow-artifacts:/1/abc/artifacts"
    assert local_file(run, "a b/report.html") is None


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///a/b%20c", "/a/b c"),
        ("/a/b", "/a/b"),
        ("s3://bucket/a", ""),
        ("mlflow-artifacts:/1/models/m-1", ""),
        ("dbfs:/a", ""),
    ],
)
def test_only_a_file_uri_names_a_folder_of_this_machine(uri: str, expected: str) -> None:
    assert local_folder(uri) == expected


SCORE = NextStep("score", {"model_uri": "runs:/1/model", "data": "my table.csv"})
FROM_CLONE = {"mlflow.source.type": "PROJECT", "mlflow.source.name": "file:///clone", "mlflow.source.git.commit": "abc"}
FROM_GIT = {"mlflow.source.type": "PROJECT", "mlflow.source.name": "https://host/p.git#sub", "mlflow.source.git.commit": "abc"}
FROM_FOLDER = FROM_GIT | {"mlflow.source.name": "/home/ada/project"}
FROM_SCRIPT = FROM_FOLDER | {"mlflow.source.type": "LOCAL", "mlflow.source.name": "steps/score.py"}


@pytest.mark.parametrize(
    ("tags", "project"),
    [(FROM_GIT, "'https://host/p.git#sub' -v abc"), (FROM_FOLDER, "."), (FROM_CLONE, "."), (FROM_SCRIPT, "."), ({}, ".")],
)
def test_a_command_runs_the_project_from_where_it_came(tags: dict[str, str], project: str) -> None:
    command = project_command(SCORE, "7", tags)
    options = "-e score --env-manager local --experiment-id 7 -P model_uri=runs:/1/model -P 'data=my table.csv'"
    assert command == f"mlflow run {project} {options}"


def test_a_command_for_everything_names_no_entry_point_and_no_command_shows_a_secret() -> None:
    step = NextStep("main", {"data": "https://ada:hush@host/t.csv", "resume": "true"})
    command = project_command(step, "7", {}, "/home/ada/project")
    assert command.startswith("mlflow run /home/ada/project --env-manager local")
    assert "hush" not in command


@pytest.mark.parametrize("word", ["plain", "two words", "it's", "a\nb", "'\\\n'", "\x1b[2J", "\u202eé\x85", "$HOME `x`", ""])
def test_a_shell_reads_a_quoted_word_as_it_was(word: str) -> None:
    quoted = shell_quote(word)
    assert quoted.isprintable()
    assert shlex.quote(word) == quoted or not word.isprintable()
    done = subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert done.stdout.decode() == word
