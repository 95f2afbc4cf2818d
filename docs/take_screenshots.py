"""Take README's pictures of the report and of the runs: `python docs/take_screenshots.py`, with what the tests need.

It runs `main` on the penguins in a copy of the project, opens the report and MLflow's page in Chromium, and writes
docs/pictures/report.png and docs/pictures/runs.png.
"""

import sys
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from playwright.sync_api import Browser, Locator, Page, expect

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent / "steps"), str(DOCS.parent / "tests" / "support")]

from browser import browser
from documents import copy_project
from servers import mlflow_run, server

PICTURES = DOCS / "pictures"
LOADING_MS = 60_000


def take_picture(page: Page, name: str, top: Locator, bottom: Locator) -> None:
    """Write a picture of the page, in its full width, from the element `top` to the element `bottom`, both included."""
    margin = 14
    page.evaluate("scrollTo(0, 0)")
    first, last = top.bounding_box(), bottom.bounding_box()
    if first is None or last is None or page.viewport_size is None:
        raise RuntimeError(f"{name}: the page does not show what the picture is of")
    y = max(first["y"] - margin, 0)
    height = last["y"] + last["height"] + margin - y
    clip = {"x": 0.0, "y": y, "width": float(page.viewport_size["width"]), "height": height}
    page.screenshot(path=PICTURES / name, full_page=True, clip=clip)  # type: ignore[arg-type]


def picture_report(opened: Browser, address: str) -> None:
    """Picture what the report says of the sweep: the groups, why Dream wants its eps, and which penguins are noise."""
    page = opened.new_page(viewport={"width": 1200, "height": 900})
    page.goto(address)
    page.get_by_role("button", name="Dream").first.click()
    detail = page.get_by_role("region", name="one group of dbscan_sweep")
    take_picture(page, "report.png", page.get_by_role("heading", name="dbscan_sweep").first, detail.locator(".beside").first)


def picture_runs(opened: Browser, site: str, experiment_id: str) -> None:
    """Picture the tree of runs in MLflow's page: those of `main`, of the sweep, and of every eps of Dream."""
    page = opened.new_page(viewport={"width": 1300, "height": 1150})
    page.set_default_timeout(LOADING_MS)
    page.goto(f"{site}/#/experiments/{experiment_id}/runs?workflowType=machine_learning")
    page.get_by_role("button", name="Close").click()  # MLflow's assistant
    page.get_by_role("button", name="Toggle sidebar").click()
    for name, child in {"main": "dbscan_sweep", "dbscan_sweep": "Dream", "Dream": "Dream-eps0.1"}.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
        row.get_by_role("button").first.click()
        expect(page.get_by_role("link", name=child, exact=True)).to_be_visible(timeout=LOADING_MS)
    widen_first_column(page, 110)
    page.mouse.click(600, 1100)  # no row stays marked
    top = page.get_by_role("link", name="Experiments", exact=True).last
    take_picture(page, "runs.png", top, page.locator(".ag-center-cols-container"))


def widen_first_column(page: Page, pixels: int) -> None:
    """Widen the column of names, which are cut off otherwise: drag its edge above the headings, where a click sorts nothing."""
    box = page.locator(".ag-header-group-cell .ag-header-cell-resize:visible").first.bounding_box()
    if box is None:
        raise RuntimeError("MLflow's table has no column of names")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels, y, steps=5)
    page.mouse.up()


def main() -> None:
    """Run `main` and take both pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = copy_project(folder / "penguins")
        done = mlflow_run(".", "--env-manager", "local", "--experiment-name", "penguins", folder=project)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        store = f"sqlite:///{project}/mlflow.db"
        experiment = MlflowClient(store).get_experiment_by_name("penguins")
        address = done.stdout.splitlines()[-1].removeprefix("report: ")
        with browser() as opened, server(folder, store) as started:
            picture_report(opened, address)
            picture_runs(opened, started.url, experiment.experiment_id)


if __name__ == "__main__":
    main()
