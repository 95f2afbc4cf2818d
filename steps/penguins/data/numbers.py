"""Numbers as tables write them: read them by one rule, here and in Spark, and recognise those that are not read as numbers."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from penguins.cli.read_options import ReadOptions
from penguins.text import quote

# A number with a point that cannot stand between thousands. Such ones decide how to read the others in its column.
CERTAIN_POINT = r"[ \t]*[+-]?(?:[0-9]+\.(?:[0-9]{1,2}|[0-9]{4,})?|0*\.[0-9]*|[0-9]{4,}\.[0-9]*)(?:[eE][+-]?[0-9]+)?[ \t]*"
# A text column with so many different numbers holds numbers; the texts in it are mistakes.
FEWEST_NUMBERS = 10
# Texts that people write for a missing value.
MARKERS = frozenset(
    (
        *("", "?", "-", "--", "---", ".", "..", "...", "*", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "nan", "null", "(null)"),
        *("<na>", "none", "nil", "missing", "unknown", "nd", "n.d.", "#null!", "#div/0!", "#value!", "#ref!"),
    )
)
MOST_MARKERS_LISTED, MOST_TEXTS_LOOKED_AT = 5, 10_000
# A longer text is no number or date that people write, and may take very long to compare.
LONGEST_LOOK = 60
CURRENCY = r"(?:US\$|[$€£¥₹₽₩₺]|USD|EUR|GBP|CHF|JPY)"
BLANK_OR_APOSTROPHE = "[ \u00a0\u202f'’]"
DIGITS = rf"(?:\d{{1,3}}(?:(?:[,.]|{BLANK_OR_APOSTROPHE})\d{{3}})+(?:[.,]\d+)?|\d+(?:[.,]\d*)?|[.,]\d+)(?:e[+-]?\d+)?"
MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|mär(?:z)?|apr(?:il)?|may|mai|june?|juni?|july?|juli?|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\.?"
)
CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?[ap]\.?m\.?)?(?:\s?(?:z|utc|[+-]\d{2}:?\d{2}))?"
DAY = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{4}-(?:0\d|1[0-2])"
    rf"|\d{{1,2}}[- .]{{1,2}}{MONTH}[- ,]{{1,2}}\d{{2,4}}|{MONTH}[- ]\d{{1,2}}(?:st|nd|rd|th)?,?[- ]\d{{4}}"
    rf"|{MONTH}[- ]\d{{2,4}}|\d{{2,4}}[- ]?{MONTH}(?:[- ]?\d{{1,2}})?"
)


def number_pattern(decimal: str, thousands: str) -> str:
    """Return the regular expression, of Python and of Java, of a number with these signs, with blanks around it."""
    point = re.escape(decimal)
    whole = rf"[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+" if thousands else "[0-9]+"
    exponent = "(?:[eE][+-]?[0-9]+)?"
    finite = rf"(?:{whole})(?:{point}[0-9]*)?{exponent}|{point}[0-9]+{exponent}"
    return rf"[ \t]*[+-]?(?:{finite}|(?i:inf|infinity))[ \t]*"


def number_parser(options: ReadOptions) -> Callable[[str], float | None]:
    """Return a function that gives the number that a text stands for in a file of this dialect, or None where it is none."""
    pattern = re.compile(number_pattern(options.decimal or ".", options.thousands))

    def parse(text: str) -> float | None:
        if not pattern.fullmatch(text):
            return None
        plain = text.replace(options.thousands, "") if options.thousands else text
        return float(plain.replace(options.decimal or ".", "."))

    return parse


def readings_of_columns(options: ReadOptions) -> list[ReadOptions]:
    """Return how the numbers of a column may be written in a file of this dialect, the dialect itself first.

    In a file with decimal commas, some columns may have points, which other programs wrote.
    """
    return [options, replace(options, decimal=".")] if options.decimal == "," and options.thousands != "." else [options]


def integer_pattern(options: ReadOptions) -> re.Pattern[str]:
    """Return the regular expression of the whole numbers of a file of this dialect."""
    thousands = re.escape(options.thousands)
    grouped = rf"[0-9]{{1,3}}(?:{thousands}[0-9]{{3}})+|" if thousands else ""
    return re.compile(rf"[ \t]*[+-]?(?:{grouped}[0-9]+)[ \t]*")


@dataclass(frozen=True)
class Look:
    """A way of writing numbers or dates that is not read as such: its pattern, its name, and the remedy for a CSV file.

    It counts only if `fewest_values` different texts or more look so.
    """

    name: str
    pattern: str
    remedy: str = ""
    fewest_values: int = 1

    def matches(self, text: str) -> bool:
        # Several parts of a pattern may take the same blanks, so that it must not meet many of them: a column may be padded.
        plain = " ".join(text.split())
        return len(plain) <= LONGEST_LOOK and re.fullmatch(self.pattern, plain, re.IGNORECASE) is not None


COMMA_DECIMAL = Look("numbers with a decimal comma", r"[+-]?\d*,\d+(?:e[+-]?\d+)?", 'pass read={decimal: ","}')
COMMA_THOUSANDS = Look(
    "numbers with commas",
    r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?",
    'pass read={thousands: ","}, or read={decimal: ","} if the comma is a decimal one',
)
OTHER_THOUSANDS = Look(
    "numbers with blanks or apostrophes between thousands",
    rf"[+-]?[1-9]\d{{0,2}}(?:{BLANK_OR_APOSTROPHE}\d{{3}})+(?:[.,]\d*)?",
)
NO_DATES = "turn them into numbers, such as years or days"
DATES = Look("dates", rf"(?:{DAY})(?:(?:T|\s+){CLOCK})?")
LOOKS = (
    COMMA_THOUSANDS,
    COMMA_DECIMAL,
    Look(
        "numbers with points between thousands",
        r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?",
        'pass read={decimal: ",", thousands: "."}',
    ),
    OTHER_THOUSANDS,
    DATES,
    Look("times of day", CLOCK),
    Look(
        "numbers with other signs",
        rf"[~≈]?[-+(−–]?\s*{CURRENCY}?\s*[-+−–]?{DIGITS}\s*{CURRENCY}?\s*(?:%|‰|\+|k|m|b|bn|mn|mio|mrd)?\s*{CURRENCY}?\+?\)?",
    ),
    Look("numbers with a unit", rf"[-+]?{DIGITS}\s*(?!(?:st|nd|rd|th)\b)[a-zµ°²³/'\"]{{1,5}}\.?", fewest_values=FEWEST_NUMBERS),
)


def unread_numbers(texts: Iterable[str], options: ReadOptions | None) -> str:
    """Say which numbers or dates most of `texts` are that are not read as such, and the remedy, or return an empty text.

    `texts` are the present values of a column of text. `options` say how its CSV file is written, None for another kind of
    table. The answer completes "which holds …".
    """
    counts = Counter(texts)
    n_rows = sum(counts.values())
    parse = number_parser(options or ReadOptions())
    others = {text: count for text, count in counts.items() if parse(text) is None}
    n_others, n_numbers = sum(others.values()), len(counts) - len(others)
    look = _look_of(others)
    if not others:
        few = n_numbers < FEWEST_NUMBERS
        return "" if few else f"numbers as text, for example {quote(next(iter(counts)))}: turn it into a column of numbers"
    example = f"but in {n_others} of {n_rows} rows text, for example {quote(next(iter(others)))}"
    if n_numbers and n_others <= n_rows / 2:
        if all(text.strip().casefold() in MARKERS for text in others):
            return f"numbers, {example}: {_marker_remedy(others, options)}"
        if n_numbers >= FEWEST_NUMBERS and not look and _are_repeated(others):
            return f"numbers, {example}: {_marker_remedy(others, options)}, or mend them"
        if n_numbers >= FEWEST_NUMBERS:
            return f"numbers, {example}: {_remedy(look, options, others) if look else 'mend or empty them'}"
    if look and n_rows - n_others + n_others * _share_that_looks_so(others, look) > n_rows / 2:
        example = quote(next(text for text in others if look.matches(text)))
        return f"{look.name}, for example {example}: {_remedy(look, options, others)}"
    return ""


def _are_repeated(counts: Mapping[str, int]) -> bool:
    """Tell whether the texts are few and each occurs again, as those do that people write for a missing value."""
    return len(counts) <= MOST_MARKERS_LISTED and min(counts.values()) > 1


def _share_that_looks_so(counts: Mapping[str, int], look: Look) -> float:
    """Return in which share of the rows the texts look like numbers or dates, in this way or another."""
    looks = {look, *[one for one in LOOKS if one.fewest_values == 1]}
    looked_at = dict(islice(counts.items(), MOST_TEXTS_LOOKED_AT))
    n_rows = sum(count for text, count in looked_at.items() if any(one.matches(text) for one in looks))
    return n_rows / sum(looked_at.values())


def _look_of(counts: Mapping[str, int]) -> Look | None:
    """Return the look of most of the texts that look like numbers or dates, or None where none does."""
    rows, values = Counter[Look](), Counter[Look]()
    for text, count in islice(counts.items(), MOST_TEXTS_LOOKED_AT):
        if look := next((look for look in LOOKS if look.matches(text)), None):
            rows[look] += count
            values[look] += 1
    if rows[COMMA_DECIMAL]:  # 1,234 may be either, 1,23 may not
        rows[COMMA_DECIMAL] += rows.pop(COMMA_THOUSANDS, 0)
    found = [look for look, _ in rows.most_common() if values[look] >= look.fewest_values]
    return found[0] if found else None


def _remedy(look: Look, options: ReadOptions | None, texts: Iterable[str]) -> str:
    """Return the remedy for `texts`, most of which look so."""
    if options and look is COMMA_THOUSANDS and any("." in text for text in texts if look.matches(text)):
        return 'pass read={thousands: ","}'
    if options and look is OTHER_THOUSANDS:
        found = next(text for text in texts if look.matches(text))
        sign = next(sign for sign in found.strip() if re.fullmatch(BLANK_OR_APOSTROPHE, sign))
        return f"pass read={{thousands: {json.dumps(sign)}}}"
    if options and look.remedy:
        return look.remedy
    return NO_DATES if look is DATES else "turn them into plain numbers"


def _marker_remedy(markers: Iterable[str], options: ReadOptions | None) -> str:
    if options is None:
        return "if it stands for a missing value, turn the column into one of numbers"
    listed = ", ".join(json.dumps(text, ensure_ascii=False) for text in islice(markers, MOST_MARKERS_LISTED))
    return f"if it stands for a missing value, pass read={{na_values: [{listed}]}}"
