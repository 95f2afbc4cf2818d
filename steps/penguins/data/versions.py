"""A folder that holds a result in versions, of which readers see the current one: it is replaced in one step.

`<folder>/<name>` leads through the link `<folder>/current` to `<folder>/<version>/<name>`, so that all names change at once.
"""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from penguins.data.output import is_marked, replace_folder

# The file by which a folder is known as one of this project's.
MARKER, CONTENT = "_SWEEP", "results and clusters of a sweep\n"
CURRENT = "current"
# A version is called after the run that writes it.
VERSION = re.compile(r"[0-9a-f]{32}")


def holds_versions(folder: Path) -> bool:
    """Tell whether `begin_version` has made the folder."""
    return is_marked(folder / MARKER, CONTENT)


def begin_version(folder: Path, version: str, is_in_use: Callable[[str], bool]) -> Path:
    """Make the folder of a new version, and delete what killed runs have left: versions that are not `is_in_use`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(CONTENT, encoding="utf-8")
    for path in folder.iterdir():
        if VERSION.fullmatch(path.name) and path.name not in (_current(folder), version) and not is_in_use(path.name):
            shutil.rmtree(path, ignore_errors=True)
    new = folder / version
    new.mkdir(exist_ok=True)
    return new


def put_in_place(folder: Path, version: str, names: Sequence[str]) -> None:
    """Make `version`, a folder with the folders `names`, the current one, and delete the one before.

    Where the file system knows no links, each of `names` is renamed, so that for a moment the earlier one is gone.
    """
    before = _current(folder)
    try:
        _link(folder / CURRENT, version)
        for name in names:
            _link(folder / name, f"{CURRENT}/{name}")
    except (OSError, NotImplementedError):
        for name in names:
            _rename(folder / version / name, folder / name)
        discard_version(folder, version)
    if before not in ("", version):
        discard_version(folder, before)


def is_in_place(folder: str, version: str, names: Sequence[str]) -> bool:
    """Tell whether the folders `names` are there and, as far as the file system tells, those of `version`."""
    return _current(Path(folder)) in ("", version) and all(Path(folder, name).is_dir() for name in names)


def discard_version(folder: Path, version: str) -> None:
    """Delete a version."""
    shutil.rmtree(folder / version, ignore_errors=True)


def _current(folder: Path) -> str:
    """Return the current version, or an empty text."""
    return os.readlink(folder / CURRENT) if (folder / CURRENT).is_symlink() else ""


def _link(path: Path, target: str) -> None:
    """Make a link in one step, in place of an earlier one."""
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    new.symlink_to(target, target_is_directory=True)
    try:
        os.replace(new, path)
    except OSError:
        new.unlink()
        raise


def _rename(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()

    def move(new: Path) -> None:
        source.rename(new)

    replace_folder(target, move)
