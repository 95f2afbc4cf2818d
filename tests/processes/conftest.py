"""Fixtures of the tests that start processes: each server and each Spark cluster is started once for the whole run.

With pytest-xdist each of its processes starts its own, so that a file's tests belong to one process: `--dist loadfile`.
"""

import os
from collections.abc import Iterator

import pytest
from clusters import Cluster, connect_server, standalone_cluster
from running_command import RunningCommand
from servers import USER, Server, server, team_server
from stores import Store
from uv_run import UvRun


@pytest.fixture(autouse=True)
def kill_commands() -> Iterator[None]:
    yield
    RunningCommand.kill_all()


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> Iterator[Server]:
    """A tracking server on SQLite that anybody may use."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.db").write_bytes(initialised_database)
    with server(folder, f"sqlite:///{folder}/server.db") as started:
        yield started


@pytest.fixture(scope="session")
def team_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a tracking server on PostgreSQL that asks for the name and the password of `USER`."""
    with team_server(tmp_path_factory.mktemp("team")) as started:
        yield started.url


@pytest.fixture
def team_store(team_server_url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of that server; this process has the name and the password."""
    for name, value in USER.items():
        monkeypatch.setenv(name, value)
    return Store(team_server_url)


@pytest.fixture(scope="session")
def connect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Connect server that the tests share."""
    with connect_server(tmp_path_factory.mktemp("connect")) as started:
        yield started


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A standalone cluster that the tests share."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def uv_run(tmp_path_factory: pytest.TempPathFactory) -> UvRun:
    """The run with uv, in a folder that the processes of pytest-xdist share."""
    folder = tmp_path_factory.getbasetemp()
    return UvRun((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "uv")


@pytest.fixture(scope="session", autouse=True)
def start_uv_run(request: pytest.FixtureRequest) -> None:
    """Have the first process start the run with uv, the slowest of all, before its first test, if any test needs it."""
    is_first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    if is_first and any("uv_run" in item.fixturenames for item in request.session.items if isinstance(item, pytest.Function)):
        request.getfixturevalue("uv_run").start(request.getfixturevalue("initialised_database"))
