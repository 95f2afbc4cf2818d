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
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from stores import Store
from sweep_settings import change_grid, dbscan_settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

import penguins.spark.groups  # noqa: F401  # from here on, pickles hold the package by value
from penguins.sweep.context import sweep_context
from penguins.sweep.driver import _worker_function
from penguins.sweep.evidence import Evidence, sample_places
from penguins.sweep.logging_workers import log_in_worker
from penguins.sweep.settings import SweepSettings
from penguins.sweep.transfer import chosen_from_rows
from penguins.sweep.workers import ROW, fit_again_in_worker, fit_group, split_columns
from penguins.tracking.server import QUICK_ACK

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


def test_of_equal_records_their_ids_decide_the_order() -> None:
    table = records().assign(id_0=[*"dcba", *["e"] * 26], id_1=range(30))
    table.loc[:3, ["feature_0", "feature_1"]] = 0.0
    identities = [split_columns(arrived, SETTINGS)[2] for arrived in (table, table.sample(frac=1, random_state=1))]
    assert identities[0].equals(identities[1])
    assert [name for name in identities[0]["id_0"] if name != "e"] == ["a", "b", "c", "d"]


def test_the_records_are_in_the_order_of_the_table() -> None:
    table = records().assign(**{ROW: range(30)})
    scaled = fit_group(table.iloc[::-1], change_grid(SETTINGS, min_samples=(1,))).models[0].pipeline["dbscan"].components_
    expected = table[["feature_0", "feature_1"]].to_numpy()
    assert np.allclose(scaled, (expected - expected.mean(axis=0)) / expected.std(axis=0))


def evidence_of(table: pd.DataFrame, settings: SweepSettings) -> Evidence:
    chosen = fit_group(table, settings).chosen
    assert chosen is not None
    assert chosen.evidence is not None
    return chosen.evidence


def test_the_sample_of_a_group_has_the_labels_of_every_value_and_the_distances_of_every_min_samples() -> None:
    settings = change_grid(SETTINGS, eps=(0.4, 0.8), min_samples=(2, 4))
    table = records().assign(**{ROW: range(30)})
    whole = evidence_of(table, settings)
    X = table[["feature_0", "feature_1"]].to_numpy()
    assert whole.places.tolist() == list(range(30))
    assert whole.X.tolist() == X.tolist()
    scaled = StandardScaler().fit_transform(X)
    values = [(eps, number) for eps in (0.4, 0.8) for number in (2, 4)]
    labels = [DBSCAN(eps=eps, min_samples=number).fit_predict(scaled).tolist() for eps, number in values]
    assert whole.labels.T.tolist() == labels
    for number in (2, 4):
        distances, _ = NearestNeighbors(n_neighbors=number).fit(scaled).kneighbors(scaled)
        curve = whole.curves[whole.curves[:, 0] == number]
        assert curve[:, 2] == pytest.approx(np.sort(distances[:, -1]))
        assert curve[:, 1] == pytest.approx(np.linspace(0, 1, 30))


def test_of_very_many_records_some_are_measured_and_their_distances_are_those_to_all_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("penguins.sweep.evidence.MOST_MEASURED", 20)
    table = records()
    scaled = StandardScaler().fit_transform(table[["feature_0", "feature_1"]])
    distances, _ = NearestNeighbors(n_neighbors=2).fit(scaled).kneighbors(scaled)
    of_all = np.sort(distances[:, 1])
    curves = [evidence_of(table, replace(SETTINGS, seed=seed)).curves for seed in (0, 0, 1)]
    for curve in curves:
        assert len(curve) == 20
        assert curve[:, 1] == pytest.approx(np.linspace(0, 1, 20))
        assert np.abs(curve[:, 2][:, None] - of_all).min(axis=1).max() < 1e-12
    assert curves[0].tolist() == curves[1].tolist() != curves[2].tolist()


@pytest.mark.parametrize("with_ids", [True, False])
def test_the_sample_does_not_depend_on_the_order_in_which_the_records_arrive(
    with_ids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penguins.sweep.evidence.MOST_OF_GROUP", 40)
    table = pd.concat([records()] * 4, ignore_index=True)  # each record four times
    table = table.assign(id_0=[f"{place:03}" for place in range(120)], id_1=None) if with_ids else table
    found = []
    for seed in range(3):
        group = fit_group(table.sample(frac=1, random_state=seed), SETTINGS)
        assert group.chosen is not None
        assert group.chosen.evidence is not None
        assert len(group.chosen.evidence.places) == 40
        identity = group.chosen.records.iloc[group.chosen.evidence.places].astype(str).to_numpy().tolist()
        found.append((identity, group.chosen.evidence.X.tolist(), group.chosen.evidence.labels.tolist()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("is_sampled", [True, False])
@pytest.mark.parametrize("eps", [(0.5, 1.0), (0.001, 0.002)])
def test_a_group_that_is_fitted_again_gives_back_what_it_gave_before(eps: tuple[float, ...], is_sampled: bool) -> None:
    draws = {seed: sample_places(("x",), 30, 30, 10_000, seed) is not None for seed in range(100)}
    seed = next(seed for seed, is_drawn in draws.items() if is_drawn == is_sampled)
    settings = replace(change_grid(SETTINGS, eps=eps), n_groups=10_000, seed=seed)
    first = fit_group(records(), settings)
    assert first.chosen is not None
    assert (first.chosen.evidence is not None) == is_sampled
    values = {first.key: ([outcome.params for outcome in first.outcomes], first.best)}
    again = chosen_from_rows(fit_again_in_worker(records(), settings, values).to_dict("records"))["x"]
    pd.testing.assert_frame_equal(again.records, first.chosen.records)
    assert str([*again.profiles]) == str([*first.chosen.profiles])
    assert (again.nearest is None) == (first.chosen.nearest is None) == (first.best is None)
    assert (again.evidence is not None) == is_sampled
    if again.evidence and first.chosen.evidence:
        assert again.evidence.to_lists() == first.chosen.evidence.to_lists()


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


@pytest.mark.parametrize(("switch", "is_quick"), [("true", True), ("false", False)])
def test_a_worker_acknowledges_at_once_as_the_driver_says(
    store: Store, monkeypatch: pytest.MonkeyPatch, switch: str, is_quick: bool
) -> None:
    monkeypatch.delenv(QUICK_ACK, raising=False)
    monkeypatch.setattr(HTTPConnectionPool, "ConnectionCls", HTTPConnection)
    monkeypatch.setattr(HTTPSConnectionPool, "ConnectionCls", HTTPSConnection)
    run = store.client.create_run("0")
    context = sweep_context(run.info.run_id, SETTINGS, n_groups=1, data="penguins")
    log_in_worker(records(), replace(context, variables={QUICK_ACK: switch}))
    assert (HTTPConnectionPool.ConnectionCls is not HTTPConnection) == is_quick
