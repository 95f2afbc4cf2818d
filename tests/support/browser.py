"""A real browser for the tests: the system's Chromium, without a window, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium during the block; `browser.new_page()` opens a page. Start it once for many tests: it takes a second."""
    executable = shutil.which("chromium")
    assert executable, "these tests need Chromium: apt-get install chromium"
    # Chromium's own sandbox does not start for the user root, nor in most containers.
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


def console_errors(page: Page) -> list[str]:
    """Return a list to which every error in the page's console, and every exception of its scripts, is added from now on."""
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors
