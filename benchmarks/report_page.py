"""The report: how large the page is, how long the step takes, and how soon a browser shows it.

For the penguins with the default parameters, and for many groups of 200 records with eight values of eps. The times are of
whole processes, and of Chromium from the address to the first picture.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import comparison
import numpy as np
import pandas as pd
from comparison import PROJECT
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

sys.path.insert(0, str(PROJECT / "tests" / "support"))

from browser import browser

GROUPS, RECORDS = 1_000, 200
EPS = "0.2,0.3,0.4,0.5,0.7,0.9,1.1,1.5"


def table_of_groups(folder: str) -> str:
    """Write a table of many groups, each of two clouds in three columns, and return its path."""
    random = np.random.default_rng(0)
    n = GROUPS * RECORDS
    centres = np.where(random.random((n, 1)) < 0.5, -2.0, 2.0)
    X = pd.DataFrame(centres + random.normal(size=(n, 3)), columns=["a", "b", "c"])
    path = Path(folder, "groups.csv")
    X.assign(site=[f"site {number:04}" for number in np.repeat(np.arange(GROUPS), RECORDS)]).to_csv(path, index=False)
    return str(path)


def run_step(step: str, folder: str, *options: str) -> float:
    """Run the script of a step in `folder`, and return its seconds."""
    command = [sys.executable, str(PROJECT / "steps" / f"{step}.py"), *options]
    environment = comparison.environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    return comparison.seconds(
        lambda: subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    )


def measure(case: str, *options: str) -> dict[str, object]:
    """Run a sweep with these options and its report, and return the figures of the page."""
    with tempfile.TemporaryDirectory() as folder:
        given = [f"--data={table_of_groups(folder)}"] if case != "penguins" else []
        sweep_s = run_step("dbscan_sweep", folder, *given, *options)
        uri = f"sqlite:///{folder}/mlflow.db"
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("penguins")
        [run] = client.search_runs([experiment.experiment_id], "tags.mlflow.runName = 'dbscan_sweep'")
        report_s = run_step("report", folder, f"--run_id={run.info.run_id}")
        page = Path(download_artifacts(f"runs:/{run.info.run_id}/report.html", tracking_uri=uri))
        kilobytes = page.stat().st_size / 1000
        return {"case": case, "sweep_s": sweep_s, "report_s": report_s, "page_kb": kilobytes, **seconds_in_browser(page)}


def seconds_in_browser(page: Path) -> dict[str, float]:
    """Return how long Chromium takes to show the page, and then to show another group."""
    with browser() as chromium:
        opened = chromium.new_page()
        begun = time.perf_counter()
        opened.goto(page.as_uri())
        opened.locator("svg").first.wait_for()
        shown = time.perf_counter()
        opened.locator("table.groups button.name").nth(1).click()
        return {"open_s": shown - begun, "group_s": time.perf_counter() - shown}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    many = ["--group_by=site", "--features=a,b,c", f"--eps={EPS}", "--runs=groups", "--models=none"]
    for figures in (measure("penguins"), measure(f"{GROUPS} groups", *many)):
        texts = [f"{name} {value:.4g}" if isinstance(value, float) else str(value) for name, value in figures.items()]
        print(json.dumps(figures) if as_json else "  ".join(texts))
