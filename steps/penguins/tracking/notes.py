"""Descriptions of runs and experiments in Markdown, which MLflow shows on their pages. Text of the data stays text."""

import math
import re
from collections.abc import Iterator, Sequence

from penguins.cli.steps import declared_steps
from penguins.redaction import redact
from penguins.text import count

# In characters, of which MLflow's stores take 5,000 in a tag. The table has what the other parts leave.
LONGEST_NOTE = 5000
LONGEST_SENTENCE, LONGEST_WARNING, LONGEST_COMMAND, LONGEST_CELL = 800, 400, 500, 200
MOST_WARNINGS = 4
# Signs that are markup in Markdown or HTML wherever they stand, and those that are none within a word or after one.
MARKUP = re.compile(
    r"(?<=[A-Za-z0-9])(?<!www)[._=+-](?=[A-Za-z0-9])|(?<=[A-Za-z0-9)])[.:](?=\s|$)"
    r"|([!#$&*+.:<=>@\[\\\]^_`{|}~-])",
    re.IGNORECASE,
)


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def escape(value: object, longest: int = LONGEST_CELL) -> Markdown:
    """Return a value as Markdown that shows it as text, on one line, without secrets, in `longest` characters at most."""
    if isinstance(value, Markdown):
        return value
    text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in redact(_as_text(value)))
    escaped = MARKUP.sub(lambda sign: f"&#{ord(sign[1])};" if sign[1] else sign[0], text)
    if len(escaped) > longest:
        escaped = re.sub(r"&#?\d*$", "", escaped[: longest - 1]) + "…"
    return Markdown(escaped)


def _as_text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def link(text: object, address: str) -> Markdown:
    """Return `text` as a link to an address of ours."""
    return Markdown(f"[{escape(text)}]({address})")


def describe(
    asked: str,
    result: str,
    header: Sequence[str] = (),
    rows: Sequence[Sequence[object]] = (),
    warnings: Sequence[str] = (),
    commands: Sequence[str] = (),
) -> str:
    """Return the description of a run: the result, what was asked, a table, warnings, and the commands that come next.

    All texts are shown as they are, except cells that are `Markdown`. Rows that do not fit into a tag are counted.
    """
    # MLflow shows the first lines of a description, and the others when one asks for more.
    before = [f"**{escape(result, LONGEST_SENTENCE)}**", escape(asked, LONGEST_SENTENCE)]
    after = list(_list_of_warnings(warnings))
    if shown := [command for command in commands if len(command) <= LONGEST_COMMAND]:
        fence = "`" * max(3, *[len(ticks) + 1 for ticks in re.findall("`+", "".join(shown))], 3)
        after.append("\n".join(["Next, in the folder of the project:\n", f"{fence}sh", *shown, fence]))
    room = LONGEST_NOTE - sum(len(part) + 2 for part in (*before, *after))
    return "\n\n".join([*before, *_table(header, rows, room), *after])


def _list_of_warnings(warnings: Sequence[str]) -> Iterator[str]:
    lines = [f"- Warning: {escape(warning, LONGEST_WARNING)}" for warning in warnings[:MOST_WARNINGS]]
    if len(warnings) > MOST_WARNINGS:
        lines.append(f"- and {count(len(warnings) - MOST_WARNINGS, 'more warning')}")
    if lines:
        yield "\n".join(lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[object]], room: int) -> Iterator[str]:
    """Yield a table of as many rows as have `room` characters, and the number of the others."""
    lines, room = [_line(header), "|" + " --- |" * len(header)], room - 40
    room -= sum(len(line) + 1 for line in lines)
    for row in rows:
        line = _line(row)
        room -= len(line) + 1
        if room < 0:
            break
        lines.append(line)
    if rows:
        yield "\n".join(lines)
    if n_left := len(rows) - (len(lines) - 2):
        yield f"… and {count(n_left, 'more row')}"


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"


def failure_note(status: str, why: str, remedy: str, before: str) -> str:
    """Return the description of a run that ended with `status`: the reason, the remedy, and the description `before`."""
    head = "\n\n".join(filter(None, [f"**{status}: {escape(why, 2 * LONGEST_SENTENCE)}**", escape(remedy)]))
    lines = before.split("\n")
    rows = [place for place, line in enumerate(lines) if line.startswith("| ")]
    while rows and len(head) + 2 + sum(len(line) + 1 for line in lines) > LONGEST_NOTE:
        del lines[rows.pop()]  # of the table, rather than the commands at the end
    text = "\n\n".join(filter(None, [head, "\n".join(lines)]))
    return text if len(text) <= LONGEST_NOTE else head


def experiment_note() -> str:
    """Return the description of an experiment of this project: what its runs ask."""
    rows = [[step.name, step.question, step.headline] for step in declared_steps().values()]
    return describe(
        "Runs of main and of the sweeps have runs under them.",
        "Runs of the project Penguins. Each run's page says what came out, what was asked, and what to do next.",
        ["entry point", "what it asks", "headline metric"],
        rows,
    )
