"""The runs of a group: what each of them holds, and how they end where something fails."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from stores import SEED_ROWS, Store
from sweep_settings import change_grid, dbscan_settings
from sweeps import FEATURES, fitted_group, model_statuses, results, statuses

from penguins.cli.rules import Auto
from penguins.cli.signals import Interrupted, _State
from penguins.sweep.context import SweepContext, sweep_context
from penguins.sweep.fit import GroupResult, Outcome
from penguins.sweep.log_runs import end_open_runs, log_group
from penguins.sweep.model_files import store_model
from penguins.sweep.results import parse_table
from penguins.sweep.run_contents import run_name, storable_text
from penguins.tracking.artifacts import log_dataset
from penguins.tracking.store import RETRIES, restore_retries, search_runs

SETTINGS = dbscan_settings("island", tuple(FEATURES), (0.7, 0.9), min_samples=(3,))


@pytest.fixture
def context(store: Store) -> Iterator[SweepContext]:
    """The context of a sweep that has begun, with a dataset and a tag that its runs inherit."""
    experiment_id = store.client.get_experiment_by_name("penguins").experiment_id
    with mlflow.start_run(experiment_id=experiment_id, run_name="dbscan_sweep") as run:
        log_dataset(pd.read_csv(SEED_ROWS), str(SEED_ROWS), "penguins")
        mlflow.set_tags({"mlflow.source.git.commit": "a commit", "mlflow.note.content": "of the sweep alone"})
    store.client.update_run(run.info.run_id, status="RUNNING")
    with restore_retries():
        yield sweep_context(run.info.run_id, SETTINGS, n_groups=3, data="penguins")


def change_settings(context: SweepContext, **changes: Any) -> SweepContext:
    return dataclasses.replace(context, settings=dataclasses.replace(context.settings, **changes))


def test_a_group_and_each_eps_has_a_run_with_its_parameters_metrics_and_what_it_inherits(
    store: Store, context: SweepContext
) -> None:
    group = fitted_group("Torgersen", SETTINGS)
    logged = log_group(context, group)
    run = store.only("Torgersen")
    assert run.info.run_id == logged.run_id
    assert run.data.params == {"group": "Torgersen"}
    assert run.data.metrics["n_records"] == 47
    children = store.children(run)
    assert statuses({"Torgersen": run, **children}) == {
        "Torgersen": "FINISHED", "Torgersen-eps0.7": "FINISHED", "Torgersen-eps0.9": "FINISHED"
    }  # fmt: skip
    for outcome, row in zip(group.outcomes, logged.rows, strict=True):
        child = children[f"Torgersen-eps{outcome.eps:g}"]
        assert child.data.params == {"group": "Torgersen", "eps": f"{outcome.eps:g}", "min_samples": "3"}
        assert child.data.metrics == pytest.approx(outcome.metrics)
        assert row.model_path == store.model_uri(child)
        assert (child.data.tags["select_by"], child.data.tags["data"]) == ("stability", "penguins")
    for one in (run, *children.values()):
        assert one.data.tags["mlflow.source.git.commit"] == "a commit"
        assert one.data.tags["sweep"] == context.sweep_id
        assert one.data.tags.get("mlflow.note.content") != "of the sweep alone"
        assert [(used.dataset.name, used.dataset.digest) for used in one.inputs.dataset_inputs] == [
            ("penguins: Torgersen", group.digest)
        ]
    assert parse_table(store.artifact(run, "results.csv").read_text(), SETTINGS.of_algorithm) == logged.rows


def test_the_run_of_a_group_tells_which_value_was_chosen_and_why_and_those_of_values_have_no_description(
    store: Store, context: SweepContext
) -> None:
    group = fitted_group("Torgersen", SETTINGS)
    logged = log_group(context, group)
    assert logged.best
    run = store.only("Torgersen")
    assert run.data.tags["choice"].startswith(f"eps {logged.best.params['eps']:g}, {group.reason}; ")
    assert "Torgersen" not in run.data.tags["choice"]
    note = run.data.tags["mlflow.note.content"]
    assert f"**Torgersen: {run.data.tags['choice']}**" in note
    assert f"model_uri={logged.best.model_path} " in note
    assert [line.endswith("| chosen |") for line in note.splitlines() if line.startswith("| 0.")] == [
        row.best for row in logged.rows
    ]
    assert all("mlflow.note.content" not in child.data.tags for child in store.children(run).values())


def test_the_description_costs_no_request(store: Store, context: SweepContext, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    def count(name: str) -> None:
        real = getattr(mlflow.MlflowClient, name)

        def ask(*given: Any, **named: Any) -> Any:
            requests.append(name)
            return real(*given, **named)

        monkeypatch.setattr(mlflow.MlflowClient, name, ask)

    for name in ("log_batch", "set_tag", "create_run", "set_terminated", "log_inputs", "get_run"):
        count(name)
    log_group(change_settings(context, runs="groups"), fitted_group("Torgersen", SETTINGS))
    assert sorted(requests) == ["create_run", "log_batch", "log_inputs", "set_terminated"]


def test_the_runs_say_why_metrics_are_undefined_and_which_are_estimated(store: Store, context: SweepContext) -> None:
    outcomes = [
        Outcome({"eps": 0.7, "min_samples": 3}, {"n_clusters": 1}, "one cluster", ""),
        Outcome({"eps": 0.9, "min_samples": 3}, {"silhouette": 0.5}, "", "from 10 records"),
    ]
    log_group(change_settings(context, models="none"), GroupResult(("a",), 9, outcomes, None, "doubt"))
    run = store.only("a")
    assert run.data.tags["undefined"] == "no value has the index and keeps enough records: there is no best one"
    assert run.data.tags["warning"] == "doubt"
    assert run.data.tags["estimated"] == "eps 0.9: from 10 records"
    assert store.only("a-eps0.7").data.tags["undefined"] == "one cluster"
    assert store.only("a-eps0.9").data.tags["estimated"] == "from 10 records"
    assert "best_eps" not in run.data.metrics
    table = results(store, run)
    assert table["reason"].tolist()[0] == "one cluster"
    assert (table["warning"].tolist(), table["best"].tolist()) == (["doubt"] * 2, [False] * 2)
    assert table["estimated"].fillna("").tolist() == ["", "from 10 records"]


def test_a_group_that_could_not_be_computed_is_failed_with_the_reason(store: Store, context: SweepContext) -> None:
    logged = log_group(context, GroupResult(("a",), 9, [], None, failure="infinite values in x"))
    assert (logged.failure, logged.rows, logged.best) == ("infinite values in x", [], None)
    run = store.only("a")
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "infinite values in x")
    assert run.data.tags["mlflow.note.content"] == "**FAILED: infinite values in x**"
    assert run.data.metrics == {"n_records": 9}


def test_the_run_of_a_group_has_the_best_metrics_the_curves_and_the_best_child_is_marked(
    store: Store, context: SweepContext
) -> None:
    group = dataclasses.replace(fitted_group("Torgersen", SETTINGS), best=1, warning="doubt")
    logged = log_group(context, group)
    run = store.only("Torgersen")
    first, best = group.outcomes
    metrics = run.data.metrics
    assert (metrics["eps"], metrics["min_samples"], metrics["coverage"]) == (0.9, 3, best.metrics["n_clustered_records"] / 47)
    for name, value in best.metrics.items():
        assert metrics[name] == metrics[f"best_{name}"] == pytest.approx(value)
    history = store.client.get_metric_history(run.info.run_id, "by_eps/silhouette")
    assert [(point.step, point.value) for point in history] == [
        (step, pytest.approx(one.metrics["silhouette"])) for step, one in enumerate((first, best))
    ]
    assert [point.value for point in store.client.get_metric_history(run.info.run_id, "by_eps/eps")] == [0.7, 0.9]
    assert run.data.tags["warning"] == "doubt"
    children = store.children(run)
    assert {name: child.data.tags.get("best") for name, child in children.items()} == {
        "Torgersen-eps0.7": None, "Torgersen-eps0.9": "true"
    }  # fmt: skip
    assert [(row.best, row.warning) for row in logged.rows] == [(False, ""), (True, "doubt")]


def test_several_min_samples_have_curves_and_runs_of_their_own(store: Store, context: SweepContext) -> None:
    grid = {"eps": (0.7, 0.9), "min_samples": (3, 5)}
    context = change_settings(context, grid=grid, models="none")
    group = fitted_group("Torgersen", context.settings)
    log_group(context, group)
    run = store.only("Torgersen")
    names = [f"Torgersen-eps{eps}-min_samples{number}" for eps in (0.7, 0.9) for number in (3, 5)]
    assert sorted(store.children(run)) == names
    for number in (3, 5):
        expected = [one.metrics["n_clusters"] for one in group.outcomes if one.min_samples == number]
        curve = store.client.get_metric_history(run.info.run_id, f"by_eps/min_samples{number}/n_clusters")
        assert [point.value for point in curve] == expected


def test_a_group_may_have_more_metrics_than_mlflow_takes_in_one_request(store: Store, context: SweepContext) -> None:
    settings = dataclasses.replace(change_grid(SETTINGS, eps=Auto(200), min_samples=(3, 5)), models="none", runs="groups")
    context = sweep_context(context.sweep_id, settings, n_groups=40, data="penguins")
    group = fitted_group("Dream", settings)
    log_group(context, group)
    run = store.only("Dream")
    assert run.data.params == {"group": "Dream"}
    for number in (3, 5):
        curve = store.client.get_metric_history(run.info.run_id, f"by_eps/min_samples{number}/n_clusters")
        expected = [one.metrics["n_clusters"] for one in group.outcomes if one.min_samples == number]
        assert [point.value for point in sorted(curve, key=lambda point: point.step)] == expected
    assert len(group.outcomes) > 200


@pytest.mark.parametrize("n_groups", [3, 31])
def test_an_automatic_grid_is_logged_with_its_distances_its_knee_and_a_picture_where_groups_are_few(
    store: Store, context: SweepContext, n_groups: int
) -> None:
    settings = dataclasses.replace(change_grid(SETTINGS, eps=Auto(5)), models="none")
    context = sweep_context(context.sweep_id, settings, n_groups, "penguins")
    log_group(context, fitted_group("Dream", settings))
    run = store.only("Dream")
    pictures = {"k_distances.png"} if n_groups == 3 else set()
    assert store.artifacts(run) == {"results.csv", "k_distances.csv"} | pictures
    distances = pd.read_csv(store.artifact(run, "k_distances.csv"))
    assert list(distances) == ["rank", "distance"]
    assert len(distances) == 123
    assert distances["distance"].is_monotonic_increasing
    assert run.data.metrics["eps_knee"] in distances["distance"].tolist()
    eps = results(store, run)["eps"].tolist()
    assert run.data.tags["eps_grid"] == f"{eps[0]:g} to {eps[-1]:g} (min_samples 3)"


def fail_to_store(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the models of eps 0.9 fail with `error`."""

    def store_or_fail(client: Any, model: Any, *others: Any) -> None:
        if model.pipeline["dbscan"].eps == 0.9:
            raise error
        store_model(client, model, *others)

    monkeypatch.setattr("penguins.sweep.log_runs.store_model", store_or_fail)


def test_a_model_that_cannot_be_stored_fails_its_run_and_its_group_and_the_metrics_stay(
    store: Store, context: SweepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_store(monkeypatch, OSError(28, "No space left on device"))
    logged = log_group(context, fitted_group("Torgersen", SETTINGS))
    why = "OSError: [Errno 28] No space left on device"
    assert logged.failure == f"1 of its models could not be stored: eps 0.9, min_samples 3: {why}"
    group = store.only("Torgersen")
    assert (group.info.status, group.data.tags["error"]) == ("FAILED", logged.failure)
    children = store.children(group)
    assert statuses(children) == {"Torgersen-eps0.7": "FINISHED", "Torgersen-eps0.9": "FAILED"}
    failed = children["Torgersen-eps0.9"]
    assert failed.data.tags["error"] == f"eps 0.9, min_samples 3: {why}"
    assert failed.data.metrics["n_clusters"] == 5
    table = results(store, group)
    assert table["n_clusters"].tolist() == [2, 5]
    assert table["model_path"].isna().tolist() == [False, True]
    assert table["reason"].tolist()[1] == f"eps 0.9, min_samples 3: {why}"
    assert [row.reason for row in logged.rows] == ["", f"eps 0.9, min_samples 3: {why}"]
    assert model_statuses(store) == {"READY": 1, "FAILED": 1}


def test_an_interruption_ends_the_open_runs_as_killed(
    store: Store, context: SweepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_store(monkeypatch, KeyboardInterrupt("interrupted by SIGINT"))
    with pytest.raises(KeyboardInterrupt):
        log_group(context, fitted_group("Torgersen", SETTINGS))
    runs = {run.info.run_name: run for run in store.runs()}
    del runs["dbscan_sweep"]
    assert statuses(runs) == {"Torgersen": "KILLED", "Torgersen-eps0.7": "FINISHED", "Torgersen-eps0.9": "KILLED"}
    assert runs["Torgersen"].data.tags["error"] == "interrupted by SIGINT"


def test_a_signal_that_comes_while_a_value_is_logged_ends_the_group_before_the_next_value(
    store: Store, context: SweepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[int] = []

    def store_and_interrupt(*arguments: Any) -> None:
        store_model(*arguments)
        noted.append(signal.SIGTERM)

    monkeypatch.setattr(_State, "signals", noted)
    monkeypatch.setattr("penguins.sweep.log_runs.store_model", store_and_interrupt)
    with pytest.raises(Interrupted):
        log_group(context, fitted_group("Torgersen", SETTINGS))
    runs = {run.info.run_name: run for run in store.runs() if run.info.run_id != context.sweep_id}
    assert statuses(runs) == {"Torgersen": "KILLED", "Torgersen-eps0.7": "FINISHED"}
    assert runs["Torgersen"].data.tags["error"] == "interrupted by SIGTERM"


def test_the_open_runs_of_a_sweep_that_fails_are_ended(
    store: Store, context: SweepContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = store.only("dbscan_sweep")
    tags = {"sweep": context.sweep_id}
    left_open = store.client.create_run(context.experiment_id, tags=tags).info.run_id
    done = store.client.create_run(context.experiment_id, tags=tags).info.run_id
    other = store.client.create_run(context.experiment_id, tags={"sweep": "another"}).info.run_id
    store.client.set_terminated(done, "FINISHED")
    retries = []

    def search(*query: str) -> Iterator[Run]:
        retries.append(os.environ.get(RETRIES))
        return search_runs(*query)

    monkeypatch.setattr("penguins.sweep.log_runs.search_runs", search)
    with pytest.raises(MlflowException), end_open_runs(sweep):
        raise MlflowException("gone")
    assert retries == ["2"], "a store that is away is not waited for again"
    found = {run_id: store.client.get_run(run_id) for run_id in (left_open, done, other)}
    assert [run.info.status for run in found.values()] == ["FAILED", "FINISHED", "RUNNING"]
    assert found[left_open].data.tags["error"] == "MlflowException: gone"


@pytest.mark.parametrize(
    ("name", "suffix", "expected"),
    [
        ("Biscoe", "", "Biscoe"),
        ("Biscoe", "-eps0.1", "Biscoe-eps0.1"),
        ("x" * 250, "", "x" * 250),
        ("x" * 251, "", "x" * 249 + "…"),
        ("x" * 251, "-eps0.1", "x" * 242 + "…-eps0.1"),
    ],
)
def test_the_name_of_a_run_is_cut_in_front_of_the_eps(name: str, suffix: str, expected: str) -> None:
    assert run_name(name, suffix) == expected
    assert len(expected) <= 250


@pytest.mark.parametrize(("name", "expected"), [("", "(empty)"), ("\0", "␀"), ("a\0b", "a␀b"), (" ", " ")])
def test_a_run_has_a_name_that_every_store_takes(name: str, expected: str) -> None:
    assert run_name(name) == expected
    assert run_name(name, "-eps0.1") == f"{expected}-eps0.1"


def test_the_null_character_is_shown_by_a_sign() -> None:
    assert storable_text("a\0b\0") == "a␀b␀"
