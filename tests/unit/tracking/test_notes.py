"""Descriptions in Markdown: text of the data is text, tables stay whole, and everything fits into a tag."""

import html
import re

import pytest

from penguins.cli.steps import declared_steps
from penguins.tracking.notes import LONGEST_NOTE, describe, escape, experiment_note, failure_note, link

HOSTILE = [
    "a|b",
    "line\nbreak\r\n| x | y |",
    "<script>alert(1)</script>",
    "[name](javascript:alert)",
    "![image](http://x)",
    "**bold** _slanted_ ~~gone~~ `code`",
    "# heading",
    "www.example.org https://example.org a@example.org @somebody :smile:",
    "&lt;b&gt; &amp; &#124;",
    "\\| \\n",
    "```\ncode",
    "\0\x1b[2J\u202e",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_the_data_has_no_markup(text: str) -> None:
    found = escape(text, 1000)
    assert not re.search(r"[|<>\[\]*`~\\!@\n]|&(?!#\d+;)|#(?!\d+;)|https?:|www\.", found)
    assert found.isprintable()


@pytest.mark.parametrize("text", [name for name in HOSTILE if name.isprintable()])
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    assert html.unescape(escape(text, 1000)) == text


@pytest.mark.parametrize(
    "text",
    ["Dream: eps 1.1, the same 2 clusters from 0.7 to 1.3 (the widest range); 12 of 123 records are noise.", "body_mass_g"],
)
def test_usual_text_is_written_as_it_is(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize(("value", "text"), [(None, ""), (float("nan"), ""), (0.123456, "0.1235"), (12, "12"), (True, "True")])
def test_a_cell_shows_any_value(value: object, text: str) -> None:
    assert escape(value) == text


def test_a_text_that_is_too_long_is_cut_between_its_signs() -> None:
    for longest in range(20, 40):
        found = escape("|" * 100, longest)
        assert len(found) <= longest
        assert set(html.unescape(found)) == {"|", "…"}


def test_no_description_shows_a_secret() -> None:
    assert "hush" not in escape("https://ada:hush@host/t.csv?token=hush")


def test_a_link_has_a_name_of_the_data_as_its_text() -> None:
    assert link("a](b", "#/x") == "[a&#93;(b](#/x)"
    assert escape(link("x", "y")) == "[x](y)"


@pytest.mark.parametrize("n_rows", [0, 1, 3, 1000])
def test_a_description_is_whole_and_fits_into_a_tag(n_rows: int) -> None:
    names = [f"{HOSTILE[number % len(HOSTILE)]} {'|' * (number % 99)}" for number in range(n_rows)]
    note = describe("<asked>", "re*sult", ["name", "n"], [[name, 0.5] for name in names], names, ["mlflow run . -P 'a=`x`'"])
    assert len(note) <= LONGEST_NOTE
    assert note.startswith("**re&#42;sult**\n\n&#60;asked&#62;\n\n")
    assert note.endswith("Next, in the folder of the project:\n\n```sh\nmlflow run . -P 'a=`x`'\n```")
    table = [line for line in note.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in table} == ({3} if n_rows else set())
    n_shown = max(0, len(table) - 2)
    assert (f"… and {n_rows - n_shown} more row" in note) == (n_shown < n_rows)
    assert n_shown == n_rows or n_rows == 1000


def test_the_fence_around_commands_is_longer_than_any_in_them() -> None:
    assert "````sh\na ``` b\n````" in describe("a", "b", commands=["a ``` b"])


def test_a_failed_run_says_why_and_what_to_do_above_what_it_had_found() -> None:
    note = failure_note("FAILED", "no <b>", "Try again.", "before")
    assert note == "**FAILED: no &#60;b&#62;**\n\nTry again.\n\nbefore"
    assert failure_note("KILLED", "why", "", "") == "**KILLED: why**"
    assert len(failure_note("FAILED", "|" * 9000, "", "line\n" * 2000)) <= LONGEST_NOTE


def test_a_long_description_of_a_failed_run_loses_rows_of_its_table_and_keeps_the_commands() -> None:
    rows = [[f"group {number}", "x" * 40] for number in range(500)]
    before = describe("asked", "result", ["group", "x"], rows, commands=["mlflow run . -e score"])
    note = failure_note("FAILED", "why " * 200, "Try again.", before)
    assert len(note) <= LONGEST_NOTE
    assert note.startswith("**FAILED: why why")
    assert note.endswith("mlflow run . -e score\n```")
    assert "| group 0 |" in note


def test_an_experiment_says_what_each_entry_point_asks() -> None:
    note = experiment_note()
    for name in declared_steps():
        assert f"| {escape(name)} | " in note
