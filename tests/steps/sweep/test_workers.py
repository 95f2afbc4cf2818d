"""What runs in a Spark worker: a group is clustered, or fails alone, and MLflow is imported only to log."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark import cloudpickle
from servers import environment
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from stores import Store
from sweep_settings import change_grid, dbscan_settings

from penguins.sweep.context import sweep_context
from penguins.sweep.driver import _worker_function
from penguins.sweep.workers import ROW, fit_group

SETTINGS = dbscan_settings("g", ("a", "b"), (0.5, 1.0), min_samples=(2,))


def records(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"group_0": "x", "feature_0": random.normal(size=30), "feature_1": random.normal(size=30)})


def test_the_features_have_the_names_of_the_table_again() -> None:
    group = fit_group(records(), SETTINGS)
    assert (group.name, group.n_records, group.failure) == ("x", 30, "")
    assert group.models[0].pipeline["scaler"].feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize("with_order", [True, False])
def test_the_order_in_which_the_records_arrive_does_not_matter(with_order: bool) -> None:
    table = records().assign(**{ROW: range(30)}) if with_order else records()
    one, other = (fit_group(arrived, SETTINGS) for arrived in (table, table.sample(frac=1, random_state=1)))
    assert one.outcomes == other.outcomes
    assert one.models[0].pipeline["dbscan"].labels_.tolist() == other.models[0].pipeline["dbscan"].labels_.tolist()


def test_the_records_are_in_the_order_of_the_table() -> None:
    table = records().assign(**{ROW: range(30)})
    scaled = fit_group(table.iloc[::-1], change_grid(SETTINGS, min_samples=(1,))).models[0].pipeline["dbscan"].components_
    expected = table[["feature_0", "feature_1"]].to_numpy()
    assert np.allclose(scaled, (expected - expected.mean(axis=0)) / expected.std(axis=0))


@pytest.mark.parametrize(
    ("error", "failure"),
    [(ValueError("one\nreason"), "one reason"), (MemoryError("of a group"), "MemoryError: of a group")],
)
def test_whatever_fails_becomes_the_failure_of_the_group(
    monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("penguins.sweep.workers.fit_grid", fail)
    group = fit_group(records(), SETTINGS)
    assert (group.failure, group.outcomes, group.best, group.n_records) == (failure, [], None, 30)


@pytest.mark.parametrize(("models", "expected"), [("all", [0, 1]), ("best", [1]), ("none", [])])
def test_only_the_models_that_are_to_be_logged_are_made(models: str, expected: list[int]) -> None:
    far_apart = records().assign(feature_0=[0.0, 9.0] * 15)
    group = fit_group(far_apart, replace(SETTINGS, models=models, min_coverage=1.0))
    assert group.best == 1
    assert list(group.models) == expected


@pytest.mark.parametrize(("eps", "is_known"), [((0.001,), True), ((0.5, 1.0), False)])
def test_a_group_without_a_best_value_says_how_far_its_records_are_apart(eps: tuple[float, ...], is_known: bool) -> None:
    group = fit_group(records(), replace(change_grid(SETTINGS, eps=eps), min_coverage=0.0))
    X = StandardScaler().fit_transform(records()[["feature_0", "feature_1"]])
    distances, _ = NearestNeighbors(n_neighbors=2).fit(X).kneighbors()
    expected = pytest.approx(np.median(distances[:, 0])) if is_known else None
    assert group.median_distance == expected


def test_a_worker_that_only_computes_needs_neither_mlflow_nor_this_package(store: Store, tmp_path: Path) -> None:
    run = store.client.create_run("0")
    function = _worker_function(sweep_context(run.info.run_id, SETTINGS, n_groups=1, data="penguins"))
    (tmp_path / "work").write_bytes(cloudpickle.dumps((function, records())))  # type: ignore[no-untyped-call]
    program = (
        "import pickle, sys\nfunction, records = pickle.load(open(sys.argv[1], 'rb'))\nprint(len(function(records)))\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('mlflow', 'penguins')])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert done.stdout == "2\n[]\n"
