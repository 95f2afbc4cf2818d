"""What is said about the columns of a table, and that it is what `load_table` reads."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from input_tables import GOOD_CSV, Recipe, file, parquet_file, parquet_with, parquet_with_a_column_twice, path
from pyarrow import parquet

from penguins.cli.read_options import ReadRule
from penguins.data.auto import Column, Kind, choose_features
from penguins.data.describe import describe_columns
from penguins.data.load import load_table
from penguins.errors import InputError


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def csv_of(*values: object) -> Recipe:
    """Write a CSV file with a column `x` of these values beside one of numbers."""
    return file("place,x\n" + "".join(f"{place},{value}\n" for place, value in enumerate(values)))


def parquet_of(*values: object, kind: pa.DataType | None = None) -> Recipe:
    """Write a Parquet file with a column `x` of these values."""

    def write() -> str:
        parquet.write_table(pa.table({"x": pa.array(values, kind)}), "t.parquet")
        return "t.parquet"

    return write


NUMBERS_WITH_A_MISTAKE = [*range(12), "7 cm"]
# The column `x` of a table: its kind, and the numbers of its missing and distinct values.
CASES: dict[str, tuple[Recipe, Kind, int, int]] = {
    "whole numbers": (csv_of(1, 2, 2), "number", 0, 2),
    "fractions": (csv_of(0.5, "", "NA", 0.5), "number", 2, 1),
    "numbers too large for pandas": (csv_of("1" * 400, "", 1), "number", 1, 2),
    "a number of very many digits": (csv_of("123456789012345678901234567890", 1), "number", 0, 2),
    "texts": (csv_of("a", "b", "", "b", "null"), "text", 2, 2),
    "a few numbers among texts": (csv_of("a", 1, 2), "text", 0, 3),
    "a text among numbers": (csv_of(*NUMBERS_WITH_A_MISTAKE), "other", 0, 0),
    "a text among numbers, of which some are missing": (csv_of(*NUMBERS_WITH_A_MISTAKE, "", ""), "other", 2, 0),
    "booleans": (csv_of(True, False, True), "boolean", 0, 2),
    "booleans, of which some are missing": (csv_of(True, "", False), "boolean", 1, 2),
    "booleans among other text": (csv_of(True, False, "maybe"), "text", 0, 3),
    "dates in CSV": (csv_of("2026-01-01", "2026-01-02"), "other", 0, 0),
    "numbers with a decimal comma": (csv_of('"1,5"', '"2,5"'), "other", 0, 0),
    "numbers but for a mark": (csv_of(1, 2, "?"), "other", 0, 0),
    "nothing": (csv_of("", "NA"), "number", 2, 0),
    "integers": (parquet_of(1, 2, None, kind=pa.int64()), "number", 1, 2),
    "large integers": (parquet_of(2**64 - 1, kind=pa.uint64()), "number", 0, 1),
    "floats": (parquet_of(1.0, float("nan"), None, kind=pa.float64()), "number", 2, 1),
    "decimals": (parquet_of(Decimal("1.5"), None, Decimal("2.5")), "number", 1, 2),
    "strings": (parquet_of("a", None, "a", "NA"), "text", 1, 2),
    "numbers as strings": (parquet_of("1", "2"), "text", 0, 2),
    "strings that differ after a null character": (parquet_of("a", "a\0", "a\0b"), "text", 0, 3),
    "categories": (parquet_file(pd.DataFrame({"x": pd.Categorical(["a", None, "b"])})), "text", 1, 2),
    "Parquet's booleans": (parquet_of(True, None, False), "boolean", 1, 2),
    "dates": (parquet_of(date(2026, 1, 1), None), "other", 1, 0),
    "times": (parquet_of(datetime(2026, 1, 1), None), "other", 1, 0),
    "times of day": (parquet_of(datetime(2026, 1, 1).time()), "other", 0, 0),
    "lists": (parquet_of([1.0], [2.0, 3.0], None), "other", 1, 0),
    "structs": (parquet_of({"a": 1}, {"a": 2}), "other", 0, 0),
    "maps": (parquet_of([("a", 1)], kind=pa.map_(pa.string(), pa.int64())), "other", 0, 0),
    "bytes": (parquet_of(b"a", None), "other", 1, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_a_column_is_described_as_it_would_be_read(case: str) -> None:
    make, kind, n_missing, n_distinct = CASES[case]
    data = make()
    *_, described = describe_columns(data)
    n_rows = described.n_rows
    assert described == Column("x", kind, n_rows, n_missing, n_distinct, described.note)
    if kind == "other":
        with pytest.raises(InputError, match="must name columns of numbers or text"):
            load_table(data, {"x": "features"})
    elif n_missing < n_rows:
        table = load_table(data, {"x": "features"})
        assert (table.numbers, table.texts) == ((["x"], []) if kind in ("number", "boolean") else ([], ["x"]))
        assert (len(table.frame), table.left_out) == (n_rows - n_missing, n_missing)


def test_the_bundled_penguins_have_four_measures_and_three_texts() -> None:
    described = {column.name: column for column in describe_columns("penguins")}
    assert {column.n_rows for column in described.values()} == {344}
    assert described["sex"] == Column("sex", "text", 344, n_missing=11, n_distinct=2)
    assert described["body_mass_g"].n_missing == 2
    assert sum(column.kind == "number" for column in described.values()) == 4
    assert [name for name, column in described.items() if column.kind == "text"] == ["species", "island", "sex"]


def table_of_customers() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "shop": np.repeat(["north", "south"], 15),
            "customer": [f"customer {number}" for number in range(30)],
            "income": random.normal(size=30),
            "member": random.random(30) < 0.5,
            "visits": random.integers(1, 9, 30),
            "age": [40.5, *[None] * 29],
            "since": ["spring"] * 30,
        }
    )


@pytest.mark.parametrize("write_index", [False, True])
@pytest.mark.parametrize("with_texts", [False, True])
def test_the_features_of_a_csv_file_are_chosen_without_its_index(
    write_index: bool, with_texts: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    table_of_customers().to_csv("t.csv", index=write_index)
    chosen = choose_features(describe_columns("t.csv"), ["shop"], with_texts)
    assert chosen == (("income", "member", "visits", "since") if with_texts else ("income", "visits"))
    line = capsys.readouterr().out
    assert ("Unnamed: 0, which has no name" in line) == write_index
    assert ("customer, a text with too many values" in line) == with_texts
    assert ("member, a column of true and false" in line) != with_texts
    assert "age, which is mostly missing" in line


def test_the_features_of_parquet_are_chosen_without_index_dates_and_nested_columns() -> None:
    nested = pd.Series([["a"]] * 30)
    table = table_of_customers().assign(since=date(2026, 1, 1), tags=nested).sample(frac=1, random_state=0)
    table.to_parquet("t.parquet")
    described = describe_columns("t.parquet")
    assert "__index_level_0__" in [column.name for column in described]
    assert choose_features(described, ["shop"], with_texts=True) == ("income", "member", "visits")


def test_the_index_of_a_frame_is_no_feature() -> None:
    frame = table_of_customers().assign(number=range(30)).set_index("number")
    frame.to_parquet("t.parquet")
    assert "number" not in pd.read_parquet("t.parquet").columns
    [index] = [column for column in describe_columns("t.parquet") if column.name == "number"]
    assert (index.kind, index.note) == ("other", "the index of a frame of pandas, which reads it as no column")


BAD_TABLES: dict[str, tuple[Recipe, str]] = {
    "no file": (path("nope.csv"), "must name a file that is there. Got 'nope.csv'"),
    "an empty file": (file(""), "must name a readable CSV or Parquet table. Got 't.csv'"),
    "null bytes": (file("a,b\n1,\0\n"), "it holds null bytes"),
    "a longer row": (file(GOOD_CSV.replace("b,3.5,3", "b,3.5,3,4")), "must name a readable CSV or Parquet table"),
    "a shorter row": (file(GOOD_CSV.replace("b,3.5,3", "b,3.5")), "line 25 has 2 fields where the header has 3"),
    "CSV called Parquet": (file(GOOD_CSV, "t.parquet"), "must name a readable CSV or Parquet table. Got 't.parquet'"),
}


@pytest.mark.parametrize("make", [file(GOOD_CSV.replace("weight", "size")), parquet_with_a_column_twice])
def test_a_column_that_occurs_twice_is_no_feature(make: Recipe) -> None:
    kind, *others = describe_columns(make())
    assert (kind.kind, kind.note) == ("text", "")
    repeated = [column for column in others if column.name != "weight"]
    assert len(repeated) == 2
    assert {(column.kind, column.note) for column in repeated} == {("other", "which occurs more than once")}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_table_that_cannot_be_read_is_refused(case: str) -> None:
    make, rule = BAD_TABLES[case]
    with pytest.raises(InputError) as refusal:
        describe_columns(make())
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_rows_of_a_folder_are_counted_over_its_files() -> None:
    data = Path(parquet_with(size=pa.nulls(60, pa.float64()))())
    Path("folder").mkdir()
    for number in range(2):
        Path(f"folder/{number}.parquet").write_bytes(data.read_bytes())
    kind, size, weight = describe_columns("folder")
    assert kind == Column("kind", "text", 120, n_missing=0, n_distinct=3)
    assert size == Column("size", "number", 120, n_missing=120, n_distinct=0)
    assert weight == Column("weight", "number", 120, n_missing=0, n_distinct=60)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Weights of 2024\n\n" + GOOD_CSV, "{skiprows: 1}"),
        ("Weights of 2024,,\nin kg,,\n" + GOOD_CSV, "{skiprows: 2}"),
        (GOOD_CSV.replace(",", " "), '{sep: " "}'),
        (" " + GOOD_CSV.replace(",", "   "), '{sep: " ", skipinitialspace: true}'),
    ],
)
def test_the_remedy_for_a_title_or_for_blanks_between_fields_leads_to_the_table(text: str, remedy: str) -> None:
    with pytest.raises(InputError) as refusal:
        describe_columns(file(text)())
    assert str(refusal.value).endswith(f"pass read={remedy}.")
    assert describe_columns(file(text)(), ReadRule().parse(remedy)) == describe_columns(file(GOOD_CSV)())


@pytest.mark.parametrize("text", ["size\n1.5\n2.5\n", "name\nred wine\nale\n", "a b\nred\nale\n", ",,size\n1,2,3\n4,5,6\n"])
def test_a_table_of_one_named_column_is_no_title(text: str) -> None:
    assert any(column.n_rows == 2 for column in describe_columns(file(text)()))
