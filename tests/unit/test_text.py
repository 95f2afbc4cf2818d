"""Text for people: one line, nothing that steers a terminal, numbers in their shortest form."""

import time

import pytest

from penguins.text import (
    LONGEST_QUOTE,
    count,
    escape_unprintable,
    format_number,
    is_number,
    one_line,
    print_always,
    print_lines,
    print_warnings,
    quote,
    suggestion,
)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("island", "'island'"),
        (3, "3"),
        ("two\nlines", r"'two\nlines'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("\u202eleft", r"'\u202eleft'"),
        ("é 🐧", "'é 🐧'"),
        ("x" * 200, f"'{'x' * (LONGEST_QUOTE - 1)}… (202 characters)"),
    ],
)
def test_a_quote_is_on_one_line_and_of_limited_length(value: object, quoted: str) -> None:
    assert quote(value) == quoted


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("featuers", " Did you mean 'features'?"),
        ("FEATURES", " Did you mean 'features'?"),
        ("bill", " Did you mean 'Bill'?"),
        ("nothing like it", ""),
    ],
)
def test_the_most_similar_name_is_suggested_whatever_its_case(name: str, expected: str) -> None:
    assert suggestion(name, ["features", "Bill", "seed"]) == expected


def test_a_similar_name_among_very_many_is_given_up_rather_than_waited_for() -> None:
    names = [f"column_{number:06}" for number in range(1_000_000)]
    start = time.process_time()
    assert suggestion("Column_999999", names) == " Did you mean 'column_999999'?"
    assert suggestion("column_x0001", names).startswith(" Did you mean 'column_")
    assert suggestion("x" * 100_000, ["x" * 99_999]) == ""
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.1, "0.1"), (1.0, "1"), (100, "100"), (1e-07, "1e-07"), (0.1 + 0.2, "0.30000000000000004"), (-2.0, "-2")],
)
def test_a_number_has_its_shortest_exact_form(number: float, text: str) -> None:
    assert format_number(number) == text
    assert float(text) == number


@pytest.mark.parametrize("text", ["12", "-0.5", "+1.", ".5", "1e-3", "007"])
def test_a_decimal_number_is_a_number(text: str) -> None:
    assert is_number(text)


@pytest.mark.parametrize("text", ["", "a", "1_0", "0x10", "nan", "inf", "1,5", " 1", "1\n", "٣"])
def test_no_other_text_is_a_number(text: str) -> None:
    assert not is_number(text)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\n  b\tc"), "a b c"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("no such table [SQL: SELECT 1]\n[parameters: x]", "no such table"),
        ("locked (Background on this error at: https://x)", "locked"),
    ],
)
def test_a_message_is_on_one_line_without_its_sql(error: object, line: str) -> None:
    assert one_line(error) == line


def test_lines_are_printed_with_unprintable_characters_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines("a\nb", "\x1b[2J\r")
    assert capsys.readouterr().out == "a\nb\n\\x1b[2J\\r\n"


@pytest.mark.parametrize(("setting", "out", "err"), [("", "a\nwarning: b\nc\n", ""), ("quiet", "c\n", "warning: b\n")])
def test_a_quiet_output_keeps_warnings_and_what_is_always_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, out: str, err: str
) -> None:
    monkeypatch.setenv("PENGUINS_OUTPUT", setting)
    print_lines("a")
    print_warnings("b")
    print_always("c")
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(("number", "text"), [(0, "0 groups"), (1, "1 group"), (2, "2 groups")])
def test_a_number_of_one_has_its_noun_in_the_singular(number: int, text: str) -> None:
    assert count(number, "group") == text


def test_line_breaks_and_foreign_letters_are_not_escaped() -> None:
    assert escape_unprintable("שלום\n🐧") == "שלום\n🐧"
