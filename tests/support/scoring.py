"""MLflow's scoring server for the tests, and questions to it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from servers import environment, free_port, wait_until_it_answers
from stores import Store


@contextmanager
def scoring_server(uri: str, folder: Path, store: Store) -> Iterator[str]:
    """Serve a model during the block, from a folder without this project, and yield the URL."""
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", uri, "-p", str(port), "-h", "127.0.0.1", "-w", "1", "--env-manager", "local"]
    with open(folder / "output.txt", "ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(MLFLOW_TRACKING_URI=store.uri, PYSPARK_PYTHON=sys.executable),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", folder / "output.txt")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def ask(url: str, rows: pd.DataFrame) -> tuple[int, Any]:
    """Send rows as JSON and return the status and the answer."""
    return ask_json(url, {"dataframe_split": json.loads(rows.to_json(orient="split"))})


def ask_json(url: str, document: Mapping[str, Any]) -> tuple[int, Any]:
    """Send a JSON document and return the status and the answer, which must be JSON as the standard has it, without NaN."""
    body = json.dumps(document).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  # this test's server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read(), parse_constant=_refuse_constant)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _refuse_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")
