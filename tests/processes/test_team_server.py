"""The script that runs a team's server, on a real PostgreSQL: who gets in, what stays secret, and how it begins and ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dbscan_sweep
import mlflow
import psutil
import pytest
import requests
from pyspark.sql import SparkSession
from servers import environment, free_port, postgresql
from stores import Steps, Store

from penguins.project import PROJECT
from penguins.tracking.server import PASSWORD, USERNAME

SCRIPT = [sys.executable, str(PROJECT / "server" / "team_server.py"), "--artifacts=artifacts"]
ADMIN = {USERNAME: "admin", PASSWORD: "a password of the administrator"}
MEMBER = {USERNAME: "grace", PASSWORD: "a password of a member"}
IN_DATABASE_URI, SECRET = "pa%25ss%40word", "pa%ss@word"
LONGEST_S = 180


@dataclass(frozen=True)
class TeamServer:
    """The script at work."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    folder, port = tmp_path_factory.mktemp("team"), free_port()
    with postgresql() as uri, open(folder / "output.txt", "wb") as output:
        variables = {
            "MLFLOW_BACKEND_STORE_URI": uri.replace("postgres:@", f"postgres:{IN_DATABASE_URI}@"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[PASSWORD],
        }
        assert variables["MLFLOW_BACKEND_STORE_URI"] != uri
        command = [*SCRIPT, f"--port={port}", "--workers=1", "--allowed_hosts=127.0.0.1,mlflow.example.org"]
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdout=output, stderr=output, start_new_session=True
        )
        try:
            until = time.monotonic() + LONGEST_S
            while "The team's server answers at" not in (folder / "output.txt").read_text():
                assert process.poll() is None, (folder / "output.txt").read_text()
                assert time.monotonic() < until, (folder / "output.txt").read_text()
                time.sleep(0.1)
            yield TeamServer(f"http://127.0.0.1:{port}", folder, process)
        finally:
            process.terminate()
            process.wait(LONGEST_S)


@pytest.mark.parametrize(
    ("credentials", "host", "status"),
    [
        (None, None, 401),
        (("admin", "a wrong password, a long one"), None, 401),
        (tuple(ADMIN.values()), None, 200),
        (tuple(ADMIN.values()), "mlflow.example.org", 200),
        (tuple(ADMIN.values()), "elsewhere.example.org", 403),
    ],
)
def test_the_server_answers_only_people_with_a_password_who_call_it_by_its_name(
    team: TeamServer, credentials: tuple[str, str] | None, host: str | None, status: int
) -> None:
    address = f"{team.url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    headers = {"Host": host} if host else {}
    assert requests.get(address, auth=credentials, headers=headers, timeout=60).status_code == status


def test_a_member_of_the_team_sweeps_and_another_one_continues_the_experiment(
    team: TeamServer, store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def become(user: dict[str, str]) -> None:
        for name, value in user.items():
            monkeypatch.setenv(name, value)

    become(ADMIN)
    created = requests.post(
        f"{team.url}/api/2.0/mlflow/users/create",
        json={"username": MEMBER[USERNAME], "password": MEMBER[PASSWORD]},
        auth=(ADMIN[USERNAME], ADMIN[PASSWORD]),
        timeout=60,
    )
    assert created.ok, created.text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.url)
    mlflow.set_tracking_uri(team.url)
    remote = Store(team.url)
    for user in (ADMIN, MEMBER):
        become(user)
        assert step(dbscan_sweep, eps="0.5,0.9") == 0
    assert Counter(run.info.status for run in remote.runs()) == {"FINISHED": 2 * (1 + 3 + 6)}
    sweep = next(run for run in remote.runs() if run.info.run_name == "dbscan_sweep")
    assert sweep.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert remote.artifact(sweep, "results.csv").stat().st_size
    assert list((team.folder / "artifacts").rglob(f"{sweep.info.run_id}/artifacts/results.csv"))


def test_no_secret_is_on_a_command_line_in_the_output_or_in_a_file_that_others_may_read(team: TeamServer) -> None:
    secrets = [ADMIN[PASSWORD], SECRET, IN_DATABASE_URI, (team.folder / "team-server" / "secret_key").read_text()]
    processes = [psutil.Process(team.process.pid), *psutil.Process(team.process.pid).children(recursive=True)]
    shown = [" ".join(process.cmdline()) for process in processes]
    assert any("uvicorn" in line for line in shown)
    shown.append((team.folder / "output.txt").read_text())
    assert not [secret for secret in secrets for text in shown if secret in text]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (team.folder / "team-server").iterdir()}
    assert modes == {"auth.ini": 0o600, "secret_key": 0o600}


def test_sigterm_ends_the_server_and_its_workers(team: TeamServer) -> None:
    processes = psutil.Process(team.process.pid).children(recursive=True)
    os.kill(team.process.pid, signal.SIGTERM)
    assert team.process.wait(LONGEST_S) == 0
    assert psutil.wait_procs(processes, timeout=10)[1] == []


@pytest.mark.parametrize(
    ("uri", "password", "phrase"),
    [
        ("", "", "MLFLOW_BACKEND_STORE_URI must be postgresql+psycopg2://<name>:<password>@<host>/<database>. It is not set."),
        ("sqlite:////srv/mlflow.db", "", "Got one that begins with sqlite."),
        ("postgresql+psycopg2://me:hush@hush@host:hush/db", "", "Got another form"),
        ("postgresql+psycopg2://me:hush@127.0.0.1:{port}/db", "", "PostgreSQL does not answer at 127.0.0.1: "),
        ("postgresql+psycopg2://me:hush@127.0.0.1:{port}/db", "hush", "must have 12 characters or more. It has 4."),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_the_server_starts(
    tmp_path: Path, uri: str, password: str, phrase: str
) -> None:
    variables = {"MLFLOW_BACKEND_STORE_URI": uri.format(port=free_port()), "MLFLOW_AUTH_ADMIN_PASSWORD": password}
    command = [*SCRIPT, f"--port={free_port()}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(**variables), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert phrase in line
    assert "hush" not in line
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [*SCRIPT, f"--port={other.getsockname()[1]}"]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--host and --port must be an address that is free" in done.stderr
