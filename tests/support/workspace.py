"""A stand-in for a Databricks workspace: it stores what is uploaded to it, and runs a submitted job on this machine."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from servers import environment

TOKEN = "only for the tests"  # noqa: S105
JOB = 7


class Workspace:
    """The files that were uploaded to DBFS, the job that was submitted, and how the job's command ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Path] = {}
        self.job: dict[str, Any] = {}
        self.done: subprocess.CompletedProcess[str] | None = None

    def store_file(self, path: str, content: bytes) -> None:
        self.files[path] = self.folder / Path(path).name
        self.files[path].write_bytes(content)

    def run(self, job: dict[str, Any]) -> None:
        """Unpack the project and call `mlflow run` on it as the job's command does, which takes it from a mounted DBFS."""
        self.job = job
        [archive] = self.files.values()
        shutil.unpack_archive(archive, self.folder / "node", "gztar")
        [project] = (self.folder / "node").iterdir()
        task = job["shell_command_task"]
        *_, last = task["command"][-1].split("&&")
        mlflow, run, _project, *arguments = shlex.split(last)
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
    """Run a workspace that asks for its `TOKEN` during the block; yield its URL and the workspace itself."""
    uploaded = Workspace(folder)

    class Handler(BaseHTTPRequestHandler):
        def answer(self, content: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def has_token(self) -> bool:
            if self.headers.get("Authorization") == f"Bearer {TOKEN}":
                return True
            self.answer({"error_code": "PERMISSION_DENIED"}, 403)
            return False

        def do_GET(self) -> None:  # as the library calls it
            if not self.has_token():
                return
            path = self.path.partition("?")[0]
            if path == "/api/2.0/dbfs/get-status":
                exists = f"/dbfs{json.loads(self.body())['path']}" in uploaded.files
                self.answer({} if exists else {"error_code": "RESOURCE_DOES_NOT_EXIST"}, 200 if exists else 404)
            elif path == "/api/2.0/jobs/runs/get":
                ended = "SUCCESS" if uploaded.done and uploaded.done.returncode == 0 else "FAILED"
                url = f"http://{self.headers['Host']}/#job/{JOB}"
                self.answer({"run_page_url": url, "state": {"life_cycle_state": "TERMINATED", "result_state": ended}})
            else:
                self.answer({"error_code": "ENDPOINT_NOT_FOUND"}, 404)

        def do_POST(self) -> None:
            if not self.has_token():
                return
            if self.path.startswith("/dbfs/"):
                uploaded.store_file(self.path, self.body())
                self.answer({})
            elif self.path == "/api/2.0/jobs/runs/submit":
                uploaded.run(json.loads(self.body()))
                self.answer({"run_id": JOB})
            else:
                self.answer({"error_code": "ENDPOINT_NOT_FOUND"}, 404)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", uploaded
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
