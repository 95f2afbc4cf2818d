"""Names of any script: drawn with a font of the machine that has them, else in Latin letters, never as boxes."""

import subprocess
import sys
from pathlib import Path

import pytest
from figures import HOSTILE, png
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager, get_data_path

from penguins.plots import fonts
from penguins.plots.fonts import choose_fonts, families_for, families_of_machine, write_drawable
from penguins.plots.style import new_figure, short_label
from penguins.project import PROJECT

FAMILY = "Sans of a test"
NAME = "서울"


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only the fonts that matplotlib ships."""
    own = [font for font in font_manager.fontManager.ttflist if str(font.fname).startswith(get_data_path())]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(fonts, "_families", {})
    monkeypatch.setattr(fonts, "_characters", {})


@pytest.fixture
def korean_font(bare_machine: None, tmp_path: Path) -> None:
    """Install a real font that has the two syllables of Seoul, each a bar that is as tall as the letters."""
    pen = TTGlyphPen(None)
    for place in ((100, 0), (100, 700), (900, 700), (900, 0)):
        (pen.moveTo if place == (100, 0) else pen.lineTo)(place)
    pen.closePath()
    bar, names = pen.glyph(), [".notdef", "seo", "ul"]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(sign): name for sign, name in zip(NAME, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, bar))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(tmp_path / "test.ttf")
    font_manager.fontManager.addfont(tmp_path / "test.ttf")


def drawing_of(name: str) -> bytes:
    figure, [axes] = new_figure(3, 2)
    axes.set_title(f"{short_label(name)}: 3 records")
    choose_fonts(figure)
    return png(figure)


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_is_drawn_without_a_missing_glyph_on_a_machine_without_fonts(name: str) -> None:
    assert drawing_of(name)


def test_a_name_that_a_font_of_the_machine_has_is_drawn_with_it(korean_font: None) -> None:
    assert families_of_machine() == [FAMILY]
    assert families_for(f"{NAME} 1") == ["DejaVu Sans", FAMILY]
    assert write_drawable(NAME) == NAME
    assert drawing_of(NAME) != drawing_of("SeoUl")


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        (NAME, "SeoUl"),
        ("北京 1", "BeiJing 1"),
        ("🐧", ":penguin:"),
        ("Москва, Ελλάδα, العربية", "Москва, Ελλάδα, العربية"),
        ("कि", "ki"),
        ("\ue000", "\\ue000"),
        ("plain", "plain"),
    ],
)
def test_what_no_font_has_is_written_in_latin_letters_or_as_its_escape(name: str, drawn: str) -> None:
    assert write_drawable(name) == drawn


def test_a_broken_font_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    broken = font_manager.FontEntry(fname=str(tmp_path / "broken.ttf"), name="Broken", weight=400, style="normal")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist, broken])
    assert families_of_machine() == ["Broken"]
    assert write_drawable(NAME) == "SeoUl"


def test_the_search_for_a_font_says_nothing() -> None:
    """On the machine of the test, whatever fonts it has: a name in a rare script looks into all of them."""
    code = "from penguins.plots.fonts import write_drawable; print(write_drawable('\U00012000'), end='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT / "steps")
    assert done.stderr == ""
    assert done.stdout
