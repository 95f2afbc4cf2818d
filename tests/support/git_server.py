"""Git repositories that hold this tree as it is now, committed or not, and a daemon on loopback that serves them."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import free_port

from penguins.project import PROJECT


def git(folder: Path, *command: str) -> str:
    """Call git in the folder and return its output."""
    name = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(["git", *name, *command], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def copy_tree(folder: Path) -> None:
    """Copy the files of this project into the folder."""
    for name in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)


def make_repository(folder: Path, within: str = "") -> Path:
    """Make a repository with one commit, which holds the tree in its folder `within`."""
    copy_tree(folder / within)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "tree"]):
        git(folder, *command)
    return folder


@contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """Serve the repositories of the folder, by their names, during the block; yield the URL above them."""
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
