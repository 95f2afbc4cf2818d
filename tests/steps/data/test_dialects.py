"""CSV files in every usual dialect: pandas and Spark read the same rows, and those that pandas reads when it is told how."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from stores import Store

from penguins.cli.read_options import DETECT, ReadOptions
from penguins.data.describe import describe_columns
from penguins.data.describe_spark import describe_spark_columns
from penguins.data.load import load_table
from penguins.data.spark_table import load_spark_table
from penguins.errors import InputError

COLUMNS = {"größe": "features", "wert": "features", "ja": "features", "ort": "features", "art": "group_by"}
ROWS = pd.DataFrame(
    {
        "größe": [1.5, -2.25, 1234.5, None, 0.125, 7.0],
        "wert": [1, 2000, 3, 4, 5, 6],
        "ja": [True, False, None, True, True, False],
        "ort": ["Köln", "Köln; Mitte", 'Orléans "neuf"', "Köln", "a,b|c\td", "€"],
        "art": ["NA", "b", "b", None, "b", "NA"],
    }
)


def written(sep: str, decimal: str = ".", thousands: str = "", line: str = "\n") -> str:
    """Write the rows by hand, as programs with these habits do."""

    def number(value: float | None, form: str) -> str:
        if value is None or pd.isna(value):
            return ""
        return format(value, form).replace(",", "T").replace(".", decimal).replace("T", thousands)

    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in (sep, '"')) else text

    lines = [sep.join(COLUMNS)]
    for row in ROWS.itertuples(index=False):
        _, _, yes, place, kind = ("" if pd.isna(cell) else cell for cell in row)
        group = "," if thousands else ""
        cells = [number(row[0], f"{group}.3f"), number(row[1], f"{group}d"), str(yes), place, kind]
        lines.append(sep.join(map(quoted, cells)))
    return line.join(lines) + line


SPACED = written(",").replace(",", ", ").replace("a, b", "a,b")
DIALECTS: dict[str, tuple[bytes, str, ReadOptions]] = {
    "commas": (written(",").encode(), "t.csv", DETECT),
    "semicolons": (written(";").encode(), "t.csv", DETECT),
    "tabs": (written("\t").encode(), "t.csv", DETECT),
    "pipes": (written("|").encode(), "t.csv", DETECT),
    "decimal commas": (written(";", ",").encode(), "t.csv", DETECT),
    "quoted decimal commas": (written(",", ",").encode(), "t.csv", ReadOptions(decimal=",")),
    "points between thousands": (written(";", ",", ".").encode(), "t.csv", ReadOptions(decimal=",", thousands=".")),
    "commas between thousands": (written(";", ".", ",").encode(), "t.csv", ReadOptions(thousands=",")),
    "blanks between thousands": (written("\t", ",", " ").encode(), "t.csv", ReadOptions(thousands=" ")),
    "UTF-8 with its mark": (written(";").encode("utf-8-sig"), "t.csv", DETECT),
    "latin-1": (written(";").replace("€", "E").encode("latin-1"), "t.csv", DETECT),
    "latin-1 that is said": (written(";").replace("€", "E").encode("latin-1"), "t.csv", ReadOptions(encoding="latin-1")),
    "Windows-1252": (written(";", ",").encode("cp1252"), "t.csv", DETECT),
    "line breaks of Windows": (written(";", ",", line="\r\n").encode("cp1252"), "t.csv", DETECT),
    "blanks after commas": (SPACED.encode(), "t.csv", ReadOptions(skipinitialspace=True)),
    "compressed": (gzip.compress(written("\t").encode()), "t.csv.gz", DETECT),
}


@pytest.mark.parametrize("case", DIALECTS)
def test_pandas_and_spark_read_the_same_rows(store: Store, session: SparkSession, case: str) -> None:
    content, name, read = DIALECTS[case]
    Path(name).write_bytes(content)
    expected = ROWS.replace({"€": "E"}) if case.startswith("latin-1") else ROWS
    complete = expected.dropna().reset_index(drop=True)
    here = load_table(name, COLUMNS, names=["art"], read=read)
    pd.testing.assert_frame_equal(as_comparable(here.frame), as_comparable(complete))
    with mlflow.start_run() as run:
        there = load_spark_table(session, Path(name).absolute().as_uri(), COLUMNS, ["art"], read=read)
    collected = pd.DataFrame([tuple(row) for row in there.frame.collect()], columns=list(COLUMNS))
    in_order = [frame.astype(str).map(str.lower).sort_values("wert").to_numpy().tolist() for frame in (collected, here.frame)]
    assert in_order[0] == in_order[1]
    assert (there.numbers, there.texts, there.left_out) == (here.numbers, here.texts, here.left_out)
    assert store.client.get_run(run.info.run_id).data.params == {"read_as": here.read_as}
    described = {column.name: column.kind for column in describe_columns(name, read)}
    in_spark = describe_spark_columns(session, Path(name).absolute().as_uri(), read)
    assert described == {column.name: column.kind for column in in_spark}


def as_comparable(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"größe": float, "wert": float, "ja": float, "ort": str, "art": str})


UNREAD: dict[str, tuple[str, ReadOptions, str]] = {
    "decimal commas": ('a,b\n"1,5",x\n"2,5",y\n', DETECT, "numbers with a decimal comma, for example '1,5': pass read={dec"),
    "a marker": ("a,b\n1,x\n?,y\n2,y\n", DETECT, "in 1 of 3 rows text, for example '?': if it stands for a missing value"),
    "dates": ("a,b\n2020-01-31,x\n2020-02-01,y\n", DETECT, "dates, for example '2020-01-31'"),
    "dates with points": ("a;b\n31.12.2020;x\n30.12.2020;1,5\n", DETECT, "dates, for example '31.12.2020'"),
    "another separator": ("a;b\n1;2\n", ReadOptions(sep=","), "it looks separated by ';', not by ','"),
    "blanks": ("a b\n1 2\n3 4\n", DETECT, 'it looks separated by blanks: pass read={sep: " "}.'),
    "a name twice": ("a,b,a\n1,2,3\n", DETECT, "must name columns that the table has once. Got 'a', which"),
    "null bytes": ("a,b\n1,\0\n", DETECT, "it holds null bytes"),
    "a short row": ("a;b\n1;x\n2\n3;y\n4;y\n", DETECT, ""),
    "a long row": ("a;b\n1;x\n2;x;3\n3;y\n4;y\n", DETECT, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREAD)
def test_pandas_and_spark_refuse_the_same_tables(store: Store, session: SparkSession, case: str) -> None:
    content, read, message = UNREAD[case]
    Path("t.csv").write_text(content)
    reads: list[Callable[[], object]] = [
        lambda: load_table("t.csv", {"a": "features"}, read=read),
        lambda: load_spark_table(session, Path("t.csv").absolute().as_uri(), {"a": "features"}, [], read=read),
    ]
    for load in reads:
        with pytest.raises(InputError) as refusal, mlflow.start_run():
            load()
        assert message in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_mark_for_a_missing_value_is_missing_however_it_is_written(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text("a;b\n1,5;x\n-200;?\n-200,0;y\n2,5;y\n")
    read = ReadOptions(na_values=("?", "-200"))
    assert load_table("t.csv", {"a": "features", "b": "features"}, read=read).frame["a"].tolist() == [1.5, 2.5]
    with mlflow.start_run():
        table = load_spark_table(session, Path("t.csv").absolute().as_uri(), {"a": "features", "b": "features"}, [], read=read)
    assert sorted(row["a"] for row in table.frame.collect()) == [1.5, 2.5]
    assert table.left_out == 2


MIXED = "a;b;c;d\n1,5;2.5;1.234;1,5\n-2,25;-12;5.678;2.5\n"


def test_columns_with_points_are_read_beside_those_with_commas(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text(MIXED)
    uri = Path("t.csv").absolute().as_uri()
    columns = {"a": "features", "b": "features"}
    assert load_table("t.csv", columns).frame.to_dict("list") == {"a": [1.5, -2.25], "b": [2.5, -12.0]}
    with mlflow.start_run():
        table = load_spark_table(session, uri, columns, [])
        assert sorted(map(tuple, table.frame.collect())) == [(-2.25, -12.0), (1.5, 2.5)]
    for name in "cd":  # a point between thousands or a decimal one, and both signs in one column
        with pytest.raises(InputError, match="which holds numbers with"):
            load_table("t.csv", {name: "features"})
        with pytest.raises(InputError, match="which holds numbers with"), mlflow.start_run():
            load_spark_table(session, uri, {name: "features"}, [])


def test_points_that_may_stand_between_thousands_are_doubted_here_and_in_spark(
    store: Store, session: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.csv").write_text("a;b\n3.641;x\n12.500;y\n")
    load_table("t.csv", {"a": "features"})
    with mlflow.start_run():
        load_spark_table(session, Path("t.csv").absolute().as_uri(), {"a": "features"}, [])
    assert capsys.readouterr().out.count("warning: numbers such as 3.641 are read with a decimal point: if it stands") == 2


def test_without_the_usual_marks_only_those_that_are_said_are_missing(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text("a,b\nNA,1\n?,2\n,3\n")
    read = ReadOptions(keep_default_na=False, na_values=("?",))
    assert load_table("t.csv", {"a": "features"}, read=read).frame["a"].tolist() == ["NA", ""]
    with mlflow.start_run():
        table = load_spark_table(session, Path("t.csv").absolute().as_uri(), {"a": "features"}, [], read=read)
    assert sorted(row["a"] for row in table.frame.collect()) == ["", "NA"]


ALIKE: dict[str, tuple[bytes, ReadOptions, list[tuple[object, str]]]] = {
    "UTF-8 with a few bytes of Windows": (
        "a,b\n1,café\n2,".encode() + b"caf\xe9\n3,\x80\n", DETECT, [(1.0, "café"), (2.0, "café"), (3.0, "€")]
    ),
    "Windows-1252 that is said": (b"a,b\n1,\xc3\xa9\n", ReadOptions(encoding="windows-1252"), [(1.0, "Ã©")]),
    "UTF-8 under another name": ("a,b\n1,é\n".encode("utf-8-sig"), ReadOptions(encoding="utf-8-sig"), [(1.0, "é")]),
    "a mark that is a number": (b"a,b\nTrue,x\nFalse,y\n", ReadOptions(na_values=("1",)), [(1.0, "x"), (0.0, "y")]),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_pandas_and_spark_give_the_same_cells(store: Store, session: SparkSession, case: str) -> None:
    content, read, rows = ALIKE[case]
    Path("t.csv").write_bytes(content)
    columns = {"a": "features", "b": "features"}
    here = load_table("t.csv", columns, read=read).frame
    assert list(here.itertuples(index=False, name=None)) == rows
    with mlflow.start_run():
        there = load_spark_table(session, Path("t.csv").absolute().as_uri(), columns, [], read=read)
    assert [tuple(row) for row in there.frame.collect()] == rows


def test_an_encoding_that_spark_or_the_file_does_not_have_is_refused(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_bytes(b"a,b\n1,\xe9\n")
    refusals = {
        "utf8": "it is not written in utf8: leave encoding out",
        "cp1251": "must name utf-8, latin-1 or cp1252",
    }
    for encoding, message in refusals.items():
        with pytest.raises(InputError, match=message), mlflow.start_run():
            load_spark_table(
                session, Path("t.csv").absolute().as_uri(), {"a": "features"}, [], read=ReadOptions(encoding=encoding)
            )


@pytest.mark.parametrize(("gap", "kinds"), [("", ("float64", "double")), ("3", ("int64", "bigint"))])
def test_classes_have_the_type_that_pandas_gives_them_also_in_spark(
    store: Store, session: SparkSession, gap: str, kinds: tuple[str, str]
) -> None:
    Path("t.csv").write_text(f"a,b\n1,x\n2,y\n{gap},z\n")
    assert load_table("t.csv", {"a": "target"}, classes="a").frame["a"].dtype == kinds[0]
    with mlflow.start_run():
        table = load_spark_table(session, Path("t.csv").absolute().as_uri(), {"a": "target"}, [], classes="a")
    assert dict(table.frame.dtypes) == {"a": kinds[1]}


def test_columns_that_are_not_in_use_may_be_written_in_any_way(store: Store) -> None:
    header = "a,größe,Why?,Why?\n".encode()
    Path("t.csv").write_bytes(header + "1,ä,x,y\n".encode() + "2,ü,é,y\n".encode("latin-1"))
    table = load_table("t.csv", {"a": "features", "größe": "features"})
    assert table.frame.to_dict("list") == {"a": [1.0, 2.0], "größe": ["ä", "ü"]}
    again = pd.read_csv(io.BytesIO(b"a,a\n1,2\n"))
    assert list(again.columns) == ["a", "a.1"]  # as pandas calls them, and the step, too
    Path("t.csv").write_bytes(b"a,a,b\n1,2,3\n")
    assert load_table("t.csv", {"a.1": "features"}).frame["a.1"].tolist() == [2.0]


def test_what_is_said_of_a_table_that_is_no_csv_file_is_refused(store: Store, session: SparkSession) -> None:
    ROWS.to_parquet("t.parquet")
    ROWS.to_parquet("u.parquet")
    session.createDataFrame(ROWS[["wert"]]).createOrReplaceTempView("rows")
    reads: list[Callable[[], object]] = [
        lambda: load_table("t.parquet", {"wert": "features"}, read=ReadOptions(sep=";")),
        lambda: describe_columns("t.parquet", ReadOptions(sep=";")),
        lambda: load_spark_table(session, "rows", {"wert": "features"}, [], read=ReadOptions(sep=";")),
        lambda: load_spark_table(
            session, Path("u.parquet").absolute().as_uri(), {"wert": "features"}, [], read=ReadOptions(sep=";")
        ),
    ]
    for load in reads:
        with (
            pytest.raises(InputError, match="The 'read' parameter must be empty for a table that is not a CSV file"),
            mlflow.start_run(),
        ):
            load()


def test_lines_before_the_header_are_skipped_here_and_refused_where_spark_reads(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text("World; data\n\na;b\n1,5;x\n")
    read = ReadOptions(skiprows=2)
    assert load_table("t.csv", {"a": "features"}, read=read).frame["a"].tolist() == [1.5]
    Path("u.csv").write_text("sep=;\na;b\n1,5;x\n")
    assert load_table("u.csv", {"a": "features"}).frame["a"].tolist() == [1.5]
    for name, said in (("t.csv", read), ("u.csv", DETECT)):
        with pytest.raises(InputError, match="must not skip rows of a file that Spark reads"), mlflow.start_run():
            load_spark_table(session, Path(name).absolute().as_uri(), {"a": "features"}, [], read=said)


def test_the_remedy_for_blanks_between_fields_leads_to_the_table(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text("a b\n1 2\n3 4\n")
    with mlflow.start_run():
        data = Path("t.csv").absolute().as_uri()
        table = load_spark_table(session, data, {"b": "features"}, [], read=ReadOptions(sep=" "))
        assert sorted(row.b for row in table.frame.collect()) == [2.0, 4.0]


def test_spark_does_not_take_several_blanks_for_one_separator(store: Store, session: SparkSession) -> None:
    Path("t.csv").write_text("a   b\n1   2\n3   4\n")
    with mlflow.start_run(), pytest.raises(InputError, match="several blanks, which Spark does not take"):
        load_spark_table(session, Path("t.csv").absolute().as_uri(), {"b": "features"}, [])
