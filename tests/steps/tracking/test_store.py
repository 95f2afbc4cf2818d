"""The tracking store: a URI that holds in any folder, a database made in one piece, patience with broken answers."""

import os
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from stores import Store

from penguins.errors import InputError
from penguins.tracking.run import record_failure
from penguins.tracking.store import (
    absolute_tracking_uri,
    child_runs,
    create_sqlite_store,
    is_server,
    open_client,
    repeat_if_broken,
    repeat_if_busy,
    require_absolute_store,
    search_runs,
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


@pytest.mark.parametrize("in_folder", ["nothing", "another store"])
def test_a_relative_store_that_does_not_hold_the_run_of_mlflow_run_is_refused_with_where_it_was_looked_for(
    store: Store, initialised_database: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_folder: str
) -> None:
    opened, clone = store.client.create_run("0").info.run_id, tmp_path / "clone"
    clone.mkdir()
    if in_folder == "another store":
        (clone / "mlflow.db").write_bytes(initialised_database)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    before = os.listdir()
    with pytest.raises(
        InputError, match=f"sqlite:///{clone}/mlflow.db does not hold the run {opened}: set MLFLOW_TRACKING_URI"
    ):
        require_absolute_store()
    record_failure(opened, "ridge_search", "a wrong parameter, which is printed all the same")
    assert os.listdir() == before
    assert store.client.get_run(opened).data.tags.get("error") is None


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db", "sqlite:///{here}/elsewhere.db"])
def test_a_store_that_holds_the_run_or_has_an_absolute_uri_is_left_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", store.client.create_run("0").info.run_id)
    mlflow.set_tracking_uri(uri.format(here=tmp_path))
    require_absolute_store()
    assert not (tmp_path / "elsewhere.db").exists()


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
def test_a_request_whose_answer_broke_off_is_repeated(
    monkeypatch: pytest.MonkeyPatch, message: str, failures: int, succeeds: bool, calls: int
) -> None:
    asked: list[tuple[str, str]] = []

    def get_run(run_id: str, name: str) -> str:
        asked.append((run_id, name))
        if len(asked) <= failures:
            raise MlflowException(message)
        return "the run"

    monkeypatch.setattr("penguins.tracking.store.PAUSES_S", (0.0, 0.0))
    if succeeds:
        assert repeat_if_broken(get_run, "id", name="name") == "the run"
    else:
        with pytest.raises(MlflowException, match=message):
            repeat_if_broken(get_run, "id", name="name")
    assert asked == [("id", "name")] * calls


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


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql://me:5ecret@host/db", "whose driver psycopg is not installed: pip install 'psycopg[binary]', or name an"),
        ("mysql://me:5ecret@host/db", "whose driver MySQLdb is not installed: pip install 'mysqlclient', or name an"),
        ("mysql+pymysql://me:5ecret@host/db", "whose driver pymysql is not installed: pip install 'pymysql', or name an"),
        ("postgresql+nothing://me:5ecret@host/db", "Can't load plugin: sqlalchemy.dialects:postgresql.nothing"),
        ("ftp://me:5ecret@host/db", "Supported URI schemes are"),
    ],
)
def test_a_store_without_its_driver_or_of_an_unknown_kind_is_refused(
    monkeypatch: pytest.MonkeyPatch, uri: str, said: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    try:
        with pytest.raises(InputError, match=r"^The tracking store must be one that MLflow can open here\. Got '") as refusal:
            open_client()
    finally:
        mlflow.set_tracking_uri(None)
    assert said in str(refusal.value)
    assert "://***@host/db'" in str(refusal.value)
    assert "5ecret" not in str(refusal.value)
