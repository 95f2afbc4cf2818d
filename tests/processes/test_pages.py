"""What a person sees of a run in a real browser: the description, the charts and the artifacts on MLflow's own pages."""

import subprocess
import sys
from collections.abc import Iterator

import pandas as pd
import pytest
from browser import browser, console_errors
from playwright.sync_api import Dialog, Page, expect
from servers import Server, environment
from stores import SEED_ROWS, Store
from sweeps import FEATURES, ISLANDS

from penguins.project import PROJECT
from penguins.tracking.addresses import artifact_page, run_page

HOSTILE = {
    "Biscoe": "a|b <script>alert(1)</script> <img src=x onerror=alert(2)>",
    "Dream": "[link](javascript:alert(3)) **bold** `code`",
    "Torgersen": "line\nbreak www.example.org @me :smile:",
}


@pytest.fixture(scope="module")
def swept(tracking_server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a sweep over groups with hostile names, which is all that a quiet script prints."""
    folder = tmp_path_factory.mktemp("pages")
    penguins = pd.read_csv(SEED_ROWS).dropna()
    penguins.assign(island=penguins["island"].map(HOSTILE)).to_csv(folder / "hostile.csv", index=False)
    parameters = {"data": "hostile.csv", "group_by": "island", "features": ",".join(FEATURES), "eps": "0.9,1.1,1.3"}
    options = [f"--{name}={text}" for name, text in parameters.items()]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), "--quiet", "--models=none", *options],
        cwd=folder,
        env=environment(MLFLOW_TRACKING_URI=tracking_server.url),
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout) == 33
    return done.stdout.strip()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as started:
        opened = started.new_page()
        opened.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield opened


def test_the_pages_of_a_sweep_tell_its_story_and_show_hostile_names_as_text(
    tracking_server: Server, swept: str, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penguins.tracking.addresses.absolute_tracking_uri", lambda: tracking_server.url)
    run = Store(tracking_server.url).client.get_run(swept)
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    errors = console_errors(page)

    page.goto(run_page(run))
    expect(page.get_by_text("wants eps 1.1 (2 clusters, no noise)").first).to_be_visible()
    table = page.locator("table", has_text="coverage").first
    rows = [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]
    # A line break in a name is shown as \n.
    assert sorted(row[0] for row in rows) == sorted(name.replace("\n", "\\n") for name in HOSTILE.values())
    assert {len(row) for row in rows} == {6}
    links = [link.get_attribute("href") or "" for link in table.locator("a").all()]
    assert len(links) == len(ISLANDS)
    assert all(link.startswith("#/experiments/") for link in links)

    page.goto(f"{tracking_server.url}/{links[0]}/model-metrics")
    expect(page.get_by_role("heading", name="n_clustered_records", exact=True).first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()

    page.goto(artifact_page(run, "results.csv"))
    expect(page.get_by_text("Previewing the first 9 rows")).to_be_visible()
    assert dialogs == []
    assert [error for error in errors if "Error:" in error] == []
