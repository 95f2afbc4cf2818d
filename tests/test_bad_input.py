"""Bad input, step by step: one line on standard error, exit code 2, the run FAILED with the line as its tag `error`."""

from datetime import datetime
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
from conftest import Steps, Store
from pyspark.sql import SparkSession
from test_options import STEPS

CLASSIFIERS = [logistic_regression, spark_logistic_regression]
WORKERS = [logistic_regression, ridge_search, spark_logistic_regression, dbscan_sweep]
ON_SPARK = [spark_logistic_regression, dbscan_sweep]

# Which column plays the target, or the groups, of each step in the table of `good`.
ROLES: dict[ModuleType, dict[str, Any]] = {
    logistic_regression: {"target": "kind", "features": "size,weight"},
    ridge_search: {"target": "weight", "features": "size,kind", "alphas": "1", "cv": 2},
    spark_logistic_regression: {"target": "kind", "features": "size,weight", "max_iter": 2},
    dbscan_sweep: {"group_by": "kind", "features": "size,weight", "eps": "0.5", "models": "none"},
}


def good() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"kind": np.repeat(["a", "b", "c"], 20), "size": random.normal(size=60), "weight": random.normal(size=60)}
    )


def refused(store: Store, capfd: pytest.CaptureFixture[str], module: ModuleType) -> str:
    """The one line that was said, once it is clear that it is one line and stands on the FAILED run too."""
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    run = store.only(module.NAME)
    assert run.info.status == "FAILED"
    assert said == f"error: {run.data.tags['error']}\n"
    return said


def broken_files(folder: Path) -> dict[str, tuple[str, str]]:
    """Tables that cannot be read: what `data` names, and what the line says of it."""
    (folder / "empty.csv").write_bytes(b"")
    (folder / "latin.csv").write_bytes("kind,größe\nä,1\n".encode("latin-1"))
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (folder / "ragged.csv").write_text("kind,size,weight\na,1,2\nb,1,2,3,4,5\n")
    (folder / "header.csv").write_text("kind,size,weight\n")
    (folder / "twice.csv").write_text("kind,size,size,weight\na,1,2,3\n")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "text.parquet").write_text("kind,size,weight\na,1,2\n")
    (folder / "nothing").mkdir()
    missing = good()
    missing["size"] = np.nan
    missing.to_csv(folder / "missing.csv", index=False)
    return {
        "not there": ("elsewhere/x.csv", "must name a file that is there. Got 'elsewhere/x.csv'"),
        "not there, absolute": ("/elsewhere/x.csv", "must name a file that is there. Got '/elsewhere/x.csv'"),
        "nearly bundled": ("penguin.csv", "must name a file that is there. Got 'penguin.csv'"),
        "no such run": ("runs:/0123456789abcdef0123456789abcdef/x.csv", "must name a table that can be fetched"),
        "unknown scheme": ("nowhere://x/y.csv", "Got 'nowhere://x/y.csv'"),
        "empty": ("empty.csv", "must name a readable CSV or Parquet table. Got 'empty.csv'"),
        "wrong encoding": ("latin.csv", "must name a readable CSV or Parquet table. Got 'latin.csv'"),
        "binary": ("binary.csv", "must name a readable CSV or Parquet table. Got 'binary.csv'"),
        "ragged": ("ragged.csv", "must name a readable CSV or Parquet table. Got 'ragged.csv'"),
        "no rows": ("header.csv", "must name a table with rows that miss no value"),
        "a column twice": ("twice.csv", "whose columns have distinct names. Got 'twice.csv', which has 'size' more than once"),
        "empty Parquet": ("empty.parquet", "must name a readable CSV or Parquet table"),
        "text as Parquet": ("text.parquet", "must name a readable CSV or Parquet table"),
        "empty folder": ("nothing", "must name a"),
        "every value missing": ("missing.csv", "which has 60 rows and none that is complete"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "not there", "not there, absolute", "nearly bundled", "no such run", "unknown scheme", "empty", "wrong encoding",
        "binary", "ragged", "no rows", "a column twice", "empty Parquet", "text as Parquet", "empty folder",
        "every value missing",
    ],
)  # fmt: skip
@pytest.mark.parametrize("module", WORKERS)
def test_a_table_that_cannot_be_used(
    store: Store,
    step: Steps,
    session: SparkSession,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    module: ModuleType,
    case: str,
) -> None:
    data, rule = broken_files(tmp_path)[case]
    assert step(module, data=data, **ROLES[module]) == 2
    said = refused(store, capfd, module)
    assert said.startswith("error: The 'data' parameter must name")
    assert rule in said


def spoiled(change: str) -> pd.DataFrame:
    """The good table with one thing wrong."""
    table = good()
    if change == "text in numbers":
        table["size"] = table["size"].astype(str)
        table.loc[7, "size"] = "7 cm"
    elif change == "dates":
        table["size"] = datetime(2026, 1, 1)  # a table's dates have no zone
    elif change == "one class":
        table["kind"] = "a"
    elif change == "a class of one":
        table.loc[0, "kind"] = "rare"
    elif change == "infinite":
        table.loc[3, "size"] = np.inf
    elif change == "few rows":
        table = table.iloc[[0, 1, 20, 21, 40]]
    return table


@pytest.mark.parametrize(
    ("module", "change", "parameters", "rule"),
    [
        *[
            (m, "", {"features": "size,wieght"}, "The 'features' parameter must name columns of the table. Got 'wieght'")
            for m in WORKERS
        ],
        *[(m, "", {"features": "size,wieght"}, "Did you mean 'weight'?") for m in WORKERS],
        *[
            (m, "", {"target": "Kind"}, "The 'target' parameter must name columns of the table. Got 'Kind'")
            for m in CLASSIFIERS
        ],
        (dbscan_sweep, "", {"group_by": "knd"}, "Did you mean 'kind'?"),
        *[
            (m, "", {"features": "size,kind"}, "must not name a column of the 'features' parameter. Got 'kind' in both")
            for m in CLASSIFIERS
        ],
        (dbscan_sweep, "", {"features": "size,kind"}, "The 'group_by' parameter must not name a column of the 'features'"),
        (dbscan_sweep, "", {"group_by": "weight", "features": "size,kind"}, "Got 'kind', which holds text, for example 'a'"),
        (dbscan_sweep, "text in numbers", {}, "Got 'size', which holds text, for example '7 cm'"),
        (
            ridge_search,
            "",
            {"target": "kind", "features": "size"},
            "The 'target' parameter must name columns of numbers. Got 'kind'",
        ),
        *[(m, "dates", {}, "must name columns of numbers or text. Got 'size', which holds") for m in WORKERS],
        *[
            (m, "one class", {}, "two classes or more, each with two rows or more. Got 'kind', which has only 'a'")
            for m in CLASSIFIERS
        ],
        *[(m, "a class of one", {}, "Got 'kind', in which 'rare' has one row of 60") for m in CLASSIFIERS],
        (
            logistic_regression,
            "infinite",
            {},
            "must name columns of finite numbers. Got 'size', which is infinite in 1 of 60 rows",
        ),
        (ridge_search, "infinite", {}, "must name columns of finite numbers. Got 'size', which is infinite in 1 of 60 rows"),
        (
            spark_logistic_regression,
            "infinite",
            {},
            "must name columns of finite numbers. Got 'size', which is infinite in 1 of 60",
        ),
        (logistic_regression, "", {"test_size": 0.01}, "must leave a row of each of the 3 classes on both sides. Got 0.01"),
        (logistic_regression, "", {"test_size": 0.99}, "must leave a row of each of the 3 classes on both sides. Got 0.99"),
        (spark_logistic_regression, "", {"test_size": 0.01}, "must leave a row of each class on both sides. Got 0.01"),
        (
            ridge_search,
            "few rows",
            {"cv": 10},
            "The 'cv' parameter must not be greater than the number of complete rows, 5. Got 10",
        ),
    ],
)
def test_a_table_that_does_not_fit_the_parameters(
    store: Store,
    step: Steps,
    session: SparkSession,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    module: ModuleType,
    change: str,
    parameters: dict[str, Any],
    rule: str,
) -> None:
    spoiled(change).to_parquet(tmp_path / "t.parquet")
    assert step(module, **(ROLES[module] | {"data": "t.parquet"} | parameters)) == 2
    assert rule in refused(store, capfd, module)


@pytest.mark.parametrize("module", STEPS)
def test_a_bad_parameter_is_noted_on_the_run_that_mlflow_opened(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    experiment = store.client.get_experiment_by_name("penguins").experiment_id
    run_id = store.client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert step(module, seed="some") == 2
    said = capfd.readouterr().err
    run = store.client.get_run(run_id)
    assert said == f"error: {run.data.tags['error']}\n"
    assert said == "error: The 'seed' parameter must be an integer in [0, 4294967295]. Got 'some' instead.\n"
    assert run.info.run_name == module.NAME


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "No such file"),
        ("{", "while parsing"),
        ("- a\n- b\n", "which holds something else"),
        ("ridge_search: 1\n", "which holds something else"),
        ("ridge_serach: {}\n", "with the unknown step 'ridge_serach'. Did you mean 'ridge_search'?"),
        ("ridge_search: {alpha: 1}\n", "with 'alpha', which ridge_search does not take. Did you mean 'alphas'?"),
    ],
)
def test_a_configuration_that_cannot_be_followed(
    store: Store, step: Steps, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str | None, rule: str
) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    assert step(main, config="config.yaml") == 2
    said = refused(store, capfd, main)
    assert said.startswith("error: The 'config' parameter must be a YAML file that maps steps to their parameters.")
    assert rule in said
