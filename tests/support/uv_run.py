"""A run of the project in an environment that uv builds, the slowest of all: it works beside the other tests."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from servers import environment
from stores import Store, empty_store, open_store

from penguins.project import PROJECT

LONGEST_S = 600


@dataclass(frozen=True)
class UvRun:
    """The run that works in a folder, with a store and an environment in it."""

    folder: Path

    @property
    def store(self) -> Store:
        return Store(empty_store(self.folder))

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def start(self, initialised_database: bytes) -> None:
        """Start the command; it writes its exit code to a file, for whichever process waits for it."""
        self.folder.mkdir()
        store = open_store(self.folder, initialised_database)
        command = ["mlflow", "run", str(PROJECT), "-e", "logistic_regression", "--env-manager", "uv"]
        command += ["--experiment-name", "penguins"]
        variables = environment(MLFLOW_TRACKING_URI=store.uri, MLFLOW_ENV_ROOT=str(self.folder / "environments"))
        shell = ["sh", "-c", '"$@" > output.txt 2>&1; echo $? > code.part; mv code.part code', "sh", *command]
        subprocess.Popen(shell, cwd=self.folder, env=variables)

    def wait(self) -> int:
        """Return the exit code of the command once it has ended."""
        until = time.monotonic() + LONGEST_S
        while not (self.folder / "code").exists():
            assert time.monotonic() < until
            time.sleep(0.2)
        return int((self.folder / "code").read_text())
