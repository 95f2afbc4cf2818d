"""Git repositories that hold this tree as it is now, committed or not, and a daemon on loopback that serves them."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import free_port

from common.options import PROJECT


def git(folder: Path, *command: str) -> str:
    """What git says to the command in the folder."""
    name = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(["git", *name, *command], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def copy_tree(folder: Path) -> None:
    """Copies what belongs to this project into the folder."""
    for name in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)


def repository(folder: Path, within: str = "") -> Path:
    """A repository with one commit that holds the tree, in the folder `within` of it."""
    copy_tree(folder / within)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "tree"]):
        git(folder, *command)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL at which a daemon serves the repositories of the folder by their names."""
    port = free_port()
    command = ["git", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder}", "--reuseaddr"]
    daemon = subprocess.Popen(command)
    url = f"git://127.0.0.1:{port}"
    name = next(folder.iterdir()).name
    try:
        for _ in range(50):
            if subprocess.run(["git", "ls-remote", f"{url}/{name}"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        yield url
    finally:
        daemon.terminate()
        daemon.wait()
