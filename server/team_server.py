"""Run a tracking server for a team: its runs and users in PostgreSQL, open to nobody without a name and a password.

The environment holds what is secret, so that no command line shows it:

    MLFLOW_BACKEND_STORE_URI       the database, postgresql+psycopg2://<name>:<password>@<host>/<database>
    MLFLOW_AUTH_ADMIN_PASSWORD     the password of the user `admin`; only the first start needs it

`--folder` is created where it is missing. It keeps the settings of the users and the key that signs forms, in files that nobody
else may read. The server ends with this process, by SIGTERM or Ctrl-C. Exit codes: 0, it was ended by a signal; 1, the server
failed; 2, an option or a variable is wrong, or PostgreSQL does not answer.
"""

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

DATABASE, PASSWORD, KEY = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"
PACKAGES = {"flask_wtf": "'mlflow[auth]'", "psycopg2": "psycopg2-binary"}
SHORTEST_PASSWORD = 12  # MLflow's own rule
CONNECT_S, START_S, END_S = 10, 180, 30


class RefusedError(ValueError):
    """An option or a variable is wrong. The message is one line."""


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", required=True, help="where the artifacts are kept: a folder, or s3://<bucket>/<path>")
    parser.add_argument("--folder", type=Path, default=Path("team-server"), help="the server's settings (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the interface; 0.0.0.0 is every one (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5000, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="processes that answer requests (default: %(default)s)")
    parser.add_argument(
        "--allowed_hosts",
        default="",
        help="names by which clients reach the server, as mlflow.example.org,10.0.0.7; other requests are refused "
        "(default: MLflow's, this machine and private addresses)",
    )
    return parser.parse_args()


def require_packages() -> None:
    """Raise RefusedError where a package of the server is not installed."""
    missing = [name for module, name in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise RefusedError(f"The server needs more packages: pip install -c requirements.lock {' '.join(missing)}")


def require_database(uri: str) -> None:
    """Raise RefusedError where PostgreSQL does not answer at `uri`."""
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    form = f"{DATABASE} must be postgresql+psycopg2://<name>:<password>@<host>/<database>"
    if not uri:
        raise RefusedError(f"{form}. It is not set.")
    try:
        url = make_url(uri)
    except (SQLAlchemyError, ValueError):  # whose text may hold a part of the password
        raise RefusedError(f"{form}. Got another form: write signs such as @ and / in a password as %40 and %2F.") from None
    if url.get_backend_name() != "postgresql" or url.get_driver_name() != "psycopg2":
        raise RefusedError(f"{form}. Got one that begins with {url.drivername}.")
    try:
        create_engine(url, connect_args={"connect_timeout": CONNECT_S}).connect().close()
    except SQLAlchemyError as error:
        why = " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
        raise RefusedError(f"PostgreSQL does not answer at {url.host}: {why}. Start it, or correct {DATABASE}.") from None


def require_password(password: str) -> None:
    """Raise RefusedError where a password is given that MLflow would refuse."""
    if password and len(password) < SHORTEST_PASSWORD:
        raise RefusedError(f"{PASSWORD} must have {SHORTEST_PASSWORD} characters or more. It has {len(password)}.")


def require_free_port(host: str, port: int) -> None:
    """Raise RefusedError where the server cannot listen at `port`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise RefusedError(f"--host and --port must be an address that is free. Got {host} and {port}: {error}.") from None


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user may read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def write_settings(folder: Path, uri: str) -> dict[str, str]:
    """Write the settings of the users into `folder`; return the server's variables that name them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, config = folder / "secret_key", folder / "auth.ini"
    if not key.exists():
        write_private(key, secrets.token_hex(32))
    settings = {
        # The members of a team continue each other's experiments; only who made one may delete it.
        "default_permission": "EDIT",
        # MLflow reads the file with configparser, which wants a percent sign twice.
        "database_uri": uri.replace("%", "%%"),
        "admin_username": "admin",
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        # Otherwise each request of a sweep would wait for a slow hash of the password.
        "auth_cache_ttl_seconds": "60",
    }
    write_private(config, "".join(["[mlflow]\n", *[f"{name} = {value}\n" for name, value in settings.items()]]))
    return {"MLFLOW_AUTH_CONFIG_PATH": str(config), KEY: os.environ.get(KEY) or key.read_text(encoding="utf-8")}


def server_command(given: argparse.Namespace) -> list[str]:
    """Return the command of the server, which holds no secret."""
    artifacts = given.artifacts if "://" in given.artifacts else str(Path(given.artifacts).resolve())
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--serve-artifacts"]
    command += ["--host", given.host, "--port", str(given.port), "--workers", str(given.workers)]
    command += ["--artifacts-destination", artifacts]
    if given.allowed_hosts:
        # A request names the host with the port, unless that is the usual one of HTTP or HTTPS.
        names = [*[name.strip() for name in given.allowed_hosts.split(",")], "127.0.0.1", "localhost"]
        command += ["--allowed-hosts", ",".join(form for name in names for form in (name, f"{name}:{given.port}"))]
    return command


def address_of(given: argparse.Namespace) -> str:
    """Return the address at which this machine reaches the server."""
    return f"http://{'127.0.0.1' if given.host == '0.0.0.0' else given.host}:{given.port}"  # noqa: S104  # compared only


def run_server(command: list[str], variables: Mapping[str, str], address: str) -> int:
    """Run the server until a signal or its own end, and say when it answers; return the exit code."""
    process: subprocess.Popen[bytes] | None = None

    def end(number: int, frame: object) -> None:  # noqa: ARG001  # of the protocol
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        process = subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=True)
        if not is_answering(process, address):
            print(f"error: the server does not answer at {address}; its lines above say why", file=sys.stderr)
            return 1
        print(f"The team's server answers at {address}", flush=True)
        process.wait()
        print("error: the server has ended; its lines above say why", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if process:
            end_processes(process)


def is_answering(process: "subprocess.Popen[bytes]", address: str) -> bool:
    """Wait until the server answers; tell whether it does."""
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()  # noqa: S310  # the server that was started here
            return process.poll() is None  # something else may answer at that port
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False


def end_processes(process: "subprocess.Popen[bytes]") -> None:
    """End the server with its workers: by SIGTERM, and by SIGKILL those that are left after `END_S`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            continue


def main() -> int:
    """Check what was given, and run the server."""
    given = options()
    uri = os.environ.get(DATABASE, "")
    try:
        require_packages()
        require_password(os.environ.get(PASSWORD, ""))
        require_free_port(given.host, given.port)
        require_database(uri)
        variables = write_settings(given.folder.resolve(), uri)
        if "://" not in given.artifacts:
            Path(given.artifacts).mkdir(parents=True, exist_ok=True)
    except (RefusedError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # The server's jobs are seven more processes, for evaluations that this project does not use.
    variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = os.environ.get("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    return run_server(server_command(given), variables, address_of(given))


if __name__ == "__main__":
    sys.exit(main())
