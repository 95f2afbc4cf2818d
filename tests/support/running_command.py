"""A command of this project at work: tests end it and look at what it leaves."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil
from servers import environment

LONGEST_S = 240.0


class RunningCommand:
    """A command in a process session of its own, which works in `folder` on the store at `uri`, with more `variables`.

    `database` is the file with the store's runs, unless the URI names it.
    """

    started: ClassVar[list["RunningCommand"]] = []

    def __init__(
        self,
        folder: Path,
        uri: str,
        command: Sequence[str],
        variables: Mapping[str, str] | None = None,
        database: Path | None = None,
    ) -> None:
        self.folder = folder
        self.database = database or Path(uri.removeprefix("sqlite:///"))
        with open(folder / "output.txt", "ab") as output, open(folder / "errors.txt", "ab") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(MLFLOW_TRACKING_URI=uri, MLFLOW_EXPERIMENT_NAME="penguins", **(variables or {})),
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        self.started.append(self)

    @property
    def errors(self) -> str:
        """What the commands of the folder have written to standard error."""
        return (self.folder / "errors.txt").read_text()

    @property
    def output(self) -> str:
        """What they have written, standard error last."""
        return (self.folder / "output.txt").read_text() + self.errors

    def n_runs(self) -> int:
        """Return the number of runs in the store."""
        with sqlite3.connect(self.database, timeout=20) as database:
            return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])

    def wait_for_runs(self, number: int) -> None:
        """Return when the store has so many runs."""
        self.wait_until(lambda: self.n_runs() >= number)

    def wait_until(self, is_reached: Callable[[], object]) -> None:
        """Return when `is_reached` is true; fail where the command ends before, or takes too long."""
        until = time.monotonic() + LONGEST_S
        while not is_reached():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < until, self.output
            time.sleep(0.02)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(LONGEST_S)

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the session that are still there."""
        return [process for process in psutil.process_iter() if self._has(process)]

    def _has(self, process: psutil.Process) -> bool:
        try:
            return os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False

    def kill(self) -> None:
        """Kill every process of the session at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @classmethod
    def kill_all(cls) -> None:
        """Kill the commands that are still at work, as where a test failed or was interrupted."""
        while cls.started:
            command = cls.started.pop()
            if command.process.poll() is None:
                command.kill()
