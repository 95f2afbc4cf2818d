"""Texts on their way into a page."""

from penguins.redaction import redact
from penguins.text import escape_unprintable


def page_text(text: str) -> str:
    """Return a text without secrets in URLs and with every unprintable character escaped, line breaks included."""
    return escape_unprintable(redact(text)).replace("\n", "\\n")
