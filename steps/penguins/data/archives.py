"""Open the one table in a compressed file or an archive, and refuse damaged ones in one line."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from penguins.text import one_line, quote

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MAGICS = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0", ".zip": b"PK"}
DAMAGES = (OSError, EOFError, BadZipFile, lzma.LZMAError, zlib.error)
# What macOS and Windows put beside the files of a zip.
SHADOW_FOLDER = "__MACOSX"
SHADOW_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
SHADOW_PREFIX = "._"
ENCRYPTED = 0x1
SHOWN_NAMES = 5


class ArchiveError(ValueError):
    """An archive holds no single table that can be read. The message is one line that names the remedy."""


@contextmanager
def open_decompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open the file at `path` for reading bytes, and decompress it if its name says that it is compressed.

    Of a zip, opens the one file in it. Raises ArchiveError where the archive is damaged, also while it is being read.
    """
    ending = path.suffix.lower()  # pandas ignores its case, too
    if ending not in MAGICS:
        with path.open("rb") as file:
            yield file
        return
    _require_magic(path, ending)
    if ending == ".zip":
        with _open_zip(path) as archive, _open_member(archive, _only_member(archive)) as member:
            yield io.BufferedReader(_Checked(member))
        return
    with OPENERS[ending](path, "rb") as file:
        yield io.BufferedReader(_Checked(file))


class _Checked(io.RawIOBase):
    """The bytes of a decompressing file, with an ArchiveError in place of the many errors of the decompressors."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self.file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self.file.read(len(buffer))
        except DAMAGES as error:
            raise _damage(error) from error
        buffer[: len(block)] = block
        return len(block)


def _damage(error: Exception) -> ArchiveError:
    return ArchiveError(f"the archive is damaged: {one_line(error)[:120]}. Copy or download it again, whole.")


def _require_magic(path: Path, ending: str) -> None:
    """Raise ArchiveError where the file does not begin as its ending says."""
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ArchiveError("the archive is damaged: it is empty. Copy or download it again, whole.")
    if not start.startswith(MAGICS[ending]):
        raise ArchiveError(f"it is not compressed, though its name ends in {ending}: leave {ending} out of its name.")


def _open_zip(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except DAMAGES as error:
        raise _damage(error) from error


def _only_member(archive: ZipFile) -> ZipInfo:
    """Return the one file in a zip, besides those that systems add on their own."""
    members = [member for member in archive.infolist() if not member.is_dir() and not _is_shadow(member.filename)]
    if not members:
        raise ArchiveError("the archive holds no file: put the table into it.")
    if len(members) > 1:
        names = [quote(member.filename) for member in members[:SHOWN_NAMES]]
        others = [f"{len(members) - SHOWN_NAMES} more"] if len(members) > SHOWN_NAMES else []
        raise ArchiveError(
            f"it holds {len(members)} files and should hold one ({', '.join([*names, *others])}): unpack it, and give one."
        )
    return members[0]


def _is_shadow(name: str) -> bool:
    path = PurePosixPath(name)
    return SHADOW_FOLDER in path.parts or path.name in SHADOW_FILES or path.name.startswith(SHADOW_PREFIX)


def _open_member(archive: ZipFile, member: ZipInfo) -> IO[bytes]:
    if member.flag_bits & ENCRYPTED:
        raise ArchiveError("the archive is encrypted: unpack it with its password, and give the table in it.")
    try:
        return archive.open(member)
    except NotImplementedError as error:
        raise ArchiveError(
            f"the archive is compressed in a way that Python does not read ({one_line(error)[:120]}): unpack it first."
        ) from error
    except DAMAGES as error:
        raise _damage(error) from error
