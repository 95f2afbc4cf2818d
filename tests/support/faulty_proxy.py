"""A proxy before a tracking server that refuses requests, or loses the answers to them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlparse

# Instead of an HTTP status: the server carries the request out, and the client never hears of it.
LOSE = 0
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
HOP_BY_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding")
# Ids in the path of a request.
ID = re.compile(r"/(m-)?[0-9a-f]{32}")
REFUSAL = b'{"error_code": "PERMISSION_DENIED", "message": "refused by the proxy"}'

# What happens to a request "POST /api/2.0/mlflow/runs/create" with its body: an HTTP status, `LOSE`, or None for nothing.
Judge = Callable[[str, str], int | None]


@dataclass
class Fault:
    """The first `times` requests that match the regular expression `request`, as in "POST /api/… {…}", meet `status`."""

    request: str
    status: int
    times: int = 1_000_000
    met: list[str] = field(default_factory=list)

    def __call__(self, request: str, body: str) -> int | None:
        if len(self.met) >= self.times or not re.search(self.request, f"{request} {body}", re.DOTALL):
            return None
        self.met.append(request)
        return self.status


@dataclass
class FirstAnswersLost:
    """The first answer of each kind of request that changes something is lost; `lost` has these kinds."""

    lost: list[str] = field(default_factory=list)

    def __call__(self, request: str, _body: str) -> int | None:
        kind = ID.sub("/…", request.partition("?")[0])
        if request.startswith("GET") or kind.endswith("/search") or kind in self.lost:
            return None
        self.lost.append(kind)
        return LOSE


@contextmanager
def faulty_proxy(server_url: str, judge: Judge) -> Iterator[str]:
    """Run a proxy before the server at `server_url` during the block, and yield its URL; `judge` decides on each request."""
    server, lock = urlparse(server_url), Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            content = self.read_body()
            with lock:
                status = judge(f"{self.command} {self.path}", content[:100_000].decode(errors="replace"))
            if status:
                self.answer(status, REFUSAL, {})
                return
            connection = HTTPConnection(server.hostname or "", server.port)
            sent = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(self.command, self.path, content, sent)
            answer = connection.getresponse()
            received, headers = answer.read(), dict(answer.getheaders())
            connection.close()
            if status == LOSE:
                self.close_connection = True
            else:
                self.answer(answer.status, received, headers)

        def read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    for method in METHODS:
        setattr(Handler, f"do_{method}", Handler.handle_request)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
