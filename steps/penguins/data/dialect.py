"""Find out how a CSV file is written: its separator, its encoding and its decimal sign."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO

from penguins.cli.read_options import ReadOptions

SEPARATORS = (",", ";", "\t", "|")
SAMPLE_BYTES, MOST_ROWS, BLOCK_BYTES = 1 << 20, 500, 1 << 20
# A separator fits a file in which this share of the rows has as many fields as the header; the others are mistakes.
LEAST_SHARE = 0.9
# More lines before the header are not looked for.
MOST_TITLE_LINES = 20
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF_8, UTF_16, WINDOWS = "utf-8", "utf-16", "cp1252"
# Null bytes are usual in these.
WIDE = ("utf-16", "utf-32")
QUOTE, APOSTROPHE = '"', "'"
# The name of the handler of errors in UTF-8 that takes single bytes for Windows-1252.
WINDOWS_BYTES = "penguins-windows-bytes"
# Excel writes its separator into a first line like this.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n?')
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
THOUSANDS_COMMA = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
THOUSANDS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+,\d+")
BLANKS = re.compile(" {2,}")
GROUPED_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
CELL_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)*\s*")


def _decode_windows_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(decode_windows_byte(byte) for byte in found), error.end


def decode_windows_byte(byte: int) -> str:
    """Return the character that a byte stands for in Windows-1252, or in latin-1 where it stands for none."""
    return bytes([byte]).decode(WINDOWS, errors="ignore") or chr(byte)


codecs.register_error(WINDOWS_BYTES, _decode_windows_bytes)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written, with nothing left open, and whether it holds a null byte.

    `errors` names the handler of bytes that are not of the encoding. In a file that is not UTF-8, which `encoding` then calls
    `cp1252`, each byte that is not part of UTF-8 counts as one of Windows-1252, so that a column in either encoding is right.
    """

    options: ReadOptions
    codec: str
    errors: str = "strict"
    has_null_byte: bool = False


def find_dialect(file: IO[bytes], read: ReadOptions) -> Dialect:
    """Return how `file`, which is open at its beginning, is written: as `read` says, and where it says nothing, as it looks."""
    sample, is_utf_8, has_null = _inspect(file)
    if read.encoding:
        encoding, codec, errors = read.encoding, read.encoding, "strict"
        codec = "utf-8-sig" if codecs.lookup(codec).name == UTF_8 else codec
        has_null = has_null and not codecs.lookup(codec).name.startswith(WIDE)
    elif sample.startswith(UTF_16_MARKS):
        encoding, codec, errors, has_null = UTF_16, UTF_16, "strict", False
    else:
        encoding, codec, errors = (UTF_8 if is_utf_8 else WINDOWS), "utf-8-sig", "strict" if is_utf_8 else WINDOWS_BYTES
    text = sample.decode(codec, errors="replace" if errors == "strict" else errors)
    options = find_options(text, replace(read, encoding=encoding))
    return Dialect(options, codec, errors, has_null)


def find_options(text: str, read: ReadOptions) -> ReadOptions:
    """Return `read` with the separator and the decimal sign that the beginning of a file shows, where it names none."""
    lines = io.StringIO(text, newline="").readlines()[read.skiprows :]
    n_skipped, sep = read.skiprows, read.sep
    if lines and not sep and (found := SEPARATOR_LINE.fullmatch(lines[0])):
        n_skipped, sep, lines = n_skipped + 1, found[1], lines[1:]
    quotechar = read.quotechar or _find_quotes(lines)
    quote = quotechar or QUOTE
    sep = sep or _find_separator(lines, quote)
    decimal, thousands = read.decimal, read.thousands
    if not decimal:
        decimal, thousands = _find_decimal(_rows(lines, sep, quote)[1:], sep, thousands)
    return replace(read, sep=sep, decimal=decimal, thousands=thousands, quotechar=quotechar, skiprows=n_skipped)


def points_doubt(text: str, options: ReadOptions) -> str:
    """Say that the points at the beginning of a file may stand between thousands, or return an empty text.

    In a file whose separator is no comma, numbers of which each has three digits behind each point are most often German ones.
    """
    lines = io.StringIO(text, newline="").readlines()[options.skiprows :]
    cells = [cell.strip() for row in _rows(lines, options.sep, options.quote)[1:] for cell in row]
    points = [cell for cell in cells if "." in cell and CELL_NUMBER.fullmatch(cell)]
    if options.sep == "," or options.decimal != "." or options.thousands or not points:
        return ""
    if not all(GROUPED_POINT.fullmatch(cell) for cell in points):
        return ""
    return (
        f"numbers such as {points[0]} are read with a decimal point: if it stands between thousands, pass "
        'read={decimal: ",", thousands: "."}'
    )


def separator_hint(text: str, options: ReadOptions, n_columns: int, joins_blanks: bool = True) -> str:
    """Say which separator the beginning of a file seems to have, if it was read as one column, or return an empty text.

    `joins_blanks` tells whether the reader can take several blanks for one separator.
    """
    lines = io.StringIO(text, newline="").readlines()[options.skiprows :]
    if n_columns != 1 or not lines:
        return ""
    found = _find_separator(lines, options.quote)
    if found != options.sep and len((_rows(lines, found, options.quote) or [[]])[0]) > 1:
        return f"it looks separated by {found!r}, not by {options.sep!r}: leave sep out of read, or give this one."
    stripped = [line.strip() for line in lines]
    rows = _rows([f"{BLANKS.sub(' ', line)}\n" for line in stripped], " ", options.quote)
    if not _are_table(rows):
        return ""
    has_several = any(BLANKS.search(line) for line in stripped[: len(rows)])
    if has_several and not joins_blanks:
        return "it looks separated by several blanks, which Spark does not take for one separator: write it with commas."
    skip = ", skipinitialspace: true" if has_several else ""
    return f'it looks separated by blanks: pass read={{sep: " "{skip}}}.'


def title_hint(text: str, options: ReadOptions) -> str:
    """Say how many lines stand before the header at the beginning of a file, or return an empty text where none seem to."""
    lines = io.StringIO(text, newline="").readlines()
    for n_lines in range(options.skiprows + 1, min(options.skiprows + MOST_TITLE_LINES, len(lines))):
        rows = _rows(lines[n_lines:], _find_separator(lines[n_lines:], options.quote), options.quote)
        if _are_table(rows) and all(cell.strip() and not CELL_NUMBER.fullmatch(cell) for cell in rows[0]):
            return f"its first lines look like a title: pass read={{skiprows: {n_lines}}}."
    return ""


def _are_table(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether nearly all rows have as many fields as the first one, and that is more than one."""
    n_equal = sum(len(row) == len(rows[0]) for row in rows)
    return len(rows) > 1 and len(rows[0]) > 1 and n_equal >= LEAST_SHARE * len(rows)


def _inspect(file: IO[bytes]) -> tuple[bytes, bool, bool]:
    """Return the beginning of a file, and whether all of it is UTF-8 and whether it holds a null byte."""
    decoder = codecs.getincrementaldecoder(UTF_8)()
    sample, is_utf_8, has_null = b"", True, False
    while block := file.read(BLOCK_BYTES):
        if len(sample) < SAMPLE_BYTES:
            sample += block
        has_null = has_null or b"\0" in block
        if is_utf_8:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                is_utf_8 = False
    if is_utf_8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf_8 = False
    return sample, is_utf_8, has_null


def _rows(lines: Sequence[str], sep: str, quotechar: str) -> list[list[str]]:
    """Return the first rows that are not blank; the very last one may be cut off, so it counts only if it is alone."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO("".join(lines[: 4 * MOST_ROWS]), newline=""), delimiter=sep, quotechar=quotechar):
            if len(row) > 1 or (row and row[0].strip()):
                rows.append(row)
            if len(rows) > MOST_ROWS:
                break
    except csv.Error:  # a field that is too long
        pass
    return rows[:-1] if len(rows) > 2 else rows


def _find_quotes(lines: Sequence[str]) -> str:
    """Return the sign around fields if it is not the usual one: an apostrophe if every name in the header has it."""
    header = next((line.strip() for line in lines if line.strip()), "")
    names = max((header.split(sep) for sep in SEPARATORS), key=len)
    is_quoted = all(len(name) > 2 and name.strip()[0] == name.strip()[-1] == APOSTROPHE for name in names if name.strip())
    return APOSTROPHE if is_quoted and header else ""


def _find_separator(lines: Sequence[str], quotechar: str) -> str:
    """Return the separator by which most rows have as many fields as the header, which has as many as possible."""

    def score(sep: str) -> tuple[bool, int, int]:
        header, *rows = _rows(lines, sep, quotechar) or [[]]
        n_equal = sum(len(row) == len(header) for row in rows)
        fits = len(header) > 1 and n_equal >= LEAST_SHARE * len(rows)
        n_numbers = sum(CELL_NUMBER.fullmatch(cell) is not None for row in rows for cell in row)
        return fits, len(header), n_numbers

    return max(SEPARATORS, key=score)


def _find_decimal(rows: Sequence[Sequence[str]], sep: str, thousands: str) -> tuple[str, str]:
    """Return the decimal sign and that of thousands.

    A comma is the decimal sign only if it cannot be anything else: the separator is another one, and some number with a comma
    has no groups of three digits behind it.
    """
    cells = [cell.strip() for row in rows for cell in row]
    if sep == "," or thousands == ",":
        return ".", thousands
    commas = [cell for cell in cells if DECIMAL_COMMA.fullmatch(cell)]
    grouped = [cell for cell in cells if THOUSANDS_POINT.fullmatch(cell)]
    if not grouped and all(THOUSANDS_COMMA.fullmatch(cell) for cell in commas):
        return ".", thousands
    return ",", thousands or ("." if grouped else "")
