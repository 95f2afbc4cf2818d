"""`main` in this process and its steps in processes of their own: a table of one's own, and a step that fails."""

from pathlib import Path

import main
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_wine
from stores import Steps, Store

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
    assert set(children) == set(CONFIG)
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    classifier, ridge = children["logistic_regression"], children["ridge_search"]
    assert classifier.data.params["target"] == "cultivar"
    assert classifier.data.params["test_size"] == "0.25"
    assert classifier.data.metrics["n_rows"] == 178
    assert classifier.data.metrics["eval_acc"] > 0.8
    assert set(store.children(ridge)) == {"alpha=1", "alpha=10"}, "an explicit parameter wins over the configuration"
    assert ridge.data.params["cv"] == "3"
    summary = pd.read_csv(store.artifact(parent, "summary.csv"))
    assert summary["step"].tolist() == ["logistic_regression", "ridge_search"]
    assert summary["run"].tolist() == [classifier.info.run_id, ridge.info.run_id]
    assert summary["status"].tolist() == ["FINISHED", "FINISHED"]
    assert summary["value"].tolist() == pytest.approx(
        [classifier.data.metrics["eval_acc"], ridge.data.metrics["best_cv_score"]]
    )
    printed, noise = capfd.readouterr()
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
        "ridge_search": "FAILED",
    }
    why = "The 'target' parameter must name columns of the table. Got 'alcool', which it does not have. Did you mean 'alcohol'?"
    expected = f"1 of 2 steps failed: ridge_search (run {children['ridge_search'].info.run_id}): {why}"
    assert parent.info.status == "FAILED"
    assert parent.data.tags["error"] == expected
    assert children["ridge_search"].data.tags["error"] == why
    printed, errors = capfd.readouterr()
    assert errors.splitlines() == [f"error: {why}", f"error: {expected}"]
    assert "ridge_search: FAILED in" in printed
    assert pd.read_csv(store.artifact(parent, "summary.csv"))["status"].tolist() == ["FINISHED", "FAILED"]
