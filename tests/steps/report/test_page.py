"""The page as a file: one, without a network, whose texts cannot become markup."""

import json
import re
from html.parser import HTMLParser

import pytest

from penguins.report.page import render


class Reader(HTMLParser):
    """Collects the elements of a page and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts[self.tags[-1] if self.tags else ""] = self.texts.get(self.tags[-1] if self.tags else "", "") + data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


HOSTILE = ["</script><script>alert(1)</script>", "<!--", "]]>", "$data", "${title}", "\u2028", "</title>", "&lt;", "\ud83d"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_ends_its_element(text: str) -> None:
    content = {"title": text, "steps": [{"name": text}], "facts": [[text, text]], "parameters": []}
    html = render(content)
    assert read(html).tags == read(render({**content, "title": "", "steps": [], "facts": []})).tags
    [data] = re.findall(r'<script type="application/json" id="data">(.*)</script>', html)
    assert json.loads(data) == content


def test_it_refers_to_no_other_file_and_may_load_none() -> None:
    reader = read(render({"title": "t", "steps": []}))
    assert {name for name, _ in reader.attributes} & {"src", "href", "srcset", "action"} == set()
    policy = dict(reader.attributes)["content"]
    assert "default-src 'none'" in (policy or "")


def test_numbers_that_json_does_not_have_are_an_error() -> None:
    with pytest.raises(ValueError, match="JSON"):
        render({"title": "t", "steps": [float("nan")]})
