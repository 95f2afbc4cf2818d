"""The steps with `register`: the champion on real rows, its figures beside scikit-learn's, and what it was trained on."""

from pathlib import Path
from types import ModuleType
from typing import Any

import logistic_regression
import mlflow
import numpy as np
import pandas as pd
import pytest
import ridge_search
import spark_logistic_regression
from mlflow.entities import Run
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.base import clone
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from stores import SEED_ROWS, Steps, Store

from penguins.spark.held_out import hash_spark_frame
from penguins.tracking import row_hashes
from penguins.tracking.row_hashes import load_row_hashes

NAME = "birds"
PENGUINS = pd.read_csv(SEED_ROWS).dropna()
# For each step: what makes its model worse than the usual one, and better than that again.
WORSE: dict[ModuleType, dict[str, Any]] = {
    logistic_regression: {"features": "body_mass_g", "target": "species"},
    ridge_search: {"alphas": "1000000"},
    spark_logistic_regression: {"features": "body_mass_g", "target": "species"},
}
BETTER: dict[ModuleType, dict[str, Any]] = {
    logistic_regression: {"features": "body_mass_g,bill_length_mm,bill_depth_mm", "target": "species"},
    ridge_search: {"alphas": "1"},
    spark_logistic_regression: {"features": "body_mass_g,bill_length_mm,bill_depth_mm", "target": "species", "max_iter": 50},
}
STEPS = list(WORSE)


def run_of_version(store: Store, version: int) -> Run:
    return store.client.get_run(store.client.get_model_version(NAME, str(version)).run_id)


def aliases(store: Store) -> dict[str, int]:
    return {alias: int(version) for alias, version in store.client.get_registered_model(NAME).aliases.items()}


@pytest.mark.parametrize("module", STEPS)
def test_the_first_is_champion_a_better_one_follows_and_a_tie_or_a_worse_one_does_not(
    store: Store, step: Steps, session: SparkSession, module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "rmse" if module is ridge_search else "acc"
    assert step(module, register=NAME, **WORSE[module]) == 0
    assert aliases(store) == {"champion": 1}
    assert step(module, register=NAME, **BETTER[module]) == 0
    assert aliases(store) == {"champion": 2}
    beaten = run_of_version(store, 2)
    assert "is the champion" in beaten.data.tags["registry_decision"]
    assert (
        f"of version 1, which was trained on {beaten.data.metrics['champion_rows_trained_on']:.0f} of them"
        in (beaten.data.tags["registry_decision"])
    )
    assert step(module, register=NAME, **BETTER[module]) == 0
    again = run_of_version(store, 3).data.metrics
    if module is not ridge_search:  # whose champion has seen all rows
        assert again[f"registry_new_{key}"] == again[f"registry_champion_{key}"]
        assert again["champion_rows_trained_on"] < again["registry_n_rows"] / 2
    else:
        assert again["champion_rows_trained_on"] == again["registry_n_rows"]
        assert again[f"registry_new_{key}"] > again[f"registry_champion_{key}"]
    assert step(module, register=NAME, **WORSE[module]) == 0
    assert aliases(store) == {"champion": 2, "challenger": 4}
    printed, noise = capsys.readouterr()
    assert f"registered: {beaten.data.tags['registry_decision']}\n" in printed
    assert noise == ""
    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    predicted = loaded.predict(PENGUINS)
    target = "body_mass_g" if module is ridge_search else "species"
    if module is ridge_search:
        assert root_mean_squared_error(PENGUINS[target], predicted) < 300
    else:
        assert np.mean(np.asarray(predicted) == PENGUINS[target]) > 0.9


def test_the_figures_of_a_regression_are_those_of_a_pipeline_fitted_on_four_fifths(store: Store, step: Steps) -> None:
    assert step(ridge_search, register=NAME, seed=3, alphas="0.5,100000") == 0
    model = mlflow.sklearn.load_model(f"models:/{NAME}@champion")
    train, held_out = train_test_split(PENGUINS.reset_index(drop=True), test_size=0.2, random_state=3)
    features = list(ridge_search.PENGUINS["features"])
    refitted = clone(model).fit(train[features], train["body_mass_g"])
    metrics = run_of_version(store, 1).data.metrics
    expected = root_mean_squared_error(held_out["body_mass_g"], refitted.predict(held_out[features]))
    assert metrics["registry_new_rmse"] == pytest.approx(expected, rel=1e-3)
    assert metrics["registry_n_rows"] == len(held_out)
    assert not np.allclose(model.predict(held_out[features]), refitted.predict(held_out[features]))


@pytest.mark.parametrize("module", STEPS)
def test_the_rows_that_the_champion_was_trained_on_are_counted(
    store: Store, step: Steps, session: SparkSession, tmp_path: Path, module: ModuleType
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    classes = np.where(x + random.normal(0, 0.3, 400) > 0, "yes", "no")
    table = pd.DataFrame({"x": x, "k": random.integers(0, 9, 400), "y": x * 2 if module is ridge_search else classes})
    table.head(200).to_csv("old.csv", index=False)
    table.tail(200)[["y", "k", "x"]].astype({"k": float}).to_csv("other.csv", index=False)
    table[["k", "y", "x"]].astype({"k": float}).to_csv("all.csv", index=False)
    counts: list[tuple[float | None, float]] = []
    # Spark's split looks at the row and the seed alone: with the same seed, no row is on the other side in another table.
    for data, seed in (("old", 0), ("other", 0), ("all", 1)):
        assert step(module, data=f"{data}.csv", target="y", features="x,k", register=NAME, seed=seed) == 0
        store.client.set_registered_model_alias(NAME, "champion", "1")  # whoever has won
        run = run_of_version(store, len(counts) + 1)
        counts.append((run.data.metrics.get("champion_rows_trained_on"), run.data.metrics["registry_n_rows"]))
    assert counts[0][0] is None
    assert counts[1][0] == 0
    if module is ridge_search:
        held_out = train_test_split(pd.read_csv("all.csv"), test_size=0.2, random_state=1)[1]
        assert counts[2][0] == held_out["x"].isin(pd.read_csv("old.csv")["x"]).sum()
    else:
        first = run_of_version(store, 1).data.metrics
        n_trained, n_rows = 200 - first["registry_n_rows"], counts[2][1]
        assert counts[2][0] == pytest.approx(n_rows * n_trained / 400, rel=0.35)


@pytest.mark.parametrize("module", [logistic_regression, spark_logistic_regression])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target": "island", "features": "bill_depth_mm,species"}, "predicts 'species' rather than 'island'"),
        ({"target": "species", "features": "bill_depth_mm"}, "it takes 'bill_length_mm', 'body_mass_g', and this run"),
    ],
)
def test_a_champion_of_other_columns_or_another_target_stays(
    store: Store, step: Steps, session: SparkSession, module: ModuleType, more: dict[str, Any], words: str
) -> None:
    assert step(module, register=NAME, **BETTER[module]) == 0
    assert step(module, register=NAME, **more) == 0
    assert aliases(store) == {"champion": 1, "challenger": 2}
    run = run_of_version(store, 2)
    assert words in run.data.tags["registry_decision"]
    assert run.info.status == "FINISHED"


def test_classes_that_another_table_writes_otherwise_do_not_depose_the_champion(store: Store, step: Steps) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=100)
    for file, classes in (("texts", ["no", "yes"]), ("numbers", [0, 1]), ("floats", [0.0, 1.0])):
        pd.DataFrame({"x": x, "left": np.array(classes)[(x > 0).astype(int)]}).to_csv(f"{file}.csv", index=False)
        assert step(logistic_regression, data=f"{file}.csv", target="left", features="x", register=NAME) == 0
    assert aliases(store) == {"champion": 1, "challenger": 3}
    assert "it predicts 'no', and the classes here are '0', '1'" in run_of_version(store, 2).data.tags["registry_decision"]
    store.client.set_registered_model_alias(NAME, "champion", "2")
    assert step(logistic_regression, data="floats.csv", target="left", features="x", register=NAME, seed=1) == 0
    assert run_of_version(store, 4).data.metrics["registry_champion_acc"] > 0.9


@pytest.mark.parametrize("module", STEPS)
def test_without_register_nothing_is_registered_and_no_rows_are_hashed(
    store: Store, step: Steps, session: SparkSession, module: ModuleType
) -> None:
    assert step(module) == 0
    run = store.only(module.NAME)
    assert list(store.client.search_registered_models()) == []
    assert load_row_hashes(run.info.run_id) is None
    assert not [name for name in (*run.data.metrics, *run.data.tags) if name.startswith("regist")]


@pytest.mark.parametrize("module", STEPS)
def test_a_name_that_unity_catalog_does_not_take_is_refused_before_the_table_is_read(
    store: Store,
    step: Steps,
    module: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc")
    assert step(module, register="sex", data=str(SEED_ROWS), target="no such column") == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error.startswith("error: The 'register' parameter must be a name of three parts, as in catalog.schema.model")
    assert store.only(module.NAME).data.tags["error"] == error.removeprefix("error: ")


def test_a_registry_that_refuses_fails_the_run_and_leaves_its_results(
    store: Store, step: Steps, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "nowhere://host")
    assert step(logistic_regression, register=NAME) == 1
    run = store.only("logistic_regression")
    assert run.info.status == "FAILED"
    [error] = capsys.readouterr().err.splitlines()
    assert error == f"error: {run.data.tags['error']}"
    assert error.startswith(f"error: The model could not be registered as '{NAME}': Model Registry features are not supported")
    assert run.data.metrics["eval_acc"] > 0.8
    mlflow.sklearn.load_model(store.model_uri(run))


def test_spark_keeps_a_share_of_the_hashes_that_is_the_same_on_any_number_of_partitions(
    store: Store, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = session.range(20_000).select(F.col("id").cast("double").alias("a"), F.col("id").cast("string").alias("b"))
    fields = {name: F.col(name) for name in ("a", "b")}
    everything = hash_spark_frame(frame, fields, 0)
    assert len(set(everything.tolist())) == 20_000
    share = hash_spark_frame(frame.repartition(7), dict(reversed(fields.items())), 3)
    assert set(share.tolist()) == {one for one in everything.tolist() if one % 8 == 0}
    assert len(share) == pytest.approx(2500, rel=0.1)


def test_spark_estimates_the_number_of_rows_where_a_share_of_the_hashes_is_kept(
    store: Store, step: Steps, session: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=3000)
    pd.DataFrame({"x": x, "y": np.where(x + random.normal(size=3000) > 0, "yes", "no")}).to_csv("t.csv", index=False)
    monkeypatch.setattr(row_hashes, "MOST_HASHES", 500)
    for seed in (0, 1):
        assert step(spark_logistic_regression, data="t.csv", target="y", features="x", register=NAME, seed=seed) == 0
    stored = load_row_hashes(run_of_version(store, 1).info.run_id)
    assert stored is not None
    assert stored.n_zero_bits == 3
    assert 0 < len(stored.hashes) <= 500
    run = run_of_version(store, 2)
    assert (
        f"was trained on about {run.data.metrics['champion_rows_trained_on']:.0f} of them" in run.data.tags["registry_decision"]
    )
    assert run.data.metrics["champion_rows_trained_on"] == pytest.approx(0.8 * run.data.metrics["registry_n_rows"], rel=0.4)
