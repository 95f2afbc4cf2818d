"""How a CSV file is written, found out from the file itself."""

import io

import pytest

from penguins.cli.read_options import DETECT, ReadOptions
from penguins.data.dialect import SAMPLE_BYTES, find_dialect, points_doubt


def found(content: str | bytes, read: ReadOptions = DETECT) -> ReadOptions:
    data = content if isinstance(content, bytes) else content.encode()
    return find_dialect(io.BytesIO(data), read).options


SEPARATORS = {
    "commas": ("a,b\n1,2\n3,4\n", ","),
    "semicolons": ("a;b\n1;2\n3;4\n", ";"),
    "tabs": ("a\tb\n1\t2\n", "\t"),
    "pipes": ("a|b\n1|2\n", "|"),
    "semicolons and decimal commas": ("a;b\n1,5;2\n3,5;4\n", ";"),
    "semicolons, and commas in the header": ("price, net;size, m\n1,5;2\n3,25;4\n2;1\n", ";"),
    "semicolons, and a comma in every field": ("price, net;size\n1,5;2\n3,25;4\n", ";"),
    "commas, and semicolons in quotes": ('a,b,c\n1,"x;y",2\n3,"z;w",4\n', ","),
    "commas, and semicolons in the last column": ("a,b,tags\n1,2,x;y\n3,4,z\n", ","),
    "semicolons in quotes in the header": ('"a;b","c;d"\n1,2\n3,4\n', ","),
    "commas in quoted fields between tabs": ('a\tb\n"1,2,3"\t4\n"5,6"\t7\n', "\t"),
    "line breaks in quotes": ('a;b\n"x\n,,,\ny";1\n"z";2\n', ";"),
    "one column": ("a\n1\n2\n", ","),
    "one column of texts with commas": ("text\nwell, yes\nno\n", ","),
    "a header alone": ("a;b;c\n", ";"),
    "nothing": ("", ","),
    "blank lines first": ("\n\na;b\n1;2\n", ";"),
    "Excel's line of the separator": ("sep=;\na;b\n1;2\n", ";"),
    "one row that is too long": ("a;b\n" + "1;2\n" * 20 + "1;2;3\n" + "1;2\n" * 20, ";"),
    "line breaks of Windows": ("a;b\r\n1;2\r\n", ";"),
    "line breaks of old Macs": ("a;b\r1;2\r3;4\r", ";"),
    "a very long field": ("a;b\n" + "x" * 200_000 + ";2\n", ";"),
}


@pytest.mark.parametrize("case", SEPARATORS)
def test_the_separator_is_found(case: str) -> None:
    content, sep = SEPARATORS[case]
    assert found(content).sep == sep


def test_a_separator_that_is_said_is_taken() -> None:
    assert found("a;b\n1;2\n", ReadOptions(sep=",")).sep == ","
    assert found("a^b\n1^2\n", ReadOptions(sep="^")).sep == "^"
    assert found("a title; of it\n\na,b\n1,2\n", ReadOptions(skiprows=2)).sep == ","


ENCODINGS = {
    "ASCII": (b"a,b\n1,2\n", "utf-8"),
    "UTF-8": ("größe,b\n1,2\n".encode(), "utf-8"),
    "UTF-8 with its mark": ("größe,b\n1,2\n".encode("utf-8-sig"), "utf-8"),
    "latin-1": ("größe,b\n1,2\n".encode("latin-1"), "cp1252"),
    "Windows-1252": ("preis in €,b\n1,2\n".encode("cp1252"), "cp1252"),
    "Windows-1252 far behind": (b"a,b\n" + b"1,2\n" * SAMPLE_BYTES + "ü,2\n".encode("cp1252"), "cp1252"),
    "a letter across two blocks": ((b"x" * (SAMPLE_BYTES - 1)) + "ü".encode() + b",b\n", "utf-8"),
    "a letter that is cut off at the end": (b"a,b\n1,\xc3", "cp1252"),
    "UTF-16": ("größe,b\n1,2\n".encode("utf-16"), "utf-16"),
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_the_encoding_is_found(case: str) -> None:
    content, encoding = ENCODINGS[case]
    dialect = find_dialect(io.BytesIO(content), DETECT)
    assert (dialect.options.encoding, dialect.has_null_byte) == (encoding, False)


def test_each_byte_that_is_not_of_utf_8_counts_as_one_of_windows_1252() -> None:
    content = "größe €".encode() + b" \xfc \x80 \x81"
    dialect = find_dialect(io.BytesIO(content), DETECT)
    assert content.decode(dialect.codec, errors=dialect.errors) == "größe € ü € \x81"


def test_null_bytes_are_seen_except_in_an_encoding_that_has_them() -> None:
    content = "a,b\n1,2\n".encode("utf-16-le")
    assert find_dialect(io.BytesIO(content), DETECT).has_null_byte
    assert not find_dialect(io.BytesIO(content), ReadOptions(encoding="utf-16-le")).has_null_byte


DECIMALS = {
    "points": ("a;b\n1.5;2\n", ".", ""),
    "decimal commas": ("a;b\n1,5;2\n", ",", ""),
    "decimal commas between tabs": ("a\tb\n0,125\t2\n", ",", ""),
    "decimal commas and points between thousands": ("a;b\n1.234,5;2\n2;3\n", ",", "."),
    "commas that may be between thousands": ("a;b\n1,234;2\n5,678;3\n", ".", ""),
    "commas that may be between thousands beside others": ("a;b\n1,234;0,5\n5,678;3\n", ",", ""),
    "commas and points": ("a;b\n1,5;2.5\n", ",", ""),
    "quoted decimal commas in a file with commas": ('a,b\n"1,5",2\n', ".", ""),
    "no numbers": ("a;b\nx, y;z\n", ".", ""),
}


@pytest.mark.parametrize("case", DECIMALS)
def test_a_decimal_comma_is_found_where_it_can_be_nothing_else(case: str) -> None:
    content, decimal, thousands = DECIMALS[case]
    options = found(content)
    assert (options.decimal, options.thousands) == (decimal, thousands)


def test_a_decimal_sign_that_is_said_is_taken() -> None:
    assert found("a;b\n1,5;2\n", ReadOptions(decimal=".")).decimal == "."
    assert found('a,b\n"1,5",2\n', ReadOptions(decimal=",")).decimal == ","


POINTS = {
    "a;b\n3.641;x\n12.500;y\n": "numbers such as 3.641 are read with a decimal point",
    "a;b\n3.641;x\n12.5;y\n1;z\n": "",
    "a;b\n0.641;x\n": "",
    "a,b\n3.641,x\n": "",
    "a;b\n3.641;1,5\n": "",
    "a;b\nx;y\n": "",
}


@pytest.mark.parametrize("content", POINTS)
def test_points_that_may_stand_between_thousands_are_doubted(content: str) -> None:
    doubt = points_doubt(content, found(content))
    assert doubt.startswith(POINTS[content])
    assert bool(doubt) == bool(POINTS[content])


QUOTES = {
    "no quotes": ("a,b\n1,2\n", '"'),
    "quotes": ('"a","b"\n1,2\n', '"'),
    "apostrophes": ("'a'\t'b'\n'x\ty'\t2\n", "'"),
    "apostrophes in a name": ("'t was,b\n1,2\n", '"'),
    "nothing": ("", '"'),
}


@pytest.mark.parametrize("case", QUOTES)
def test_the_sign_around_fields_is_found_in_the_header(case: str) -> None:
    content, quotechar = QUOTES[case]
    assert found(content).quote == quotechar
    assert find_dialect(io.BytesIO(content.encode()), ReadOptions(quotechar="|")).options.quotechar == "|"
