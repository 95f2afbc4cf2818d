"""Which files are tables, by their first bytes and names, and the remedy for the others."""

import io
import json
import shlex
import sqlite3
import time
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from input_tables import GOOD_CSV, file, good_table
from pyarrow import Table as ArrowTable
from pyarrow import feather, orc

from penguins.data.archives import open_decompressed
from penguins.data.file_kinds import START_BYTES, describe_kind, describe_name, is_parquet_file
from penguins.data.locate import fetch_table, require_exists
from penguins.errors import InputError

LINES = '{"x": 1, "y": 2}\n{"x": 3, "y": 4}\n'
TABLES: dict[str, tuple[str, bytes]] = {
    "CSV": ("t.csv", GOOD_CSV.encode()),
    "an empty file": ("t.csv", b""),
    "an empty file called Parquet": ("t.parquet", b""),
    "CSV called text": ("t.txt", GOOD_CSV.encode()),
    "CSV called JSON": ("t.json", GOOD_CSV.encode()),
    "CSV called Excel": ("t.xls", GOOD_CSV.encode()),
    "Parquet": ("t.parquet", b"PAR1\x15\x04"),
    "Parquet of another name": ("t.dat", b"PAR1\x15\x04"),
    "a header in brackets": ("t.csv", b"[x],[y]\n1,2\n"),
    "a header in braces": ("t.csv", b"{x},{y}\n1,2\n"),
    "a quoted header": ("t.csv", b'"x","y"\n1,2\n'),
    "a header that begins like ORC's": ("t.csv", b"ORCA,x\n1,2\n"),
    "a header that begins like Parquet's": ("t.csv", b"PAR1,PAR2\n1,2\n"),
    "a header that begins like bzip2's": ("t.csv", b"BZh,x\n1,2\n"),
    "a header that is a comparison": ("t.csv", b"<5,>=5\n1,2\n"),
    "a header in angle brackets": ("t.csv", b"<DATE>,<OPEN>,<CLOSE>\n1,2,3\n"),
    "a header in angle brackets with tabs": ("t.csv", b"<DATE>\t<OPEN>\n1\t2\n"),
    "a header of headings": ("t.csv", b"<heading>,x\n1,2\n"),
    "UTF-16": ("t.csv", GOOD_CSV.encode("utf-16")),
}
OTHERS: dict[str, tuple[str, bytes, str]] = {
    "JSON": ("t.json", b'[{"x": 1}]', "is JSON: python -c"),
    "JSON called CSV": ("t.csv", b' \n[\n {"x": 1}]', "is JSON: python -c"),
    "JSON of columns": ("t.csv", b'\xef\xbb\xbf{ "x": {"0": 1}}', "is JSON: python -c"),
    "JSON of rows": ("t.csv", b"[[1, 2], [3, 4]]", "is JSON: python -c"),
    "JSON lines": ("t.csv", LINES.encode(), "lines=True"),
    "JSON lines of Windows": ("t.jsonl", LINES.replace("\n", "\r\n").encode(), "lines=True"),
    "HTML": ("t.csv", b"\n<!DOCTYPE html>\n<html>", "is a page of HTML, perhaps an error of the server"),
    "HTML in capitals": ("t.csv", b"<HTML><body>404", "is a page of HTML"),
    "XML without a declaration": ("t.csv", b'<rows n="2">\n\t<row>1</row>', "is XML: "),
    "XML": ("t.csv", b'<?xml version="1.0"?><Error>', "is XML: "),
    "old Excel": ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "is an Excel file: save its sheet as CSV"),
    "Avro": ("t.csv", b"Obj\x01\x04", "is an Avro file"),
    "HDF5": ("t.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    "a pickle": ("t.pkl", b"\x80\x04\x95\x01", "is a pickle"),
    "Stata": ("t.dta", b"<stata_dta><header>", "is a file of Stata"),
    "old Stata, known by its name alone": ("t.dta", b"r\x02\x01\0", "is a file of Stata"),
    "SPSS": ("t.sav", b"$FL2@(#)\0", "is a file of SPSS"),
    "ARFF": ("t.csv", b"% a comment\n%\n@RELATION iris\n", "is an ARFF file"),
    "R": ("t.rda", b"RDX3\nX\n\0", "is a file of R"),
    "a picture": ("t.png", b"\x89PNG\r\n\x1a\n", "is a picture"),
    "PDF": ("t.csv", b"%PDF-1.7", "is a PDF document"),
    "gzip without its ending": ("t.csv", b"\x1f\x8b\x08\0", "give it a name that ends in .gz"),
    "bzip2 without its ending": ("t.csv", b"BZh91AY&SY\x00\x01", "give it a name that ends in .bz2"),
    "xz without its ending": ("t.csv", b"\xfd7zXZ\0\0", "give it a name that ends in .xz"),
    "a zip without its ending": ("t.csv", b"PK\x03\x04\x14\0t.csv", "give it a name that ends in .zip"),
    "Zstandard": ("t.csv.zst", b"\x28\xb5\x2f\xfd\0", "zstd -d t.csv.zst -o t.csv"),
    "tar": ("t.gz", b"t.csv".ljust(257, b"\0") + b"ustar\x0000", "give it a name that ends in .tar.gz"),
    "a pointer of Git LFS": ("t.csv", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "encrypted Parquet": ("t.parquet", b"PARE\0", "is an encrypted Parquet file"),
    "Parquet in an archive": ("t.parquet.gz", b"PAR1\x15", "is a Parquet file in an archive: unpack it"),
    "CSV called Parquet": ("t.parquet", GOOD_CSV.encode(), "if it is CSV, give it a name that ends in .csv"),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", TABLES)
def test_what_may_be_a_table_passes(case: str) -> None:
    name, start = TABLES[case]
    assert describe_kind(Path(name), start) == ""


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_no_table_is_named_with_the_remedy(case: str) -> None:
    name, start, said = OTHERS[case]
    assert said in describe_kind(Path(name), start)


def write_sqlite() -> str:
    with sqlite3.connect("t.db") as database:
        database.execute("CREATE TABLE t (x)")
    return "t.db"


def write_workbook() -> str:
    with ZipFile("t.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return "t.xlsx"


def write_feather() -> str:
    feather.write_feather(good_table(), "t.csv")
    return "t.csv"


def write_orc() -> str:
    orc.write_table(ArrowTable.from_pandas(good_table()), "t.csv")
    return "t.csv"


def write_numpy() -> str:
    np.save("t.npy", np.ones((3, 2)))
    return "t.npy"


FILES = {
    "is a database of SQLite": write_sqlite,
    "is an Excel file": write_workbook,
    "is a Feather or Arrow file": write_feather,
    "is an ORC file": write_orc,
    "is an array of NumPy": write_numpy,
}


@pytest.mark.parametrize("said", FILES)
def test_a_file_as_its_library_writes_it_is_refused_before_anything_reads_it(said: str) -> None:
    name = FILES[said]()
    for check in (fetch_table, require_exists):
        with pytest.raises(InputError) as refusal:
            check(name)
        assert f"must name a readable CSV or Parquet table. Got '{name}', which {said}: " in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.json", json.dumps([{"x": 1, "y": 2}, {"x": 3, "y": 4}])), ("t.jsonl", LINES), ("t.csv", LINES)],
)
def test_the_command_for_json_writes_the_csv_file(name: str, content: str) -> None:
    with open_decompressed(Path(file(content, name)())) as opened:
        kind = describe_kind(Path(name), opened.read(START_BYTES))
    command = shlex.split(kind.split(": ", 1)[1])
    assert command[:2] == ["python", "-c"]
    exec(command[2])  # noqa: S102  # the command is our own
    assert Path("t.csv").read_text() == "x,y\n1,2\n3,4\n"


def test_each_command_is_python() -> None:
    endings = ("json", "jsonl", "xlsx", "orc", "avro", "feather", "html", "xml", "dta", "sas7bdat")
    for name in (f"t.{ending}" for ending in endings):
        words = shlex.split(describe_name(Path("a", name)).split(": ", 1)[1].split("CSV in UTF-8, or ")[-1])
        code = words[words.index("-c") + 1]
        compile(code, name, "exec")
        assert f"'a/{name}'" in code


def test_a_path_that_no_shell_takes_as_it_is_stays_out_of_the_command() -> None:
    assert "read_json('FILE')" in describe_name(Path("it's $(here).json"))


def test_a_name_tells_the_kind_also_of_a_compressed_file() -> None:
    assert "lines=True" in describe_name(Path("t.ndjson.gz"))
    for name in ("t.csv", "t.csv.gz", "t.parquet", "t", "json", "t.d/x"):
        assert describe_name(Path(name)) == ""


def test_a_parquet_file_is_recognised_whatever_its_name() -> None:
    content = io.BytesIO()
    good_table().to_parquet(content)
    assert is_parquet_file(Path(file(content.getvalue(), "t.dat")()))
    assert not is_parquet_file(Path(file(GOOD_CSV, "t.parquet")()))
    assert not is_parquet_file(Path(file("", "empty")()))


def test_a_header_of_many_shares_takes_no_time() -> None:
    began = time.perf_counter()
    assert describe_kind(Path("t.csv"), b"% men, " * 500) == ""
    assert time.perf_counter() - began < 1


def test_arff_is_recognised_after_comments_and_blank_lines() -> None:
    for start in (b"@relation x\n", b"% a % b\n%\r\n\n  % c\n\n@RELATION x\n"):
        assert "is an ARFF file" in describe_kind(Path("t.arff"), start)
