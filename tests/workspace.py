"""A stand-in of a Databricks workspace: it keeps what is uploaded to it, and runs on this machine the job that is submitted."""

import json
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from servers import environment

TOKEN = "of the tests alone"  # noqa: S105
JOB = 7


class Workspace:
    """What a workspace was given: the files of its DBFS, the job that was submitted, and what the job's command said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Path] = {}
        self.job: dict[str, Any] = {}
        self.done: subprocess.CompletedProcess[str] | None = None

    def keep(self, path: str, content: bytes) -> None:
        self.files[path] = self.folder / Path(path).name
        self.files[path].write_bytes(content)

    def run(self, job: dict[str, Any]) -> None:
        """Unpacks the project and calls `mlflow run` on it as the job's command does, which fetches it from a mounted DBFS."""
        self.job = job
        [archive] = self.files.values()
        with tarfile.open(archive) as packed:
            packed.extractall(self.folder / "node", filter="data")
        [project] = (self.folder / "node").iterdir()
        task = job["shell_command_task"]
        *_, last = task["command"][-1].split("&&")
        mlflow, run, _there, *arguments = shlex.split(last)
        self.done = subprocess.run(
            [mlflow, run, str(project), *arguments],
            cwd=self.folder,
            env=environment(**task["env_vars"]),
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def workspace(folder: Path) -> Iterator[tuple[str, Workspace]]:
    """The URL of a workspace for those who have its `TOKEN`, and what it was given."""
    kept = Workspace(folder)

    class Handler(BaseHTTPRequestHandler):
        def answer(self, content: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def asked(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def known(self) -> bool:
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                return True
            self.answer({"error_code": "PERMISSION_DENIED"}, 403)
            return False

        def do_GET(self) -> None:  # as the library calls it
            if not self.known():
                return
            path = self.path.partition("?")[0]
            if path == "/api/2.0/dbfs/get-status":
                there = f"/dbfs{json.loads(self.asked())['path']}" in kept.files
                self.answer({} if there else {"error_code": "RESOURCE_DOES_NOT_EXIST"}, 200 if there else 404)
            elif path == "/api/2.0/jobs/runs/get":
                ended = "SUCCESS" if kept.done and kept.done.returncode == 0 else "FAILED"
                url = f"http://{self.headers['Host']}/#job/{JOB}"
                self.answer({"run_page_url": url, "state": {"life_cycle_state": "TERMINATED", "result_state": ended}})
            else:
                self.answer({"error_code": "ENDPOINT_NOT_FOUND"}, 404)

        def do_POST(self) -> None:
            if not self.known():
                return
            if self.path.startswith("/dbfs/"):
                kept.keep(self.path, self.asked())
                self.answer({})
            elif self.path == "/api/2.0/jobs/runs/submit":
                kept.run(json.loads(self.asked()))
                self.answer({"run_id": JOB})
            else:
                self.answer({"error_code": "ENDPOINT_NOT_FOUND"}, 404)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
