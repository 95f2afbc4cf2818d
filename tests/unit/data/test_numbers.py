"""Numbers as tables write them, and texts that look like numbers or dates."""

import re
import time

import pytest

from penguins.cli.read_options import DETECT, ReadOptions, ReadRule
from penguins.data.numbers import integer_pattern, number_parser, number_pattern, unread_numbers

PLAIN, GERMAN, SWISS = ReadOptions(), ReadOptions(decimal=",", thousands="."), ReadOptions(thousands="'")
NUMBERS: list[tuple[ReadOptions, str, float | None]] = [
    (PLAIN, "12", 12), (PLAIN, "-0.5", -0.5), (PLAIN, "+1e3", 1000), (PLAIN, ".5", 0.5), (PLAIN, "5.", 5), (PLAIN, " 7\t", 7),
    (PLAIN, "-inf", float("-inf")), (PLAIN, "Infinity", float("inf")), (PLAIN, "9" * 30, float("9" * 30)),
    (PLAIN, "", None), (PLAIN, "1,5", None), (PLAIN, "1_000", None), (PLAIN, "0x1", None), (PLAIN, "nan", None),
    (PLAIN, "1 2", None), (PLAIN, ".", None), (PLAIN, "e5", None), (PLAIN, "٣", None),
    (GERMAN, "1.234,5", 1234.5), (GERMAN, "1234,5", 1234.5), (GERMAN, "-1.234.567", -1234567), (GERMAN, ",5", 0.5),
    (GERMAN, "1.5", None), (GERMAN, "18.00.00", None), (GERMAN, "31.12.2020", None), (GERMAN, "12.34,5", None),
    (SWISS, "1'234.5", 1234.5), (SWISS, "1'23", None),
]  # fmt: skip


@pytest.mark.parametrize(("options", "text", "number"), NUMBERS)
def test_a_text_is_a_number_if_it_is_written_as_the_file_says(options: ReadOptions, text: str, number: float | None) -> None:
    assert number_parser(options)(text) == number
    pattern = number_pattern(options.decimal or ".", options.thousands)
    assert bool(re.fullmatch(pattern, text)) == (number is not None)


def test_whole_numbers_may_have_signs_between_thousands() -> None:
    assert all(map(integer_pattern(GERMAN).fullmatch, ["1.234", "-5", "1234"]))
    assert not any(map(integer_pattern(GERMAN).fullmatch, ["1,0", "1.23", "1e3"]))


UNIT = [f"{number} kg" for number in range(12)]
LOOKS: list[tuple[list[str], str]] = [
    (["2,6", "3,75", "1,234"], "numbers with a decimal comma, for example '2,6': pass read={decimal: \",\"}"),
    (["1,234", "5,678"], "numbers with commas, for example '1,234': pass read={thousands: \",\"}, or read={decimal: \",\"} if"),
    (["1.234.567", "2.345.678"], "pass read={decimal: \",\", thousands: \".\"}"),
    (["1,234.50", "5,678"], "numbers with commas, for example '1,234.50': pass read={thousands: \",\"}"),
    (["1 234", "5 678 901"], "pass read={thousands: \" \"}"),
    (["1'234.5", "5'678"], "pass read={thousands: \"'\"}"),
    (["1\u00a0234,5", "5\u00a0678"], "pass read={thousands: \"\\u00a0\"}"),
    (["1\u202f234,5", "5\u202f678"], "pass read={thousands: \"\\u202f\"}"),
    (["$1,234.50", "$3.00"], "numbers with other signs, for example '$1,234.50': turn them into plain numbers"),
    (["5 €", "€ 6"], "numbers with other signs"),
    (["(1,234)", "(5)"], "numbers with other signs"),
    (["\u2212179.9", "\u2212180.1"], "numbers with other signs, for example '\u2212179.9': turn them into plain numbers"),
    (["\u20135.2", "\u2013 6"], "numbers with other signs"),
    (["12.5%", "3%", "none"], "numbers with other signs"),
    (["19M", "3.5k", "Varies with device"], "numbers with other signs"),
    (["10,000+", "500+"], "numbers with other signs"),
    (["2020-01-31", "2020-02-01"], "dates, for example '2020-01-31': turn them into numbers, such as years or days"),
    (["31.12.2020"], "dates"),
    (["12/25/2020 10:30 PM", "1/2/2020 1:05 AM"], "dates"),
    (["2020-01-31T10:00:00Z"], "dates"),
    (["Jan 5, 2020", "February 7, 2021"], "dates"),
    (["5-Mar-99"], "dates"),
    (["Sept 5, 2020", "5. Juni 2021", "Dezember 2020", "Okt-20"], "dates"),
    (["18.00.00", "19.00.00"], "dates"),
    (["10:30", "11:45"], "times of day"),
    (UNIT, "numbers with a unit, for example '0 kg'"),
    (["1", "2", "?"], "numbers, but in 1 of 3 rows text, for example '?': if it stands for a missing value, pass read={na_"),
    (["1", "2", "3", "n/a", "-"], "na_values: [\"n/a\", \"-\"]"),
    ([*map(str, range(20)), " "], "numbers, but in 1 of 21 rows text, for example ' ': if it stands for a missing value"),
    ([*map(str, range(20)), "k.A.", "k.A."], "pass read={na_values: [\"k.A.\"]}, or mend them"),
    ([*map(str, range(20)), "<5"], "numbers, but in 1 of 21 rows text, for example '<5': mend or empty them"),
    ([*map(str, range(20)), "1,5"], "numbers, but in 1 of 21 rows text, for example '1,5': pass read={decimal: \",\"}"),
    ([*map(str, range(20))], "numbers as text, for example '0': turn it into a column of numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "expected"), LOOKS)
def test_numbers_and_dates_that_are_not_read_as_such_are_named_with_the_remedy(texts: list[str], expected: str) -> None:
    assert expected in unread_numbers(texts, DETECT)
    of_parquet = unread_numbers(texts, None)
    assert of_parquet
    assert "read=" not in of_parquet


CATEGORIES = [
    ["north", "south"], ["1st", "2nd", "3rd"], ["18-25", "26-35", "65+"], [">50K", "<=50K"], ["4", "f", "r"],
    ["2", "3", "5more"], ["2", "3", "4", "5more"] * 5,
    ["M", "F"], ["A1", "B2"], ["G", "PG", "PG-13"], ["May", "June"], ["Mon", "Tue"], ["10.0.0.1", "10.0.0.2"],
    ["12 kg", "5 kg"], ["Marion 12", "Junction 42", "7 Maywood"],
    ["1.2.3", "1.2.4"], ["555-1234"], ["A", "B", "?"], ["-"], ["1", "2"], [], ["3G", "4G"], ["5 - 10", "10 - 20"], ["2020Q1"],
]  # fmt: skip


@pytest.mark.parametrize("texts", CATEGORIES)
def test_categories_are_left_alone(texts: list[str]) -> None:
    assert unread_numbers(texts, DETECT) == ""


PADDED = [" " * 255 + "x", "5" + " " * 255 + "x", "5" + "\u00a0" * 255 + "x", "1 " * 5000, "1" + ",111" * 5000 + "x"]


@pytest.mark.parametrize("start", PADDED)
def test_many_blanks_or_signs_in_a_text_take_no_time(start: str) -> None:
    began = time.process_time()
    assert unread_numbers([f"{start}{number}" for number in range(1000)], DETECT) == ""
    assert time.process_time() - began < 2


def test_padded_numbers_look_as_those_without_blanks() -> None:
    assert "numbers with other signs" in unread_numbers(["$" + " " * 100 + "5", "  $ 6" + " " * 100], DETECT)


@pytest.mark.parametrize("sign", [" ", "'", "\u00a0", "\u202f", "’", ","])
def test_the_remedy_for_signs_between_thousands_makes_numbers_of_them(sign: str) -> None:
    texts = [f"1{sign}234.5", f"{sign}".join(("12", "345", "678")), "7"]
    remedy = unread_numbers(texts, DETECT).partition("pass read=")[2]
    read = ReadRule().parse(remedy)
    assert [number_parser(read)(text) for text in texts] == [1234.5, 12345678, 7]


def test_no_decimal_comma_is_proposed_where_numbers_have_points_too() -> None:
    assert "decimal" in unread_numbers(["1,234", "5,678"], DETECT)
    assert "decimal" not in unread_numbers(["1,234", "5,678.50"], DETECT)
