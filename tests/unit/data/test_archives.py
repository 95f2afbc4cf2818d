"""The one table in a compressed file or a zip, and the lines about archives that hold none."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from input_tables import GOOD_CSV, file

from penguins.data.archives import ArchiveError, open_decompressed

CONTENT = (GOOD_CSV * 2000).encode()
COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
DAMAGED = r"^the archive is damaged: .+ Copy or download it again, whole\.$"
ENCRYPTED_BIT, FLAGS_OF_MEMBER, FLAGS_OF_ENTRY, METHOD_OF_ENTRY = 1, 6, 8, 10
ENTRY = b"PK\x01\x02"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_zip(*names: str, content: bytes = CONTENT) -> Path:
    with ZipFile("t.zip", "w", ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else content)
    return Path("t.zip")


def read(path: Path) -> bytes:
    with open_decompressed(path) as opened:
        return opened.read()


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_compressed_file_is_decompressed_whatever_the_case_of_its_ending(ending: str) -> None:
    for name in (f"t.csv{ending}", f"t{ending.upper()}"):
        assert read(Path(file(COMPRESS[ending](CONTENT), name)())) == CONTENT


def test_a_plain_file_is_read_as_it_is() -> None:
    assert read(Path(file(b"\x1f\x8bno", "t.csv")())) == b"\x1f\x8bno"


def test_two_compressed_parts_in_a_row_are_one_file() -> None:
    assert read(Path(file(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"), "t.gz")())) == b"a\n1\n2\n"


SHADOWS = ["__MACOSX/._t.csv", "__MACOSX/", "._t.csv", ".DS_Store", "a/.DS_Store", "a/Thumbs.db", "desktop.ini", "a/"]


@pytest.mark.parametrize("names", [["t.csv"], ["a/t.csv"], ["t.csv", *SHADOWS], [*SHADOWS, "a/t.csv"]])
def test_the_one_file_in_a_zip_is_read_and_what_systems_add_does_not_count(names: list[str]) -> None:
    assert read(write_zip(*names)) == CONTENT


def test_an_open_zip_gives_lines_and_blocks() -> None:
    with open_decompressed(write_zip("t.csv")) as opened:
        assert opened.readline() == b"kind,size,weight\n" == CONTENT[:17]
        assert opened.read(5) == CONTENT[17:22]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.csv", "b.csv"], r"it holds 2 files and should hold one \('a.csv', 'b.csv'\): unpack it"),
        ([f"{place}.csv" for place in range(7)], r"7 files .*\('0.csv', .*'4.csv', 2 more\)"),
        (["a/", "__MACOSX/._t.csv"], "the archive holds no file"),
        ([], "the archive holds no file"),
    ],
)
def test_a_zip_without_one_file_is_refused_with_the_names(names: list[str], said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        read(write_zip(*names))


def damage(content: bytes) -> dict[str, bytes]:
    middle = len(content) // 2
    return {
        "cut off at its end": content[:-5],
        "cut off in the middle": content[:middle],
        "cut off after its first bytes": content[:12],
        "spoiled in the middle": content[:middle] + b"\xff\0\xff\0" * 8 + content[middle + 32 :],
        "empty": b"",
    }


@pytest.mark.parametrize("ending", [*COMPRESS, ".zip"])
@pytest.mark.parametrize("how", damage(b""))
def test_a_damaged_archive_is_refused_in_one_line(ending: str, how: str) -> None:
    whole = write_zip("t.csv").read_bytes() if ending == ".zip" else COMPRESS[ending](CONTENT)
    with pytest.raises(ArchiveError, match=DAMAGED):
        read(Path(file(damage(whole)[how], f"t.csv{ending}")()))


@pytest.mark.parametrize("ending", [*COMPRESS, ".zip"])
def test_a_file_that_is_not_compressed_though_its_name_says_so_is_refused(ending: str) -> None:
    with pytest.raises(ArchiveError, match=rf"it does not begin as a \{ending} file does: leave \{ending} out"):
        read(Path(file(GOOD_CSV, f"t.csv{ending}")()))


def change_zip(path: Path, place_of_member: int | None, place_of_entry: int, value: int) -> Path:
    """Set a byte in the headers of the one file in a zip."""
    content = bytearray(path.read_bytes())
    if place_of_member is not None:
        content[place_of_member] = value
    content[content.index(ENTRY) + place_of_entry] = value
    path.write_bytes(content)
    return path


def test_an_encrypted_zip_is_refused() -> None:
    path = change_zip(write_zip("t.csv"), FLAGS_OF_MEMBER, FLAGS_OF_ENTRY, ENCRYPTED_BIT)
    with pytest.raises(ArchiveError, match="the archive is encrypted: unpack it with its password"):
        read(path)


def test_a_compression_that_python_does_not_read_is_refused() -> None:
    path = change_zip(write_zip("t.csv"), None, METHOD_OF_ENTRY, 9)  # Deflate64, as Windows uses for large files
    with pytest.raises(ArchiveError, match=r"compressed in a way that Python does not read \(.*\): unpack it first"):
        read(path)


TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".TGZ": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def write_tar(ending: str, *members: tarfile.TarInfo, content: bytes = CONTENT) -> Path:
    with tarfile.open(f"t{ending}", TAR_MODES[ending]) as archive:  # type: ignore[call-overload]
        for member in members:
            member.size = len(content) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return Path(f"t{ending}")


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "elsewhere"
    return info


@pytest.mark.parametrize("ending", TAR_MODES)
def test_the_one_file_in_a_tar_is_read(ending: str) -> None:
    assert read(write_tar(ending, member("a", tarfile.DIRTYPE), member("a/._t.csv"), member("a/t.csv"))) == CONTENT


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("a.csv"), member("b.csv")], r"it holds 2 files and should hold one \('a.csv', 'b.csv'\): unpack it"),
        ([member("a", tarfile.DIRTYPE)], "the archive holds no file"),
        ([member("t.csv", tarfile.SYMTYPE)], "the archive holds a link, and not the table"),
        ([member("t.csv", tarfile.FIFOTYPE)], "the archive holds something else than a file"),
    ],
)
def test_a_tar_without_one_file_is_refused(members: list[tarfile.TarInfo], said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        read(write_tar(".tar", *members))


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.bz2", ".tar.xz"])
@pytest.mark.parametrize("how", damage(b""))
def test_a_damaged_tar_that_is_compressed_is_refused_in_one_line(ending: str, how: str) -> None:
    whole = write_tar(ending, member("t.csv")).read_bytes()
    with pytest.raises(ArchiveError, match=rf"{DAMAGED}|^it is no tar archive, .* download it again, whole\.$"):
        read(Path(file(damage(whole)[how], f"t{ending}")()))


def test_a_tar_that_was_cut_off_is_refused() -> None:
    whole = write_tar(".tar", member("t.csv")).read_bytes()
    with pytest.raises(ArchiveError, match=DAMAGED):
        read(Path(file(whole[: len(CONTENT) // 2], "t.tar")()))


@pytest.mark.parametrize("content", [b"", GOOD_CSV.encode(), b"\0\1\2\3" * 500])
def test_what_is_no_tar_is_refused_whatever_its_name(content: bytes) -> None:
    for name, written in (("t.tar", content), ("t.tar.gz", gzip.compress(content))):
        with pytest.raises(ArchiveError, match=r"^it is no tar archive, though its name says so, or a damaged one: "):
            read(Path(file(written, name)()))


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "it is empty"), (b"a,b\n", "does not begin as a .zst file does"), (b"\0\0\0", "does not begin")]
)
def test_a_file_that_is_not_zstandard_though_its_name_says_so_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        read(Path(file(content, "t.csv.zst")()))


def test_an_error_of_the_reader_itself_is_none_of_the_archive() -> None:
    with pytest.raises(OSError, match="mine"), open_decompressed(write_zip("t.csv")):
        raise OSError("mine")
