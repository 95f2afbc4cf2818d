"""An S3 server for the tests, with one bucket, and the Python of the processes that speak to it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from servers import environment, free_port, wait_until_it_answers

from penguins.project import PROJECT

# This environment's Python with boto3 and moto laid over it: the environment itself, in which the steps run, has neither.
PYTHON = (
    "uv", "run", "--quiet", "--no-project", "--python", sys.executable,
    "--with-requirements", str(PROJECT / "requirements-s3.txt"), "python",
)  # fmt: skip


@dataclass
class Bucket:
    """A bucket at `url`, and the environment variables of a process that may write to it."""

    name: str
    url: str
    variables: dict[str, str]

    def create(self) -> None:
        """Create the bucket; the server takes a request without a signature."""
        urlopen(Request(self.url, method="PUT")).close()  # noqa: S310  # the server that this test started

    def keys(self) -> list[str]:
        """Return the keys in the bucket, up to a thousand."""
        with urlopen(f"{self.url}?list-type=2") as answer:  # noqa: S310
            return re.findall("<Key>(.*?)</Key>", answer.read().decode())


@contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """Run an S3 server during the block, and yield an empty bucket on it."""
    subprocess.run([*PYTHON, "-c", ""], env=environment(), check=True)  # installs the packages
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "of the tests", "AWS_SECRET_ACCESS_KEY": "alone", "AWS_DEFAULT_REGION": "us-east-1"}
    made = Bucket("penguins", f"{url}/penguins", {"MLFLOW_S3_ENDPOINT_URL": url, **keys})
    with open(folder / "s3.txt", "wb") as output:
        command = [*PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_it_answers(f"{url}/moto-api/", folder / "s3.txt")
        made.create()
        yield made
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
