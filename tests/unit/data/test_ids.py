"""The columns that tell the records are kept as the table has them."""

from pathlib import Path

import pandas as pd
import pytest

from penguins.data.ids import to_ids
from penguins.data.load import load_table
from penguins.errors import InputError

COLUMNS = {"kind": "group_by", "size": "features"}


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["1", "-20", "0"], [1, -20, 0]),
        (["1", None, "9007199254740993"], [1, None, 9007199254740993]),
        (["1", "2.50"], [1.0, 2.5]),
        (["007", "8"], ["007", "8"]),
        (["1e5", "2"], ["1e5", "2"]),
        (["12345678901234567890", "2"], ["12345678901234567890", "2"]),
        (["-0", "1"], ["-0", "1"]),
        (["r1", None], ["r1", None]),
        ([None, None], [None, None]),
    ],
)
def test_texts_become_numbers_only_if_that_changes_none(texts: list[str | None], found: list[object]) -> None:
    assert [None if pd.isna(value) else value for value in to_ids(pd.Series(texts, dtype=object))] == found


def test_all_rows_come_with_their_ids_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,kind,size,note\nr0,a,1,x\nr1,,2,NA\nr2,b,,x\nr3,b,4,x\n")
    table = load_table(str(path), COLUMNS, ["kind"], ids=("id", "size", "kind", "note"))
    assert table.places.tolist() == [0, 3]
    assert list(table.whole) == ["id", "size", "note", "kind"]
    assert table.whole["id"].tolist() == ["r0", "r1", "r2", "r3"]
    assert table.whole["kind"].tolist() == ["a", None, "b", "b"]
    assert table.whole["note"].tolist() == ["x", "NA", "x", "x"]
    assert table.whole["size"].dtype == "float64"


def test_parquet_keeps_the_types_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    day = pd.Timestamp("2024-02-29")
    large = pd.array([2**60 + 1, None], dtype="Int64")
    pd.DataFrame({"id": large, "kind": [1.0, None], "size": [1.0, 2.0], "day": [day, pd.NaT]}).to_parquet(path)
    whole = load_table(str(path), COLUMNS, ["kind"], ids=("id", "day")).whole
    assert whole["id"].tolist() == [2**60 + 1, pd.NA]
    assert whole["day"][0] == day
    assert whole["kind"].tolist() == ["1", None]


def test_an_id_that_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,kind,size\nr0,a,1\n")
    with pytest.raises(InputError, match=r"'id' parameter must name columns of the table\. Got 'names'.*'name'"):
        load_table(str(path), COLUMNS, ["kind"], ids=("names",))
