"""Open the one table in a compressed file or an archive, and refuse damaged ones in one line."""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from penguins.text import one_line, quote

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MAGICS = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0", ".zip": b"PK", ".zst": b"\x28\xb5\x2f\xfd"}
TAR_NAME = re.compile(r".*\.(tar(\.(gz|bz2|xz))?|tgz|tbz2|txz)", re.IGNORECASE | re.DOTALL)
DAMAGES = (OSError, EOFError, BadZipFile, lzma.LZMAError, tarfile.TarError, zlib.error)
# What macOS and Windows put beside the files of a zip.
SHADOW_FOLDER = "__MACOSX"
SHADOW_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
SHADOW_PREFIX = "._"
ENCRYPTED = 0x1
SHOWN_NAMES = 5
BLOCK_BYTES = 1 << 20


class ArchiveError(ValueError):
    """An archive holds no single table that can be read. The message is one line that names the remedy."""


@contextmanager
def open_decompressed(path: Path) -> Iterator[IO[bytes]]:
    """Open the file at `path` for reading bytes, and decompress it if its name says that it is compressed.

    Of a zip or tar, opens the one file in it. Raises ArchiveError where the archive is damaged, also while it is being read.
    """
    ending = path.suffix.lower()  # pandas ignores its case, too
    if ending in MAGICS:
        _require_magic(path, ending)
    if TAR_NAME.fullmatch(path.name):
        with _open_tar(path) as tar, _open_tar_member(tar) as file:
            yield io.BufferedReader(_Checked(file))
        return
    if ending not in OPENERS and ending != ".zip":
        with path.open("rb") as file:
            yield file
        return
    if ending == ".zip":
        with _open_zip(path) as zipped, _open_member(zipped, _only_member(zipped)) as member:
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
        raise ArchiveError(
            f"it does not begin as a {ending} file does: leave {ending} out of its name if it is not compressed, or else copy "
            "or download it again, whole."
        )


def _open_zip(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except DAMAGES as error:
        raise _damage(error) from error


def _open_tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path)
    except DAMAGES as error:
        raise ArchiveError(
            "it is no tar archive, though its name says so, or a damaged one: give it the name of what it is, or copy or "
            "download it again, whole."
        ) from error


def _open_tar_member(archive: tarfile.TarFile) -> IO[bytes]:
    """Open the one file in a tar. Its members are read here, which shows where it was cut off."""
    try:
        members = {member.name: member for member in archive if not member.isdir()}
        while archive.fileobj and archive.fileobj.read(BLOCK_BYTES):  # the sum of a compressed one stands at its end
            pass
        opened = archive.extractfile(members[_only_name(list(members))])
    except DAMAGES as error:
        raise _damage(error) from error
    except KeyError as error:  # a link to a file that is not in the archive
        raise ArchiveError("the archive holds a link, and not the table: put the table itself into it.") from error
    if opened is None:
        raise ArchiveError("the archive holds something else than a file: put the table into it.")
    return opened


def _only_member(archive: ZipFile) -> ZipInfo:
    return archive.getinfo(_only_name([member.filename for member in archive.infolist() if not member.is_dir()]))


def _only_name(names: list[str]) -> str:
    """Return the one name in an archive, besides those of files that systems add on their own."""
    names = [name for name in names if not _is_shadow(name)]
    if not names:
        raise ArchiveError("the archive holds no file: put the table into it.")
    if len(names) > 1:
        shown = [quote(name) for name in names[:SHOWN_NAMES]]
        others = [f"{len(names) - SHOWN_NAMES} more"] if len(names) > SHOWN_NAMES else []
        raise ArchiveError(
            f"it holds {len(names)} files and should hold one ({', '.join([*shown, *others])}): unpack it, and give one."
        )
    return names[0]


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
