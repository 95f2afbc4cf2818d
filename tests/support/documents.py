"""The commands in the documents, and a copy of the project in which a reader runs them."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers import LONGEST_S, environment, wait_until_it_answers

from penguins.project import PROJECT


@dataclass(frozen=True)
class Example:
    """A command of a document, and what the document says that it prints: some of its lines, or nothing."""

    command: str
    output: str

    def lines_missed(self, printed: str) -> list[str]:
        """Return the lines that the document promises and the command has not printed; blanks around a line do not count."""
        found = {line.strip() for line in printed.splitlines()}
        return [line for line in self.output.splitlines() if line.strip() not in found]


def examples(document: str, heading: str = "") -> list[Example]:
    """Return the commands in a document of the project, or in its section `heading`, in order.

    A block of `sh` is a command; a block of `text` or `json` before the next one is its output.
    """
    text = (PROJECT / document).read_text(encoding="utf-8")
    if heading:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found: list[Example] = []
    for language, block in re.findall(r"```(sh|text|json)\n(.+?)\n```", text, flags=re.DOTALL):
        found.append(Example(block, "") if language == "sh" else Example(found.pop().command, block))
    return found


def copy_project(folder: Path) -> Path:
    """Copy the project to `folder`, which does not exist yet, without its history, tests and results; return the folder."""
    left_out = shutil.ignore_patterns(".*", "mlruns", "mlartifacts", "mlflow.db", "tests")
    return Path(shutil.copytree(PROJECT, folder, ignore=left_out))


def run_command(command: str, folder: Path, **variables: str) -> str:
    """Run a command of a document with the shell in `folder`, and return its output; fail where the command does."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def served(command: str, folder: Path, address: str) -> Iterator[None]:
    """Run a command of a document that serves something during the block, which begins when `address` is answered."""
    output = folder / "served.txt"
    with open(output, "ab") as opened:
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=folder, env=environment(), stdout=opened, stderr=opened, start_new_session=True
        )
    try:
        wait_until_it_answers(address, output)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
