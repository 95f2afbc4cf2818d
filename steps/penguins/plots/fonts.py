"""Text that the fonts of this machine can draw."""

import unicodedata
from contextlib import suppress

from anyascii import anyascii
from matplotlib import font_manager, get_data_path
from matplotlib.figure import Figure
from matplotlib.text import Text

# matplotlib ships it, with the Latin, Cyrillic, Greek, Arabic and Hebrew scripts.
FIRST_FAMILY = "DejaVu Sans"
REGULAR = 400
# Plain dictionaries: functions wrapped by functools cannot be shipped to a Spark worker.
_characters: dict[str, frozenset[int]] = {}
_families: dict[str, str | None] = {}


def write_drawable(text: str) -> str:
    """Replace each character that no font of this machine has: by Latin letters, or by its escape where it has none.

    Without a Korean font, "서울" becomes "SeoUl", and with one it stays as it is.
    """
    if text.isascii():
        return text
    return "".join(sign if sign.isascii() or family_with(sign) else _in_ascii(sign) for sign in text)


def _in_ascii(sign: str) -> str:
    is_mark = unicodedata.category(sign).startswith("M")  # it changes the letter before it
    return anyascii(sign) or ("" if is_mark else sign.encode("unicode_escape").decode())


def choose_fonts(figure: Figure) -> None:
    """Give each text of the figure the font families that have its characters."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and not text.get_text().isascii():
            text.set_fontfamily(families_for(text.get_text()))


def families_for(text: str) -> list[str]:
    """Return the font families that draw `text`, in the order in which they are tried for each character."""
    return list(dict.fromkeys([FIRST_FAMILY, *[family_with(sign) or FIRST_FAMILY for sign in text if not sign.isascii()]]))


def family_with(sign: str) -> str | None:
    """Return the first font family of this machine that has the character `sign`, or None."""
    if sign not in _families:
        known = [FIRST_FAMILY, *families_of_machine()]
        _families[sign] = next((family for family in known if ord(sign) in _characters_of(family)), None)
    return _families[sign]


def families_of_machine() -> list[str]:
    """Return the font families that are installed on this machine, those without serifs first."""
    fonts = [font for font in font_manager.fontManager.ttflist if not str(font.fname).startswith(get_data_path())]
    names = {font.name for font in fonts if font.weight == REGULAR and font.style == "normal"}
    return sorted(names, key=lambda name: (not any(word in name.lower() for word in ("sans", "gothic")), name))


def _characters_of(family: str) -> frozenset[int]:
    """Return the code points of a family's regular font; none where matplotlib cannot use it."""
    if family not in _characters:
        _characters[family] = frozenset()
        with suppress(OSError, RuntimeError, ValueError):
            path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
            _characters[family] = frozenset(font_manager.get_font(path).get_charmap())
    return _characters[family]
