"""`main` in this process and its steps in processes of their own: a table of one's own, and a step that fails."""

from pathlib import Path

import main
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_wine
from stores import Steps, Store

from penguins.cli import script

CONFIG = {
    "logistic_regression": {"target": "cultivar", "features": ["alcohol", "hue", "proline"]},
    "ridge_search": {"target": "alcohol", "features": ["hue", "proline", "cultivar"], "alphas": [0.5, 5], "cv": 3},
}


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    """A table that is not the penguins."""
    wine = load_wine(as_frame=True)
    table = wine.data.assign(cultivar=[wine.target_names[number] for number in wine.target])
    path = tmp_path / "wine.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration for that table."""
    path = tmp_path / "wine.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def test_a_configuration_runs_its_steps_on_a_table_of_ones_own(
    store: Store, step: Steps, wine: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(main, data=wine.name, config=config.name, alphas="1,10", test_size=0.25) == 0
    parent = store.only("main")
    children = store.children(parent)
    assert set(children) == {*CONFIG, "report"}
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    classifier, ridge = children["logistic_regression"], children["ridge_search"]
    assert classifier.data.params["target"] == "cultivar"
    assert classifier.data.params["test_size"] == "0.25"
    assert classifier.data.metrics["n_rows"] == 178
    assert classifier.data.metrics["eval_acc"] > 0.8
    assert set(store.children(ridge)) == {"alpha=1", "alpha=10"}, "an explicit parameter wins over the configuration"
    assert ridge.data.params["cv"] == "3"
    summary = pd.read_csv(store.artifact(parent, "summary.csv"))
    assert summary["step"].tolist() == ["logistic_regression", "report", "ridge_search"]
    assert summary["run"].tolist() == [run.info.run_id for run in (classifier, children["report"], ridge)]
    assert summary["status"].tolist() == ["FINISHED"] * 3
    values = [classifier.data.metrics["eval_acc"], float("nan"), ridge.data.metrics["best_cv_score"]]
    assert summary["value"].tolist() == pytest.approx(values, nan_ok=True)
    printed, noise = capfd.readouterr()
    page = store.artifact(parent, "report.html").read_text("utf-8")
    assert classifier.data.tags["answer"] in page
    assert printed.splitlines()[-1].startswith("report: file:///")
    assert "ridge_search: running" in printed
    assert "ridge_search: FINISHED in" in printed
    assert noise == ""


def test_a_step_that_fails_does_not_stop_the_others_and_makes_main_fail_by_name(
    store: Store, step: Steps, wine: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config.write_text(yaml.safe_dump(CONFIG | {"ridge_search": {"target": "alcool", "features": ["hue"]}}))
    assert step(main, data=wine, config=config) == 1
    parent = store.only("main")
    children = store.children(parent)
    assert {name: run.info.status for name, run in children.items()} == {
        "logistic_regression": "FINISHED",
        "report": "FINISHED",
        "ridge_search": "FAILED",
    }
    why = "The 'target' parameter must name columns of the table. Got 'alcool', which it does not have. Did you mean 'alcohol'?"
    expected = f"1 of 3 steps failed: ridge_search (run {children['ridge_search'].info.run_id}): {why}"
    assert parent.info.status == "FAILED"
    assert parent.data.tags["error"] == expected
    assert children["ridge_search"].data.tags["error"] == why
    printed, errors = capfd.readouterr()
    assert errors.splitlines() == [f"error: {why}", f"error: {expected}"]
    assert "ridge_search: FAILED in" in printed
    assert pd.read_csv(store.artifact(parent, "summary.csv"))["status"].tolist() == ["FINISHED", "FINISHED", "FAILED"]
    assert why in store.artifact(parent, "report.html").read_text("utf-8")


def test_a_step_that_cannot_be_started_ends_its_run_with_the_reason_and_the_others_go_on(
    store: Store, step: Steps, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each is short enough for a command line, and both are too long for one argument of the shell.
    long = {"target": "x" * 70_000, "features": "y" * 70_000}
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({"ridge_search": long}))
    monkeypatch.setattr(script, "LONGEST_COMMAND", 200_000)
    assert step(main, steps="ridge_search,logistic_regression", config="long.yaml") == 1
    parent = store.only("main")
    children = store.children(parent)
    assert {name: run.info.status for name, run in children.items()} == {
        "logistic_regression": "FINISHED",
        "ridge_search": "FAILED",
    }
    why = children["ridge_search"].data.tags["error"]
    assert why.startswith("OSError: [Errno 7] Argument list too long")
    assert parent.data.tags["error"] == f"1 of 2 steps failed: ridge_search (run {children['ridge_search'].info.run_id}): {why}"
    assert parent.info.status == "FAILED"
    assert pd.read_csv(store.artifact(parent, "summary.csv"))["status"].tolist() == ["FINISHED", "FAILED"]
    assert capfd.readouterr().err.endswith(f"error: {parent.data.tags['error']}\n")
