"""Connections to a tracking server, whose answers are acknowledged at once.

An `mlflow server` with several workers sends an answer's head and its body as two packets, the second one only when the first
is acknowledged; Linux acknowledges after up to 40 ms. That would be most of what a request takes on a fast network.
"""

import socket
from contextlib import suppress
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

# Linux alone has the option. It holds for the next packets only, hence for one answer.
OPTION = getattr(socket, "TCP_QUICKACK", 0)


class _HTTPConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        _acknowledge(self.sock)
        return super().getresponse()


class _HTTPSConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        _acknowledge(self.sock)
        return super().getresponse()


def _acknowledge(connection: Any) -> None:
    if OPTION and connection is not None:
        with suppress(OSError):  # of a connection that is lost, as reading from it tells
            connection.setsockopt(socket.IPPROTO_TCP, OPTION, 1)


def acknowledge_at_once() -> None:
    """Has every connection that this process opens from now on, through urllib3, acknowledge each answer at once."""
    HTTPConnectionPool.ConnectionCls = _HTTPConnection
    HTTPSConnectionPool.ConnectionCls = _HTTPSConnection
