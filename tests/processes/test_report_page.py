"""The report in a real browser: as a file, inside MLflow's page, with hostile names, by keyboard, in light and dark."""

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from browser import browser, console_errors
from hostile_names import HOSTILE
from mlflow.utils.file_utils import local_file_uri_to_path
from playwright.sync_api import Browser, Page, expect
from servers import LONGEST_S, environment, server
from stores import Store, open_store

from penguins.data.csv_file import MISSING
from penguins.project import PROJECT
from penguins.report.page import render

NAMES = [name for name in HOSTILE if name.strip() == name and name not in MISSING and len(name) < 100][:24]
MARKUP = "<b onclick=alert(1)>x & 'y'</b>"
NUMBERS = [MARKUP, "${y}"]
CONFIG: dict[str, Any] = {
    "dbscan_sweep": {"group_by": "town", "features": [*NUMBERS], "id": "id", "eps": "auto:8"},
    "kmeans_sweep": {"group_by": "town", "features": [*NUMBERS], "n_clusters": "2,3"},
    "logistic_regression": {"target": "kind", "features": [*NUMBERS]},
    "ridge_search": {"target": MARKUP, "features": ["${y}", "kind"], "cv": "3"},
}
SCREENSHOTS = PROJECT / "screenshots"


@dataclass
class Reported:
    """A run of `main` with its report."""

    store: Store
    folder: Path

    def path(self, run_name: str, artifact: str) -> Path:
        return Path(local_file_uri_to_path(self.store.only(run_name).info.artifact_uri), artifact)

    @property
    def page(self) -> Path:
        return self.path("main", "report.html")

    @property
    def url(self) -> str:
        return self.page.as_uri()

    @property
    def content(self) -> dict[str, Any]:
        [data] = re.findall(r'<script type="application/json" id="data">(.*)</script>', self.page.read_text("utf-8"))
        return dict(json.loads(data))


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes) -> Reported:
    SCREENSHOTS.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("reported")
    random = np.random.default_rng(0)
    parts = []
    for index, name in enumerate(NAMES):
        n = 20 + index
        X = np.concatenate([random.normal(0, 0.3, (n // 2, 2)), random.normal(3, 0.3, (n - n // 2, 2)), [[9, -9], [-9, 9]]])
        part = pd.DataFrame(X, columns=NUMBERS).assign(town=name, kind=np.where(X[:, 0] + X[:, 1] > 3, MARKUP, "other"))
        parts.append(part.assign(id=[f"{name}<i>{place}</i>" for place in range(len(X))]))
    table = pd.concat(parts)[["town", *NUMBERS, "kind", "id"]]  # a file that begins with a tag would be taken for XML
    table.to_csv(folder / "towns.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
    (folder / "towns.yaml").write_text(yaml.safe_dump(CONFIG, allow_unicode=True))
    store = open_store(folder, initialised_database)
    command = [sys.executable, str(PROJECT / "steps" / "main.py"), "--data=towns.csv", "--config=towns.yaml"]
    variables = environment(MLFLOW_TRACKING_URI=store.uri)
    subprocess.run(command, cwd=folder, env=variables, check=True, timeout=LONGEST_S)
    return Reported(store, folder)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Browser, reported: Reported) -> Iterator[Page]:
    """The report, opened from disk; the test fails at an error in its console or a window of an intruder."""
    opened = chromium.new_page(viewport={"width": 1200, "height": 900})
    errors = console_errors(opened)
    opened.on("dialog", lambda dialog: errors.append(dialog.message))
    opened.goto(reported.url)
    yield opened
    assert errors == []
    opened.close()


def groups(page: Page, column: int = 1) -> list[str]:
    """Return the cells of a column of the table of groups, the first table of groups in the page."""
    return page.locator("table.groups").first.locator(f"tbody tr td:nth-child({column})").all_inner_texts()


def shown(name: str) -> str:
    """Return a name as the page shows it."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def test_it_opens_from_disk_with_the_answer_of_every_step(page: Page, reported: Reported) -> None:
    assert page.locator("h1").inner_text() == "main on towns.csv"
    answers = page.locator("table.answers tbody tr")
    assert sorted(answers.locator("td:first-child").all_inner_texts()) == sorted(CONFIG)
    assert all(text for text in answers.locator("td:nth-child(2)").all_inner_texts())


def test_hostile_names_are_text_and_load_nothing(chromium: Browser, reported: Reported) -> None:
    opened, asked = chromium.new_page(), []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(reported.url)
    for button in opened.locator("table.groups").first.locator("tbody button").all():
        button.click()
    assert asked == [reported.url]
    assert sorted(groups(opened)) == sorted(map(shown, NAMES))
    assert opened.locator("main script, main b, main i:not(.bar i), main img, [onclick]").count() == 0
    opened.close()


def test_a_heading_sorts_its_column_up_and_down(page: Page) -> None:
    heading = page.locator("table.groups").first.locator("th", has_text="records")
    heading.get_by_role("button").click()
    assert list(map(int, groups(page, 2))) == sorted(map(int, groups(page, 2)))
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    assert list(map(int, groups(page, 2))) == sorted(map(int, groups(page, 2)), reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_the_filter_leaves_the_groups_whose_names_hold_a_text(page: Page) -> None:
    page.get_by_label("Find a group").first.fill("TOUCH")
    assert sorted(groups(page)) == sorted(shown(name) for name in NAMES if "touch" in name)
    expect(page.get_by_role("status").first).to_contain_text(f"of {len(NAMES)}")


def test_a_name_opens_its_group_with_the_noise_of_the_chosen_value(page: Page, reported: Reported) -> None:
    name = "<script>alert(1)</script>"
    page.get_by_role("button", name=name).first.click()
    detail = page.get_by_role("region", name="one group of dbscan_sweep")
    expect(detail.locator("h3")).to_have_text(f"town: {name}")
    clusters = pd.read_parquet(reported.path("dbscan_sweep", "clusters.parquet"))
    noise = clusters[(clusters["town"] == name) & (clusters["cluster"] == -1)]
    assert len(noise) >= 2
    rows = detail.locator(".noise-records tbody tr")
    assert rows.locator("td:nth-child(1)").all_inner_texts() == [str(row) for row in noise["row"]]
    assert rows.locator("td:nth-child(2)").all_inner_texts() == noise["id"].tolist()
    assert detail.locator("p.answer").inner_text()


def test_the_slider_shows_the_clusters_of_each_value(page: Page) -> None:
    detail = page.get_by_role("region", name="one group of dbscan_sweep")
    slider, output = detail.locator("input[type=range]"), detail.locator("output")
    assert "(chosen)" in output.inner_text()
    n_noise = set()
    for value in range(int(slider.get_attribute("max") or 0) + 1):
        slider.fill(str(value))
        picture = detail.locator(".beside svg").first
        n_noise.add(picture.locator("path.mark.noise").count())
        assert f"{picture.locator('path.mark').count()} records drawn" in (picture.get_attribute("aria-label") or "")
        assert detail.locator("line.cursor").first.get_attribute("visibility") == "visible"
    assert len(n_noise) > 1


def test_the_axes_of_the_picture_are_of_ones_choice(page: Page) -> None:
    detail = page.get_by_role("region", name="one group of dbscan_sweep")
    across = detail.get_by_label("across")
    assert across.locator("option").all_inner_texts() == NUMBERS
    across.select_option("1")
    expect(detail.locator(".beside svg text", has_text="${y}")).to_have_count(2)


def test_the_keyboard_reaches_everything(page: Page) -> None:
    page.get_by_label("Find a group").first.focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('table.groups td button')"):
            break
    name = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    detail = page.get_by_role("region", name="one group of dbscan_sweep")
    expect(detail.locator("h3")).to_have_text(f"town: {name}")
    expect(detail.locator("h3")).to_be_focused()
    page.keyboard.press("Tab")
    before = detail.locator("output").inner_text()
    page.keyboard.press("ArrowLeft")
    assert detail.locator("output").inner_text() != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_serious_barrier(chromium: Browser, reported: Reported, scheme: Any) -> None:
    opened = chromium.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
    opened.goto(reported.url)
    opened.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = Axe().run(opened).response["violations"]
    assert [one["help"] for one in found if one["impact"] in ("serious", "critical")] == []
    opened.screenshot(path=SCREENSHOTS / f"report-{scheme}.png", full_page=True)
    opened.close()


def test_on_paper_there_are_no_controls_and_the_ground_is_white(chromium: Browser, reported: Reported) -> None:
    opened = chromium.new_page(color_scheme="dark")
    opened.goto(reported.url)
    opened.emulate_media(media="print", color_scheme="dark")
    assert opened.locator(".controls:visible").count() == 0
    assert opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    (SCREENSHOTS / "report.pdf").write_bytes(opened.pdf())
    opened.close()


def test_mlflows_page_of_the_run_shows_it_and_it_works_there(chromium: Browser, reported: Reported) -> None:
    run = reported.store.only("main")
    with server(reported.folder, reported.store.uri) as started:
        opened = chromium.new_page(viewport={"width": 1400, "height": 1000})
        errors = console_errors(opened)
        opened.goto(f"{started.url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/report.html")
        frame = opened.frame_locator("iframe").first
        expect(frame.locator("h1")).to_contain_text("main on", timeout=60_000)
        frame.get_by_role("button", name="a/b").first.click()
        expect(frame.get_by_role("region", name="one group of dbscan_sweep").locator("h3")).to_have_text("town: a/b")
        opened.screenshot(path=SCREENSHOTS / "report-in-mlflow.png")
        assert [error for error in errors if "404" not in error and "ResizeObserver" not in error] == []  # these are MLflow's
        opened.close()


def test_a_thousand_groups_are_sorted_and_turned_over_in_pages(chromium: Browser, reported: Reported, tmp_path: Path) -> None:
    content = reported.content
    sweep = next(step["sweep"] for step in content["steps"] if step["name"] == "dbscan_sweep")
    sweep["groups"] = [group | {"name": f"{group['name']} {copy}"} for copy in range(42) for group in sweep["groups"]][:1000]
    html = tmp_path / "large.html"
    html.write_text(render(content), "utf-8")
    assert html.stat().st_size < 15 << 20
    opened, begun = chromium.new_page(), time.monotonic()
    errors = console_errors(opened)
    opened.goto(html.as_uri())
    assert time.monotonic() - begun < 10
    assert len(groups(opened)) == 50
    first = groups(opened)
    opened.get_by_role("button", name="next groups").first.click()
    assert not set(first) & set(groups(opened))
    expect(opened.get_by_role("status").first).to_contain_text("1,000 groups of 1,000, page 2 of 20")
    assert errors == []
    opened.close()
