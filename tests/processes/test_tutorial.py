"""The tutorial, command by command as it is written there, except for the first section, which test_mlflow_run.py runs."""

from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from documents import copy_project, examples, run_command, served
from servers import free_port
from stores import Store, empty_store

FIRST_SECTION = "1. The penguins"


def test_every_command_works_and_prints_what_the_tutorial_says(tmp_path: Path) -> None:
    project, of_model, of_page = copy_project(tmp_path / "project"), free_port(), free_port()
    answers = {"mlflow models": f"http://127.0.0.1:{of_model}/ping", "mlflow ui": f"http://127.0.0.1:{of_page}/health"}
    with ExitStack() as servers:
        for example in examples("docs/tutorial.md")[len(examples("docs/tutorial.md", FIRST_SECTION)) :]:
            command = example.command.replace("/tmp/", f"{tmp_path}/")  # noqa: S108  # the reader's
            command = command.replace("5001", str(of_model)).replace("5000", str(of_page))
            address = answers.pop(" ".join(command.split()[:2]), None)
            if address:
                servers.enter_context(served(command, project, address))
            else:
                printed = run_command(command, project)
                assert example.lines_missed(printed) == [], printed
        page = Store(f"http://127.0.0.1:{of_page}")
        assert len(page.runs("shops")) > 80
    assert answers == {}
    runs = Store(empty_store(project)).runs("shops")
    assert {run.info.run_name for run in runs} >= {"main", "dbscan_sweep", "report", "score", "north", "south"}
    [sweep] = [run for run in runs if run.info.run_name == "dbscan_sweep"]
    [results] = (project / "mlruns").glob(f"*/{sweep.info.run_id}/artifacts/results.csv")
    chosen = pd.read_csv(results).query("best")
    assert chosen["warning"].isna().all(), "the tutorial says that no choice deserves doubt"
    assert set(pd.read_csv(results).groupby("shop").size()) == {40}
