"""The connection to a tracking server: the credentials, and answers that are acknowledged at once."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

USERNAME, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
# Only Linux has this option. It holds for the next packets only, hence for one answer.
QUICKACK = getattr(socket, "TCP_QUICKACK", 0)


def own_credentials() -> dict[str, str]:
    """Return this process's credentials as the environment variables in which MLflow looks for them."""
    from mlflow.utils.credentials import read_mlflow_creds

    found = read_mlflow_creds()
    variables = {USERNAME: found.username, PASSWORD: found.password}
    variables |= {name: os.environ.get(name) for name in (TOKEN, INSECURE)}
    return {name: value for name, value in variables.items() if value}


@contextmanager
def set_credentials(credentials: Mapping[str, str]) -> Iterator[None]:
    """Set the driver's credentials for the block only, because a worker may serve others afterwards."""
    before = {name: os.environ.get(name) for name in credentials}
    os.environ.update(credentials)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def acknowledge_at_once() -> None:
    """Make every connection that this process opens through urllib3 from now on acknowledge each answer at once.

    An `mlflow server` with several workers sends the head and the body of an answer as two packets, the second one only when
    the first is acknowledged. Linux delays that by up to 40 ms, which would be most of a request's time on a fast network.
    """
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.response import HTTPResponse

    class QuickHTTPConnection(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            _acknowledge(self.sock)
            return super().getresponse()

    class QuickHTTPSConnection(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            _acknowledge(self.sock)
            return super().getresponse()

    HTTPConnectionPool.ConnectionCls = QuickHTTPConnection
    HTTPSConnectionPool.ConnectionCls = QuickHTTPSConnection


def _acknowledge(connection: Any) -> None:
    if QUICKACK and connection is not None:
        with suppress(OSError):  # of a broken connection, which the read reports
            connection.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
