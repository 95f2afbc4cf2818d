"""What is read of a table, what counts as missing, and which tables are refused."""

import csv
import gzip
import io
import random
import tarfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from input_tables import (
    GOOD_CSV,
    Recipe,
    file,
    folder_with,
    good_table,
    parquet_file,
    parquet_with,
    parquet_with_a_column_twice,
    spoiled_table,
)

from penguins.data.archives import OPENERS
from penguins.data.load import load_table
from penguins.data.table import print_left_out
from penguins.errors import InputError
from penguins.text import one_line

COLUMNS = {"kind": "group_by", "size": "features"}
ALL_COLUMNS = {"kind": "target", "size": "features", "weight": "features"}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compress(text: str, name: str) -> Recipe:
    """Write a CSV file that is compressed as its name says."""

    def write() -> str:
        if name.endswith(".zip"):
            with ZipFile(name, "w") as archive:
                archive.writestr("t.csv", text)
        elif name.endswith(".tar.gz"):
            member = tarfile.TarInfo("t.csv")
            member.size = len(text)
            with tarfile.open(name, "w:gz") as tar:
                tar.addfile(member, io.BytesIO(text.encode()))
        else:
            with OPENERS.get(Path(name).suffix.lower(), open)(name, "wb") as opened:
                opened.write(text.encode())
        return name

    return write


def rows() -> pd.DataFrame:
    return pd.DataFrame({"kind": ["a", "b", None, "b"], "size": [1.0, np.nan, 3.0, 4.0], "other": [None, None, None, 1]})


def folder_of_parquet() -> str:
    Path("t").mkdir()
    rows().iloc[:2].to_parquet("t/1.parquet")
    rows().iloc[2:].to_parquet("t/2.parquet")
    return "t"


def absolute_path() -> str:
    return str(Path(compress(rows().to_csv(index=False), "t.csv")()).absolute())


COMPRESSED = ["t.csv", "t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.csv.zip", "t.CSV.GZ", "t.csv.tar.gz"]
FORMS: dict[str, Recipe] = {
    **{name: compress(rows().to_csv(index=False), name) for name in COMPRESSED},
    "a CSV file with a byte order mark": file("\ufeff" + rows().to_csv(index=False)),
    "a Parquet file": parquet_file(rows()),
    "a folder of Parquet files": folder_of_parquet,
    "an absolute path": absolute_path,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_complete_rows_in_the_columns_in_use_are_kept_and_the_others_counted(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = load_table(FORMS[form](), COLUMNS, names=["kind"])
    assert table.frame.to_dict("list") == {"kind": ["a", "b"], "size": [1.0, 4.0]}
    assert table.left_out == 2
    *how, left_out = capsys.readouterr().out.splitlines()
    assert left_out == "rows left out: 2 of 4, which miss a value in kind (1), size (1)"
    plain = ' is read as {"sep": ",", "encoding": "utf-8", "decimal": "."}'
    assert how == ([f"{table.name}{plain}"] if ".csv" in table.name.lower() else [])
    assert (table.numbers, table.texts) == (["size"], ["kind"])


def test_of_a_complete_table_no_row_is_left_out_and_many_columns_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    load_table(file("size,kind\n1,a\n2,b\n")(), COLUMNS, names=["kind"])
    assert "left out" not in capsys.readouterr().out
    print_left_out(50, 12, {f"c{number}": number for number in range(13)})
    assert capsys.readouterr().out == (
        "rows left out: 12 of 50, which miss a value in "
        "c12 (12), c11 (11), c10 (10), c9 (9), c8 (8), c7 (7), c6 (6), c5 (5), c4 (4), c3 (3) and 2 more columns\n"
    )


@pytest.mark.parametrize(
    ("header", "is_doubted"),
    [("5.1,3.5,setosa", True), ("1,2,3", True), ("kind,2010,2011", False), ("2010,2011,kind", False), ("x,y,1.5", False)],
)
def test_names_of_columns_that_look_like_a_row_are_doubted(
    header: str, is_doubted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    load_table(file(f"{header}\n1,2,3\n4,5,6\n")(), {header.split(",")[0]: "features"})
    warning = "warning: the first line of t.csv, which is taken for the names of the columns, holds numbers, for example"
    assert (warning in capsys.readouterr().out) == is_doubted


def test_of_the_bundled_penguins_the_incomplete_records_are_left_out_whatever_the_columns() -> None:
    table = load_table("penguins", {"bill_depth_mm": "features", "island": "group_by"}, names=["island"])
    assert (len(table.frame), table.left_out) == (333, 11)


def test_a_group_may_be_called_na_while_a_number_may_not() -> None:
    table = load_table(file("kind,size\nNA,1\nnull,2\n,3\nNone,NA\n")(), COLUMNS, names=["kind"])
    assert table.frame.to_dict("list") == {"kind": ["NA", "null"], "size": [1.0, 2.0]}
    assert table.left_out == 2


def test_group_names_keep_their_zeros_and_numbers_their_shortest_form() -> None:
    table = load_table(file("kind,size\n007,1\n7,2\n")(), COLUMNS, names=["kind"])
    assert table.frame["kind"].tolist() == ["007", "7"]
    data = parquet_file(pd.DataFrame({"kind": [7.0, 2010.0], "size": [1, 2]}))()
    assert load_table(data, COLUMNS, names=["kind"]).frame["kind"].tolist() == ["7", "2010"]


def test_whole_numbers_of_any_size_are_names_without_loss() -> None:
    data = parquet_with(kind=pa.array([2**62 + 1] * 59 + [None], pa.int64()))()
    assert set(load_table(data, COLUMNS, names=["kind"]).frame["kind"]) == {str(2**62 + 1)}


def test_a_column_of_numbers_too_large_for_pandas_is_one_of_numbers() -> None:
    text = GOOD_CSV.replace("b,3.5,3", f"b,{'9' * 30},3")
    assert load_table(file(text)(), ALL_COLUMNS).numbers == ["size", "weight"]


def test_decimals_and_booleans_are_numbers_and_categories_are_text() -> None:
    size = pa.array(["1.50"] * 60).cast(pa.decimal128(9, 2))
    table = load_table(parquet_with(size=size, kind=pa.array(["a"] * 60).dictionary_encode())(), ALL_COLUMNS)
    assert (table.frame["size"].tolist(), table.texts) == ([1.5] * 60, ["kind"])
    table = load_table(parquet_with(size=pa.array([True, False] * 30))(), ALL_COLUMNS)
    assert (table.frame["size"].tolist(), table.numbers) == ([1.0, 0.0] * 30, ["size", "weight"])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("True,False", [1.0, 0.0]),
        ("True,,False", [1.0, 0.0]),
        ("True,False,maybe", ["True", "False", "maybe"]),
        ("true,false,", [1.0, 0.0]),
    ],
)
def test_a_feature_of_booleans_is_one_of_numbers_unless_other_text_is_among_them(texts: str, expected: list[object]) -> None:
    data = file("x,size\n" + "".join(f"{text},1\n" for text in texts.split(",")))()
    assert load_table(data, {"x": "features"}).frame["x"].tolist() == expected
    assert load_table(data, {"x": "target"}).texts == ["x"]


def days(kind: type[date]) -> Recipe:
    return parquet_file(pd.DataFrame({"x": [kind(2026, 1, 31), kind(2026, 2, 1)]}))


CLASSES: dict[str, tuple[Recipe, list[object], type]] = {
    "days in CSV": (file("x\n2026-01-31\n2026-02-01\n"), ["2026-01-31", "2026-02-01"], object),
    "days in Parquet": (days(date), ["2026-01-31", "2026-02-01"], object),
    "times in Parquet": (days(datetime), ["2026-01-31", "2026-02-01"], object),
    "whole numbers": (file("x\n3\n1\n"), [3, 1], np.int64),
    "whole numbers with a gap": (file("x,y\n3,1\n,1\n1,1\n"), [3.0, 1.0], np.float64),
    "booleans": (file("x\nTrue\nFalse\n"), [True, False], np.bool_),
    "booleans with a gap": (file("x,y\nTrue,1\n,1\nFalse,1\n"), [True, False], np.bool_),
    "text": (file("x\nyes\nno\n"), ["yes", "no"], np.object_),
    "booleans among other text": (file("x\nTrue\nFalse\nmaybe\n"), ["True", "False", "maybe"], np.object_),
    "Parquet's integers": (parquet_file(pd.DataFrame({"x": np.array([3, 1], dtype=np.int8)})), [3, 1], np.int64),
    "Parquet's integers with a gap": (
        parquet_file(pd.DataFrame({"x": pd.array([2**60 + 1, None, 1], dtype="Int64")})),
        [2**60 + 1, 1],
        np.int64,
    ),
    "Parquet's booleans with a gap": (
        parquet_file(pd.DataFrame({"x": pd.array([True, None, False], dtype="boolean")})),
        [True, False],
        np.bool_,
    ),
    "categories of numbers": (parquet_file(pd.DataFrame({"x": pd.Categorical([3, 1])})), [3, 1], np.int64),
    "categories of text": (parquet_file(pd.DataFrame({"x": pd.Categorical(["b", "a"])})), ["b", "a"], np.object_),
}


@pytest.mark.parametrize("case", CLASSES)
def test_a_column_of_classes_keeps_its_type(case: str) -> None:
    make, expected, kind = CLASSES[case]
    table = load_table(make(), {"x": "target"}, classes="x")
    assert table.frame["x"].tolist() == expected
    assert table.frame["x"].dtype == kind
    assert (table.numbers, table.texts) == ([], ["x"])


@pytest.mark.parametrize("number", ["0.5", "1e300", "inf", "9223372036854775808"])
def test_numbers_that_can_be_no_classes_are_refused(number: str) -> None:
    with pytest.raises(InputError, match="must name a column of classes: text, booleans or whole numbers") as refusal:
        load_table(file(f"x\n1\n{number}\n")(), {"x": "target"}, classes="x")
    assert f"Got 'x', which holds {float(number)!r}".removesuffix(".0") in str(refusal.value)


CODES: dict[str, tuple[Recipe, list[object], type]] = {
    "whole numbers": (file("x\n3\n1\n"), [3, 1], np.int64),
    "whole numbers with a gap": (file("x,y\n3,1\n,1\n1,1\n"), [3.0, 1.0], np.float64),
    "whole numbers that no float holds": (
        parquet_file(pd.DataFrame({"x": [2**60 + 1, 2**60]})),
        [2**60 + 1, 2**60],
        np.int64,
    ),
    "booleans": (file("x\nTrue\nFalse\n"), [1.0, 0.0], np.float64),
    "text": (file("x\nb\na\n"), ["b", "a"], np.object_),
}


@pytest.mark.parametrize("case", CODES)
def test_codes_keep_their_type_and_are_not_numbers(case: str) -> None:
    make, expected, kind = CODES[case]
    table = load_table(make(), {"x": "features"}, codes=["x"])
    assert table.frame["x"].tolist() == expected
    assert table.frame["x"].dtype == kind
    assert (table.numbers, table.codes, table.texts) == (([], [], ["x"]) if case == "text" else ([], ["x"], []))


TEXT = "must name a readable CSV or Parquet table. Got 't.csv': "
TIED = "must name a readable CSV or Parquet table. Got "
COMPLETE = "and none that is complete"
BAD_TABLES: dict[str, tuple[Recipe, str]] = {
    "an empty file": (file(b""), TEXT),
    "only line breaks": (file("\n\n\n"), TEXT),
    "only a byte order mark": (file(b"\xef\xbb\xbf"), TEXT),
    "a binary file": (file(bytes(range(256)) * 20), TEXT),
    "a picture": (file("\x89PNG\0\0", "t.png"), "it holds null bytes"),
    "UTF-16 without its mark": (file(GOOD_CSV.encode("utf-16-le")), TEXT + "it holds null bytes"),
    "a null byte": (file(GOOD_CSV.replace("b,3", "b\0,3")), TEXT + "it holds null bytes"),
    "a null byte in a zip": (
        compress(GOOD_CSV.replace("b,3", "b\0,3"), "t.csv.zip"),
        TIED + "'t.csv.zip': it holds null bytes",
    ),
    "a quote that does not end": (file(GOOD_CSV.replace("b,3", '"b,3')), TEXT + "Error tokenizing data"),
    "ragged rows": (file("kind,size,weight\na,1,2\nb,1,2,3,4,5\n"), TEXT),
    "one long row": (
        file(GOOD_CSV.replace("b,3", "b,b,3")),
        "Error tokenizing data. C error: Expected 3 fields in line 25, saw 4: mend this line; if lines stand before the header",
    ),
    "all rows longer than the header": (
        file("\n".join(f"{place},{row}" if place else row for place, row in enumerate(GOOD_CSV.split())) + "\n"),
        TEXT + "its rows have more fields than its header, which has 3",
    ),
    "a title": (file("Weights of 2024\n\n" + GOOD_CSV), TEXT + "its first lines look like a title: pass read={skiprows: 1}."),
    "a title of a spreadsheet": (
        file("Weights of 2024,,\nin kg,,\n" + GOOD_CSV),
        TEXT + "its first lines look like a title: pass read={skiprows: 2}.",
    ),
    "a long title": (file("Weights\n" * 5 + GOOD_CSV), TEXT + "its first lines look like a title: pass read={skiprows: 5}."),
    "blanks between fields": (
        file(GOOD_CSV.replace(",", " ")),
        TEXT + 'it looks separated by blanks: pass read={sep: " "}.',
    ),
    "aligned columns": (
        file(" " + GOOD_CSV.replace(",", "   ")),
        TEXT + 'it looks separated by blanks: pass read={sep: " ", skipinitialspace: true}.',
    ),
    **{
        f"a null byte in {name}": (compress(GOOD_CSV.replace("b,3", "b\0,3"), name), f"{TIED}'{name}': it holds null bytes")
        for name in ("t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.tar.gz")
    },
    "a zip that is none": (file(GOOD_CSV, "t.zip"), TIED + "'t.zip'"),
    "a gzip that is none": (file(GOOD_CSV, "t.csv.gz"), TIED + "'t.csv.gz'"),
    "a gzip cut off": (file(gzip.compress(GOOD_CSV.encode())[:-9], "t.csv.gz"), TIED + "'t.csv.gz'"),
    "an xz that is none": (file(GOOD_CSV, "t.csv.xz"), TIED + "'t.csv.xz'"),
    "an empty Parquet file": (file(b"", "t.parquet"), TIED + "'t.parquet'"),
    "text as Parquet": (file(GOOD_CSV, "t.parquet"), TIED + "'t.parquet'"),
    "a folder with broken Parquet": (folder_with("b.parquet"), TIED + "'folder'"),
    "no header": (file(GOOD_CSV.split("\n", 1)[1]), "which it does not have"),
    "one column": (file("kind\na\nb\n"), "which it does not have. It has kind"),
    "a column in capitals": (file(GOOD_CSV.replace("kind", "Kind")), "'kind', which it does not have. Did you mean 'Kind'?"),
    "blanks around a name": (
        file(GOOD_CSV.replace("size", " size ")),
        "'size', which it does not have. Did you mean ' size '?",
    ),
    "a column twice": (
        file("kind,size,size,weight\na,1,2,3\n"),
        "must name columns that the table has once. Got 'size', which 't.csv' has 2 times",
    ),
    "a column twice, of Parquet": (
        parquet_with_a_column_twice,
        "must name columns that the table has once. Got 'size', which 't.parquet' has 2 times",
    ),
    "two columns without a name": (file(GOOD_CSV.replace("kind,size,weight", ",,kind")), "which it does not have"),
    "signs that steer a terminal": (file(GOOD_CSV.replace("size", "\x1b[2J\u202e")), "It has kind, \\x1b[2J\\u202e, weight"),
    "text among numbers": (
        file(GOOD_CSV.replace("b,3.5,3", "b,7 cm,3")),
        "Got 'size', which holds numbers, but in 1 of 60 rows text, for example '7 cm': mend or empty them",
    ),
    "question marks": (
        file(GOOD_CSV.replace(",3.5,", ",?,")),
        "numbers, but in 3 of 60 rows text, for example '?': if it stands for a missing value, pass read={na_values: [\"?\"]}",
    ),
    "numbers with underscores": (file(GOOD_CSV.replace("b,3.5,3", "b,3_5,3")), "in 1 of 60 rows text, for example '3_5'"),
    "lists": (parquet_with(size=pa.array([[1.0]] * 60)), "must name columns of numbers or text. Got 'size', which holds list<"),
    "structures": (parquet_with(size=pa.array([{"a": 1}] * 60)), "Got 'size', which holds struct<a: int64>"),
    "bytes": (parquet_with(size=pa.array([b"a"] * 60)), "Got 'size', which holds binary"),
    "days": (
        parquet_with(size=pa.array([datetime(2026, 1, 1).date()] * 60)),
        "Got 'size', which holds dates, for example '2026-01-01'",
    ),
    "durations": (parquet_with(size=pa.array([5] * 60, pa.duration("s"))), "Got 'size', which holds timedelta64"),
    "dates": (
        parquet_file(spoiled_table("dates")),
        "Got 'size', which holds dates, for example '2026-01-01': turn them into numbers",
    ),
    "lists of names": (parquet_with(kind=pa.array([["a"]] * 60)), "of numbers or text. Got 'kind', which holds list<"),
    "bytes of names": (parquet_with(kind=pa.array([b"a"] * 60)), "Got 'kind', which holds binary"),
    "no rows": (
        file("kind,size,weight\n"),
        "must name a table with rows that miss no value in kind, size, weight. Got 't.csv'",
    ),
    "no rows of Parquet": (parquet_file(good_table().head(0)), f"which has 0 rows {COMPLETE}"),
    "no columns": (parquet_file(pd.DataFrame()), "which it does not have"),
    "every value missing": (file("kind,size,weight\n" + "a,,1\n" * 60), f"Got 't.csv', which has 60 rows {COMPLETE}"),
    "a column of nothing": (parquet_with(size=pa.nulls(60)), f"which has 60 rows {COMPLETE}"),
    "all names missing": (parquet_with(kind=pa.nulls(60, pa.string())), f"which has 60 rows {COMPLETE}"),
}


@pytest.mark.parametrize("names", [[], ["kind"]])
@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_used_is_refused(case: str, names: list[str]) -> None:
    make, rule = BAD_TABLES[case]
    with pytest.raises(InputError) as refusal:
        load_table(make(), ALL_COLUMNS, names)
    assert rule in one_line(refusal.value)


def test_two_files_in_a_zip_are_no_table() -> None:
    with ZipFile("t.zip", "w") as archive:
        archive.writestr("a.csv", GOOD_CSV)
        archive.writestr("b.csv", GOOD_CSV)
    with pytest.raises(InputError, match=r"Got 't.zip': it holds 2 files and should hold one"):
        load_table("t.zip", COLUMNS)


SHORT_ROWS: dict[str, tuple[str, int, int]] = {
    "in the middle": (GOOD_CSV.replace("b,3.5,3", "b,3.5"), 25, 2),
    "of one field": (GOOD_CSV.replace("b,3.5,3", "b"), 25, 1),
    "at the end": (GOOD_CSV + "c", 62, 1),
    "the first of several": (GOOD_CSV.replace(",3\n", "\n"), 5, 2),
    "after a row that misses its last value": (GOOD_CSV.replace("a,3.5,3", "a,3.5,").replace("b,3.5,3", "b,3.5"), 25, 2),
    "after blank lines": ("\n  \n" + GOOD_CSV.replace("b,3.5,3", "\n \t \nb,3.5"), 29, 2),
    "after a field of several lines": (GOOD_CSV.replace("b,2.5", '"b\n\nb",2.5').replace("b,3.5,3", "b,3.5"), 27, 2),
    "that begins with a field of several lines": (GOOD_CSV.replace("b,3.5,3", '"b\n,,\nb",3.5'), 25, 2),
    "after a comma and a quote in quotes": (GOOD_CSV.replace("b,2.5", '"b,""b",2.5').replace("b,3.5,3", "b,3.5"), 25, 2),
    "of a quoted empty field": (GOOD_CSV.replace("b,3.5,3", '""'), 25, 1),
    "with line breaks of Windows": (GOOD_CSV.replace("b,3.5,3", "b,3.5").replace("\n", "\r\n"), 25, 2),
    "with line breaks of old Macs": (GOOD_CSV.replace("b,3.5,3", "b,3.5").replace("\n", "\r"), 25, 2),
    "after a byte order mark": ("\ufeff" + GOOD_CSV.replace("b,3.5,3", "b,3.5"), 25, 2),
    "after a field of 200,000 characters": (
        GOOD_CSV.replace("b,2.5", f"{'b' * 200_000},2.5").replace("b,3.5,3", "b,3.5"),
        25,
        2,
    ),
    "with a sign that ends lines elsewhere": (GOOD_CSV.replace("b,2.5", "b\u2028\x0c,2.5").replace("b,3.5,3", "b,3.5"), 25, 2),
}


@pytest.mark.parametrize("names", [[], ["kind"], ["weight"]])
@pytest.mark.parametrize("case", SHORT_ROWS)
def test_a_row_with_fewer_fields_than_the_header_is_refused_with_its_line(case: str, names: list[str]) -> None:
    text, line, n_fields = SHORT_ROWS[case]
    before = csv.field_size_limit()
    with pytest.raises(InputError) as refusal:
        load_table(file(text)(), ALL_COLUMNS, names)
    fields = "1 field" if n_fields == 1 else f"{n_fields} fields"
    assert str(refusal.value) == (
        "The 'data' parameter must name a readable CSV or Parquet table. Got 't.csv': "
        f"line {line} has {fields} where the header has 3: write a missing value as an empty field, "
        "or remove the line if it is no row of the table."
    )
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("parameter", "remedy"),
    [
        ("features", "name it in categorical_features if its texts are categories, or leave the column out."),
        ("target", "if the comma is a decimal one, or name another column."),
    ],
)
def test_the_remedy_for_numbers_that_are_not_read_suits_the_parameter(parameter: str, remedy: str) -> None:
    data = file('size,weight\n"1,234",1\n"5,678",2\n')()
    with pytest.raises(InputError) as refusal:
        load_table(data, {"size": parameter, "weight": "features"}, codes=())
    assert str(refusal.value).endswith(remedy)
    assert ("categorical_features" in str(refusal.value)) == (parameter == "features")


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_short_row_is_found_whatever_the_compression(name: str) -> None:
    with pytest.raises(InputError, match=f"Got {name!r}: line 25 has 2 fields where the header has 3"):
        load_table(compress(GOOD_CSV.replace("b,3.5,3", "b,3.5"), name)(), ALL_COLUMNS)


def test_a_short_row_is_refused_where_it_misses_a_column_that_is_not_in_use() -> None:
    with pytest.raises(InputError, match="line 25 has 2 fields"):
        load_table(file(GOOD_CSV.replace("b,3.5,3", "b,3.5"))(), COLUMNS)


@pytest.mark.parametrize("end", ["b,3.5,", 'b,3.5,""', "b,3.5,NA"])
def test_a_row_that_ends_in_an_empty_field_is_whole_and_misses_a_value(end: str) -> None:
    table = load_table(file(GOOD_CSV.replace("b,3.5,3", end) + "\n  ")(), ALL_COLUMNS)
    assert (len(table.frame), table.left_out) == (59, 1)


@pytest.mark.parametrize("seed", range(4))
def test_the_first_short_row_of_any_table_is_found_and_only_that(seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311
    fields: list[Callable[[], str]] = [
        lambda: "", lambda: '""', lambda: "1", lambda: "x y", lambda: '"a,b"', lambda: '"a\nb"', lambda: '"a""b"',
        lambda: 'a"b', lambda: '" "', lambda: "NA", lambda: '"\r\n"',
    ]  # fmt: skip
    for _ in range(60):
        n_columns, end = choose.randint(2, 4), choose.choice(["\n", "\r\n"])
        text, short = ",".join(f"c{place}" for place in range(n_columns)) + end, None
        for _ in range(choose.randint(1, 12)):
            line = len(text.replace("\r\n", "\n").split("\n"))
            kind = choose.random()
            n_fields = choose.randint(1, n_columns - 1) if kind < 0.05 else n_columns
            row = ",".join(choose.choice(fields)() for _ in range(n_fields)) if kind < 0.9 else choose.choice(["", " ", "\t "])
            if n_fields < n_columns and row and short is None:
                short = (line, n_fields)
            text += row + end
        data = file(text + "1" + ",1" * (n_columns - 1))()
        if short is None:
            assert load_table(data, {"c0": "features"}, ["c0"]).frame["c0"].iloc[-1] == "1"
        else:
            with pytest.raises(InputError, match=rf"line {short[0]} has {short[1]} fields? where the header has {n_columns}"):
                load_table(data, {"c0": "features"}, ["c0"])
