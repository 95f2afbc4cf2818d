"""The `read` parameter: how it is written, and what is refused with the reason."""

import json

import pytest

from penguins.cli.parameters import Read, parse_parameters, to_texts
from penguins.cli.read_options import DETECT, ReadOptions, ReadRule, na_numbers
from penguins.errors import InputError

GOOD = {
    "": DETECT,
    "  ": DETECT,
    "{}": DETECT,
    '{sep: ";", decimal: ","}': ReadOptions(sep=";", decimal=","),
    '{"sep": ";", "decimal": ","}': ReadOptions(sep=";", decimal=","),
    'sep: ";"': ReadOptions(sep=";"),
    r'{"sep": "\t"}': ReadOptions(sep="\t"),
    r"{sep: \t}": ReadOptions(sep="\t"),
    '{decimal: ",", thousands: "."}': ReadOptions(decimal=",", thousands="."),
    "{encoding: latin-1, skiprows: 2}": ReadOptions(encoding="latin-1", skiprows=2),
    '{na_values: ["?", -200, 1.5]}': ReadOptions(na_values=("?", "-200", "1.5")),
    "{na_values: -200}": ReadOptions(na_values=("-200",)),
    "{na_values: [no, '~', 010, 1:30, 2024-01-01, 1_000, 0x1F]}": ReadOptions(
        na_values=("no", "~", "010", "1:30", "2024-01-01", "1_000", "0x1F")
    ),
    "{skiprows: '2', keep_default_na: True}": ReadOptions(skiprows=2),
    "{keep_default_na: false}": ReadOptions(keep_default_na=False),
    '{quotechar: "\'"}': ReadOptions(quotechar="'"),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_mapping_is_read_and_written_back(text: str) -> None:
    options = ReadRule().parse(text)
    assert options == GOOD[text]
    assert ReadRule().parse(str(options)) == options
    assert (str(options) == "") == (options == DETECT)


BAD = {
    '{sep:";"}': "it has no name 'sep:\";\"'. A blank must follow each colon",
    "{seperator: ;}": "it has no name 'seperator'",
    '{decimals: ","}': "Did you mean 'decimal'?",
    '{colour: ","}': "The names are sep, encoding, decimal, thousands",
    "{sep: ~}": "it has ~, which stands for nothing",
    "{na_values: [null]}": "it has null, which stands for nothing",
    "{sep: ,}": "sep is '', and not one sign in quotes",
    '{sep: ";;"}': "sep is ';;', and not one sign",
    '{sep: "5"}': "sep is '5', and not one sign",
    '{decimal: "x"}': "decimal is 'x', and not one of '.' ','",
    '{thousands: ""}': "thousands is '', and not one of",
    '{thousands: "."}': "'.' cannot be both decimal and thousands",
    '{decimal: ",", thousands: ","}': "',' cannot be both decimal and thousands",
    '{sep: "|", quotechar: "|"}': "'|' cannot be both sep and quotechar",
    "{encoding: klingon}": "encoding is 'klingon', which Python does not know",
    "{encoding: rot13}": "encoding is 'rot13', which Python does not know",
    "{encoding: 8}": "encoding is '8', which Python does not know",
    "{na_values: {a: 1}}": "na_values holds {'a': '1'}",
    "{keep_default_na: 1}": "keep_default_na is '1', and not true or false",
    "{keep_default_na: no}": "keep_default_na is 'no', and not true or false",
    "{keep_default_na: [true]}": "keep_default_na is ['true'], and not true or false",
    "{skiprows: -1}": "skiprows is '-1', and not an integer in [0, 1000000]",
    "{skiprows: true}": "skiprows is 'true'",
    "{skiprows: 010}": "skiprows is '010', and not an integer",
    "{skiprows: 1:30}": "skiprows is '1:30', and not an integer",
    f"{{skiprows: 0x{'f' * 6000}}}": "skiprows is '0xfff",
    f"{{na_values: [{'1,' * 20_001}]}}": "it has more than 20000 names and values",
    "{na_values: [&a [x], *a]}": "it has the alias '*a'",
    "{skiprows: !!int '010'}": "it has the tag 'tag:yaml.org,2002:int'",
    "{sep: |}": "put signs into quotes",
    '{sep: ";", sep: ","}': "it has 'sep' more than once",
    "[1]": "it is no mapping",
    "text": "it is no mapping",
    "{" * 5000: "put signs into quotes",
}


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_with_the_reason(text: str) -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Parameters:
        read: Read = DETECT

    with pytest.raises(InputError) as refusal:
        parse_parameters(Parameters, {"read": text})
    assert str(refusal.value).startswith("The 'read' parameter must be a mapping with names of pandas.read_csv")
    assert BAD[text] in str(refusal.value)
    assert to_texts(parse_parameters(Parameters, {"read": '{sep: ";"}'})) == {"read": json.dumps({"sep": ";"})}


def test_values_that_are_numbers_are_missing_however_they_are_written() -> None:
    assert na_numbers(ReadOptions(na_values=("?", "-200", "1e3", "nan"))) == (-200.0, 1000.0)
