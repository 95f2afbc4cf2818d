"""Recognise files that are neither CSV nor Parquet by their first bytes and names, and say how to turn them into a table."""

import re
from pathlib import Path, PurePath

from penguins.text import PLAIN_PATH

# As many first bytes as `describe_kind` needs.
START_BYTES = 4096
PARQUET_MAGIC, ENCRYPTED_PARQUET_MAGIC = b"PAR1", b"PARE"
PARQUET_NAMES = (".parquet", ".pq")
ARCHIVE_NAMES = (".gz", ".bz2", ".xz", ".zip", ".tar", ".tgz", ".tbz2", ".txz", ".zst")
COMPRESSED = (".gz", ".bz2", ".xz")
# What follows "which" in the line, by the bytes with which the file begins. {to_csv} becomes a command of pandas.
BY_MAGIC: tuple[tuple[bytes, str], ...] = (
    (ENCRYPTED_PARQUET_MAGIC, "is an encrypted Parquet file: write it without encryption"),
    (b"SQLite format 3\0", "is a database of SQLite: sqlite3 -header -csv {file} 'SELECT * FROM …' > {name}.csv"),
    (b"ORC", "is an ORC file: {orc}"),
    (b"Obj\x01", "is an Avro file: {avro}"),
    (b"ARROW1", "is a Feather or Arrow file: {feather}"),
    (b"FEA1", "is a Feather file: {feather}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel file: save its sheet as CSV in UTF-8, or {excel}"),
    (b"\x89HDF\r\n", "is an HDF5 file: {hdf}"),
    (b"\x93NUMPY", "is an array of NumPy: {numpy}"),
    (b"\x80\x04\x95", "is a pickle, which this project does not load: write the table as Parquet with to_parquet"),
    (b"\x80\x05\x95", "is a pickle, which this project does not load: write the table as Parquet with to_parquet"),
    (b"<stata_dta>", "is a file of Stata: {stata}"),
    (b"$FL2", "is a file of SPSS: {spss}"),
    (b"$FL3", "is a file of SPSS: {spss}"),
    (b"RDX", "is a file of R: write the table in R with write.csv(…, row.names = FALSE)"),
    (b"%PDF-", "is a PDF document: save the table itself as CSV"),
    (b"\x89PNG", "is a picture: give the table itself"),
    (b"\xff\xd8\xff", "is a picture: give the table itself"),
    (b"\x1f\x8b", "is compressed with gzip, which its name does not say: give it a name that ends in .gz"),
    (b"BZh", "is compressed with bzip2, which its name does not say: give it a name that ends in .bz2"),
    (b"\xfd7zXZ\0", "is compressed with xz, which its name does not say: give it a name that ends in .xz"),
    (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard, which is not read here: zstd -d {file} -o {name}.csv"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it, and give the table in it"),
    (b"version https://git-lfs", "is only a pointer of Git LFS: fetch the file with git lfs pull"),
)
# The kind of a file by the end of its name, where nobody has read it or its first bytes say nothing.
BY_NAME: dict[str, str] = {
    ".json": "is JSON: {json}",
    ".jsonl": "is JSON lines: {json_lines}",
    ".ndjson": "is JSON lines: {json_lines}",
    ".xlsx": "is an Excel file: save its sheet as CSV in UTF-8, or {excel}",
    ".xls": "is an Excel file: save its sheet as CSV in UTF-8, or {excel}",
    ".ods": "is a spreadsheet: save its sheet as CSV in UTF-8, or {excel}",
    ".orc": "is an ORC file: {orc}",
    ".avro": "is an Avro file: {avro}",
    ".feather": "is a Feather file: {feather}",
    ".arrow": "is an Arrow file: {feather}",
    ".html": "is a page of HTML: {html}",
    ".htm": "is a page of HTML: {html}",
    ".xml": "is XML: {xml}",
    ".sqlite": "is a database of SQLite: sqlite3 -header -csv {file} 'SELECT * FROM …' > {name}.csv",
    ".dta": "is a file of Stata: {stata}",
    ".sas7bdat": "is a file of SAS: {sas}",
}
READERS = {
    "json": "p.read_json('{file}')",
    "json_lines": "p.read_json('{file}', lines=True)",
    "excel": "p.read_excel('{file}')",
    "orc": "p.read_orc('{file}')",
    "feather": "p.read_feather('{file}')",
    "hdf": "p.read_hdf('{file}')",
    "html": "p.read_html('{file}')[0]",
    "xml": "p.read_xml('{file}')",
    "stata": "p.read_stata('{file}')",
    "spss": "p.read_spss('{file}')",
    "sas": "p.read_sas('{file}')",
    "numpy": "p.DataFrame(__import__('numpy').load('{file}'))",
    "avro": "p.DataFrame(__import__('fastavro').reader(open('{file}', 'rb')))",
}
# The packages that a reader needs besides those of this project.
PACKAGES = {"excel": "openpyxl", "hdf": "tables", "html": "lxml", "xml": "lxml", "spss": "pyreadstat", "avro": "fastavro"}
TEXT_MAGICS = (b"<stata_dta>", b"%PDF-", b"version https://git-lfs")
# A byte that no text has.
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
ZIP_MAGIC, TAR_MAGIC, TAR_PLACE = b"PK\x03\x04", b"ustar", 257
# Signs that a file which begins like a zip is a workbook: the names of its first members.
WORKBOOK = re.compile(rb"\[Content_Types\]\.xml|xl/|_rels/\.rels|application/vnd\.oasis")
HTML = re.compile(rb"<!doctype html|<(html|head|body)\b", re.IGNORECASE)
ARFF = re.compile(rb"(%[^\r\n]*[\r\n]\s*)*@relation\s", re.IGNORECASE)
# Not a header such as <DATE>,<OPEN>,<CLOSE>, which programs for stock prices write.
XML = re.compile(rb"<\?xml|<[\w:.-]+(\s[^<>]*)?>(?! *[,;\t|])")
JSON_OBJECT = re.compile(rb'\{\s*("(?:[^"\\]|\\.)*"\s*:|\})')
JSON_LIST = re.compile(rb'\[\s*([\[{\]]|("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)\s*[,\]]\s)')
SECOND_OBJECT = re.compile(rb"\}\s*\n\s*\{")


def is_parquet_file(path: Path) -> bool:
    """Tell whether the file at `path` is Parquet, whatever its name."""
    with path.open("rb") as file:
        return _begins_with(file.read(START_BYTES), PARQUET_MAGIC)


def describe_kind(path: PurePath, start: bytes) -> str:
    """Say what the file at `path`, which begins with `start` after decompression, is instead of a table, and the remedy.

    The text follows the word "which". It is empty for a table: for Parquet under any name, and for all that may be CSV.
    """
    ending = path.suffix.lower()
    if _begins_with(start, PARQUET_MAGIC):
        return "is a Parquet file in an archive: unpack it" if ending in ARCHIVE_NAMES else ""
    kind = _kind_by_magic(start, ending) or _kind_of_text(start)
    if not kind and start and ending in PARQUET_NAMES:
        kind = "is no Parquet file, though its name ends like that of one: if it is CSV, give it a name that ends in .csv"
    if not kind and b"\0" in start:  # bytes that no text has
        kind = BY_NAME.get(_inner_suffix(path), "")
    return _fill_in(kind, path)


def describe_name(path: PurePath) -> str:
    """Say what a file with the name of `path` is instead of a table, as `describe_kind` does, or return an empty text."""
    return _fill_in(BY_NAME.get(_inner_suffix(path), ""), path)


def _inner_suffix(path: PurePath) -> str:
    """Return the last ending of the name of `path` that is not one of an archive, in small letters."""
    endings = [ending.lower() for ending in path.suffixes]
    return next((ending for ending in reversed(endings) if ending not in ARCHIVE_NAMES), "")


def _kind_by_magic(start: bytes, ending: str) -> str:
    if start.startswith(ZIP_MAGIC):
        if WORKBOOK.search(start) or ending in (".xlsx", ".ods"):
            return BY_NAME[".xlsx"]
        return "is a zip archive, which its name does not say: give it a name that ends in .zip, or unpack it"
    if start[TAR_PLACE : TAR_PLACE + len(TAR_MAGIC)] == TAR_MAGIC:
        tar = f".tar{ending}" if ending in COMPRESSED else ".tar"
        return f"is a tar archive, which its name does not say: give it a name that ends in {tar}"
    return next((kind for magic, kind in BY_MAGIC if _begins_with(start, magic)), "")


def _begins_with(start: bytes, magic: bytes) -> bool:
    """Tell whether `start` begins with `magic` and is binary, if files of that kind are: ORCA may be the name of a column."""
    return start.startswith(magic) and (magic in TEXT_MAGICS or CONTROL.search(start) is not None)


def _kind_of_text(start: bytes) -> str:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if HTML.match(text):
        return "is a page of HTML, perhaps an error of the server: look at it, and download the table itself"
    if ARFF.match(text):
        return "is an ARFF file: write what follows its line @data as CSV, after a line with the names of its columns"
    if XML.match(text):
        return BY_NAME[".xml"]
    if JSON_OBJECT.match(text):
        return BY_NAME[".jsonl" if SECOND_OBJECT.search(text) else ".json"]
    return BY_NAME[".json"] if JSON_LIST.match(text) else ""


def _fill_in(kind: str, path: PurePath) -> str:
    """Put the commands for `path` into the text `kind`."""
    file = str(path) if PLAIN_PATH.fullmatch(str(path)) else "FILE"
    name = file.rsplit("/", 1)[-1].split(".")[0] or "table"
    commands = {reader: _command(reader, file, name) for reader in READERS}
    return kind.format(file=file, name=name, **commands)


def _command(reader: str, file: str, name: str) -> str:
    code = READERS[reader].format(file=file)
    command = f"python -c \"import pandas as p; {code}.to_csv('{name}.csv', index=False)\""
    return f"pip install {PACKAGES[reader]} && {command}" if reader in PACKAGES else command
