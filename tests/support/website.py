"""A website for the tests: the files of a folder, for whoever brings the right query."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def website(folder: Path, secret: str = "") -> Iterator[str]:
    """Serve `folder` during the block to requests whose URLs hold the `secret`; yield the address."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if secret in self.path:
                super().do_GET()
            else:
                self.send_error(403)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
