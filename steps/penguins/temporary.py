"""Folders for the files that a step fetches, which are deleted when the step ends."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_folders: list[str] = []


def temporary_folder() -> str:
    """Make a folder for this step, and return its path."""
    _folders.append(tempfile.mkdtemp(prefix="penguins-"))
    return _folders[-1]


@contextmanager
def delete_temporary_folders() -> Iterator[None]:
    """Delete the folders of the step after the block, also where it fails or is interrupted."""
    try:
        yield
    finally:
        while _folders:
            shutil.rmtree(_folders.pop(), ignore_errors=True)
