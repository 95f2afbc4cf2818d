"""Bad input, step by step: one line on standard error, exit code 2, the run FAILED with the line as its tag `error`."""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import dbscan_sweep
import logistic_regression
import main
import numpy as np
import pandas as pd
import pytest
import ridge_search
import spark_logistic_regression
from input_tables import GOOD_CSV, file, spoiled_table
from pyspark.sql import SparkSession
from stores import Steps, Store

from penguins.data import checks

WORKERS = [logistic_regression, ridge_search, spark_logistic_regression, dbscan_sweep]
# The columns of the good table that play the target, the groups and the features of each step.
ROLES: dict[ModuleType, dict[str, Any]] = {
    logistic_regression: {"target": "kind", "features": "size,weight"},
    ridge_search: {"target": "weight", "features": "size,kind", "alphas": "1", "cv": 2},
    spark_logistic_regression: {"target": "kind", "features": "size,weight", "max_iter": 2},
    dbscan_sweep: {"group_by": "kind", "features": "size,weight", "eps": "0.5", "models": "none"},
}


def refusal(store: Store, capfd: pytest.CaptureFixture[str], module: ModuleType) -> str:
    """Return the line on standard error, after checking that it is one line and the tag of a FAILED run."""
    printed = capfd.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    run = store.only(module.NAME)
    assert run.info.status == "FAILED"
    assert printed == f"error: {run.data.tags['error']}\n"
    return printed


@pytest.mark.parametrize("module", WORKERS)
def test_a_table_that_does_not_exist(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str], module: ModuleType
) -> None:
    assert step(module, **(ROLES[module] | {"data": "elsewhere/x.csv"})) == 2
    assert refusal(store, capfd, module).startswith(
        "error: The 'data' parameter must name a file that is there. Got 'elsewhere/x.csv'"
    )


@pytest.mark.parametrize("module", WORKERS)
def test_a_table_with_a_row_that_is_too_short(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str], module: ModuleType
) -> None:
    data = file(GOOD_CSV.replace("b,3.5,3", "b,3.5"))()
    assert step(module, **(ROLES[module] | {"data": data})) == 2
    assert "Got 't.csv': line 25 has 2 fields where the header has 3" in refusal(store, capfd, module)


@pytest.mark.parametrize("module", [spark_logistic_regression, dbscan_sweep])
def test_a_table_with_a_row_that_is_too_short_which_spark_reads(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str], module: ModuleType
) -> None:
    data = Path(file(GOOD_CSV.replace("b,3.5,3", "b,3.5"))()).absolute().as_uri()
    assert step(module, **(ROLES[module] | {"data": data})) == 2
    assert "must name a table that Spark can read. Got 'file:" in refusal(store, capfd, module)


CLASSIFIERS = [logistic_regression, spark_logistic_regression]
# Each check that a step makes: the step, what is wrong with the table, what is wrong with the parameters, and the rule.
CHECKS: list[tuple[ModuleType, str, dict[str, Any], str]] = [
    *[(m, "", {"features": "size,wieght"}, "Got 'wieght', which it does not have. Did you mean 'weight'?") for m in WORKERS],
    *[(m, "", {"features": "size,kind"}, "must not name a column of the 'features' parameter. Got") for m in CLASSIFIERS],
    (ridge_search, "", {"target": "size"}, "The 'target' parameter must not name a column of the 'features' parameter"),
    (dbscan_sweep, "", {"features": "size,kind"}, "The 'group_by' parameter must not name a column of the 'features'"),
    (dbscan_sweep, "results", {"group_by": "eps", "features": "weight"}, "that has the name of a result. Got 'eps'"),
    (spark_logistic_regression, "results", {"target": "eps", "features": "prediction"}, "name of a result. Got 'prediction'"),
    (dbscan_sweep, "text in numbers", {}, "Got 'size', which holds numbers, but in 1 of 60 rows text, for example '7 cm'"),
    (dbscan_sweep, "", {"metric": "haversine", "features": "size"}, "must name two columns with metric=haversine, latitude"),
    (dbscan_sweep, "latitude", {"metric": "haversine"}, "Got 'size', which holds 91: not in [-90, 90]"),
    (dbscan_sweep, "longitude", {"metric": "haversine"}, "Got 'weight', which holds -181: not in [-180, 360]"),
    (ridge_search, "", {"target": "kind", "features": "size"}, "'target' parameter must name columns of numbers. Got 'kind'"),
    *[(m, "infinite", {}, "Got 'size', which is infinite in 1 of 60 rows") for m in WORKERS[:3]],
    *[(m, "names", {"features": "size,name"}, "Got 'name', which has 60 different values in 60 rows") for m in WORKERS[:3]],
    (ridge_search, "infinite target", {}, "The 'target' parameter must name columns of finite numbers. Got 'weight'"),
    (ridge_search, "constant", {}, "of numbers that differ. Got 'weight', which is 3 in all 60 rows"),
    (ridge_search, "few rows", {"cv": 6}, "'cv' parameter must not be greater than the number of complete rows, 5. Got 6"),
    *[(m, "one class", {}, "two classes or more, each with two rows or more. Got 'kind', which has only") for m in CLASSIFIERS],
    *[(m, "a class of one", {}, "Got 'kind', in which 'rare' has one row of 60") for m in CLASSIFIERS],
    (logistic_regression, "", {"test_size": 0.01}, "must leave a row of each of the 3 classes on both sides. Got 0.01"),
    (logistic_regression, "a rare class", {"test_size": 0.1}, "with which none of the 2 rows of 'c' is held out"),
    (spark_logistic_regression, "", {"test_size": 0.01}, "must leave a row of each class on both sides. Got 0.01"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "change", "parameters", "rule"), CHECKS)
def test_a_table_that_does_not_fit_the_parameters(
    store: Store,
    step: Steps,
    session: SparkSession,
    capfd: pytest.CaptureFixture[str],
    module: ModuleType,
    change: str,
    parameters: dict[str, Any],
    rule: str,
) -> None:
    spoiled_table(change).to_parquet("t.parquet")
    assert step(module, **(ROLES[module] | {"data": "t.parquet"} | parameters)) == 2
    assert rule in refusal(store, capfd, module)


@pytest.mark.parametrize(
    ("module", "features", "rule"),
    [
        *[(m, "size,text", "The 'features' parameter must name columns that fit into memory") for m in WORKERS[:3]],
        *[(m, "size,weight", "The 'target' parameter must name a column of classes that fit into memory") for m in CLASSIFIERS],
    ],
)
def test_a_fit_that_would_not_fit_into_memory(
    store: Store,
    step: Steps,
    session: SparkSession,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    features: str,
    rule: str,
) -> None:
    spoiled_table("").assign(text=["red", "green", "blue"] * 20).to_parquet("t.parquet")
    monkeypatch.setattr(checks, "LARGEST_FIT_BYTES", 1 << 10)
    assert step(module, **(ROLES[module] | {"data": "t.parquet", "features": features})) == 2
    assert rule in refusal(store, capfd, module)


def test_twenty_thousand_classes_of_two_rows_are_refused_before_the_fit(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"size": np.arange(40_000) / 7, "kind": [f"k{row // 2}" for row in range(40_000)]}).to_parquet("t.parquet")
    assert step(logistic_regression, data="t.parquet", target="kind", test_size=0.5) == 2
    assert "which has 20000: the fit would take 11.9 GiB, and may take 4. Group rare" in refusal(
        store, capfd, logistic_regression
    )


@pytest.mark.parametrize("module", [main, *WORKERS])
def test_a_bad_parameter_is_noted_on_the_run_that_mlflow_opened(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    experiment = store.client.get_experiment_by_name("penguins").experiment_id
    run_id = store.client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert step(module, seed="some") == 2
    printed = capfd.readouterr().err
    run = store.client.get_run(run_id)
    assert printed == f"error: {run.data.tags['error']}\n"
    assert printed == "error: The 'seed' parameter must be an integer in [0, 4294967295]. Got 'some' instead.\n"
    assert run.info.run_name == module.NAME


@pytest.mark.parametrize("data", ["penguin.csv", "pipe.csv", "http://[x"])
def test_main_starts_no_step_on_data_that_are_not_there(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], data: str
) -> None:
    os.mkfifo("pipe.csv")
    assert step(main, data=data) == 2
    assert refusal(store, capfd, main).startswith("error: The 'data' parameter must name a")
    assert len(store.runs()) == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "The 'config' parameter must be a YAML file that maps steps to their parameters. Got 'config.yaml': "),
        ("\0", "The 'config' parameter must be a YAML file that maps steps to their parameters. Got 'config.yaml': "),
        ("ridge_serach: {}\n", "with the unknown step 'ridge_serach'. Did you mean 'ridge_search'?"),
        ("ridge_search: {cv: 1}\n", "an integer in [2, 10000]. Got '1' instead. It stands in 'config.yaml' for ridge_search."),
    ],
)
def test_main_starts_no_step_with_a_configuration_that_cannot_be_followed(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], text: str | None, rule: str
) -> None:
    if text is not None:
        Path("config.yaml").write_text(text)
    assert step(main, config="config.yaml") == 2
    assert rule in refusal(store, capfd, main)
    assert len(store.runs()) == 1
