"""Names that mean something to a shell, a database, a browser, a file system or a terminal are names like any other here."""

import csv
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dbscan_sweep
import logistic_regression
import mlflow
import numpy as np
import pandas as pd
import pytest
import ridge_search
import spark_logistic_regression
from hostile_names import HOSTILE
from mlflow.entities import Run
from pyspark.sql import SparkSession
from stores import Steps, Store

from penguins.cli.rules import to_text
from penguins.data.csv_file import MISSING
from penguins.tracking.artifacts import load_sklearn_model
from penguins.tracking.store import child_runs

ONLY_IN_PARQUET = ["", "\0", "null\0byte"]
# A name of a column stands in a parameter, and is therefore not blank.
COLUMN_NAMES = [name for name in HOSTILE if name.strip()] + ["${x}.y", "${env:HOME}", "__THIS__.*"]


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "artifacts" not in path.parts}


@pytest.fixture
def nothing_else_is_written(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder three levels deep, so that ../../x would still be noticed. Only artifacts may be written around it."""
    work = tmp_path / "deep" / "er" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    before, beside = files(tmp_path), set(tmp_path.parent.iterdir())
    yield work
    tables = {work / "t.parquet", work / "t.csv"}
    assert files(tmp_path) - before - tables == set()
    assert set(tmp_path.parent.iterdir()) == beside
    assert not Path("/x").exists()


def records(names: list[str], each: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    n = each * len(names)
    return pd.DataFrame(
        {"name": [name for name in names for _ in range(each)], "value": random.normal(size=n), "other": random.normal(size=n)}
    )


def rows_of(store: Store, run: Run) -> list[dict[str, str]]:
    """Return the rows of the table of a run, every cell as text."""
    with store.artifact(run, "results.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("names", "table", "more"),
    [
        (HOSTILE + ONLY_IN_PARQUET, "t.parquet", {"runs": "groups"}),
        ([name for name in HOSTILE[::4] if name.strip()] + ["NA", "null", "é", "É"], "t.csv", {"models": "best"}),
    ],
    ids=["parquet", "csv"],
)
def test_each_group_has_runs_of_its_own_and_its_exact_name_in_the_results(
    store: Store, step: Steps, session: SparkSession, nothing_else_is_written: Path, names: list[str], table: str, more: Any
) -> None:
    names = list(dict.fromkeys(names))
    frame = records(names, 5)
    frame.to_csv(table, index=False) if table == "t.csv" else frame.to_parquet(table)
    assert step(dbscan_sweep, data=table, group_by="name", features="value", eps="2", min_samples=2, **more) == 0
    sweep = store.only("dbscan_sweep")
    groups = child_runs(sweep.info.run_id, sweep.info.experiment_id)
    visible = [name.replace("\0", "␀") for name in names]
    assert sorted(run.data.tags["group"] for run in groups) == sorted(visible)
    assert sorted(run.data.params["group"] for run in groups) == sorted(name[:6000] for name in visible)
    assert all(0 < len(run.info.run_name) <= 250 for run in groups)
    for run in groups[::3]:
        children = child_runs(run.info.run_id, run.info.experiment_id)
        assert [child.data.params["eps"] for child in children] == (["2"] if "models" in more else [])
        assert {child.data.params["group"] for child in children} <= {run.data.params["group"]}
        [own] = {row["name"] for row in rows_of(store, run)}
        assert own.replace("\0", "␀") == run.data.tags["group"]
    rows = rows_of(store, sweep)
    assert sorted(row["name"] for row in rows) == sorted(names)
    paths = [row["model_path"] for row in rows if row["model_path"]]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert len(load_sklearn_model(path)["dbscan"].labels_) == 5


def test_columns_of_a_sweep_may_have_any_name(
    store: Store, step: Steps, session: SparkSession, nothing_else_is_written: Path
) -> None:
    random = np.random.default_rng(0)
    pd.DataFrame({name: random.normal(size=20) for name in COLUMN_NAMES} | {"g": ["u", "v"] * 10}).to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", group_by="g", features=to_text(COLUMN_NAMES), eps="20") == 0
    sweep = store.only("dbscan_sweep")
    for row in rows_of(store, sweep):
        model = load_sklearn_model(row["model_path"])
        assert model["scaler"].feature_names_in_.tolist() == COLUMN_NAMES


@pytest.mark.parametrize(
    "name",
    ["../../x", "'; drop table runs; --", "both\r\nends", "back`tick", "a.b.c", "${HOME}", "*", "group", "order", " leading"],
)
def test_the_column_of_groups_may_have_any_name(
    store: Store, step: Steps, session: SparkSession, nothing_else_is_written: Path, name: str
) -> None:
    records(["u", "v"], 5).rename(columns={"name": name}).to_parquet("t.parquet")
    assert step(dbscan_sweep, data="t.parquet", group_by=name, features="value", eps="0.5", runs="groups") == 0
    assert [row[name] for row in rows_of(store, store.only("dbscan_sweep"))] == ["u", "v"]


@pytest.mark.parametrize("module", [logistic_regression, spark_logistic_regression])
def test_classes_and_categories_may_have_any_name(
    store: Store, step: Steps, session: SparkSession, nothing_else_is_written: Path, module: ModuleType
) -> None:
    names = [name for name in HOSTILE if name not in MISSING][::4]
    names = list(dict.fromkeys([*names, "🐧", "ﬁ"]))  # Java and Python sort these two differently
    table = pd.DataFrame({"class": np.repeat(names, 30), "category": np.repeat(names[::-1], 30)})
    table["number"] = np.random.default_rng(0).normal(size=len(table))
    table.to_parquet("t.parquet")
    assert step(module, data="t.parquet", target="class", features="category,number", test_size=0.5) == 0
    run = store.only(module.NAME)
    rows = table[["category", "number"]].iloc[::30]
    if module is logistic_regression:
        model = load_sklearn_model(store.model_uri(run))
        assert model.classes_.tolist() == sorted(names)
        assert (model.predict(rows) == table["class"].iloc[::30]).all()
    else:
        served = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(rows)
        assert served == table["class"].iloc[::30].tolist()
    assert store.client.get_run(run.info.run_id).data.metrics["eval_acc"] == 1


def columns_of_every_name() -> pd.DataFrame:
    """Return a table with numbers and texts in turn under these names, and the classes `t`."""
    random = np.random.default_rng(0)
    kinds = [random.normal(size=40), random.choice(["u", "v"], 40)]
    return pd.DataFrame(
        {name: kinds[place % 2] for place, name in enumerate(COLUMN_NAMES)} | {"t": ["yes", "no", "so", "so"] * 10}
    )


@pytest.mark.parametrize("module", [logistic_regression, ridge_search, spark_logistic_regression])
def test_columns_of_a_model_may_have_any_name(
    store: Store, step: Steps, session: SparkSession, nothing_else_is_written: Path, module: ModuleType
) -> None:
    table = columns_of_every_name()
    table["number"] = np.arange(40.0)
    table.to_parquet("t.parquet")
    target = {"target": "number", "alphas": "1", "cv": 2} if module is ridge_search else {"target": "t"}
    assert step(module, data="t.parquet", features=to_text(COLUMN_NAMES), **target) == 0
    run = store.only(module.NAME)
    uri = f"runs:/{run.info.run_id}/model" if module is spark_logistic_regression else store.model_uri(run)
    assert len(mlflow.pyfunc.load_model(uri).predict(table[COLUMN_NAMES])) == 40


TARGETS = ["../../x", "'; drop table runs; --", "$(touch x)", "a.b", "back`tick", "*", " x ", "$x$", "l\nb"]


@pytest.mark.parametrize(
    ("module", "name"),
    [(logistic_regression, name) for name in TARGETS]
    + [(ridge_search, name) for name in ("../../x", "a.b", "$x$", "l\nb")]
    + [(spark_logistic_regression, name) for name in ("a.b", "back`tick", "*", "l\nb")],
)
def test_a_target_may_have_any_name(
    store: Store, step: Steps, session: SparkSession, nothing_else_is_written: Path, module: ModuleType, name: str
) -> None:
    values = np.arange(40.0) if module is ridge_search else ["yes", "no", "so", "so"] * 10
    pd.DataFrame({name: values, "f": np.random.default_rng(0).normal(size=40)}).to_parquet("t.parquet")
    more = {"alphas": "1", "cv": 2} if module is ridge_search else {}
    assert step(module, data="t.parquet", target=name, features="f", **more) == 0
