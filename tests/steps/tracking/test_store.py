"""The tracking store: a URI that holds in any folder, a database made in one piece, patience with broken answers."""

import os
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from stores import Store

from penguins.errors import InputError
from penguins.tracking.store import (
    absolute_tracking_uri,
    child_runs,
    create_sqlite_store,
    is_server,
    repeat_if_busy,
    require_absolute_store,
    search_runs,
    tracking_client,
)


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db"),
        ("sqlite:////a/mlflow.db", "sqlite:////a/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("./mlruns", "{here}/mlruns"),
        ("file://mlruns", "file://{here}/mlruns"),
        ("file:///a/mlruns", "file:///a/mlruns"),
        ("databricks", "databricks"),
    ],
)
def test_the_uri_of_a_store_holds_in_any_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, absolute: str
) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: uri)
    assert absolute_tracking_uri() == absolute.format(here=tmp_path)
    assert absolute_tracking_uri("/elsewhere") == absolute.format(here="/elsewhere")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://h:5000", True),
        ("https://h", True),
        ("databricks", True),
        ("databricks://profile", True),
        ("postgresql+psycopg2://h/db", True),
        ("mysql://h/db", True),
        ("sqlite:////a/mlflow.db", False),
        ("/a/mlruns", False),
        ("file:///a/mlruns", False),
    ],
)
def test_a_server_is_told_from_a_file(uri: str, expected: bool) -> None:
    assert is_server(uri) == expected


def test_a_store_that_only_mlflow_runs_own_folder_has_is_refused_and_the_run_says_why(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = store.client.create_run("0")
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    monkeypatch.setattr("penguins.tracking.store.parent_folder", lambda: str(tmp_path))
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    with pytest.raises(InputError, match=f"set MLFLOW_TRACKING_URI to {store.uri}") as refused:
        require_absolute_store()
    assert store.client.get_run(opened.info.run_id).data.tags["error"] == str(refused.value)
    assert mlflow.get_tracking_uri() == store.uri
    assert os.listdir() == []


@pytest.mark.parametrize("folder", [".", "elsewhere"])
def test_a_store_that_this_process_has_or_that_nobody_has_is_left_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", store.client.create_run("0").info.run_id)
    monkeypatch.setattr("penguins.tracking.store.parent_folder", lambda: str(tmp_path / folder))
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    require_absolute_store()
    assert mlflow.get_tracking_uri() == "sqlite:///mlflow.db"


@pytest.fixture
def creator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Make a client create its database at once; the list has what lay beside it each time."""
    beside: list[list[str]] = []

    class Creator:
        def __init__(self, uri: str) -> None:
            self.path = Path(uri.removeprefix("sqlite:///"))

        def search_experiments(self, **_: int) -> None:
            beside.append(sorted(os.listdir(tmp_path)))
            self.path.write_text("whole")

    monkeypatch.setattr("penguins.tracking.store.MlflowClient", Creator)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: f"sqlite:///{tmp_path}/new.db")
    return beside


def test_a_store_is_created_in_one_piece_and_then_left_alone(tmp_path: Path, creator: list[list[str]]) -> None:
    create_sqlite_store()
    assert creator == [[]]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new.db": "whole"}
    (tmp_path / "new.db").write_text("used")
    create_sqlite_store()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new.db": "used"}


def test_of_two_processes_that_create_a_store_one_wins(
    tmp_path: Path, creator: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def link_second(source: Path, target: Path) -> None:
        target.write_text("the other's")
        link(source, target)

    monkeypatch.setattr(os, "link", link_second)
    create_sqlite_store()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"new.db": "the other's"}


def test_runs_are_found_page_by_page_in_the_order_of_their_start(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.tracking.store.PAGE_SIZE", 2)
    tags = {"mlflow.parentRunId": "parent"}
    made = [store.client.create_run("0", start_time=start, tags=tags).info.run_id for start in (30, 10, 50, 20, 40)]
    store.client.create_run("0")
    expected = [made[place] for place in (1, 3, 0, 4, 2)]
    assert [run.info.run_id for run in child_runs("parent", "0")] == expected
    assert len(list(search_runs("0", ""))) == 6


@pytest.mark.parametrize(
    ("message", "failures", "succeeds", "calls"),
    [
        ("API request failed: Connection broken: IncompleteRead", 2, True, 3),
        ("API request failed: Connection broken: IncompleteRead", 3, False, 3),
        ("no such run", 1, False, 1),
    ],
)
def test_a_request_whose_answer_broke_off_is_repeated_on_a_server(
    monkeypatch: pytest.MonkeyPatch, message: str, failures: int, succeeds: bool, calls: int
) -> None:
    asked: list[str] = []

    def get_run(self: Any, run_id: str) -> str:
        asked.append(run_id)
        if len(asked) <= failures:
            raise MlflowException(message)
        return "the run"

    monkeypatch.setattr(MlflowClient, "get_run", get_run)
    monkeypatch.setattr("penguins.tracking.store.PAUSES_S", (0.0, 0.0))
    client = tracking_client("http://127.0.0.1:1")
    if succeeds:
        assert client.get_run("id") == "the run"
    else:
        with pytest.raises(MlflowException, match=message):
            client.get_run("id")
    assert asked == ["id"] * calls


@pytest.mark.parametrize(("code", "n_asked"), [("TEMPORARILY_UNAVAILABLE", 3), ("PERMISSION_DENIED", 1)])
def test_a_busy_store_is_asked_again_and_a_refusal_stands(monkeypatch: pytest.MonkeyPatch, code: str, n_asked: int) -> None:
    monkeypatch.setattr("penguins.tracking.store.BUSY_PAUSES_S", (0.0, 0.0, 0.0))
    asked = []

    def ask() -> str:
        asked.append(code)
        if len(asked) < 3:
            error = MlflowException("busy or refused")
            error.error_code = code
            raise error
        return "done"

    if n_asked == 1:
        with pytest.raises(MlflowException, match="busy or refused"):
            repeat_if_busy(ask)
    else:
        assert repeat_if_busy(ask) == "done"
    assert len(asked) == n_asked
