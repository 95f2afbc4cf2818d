"""How `main` sums up its steps."""

import main
import pandas as pd

from penguins.tracking.addresses import NextStep, run_link
from penguins.tracking.summary import StepResult, conclusion_of_main, summary

RIDGE = StepResult("ridge_search", "1", "FINISHED", 1.26, -0.5, "", "runs:/1/best_estimator")
SWEEP = StepResult("dbscan_sweep", "2", "FINISHED", 7.0, 3, "", "runs:/2/router")
NOT_OPENED = StepResult("logistic_regression", "", "FAILED", 0.0, None, "no | room")
PARAMETERS = main.Parameters(alphas=(1.0,))


def test_the_summary_has_a_row_for_each_step_in_alphabetical_order() -> None:
    results = [
        StepResult("ridge_search", "1", "FINISHED", 1.26, -0.5, ""),
        StepResult("dbscan_sweep", "", "FAILED", 0.0, None, "why"),
    ]
    table = summary(results)
    assert list(table.columns) == ["step", "run", "status", "duration", "headline_metric", "value"]
    assert table["step"].tolist() == ["dbscan_sweep", "ridge_search"]
    assert table["headline_metric"].tolist() == ["groups_with_best_eps", "best_cv_score"]
    assert table["duration"].tolist() == [0.0, 1.3]
    assert pd.isna(table["value"].tolist()[0])


def test_main_says_how_each_step_went_and_that_the_first_model_can_predict() -> None:
    found = conclusion_of_main(PARAMETERS, [RIDGE, SWEEP], "7")
    assert found.result == "2 of 2 steps finished."
    assert found.rows == [
        [run_link("dbscan_sweep", "7", "2"), "FINISHED", "7.0 s", "groups_with_best_eps", 3],
        [run_link("ridge_search", "7", "1"), "FINISHED", "1.3 s", "best_cv_score", -0.5],
    ]
    assert found.warnings == []
    assert found.next_steps == [NextStep("score", {"model_uri": "runs:/2/router", "data": "penguins"})]


def test_main_says_why_a_step_failed_and_how_to_continue() -> None:
    found = conclusion_of_main(PARAMETERS, [NOT_OPENED], "7")
    assert found.result == "0 of 1 step finished."
    assert found.warnings == ["logistic_regression: no | room"]
    assert found.next_steps == [NextStep("main", {"alphas": "1", "resume": "true"})]
