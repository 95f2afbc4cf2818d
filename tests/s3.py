"""An S3 server for the tests, with one bucket, and the Python of the processes that speak to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import environment, free_port, wait_until_it_answers

from common.options import PROJECT

# This environment's, with boto3 and moto laid over it: the environment itself, in which the steps run, has neither.
PYTHON = (
    "uv", "run", "--quiet", "--no-project", "--python", sys.executable,
    "--with-requirements", str(PROJECT / "requirements-s3.txt"), "python",
)  # fmt: skip


@dataclass
class Bucket:
    """An empty bucket, and the variables of a process that may write to it."""

    name: str
    variables: dict[str, str]

    def call(self, code: str) -> str:
        """What boto3's client, `s3`, prints for this code."""
        client = "import os, boto3; s3 = boto3.client('s3', endpoint_url=os.environ['MLFLOW_S3_ENDPOINT_URL']); "
        command = [*PYTHON, "-c", client + code]
        return subprocess.run(command, env=environment(**self.variables), stdout=subprocess.PIPE, text=True, check=True).stdout

    def keys(self) -> list[str]:
        pages = f"s3.get_paginator('list_objects_v2').paginate(Bucket='{self.name}')"
        return self.call(f"[print(found['Key']) for page in {pages} for found in page.get('Contents', [])]").splitlines()


@contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """A bucket on an S3 server of its own, which is ended at the end of the block."""
    subprocess.run([*PYTHON, "-c", ""], env=environment(), check=True)  # which fetches the packages
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "of the tests", "AWS_SECRET_ACCESS_KEY": "alone", "AWS_DEFAULT_REGION": "us-east-1"}
    made = Bucket("penguins", {"MLFLOW_S3_ENDPOINT_URL": url, **keys})
    with open(folder / "s3.txt", "wb") as output:
        command = [*PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_it_answers(f"{url}/moto-api/", folder / "s3.txt")
        made.call(f"s3.create_bucket(Bucket='{made.name}')")
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
