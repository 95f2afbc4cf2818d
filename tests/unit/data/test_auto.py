"""Which columns `features=auto` chooses, and what it says about the others."""

import pytest

from penguins.data.auto import LONGEST_NAME, MOST_LISTED, Column, Kind, choose_features
from penguins.errors import InputError


def column(name: str, kind: Kind = "number", n_missing: int = 0, n_distinct: int = 10) -> Column:
    return Column(name, kind, n_rows=40, n_missing=n_missing, n_distinct=n_distinct)


SIZE = column("size")
# A column beside `size`, whether texts serve, and the reason against it or an empty text.
CASES: dict[str, tuple[Column, bool, str]] = {
    "another number": (column("x"), False, ""),
    "a constant": (column("x", n_distinct=1), False, ""),
    "half of it missing": (column("x", n_missing=20), False, ""),
    "more than half of it missing": (column("x", n_missing=21), False, "x, which is mostly missing"),
    "numbers in each row": (column("x", n_distinct=40), False, ""),
    "text": (column("x", "text", n_distinct=2), False, "x, a column of text"),
    "booleans": (column("x", "boolean", n_distinct=2), False, "x, a column of true and false"),
    "booleans that serve": (column("x", "boolean", n_distinct=2), True, ""),
    "booleans that are mostly missing": (column("x", "boolean", n_missing=21), True, "x, which is mostly missing"),
    "text that serves": (column("x", "text", n_distinct=2), True, ""),
    "as many texts as serve": (column("x", "text", n_distinct=20), True, ""),
    "one text too many": (column("x", "text", n_distinct=21), True, "x, a text with too many values"),
    "fewer than two rows for each text": (
        column("x", "text", n_missing=1, n_distinct=20),
        True,
        "x, a text with too many values",
    ),
    "text that is mostly missing": (column("x", "text", n_missing=30, n_distinct=2), True, "x, which is mostly missing"),
    "dates": (column("x", "other", n_distinct=0), True, "x, which holds neither numbers alone nor text alone"),
    "no name": (column(""), False, "'', which has no name"),
    "pandas's name for none": (column("Unnamed: 0"), False, "Unnamed: 0, which has no name"),
    "its name for none, read twice": (column("Unnamed: 0.1"), False, "Unnamed: 0.1, which has no name"),
    "pyarrow's name for none": (column("__index_level_0__"), False, "__index_level_0__, which has no name"),
    "Spark's name for none": (column("_c0"), False, "_c0, which has no name"),
    "a name like one for none": (column("Unnamed: area"), False, ""),
    "a name of two lines": (column("x\ny", "text"), False, "x y, a column of text"),
    "an endless name": (column("x" * 1000, "text"), False, "x" * LONGEST_NAME + "…, a column of text"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_column_is_chosen_or_left_out_for_a_reason(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    other, with_texts, reason = CASES[case]
    assert choose_features([SIZE, other], [], with_texts) == (("size",) if reason else ("size", other.name))
    assert capsys.readouterr().out == (
        f"features=auto: size (left out: {reason})\n" if reason else f"features=auto: size, {other.name}\n"
    )


def test_the_order_is_that_of_the_table_and_every_reason_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [column("b"), column("kind", "text"), column("when", "other"), column("a"), column("e", n_missing=40)]
    assert choose_features(columns, [], with_texts=False) == ("b", "a")
    assert capsys.readouterr().out == (
        "features=auto: b, a (left out: kind, a column of text; when, which holds neither numbers alone nor text alone; "
        "e, which is mostly missing)\n"
    )


def test_an_excluded_column_is_neither_chosen_nor_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_features([column("year"), SIZE, column("kind", "text")], {"year", "kind"}, with_texts=False) == ("size",)
    assert capsys.readouterr().out == "features=auto: size\n"


def test_an_included_column_is_chosen_whatever_it_holds_and_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [column("street", "text", n_distinct=40), SIZE, column("note", "text", n_distinct=40)]
    assert choose_features(columns, [], with_texts=True, included=["street"]) == ("street", "size")
    assert "note, a text with too many values" in capsys.readouterr().out


def test_of_very_many_columns_the_first_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [column(f"n{number}") for number in range(MOST_LISTED + 3)]
    texts = [column(f"t{number}", "text") for number in range(MOST_LISTED + 1)]
    assert len(choose_features([*numbers, *texts], [], with_texts=False)) == len(numbers)
    line = capsys.readouterr().out
    assert f"n{MOST_LISTED - 1}, and 3 more (left out: t0, a column of text; " in line
    assert line.endswith(f"t{MOST_LISTED - 1}, a column of text; and 1 more)\n")


NOTHING: dict[str, tuple[list[Column], list[str], bool, str]] = {
    "texts": (
        [column("kind", "text"), column("place", "text")],
        ["kind"],
        False,
        "The 'features' parameter must be auto only for a table with columns of numbers. Got 'auto', which finds none beside "
        "'kind' (left out: place, a column of text): name the columns, as in features=a,b, or use another table.",
    ),
    "texts with many values": (
        [column("name\n", "text", n_distinct=40)],
        [],
        True,
        "The 'features' parameter must be auto only for a table with columns of numbers, of booleans, or of text with at most "
        "20 values. Got 'auto', which finds none (left out: name, a text with too many values): name the columns, as in "
        "features=a,b, or use another table.",
    ),
    "excluded columns alone": ([SIZE], ["size"], False, "Got 'auto', which finds none beside 'size': name the columns"),
    "no columns": ([], [], False, "Got 'auto', which finds none: name the columns"),
}


@pytest.mark.parametrize("case", NOTHING)
def test_a_table_without_such_columns_is_refused(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    columns, excluded, with_texts, message = NOTHING[case]
    with pytest.raises(InputError) as refusal:
        choose_features(columns, excluded, with_texts)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not capsys.readouterr().out
