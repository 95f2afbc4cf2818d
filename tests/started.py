"""A command of this project at work, for tests to end it and to look at what it leaves."""

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
from conftest import Store
from servers import environment


class Started:
    """A command at work on a store, in a session of processes of its own, with more variables in its environment."""

    def __init__(self, folder: Path, store: Store, command: list[str], **variables: str) -> None:
        self.store, self.folder = store, folder
        with open(folder / "output.txt", "ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(MLFLOW_TRACKING_URI=store.uri, MLFLOW_EXPERIMENT_NAME="penguins", **variables),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def wait_for(self, runs: int) -> None:
        """Until so many runs are in the store."""
        until = time.monotonic() + 120
        while self.number_of_runs() < runs:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < until, self.output
            time.sleep(0.02)

    def number_of_runs(self) -> int:
        with sqlite3.connect(self.store.uri.removeprefix("sqlite:///"), timeout=20) as database:
            return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])

    def left(self) -> list[str]:
        """The commands of the session that are still there."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:80])
            except (psutil.Error, OSError):
                continue
        return found

    def kill(self) -> None:
        """Kills every process of the session at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
