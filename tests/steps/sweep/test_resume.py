"""What a sweep takes over from stale ones, what it ends, and the names under which it finds the groups."""

from dataclasses import replace
from typing import Any

import pytest
from mlflow.entities import Run
from stores import Store
from sweep_settings import dbscan_settings
from sweeps import FEATURES, ISLANDS, fitted_group, model_statuses, statuses

from penguins.sweep.context import SweepContext, sweep_context
from penguins.sweep.log_runs import log_group
from penguins.sweep.results import table_text
from penguins.sweep.resume import delete_duplicates, end_late_groups, finished_groups, recover_groups

SETTINGS = dbscan_settings("island", tuple(FEATURES), (0.5, 0.9), min_samples=(3,), models="none")


def new_context(store: Store, **changes: Any) -> SweepContext:
    """Return the context of a sweep that has just begun."""
    run = store.client.create_run("1", run_name="dbscan_sweep")
    return sweep_context(run.info.run_id, replace(SETTINGS, **changes), n_groups=3, data="penguins")


def sweep_of(store: Store, context: SweepContext) -> Run:
    return store.client.get_run(context.sweep_id)


def test_a_sweep_that_only_has_groups_is_resumed_by_their_tables(store: Store) -> None:
    before, now = new_context(store, runs="groups"), new_context(store, runs="groups")
    logged = [log_group(before, fitted_group(island, before.settings)) for island in ISLANDS]
    assert recover_groups(now, [sweep_of(store, before)]) == logged
    assert set(store.children(sweep_of(store, now))) == set(ISLANDS)
    assert sweep_of(store, before).info.status == "KILLED"


def test_of_two_stale_sweeps_each_group_is_taken_over_once(store: Store) -> None:
    one, other, now = (new_context(store) for _ in range(3))
    log_group(one, fitted_group("Dream", SETTINGS))
    log_group(other, fitted_group("Dream", SETTINGS))
    log_group(other, fitted_group("Biscoe", SETTINGS))
    recovered = recover_groups(now, [sweep_of(store, one), sweep_of(store, other)])
    assert sorted(group.name for group in recovered) == ["Biscoe", "Dream"]
    assert set(store.children(sweep_of(store, now))) == {"Biscoe", "Dream"}
    assert sorted(run.info.status for run in store.runs() if run.info.run_name == "Dream") == ["FINISHED", "KILLED"]


@pytest.mark.parametrize("folder", ["on this machine", "elsewhere"])
@pytest.mark.parametrize("name", ["return\rhere", "both\r\nends", "null\0byte", "x" * 6001])
def test_a_group_is_recovered_under_its_own_name(store: Store, monkeypatch: pytest.MonkeyPatch, name: str, folder: str) -> None:
    if folder == "elsewhere":
        monkeypatch.setattr("penguins.sweep.resume.local_folder", lambda _: "")
    before, now = new_context(store, runs="groups"), new_context(store, runs="groups")
    log_group(before, replace(fitted_group("Dream", before.settings), key=(name,)))
    [recovered] = recover_groups(now, [sweep_of(store, before)])
    assert recovered.name == name
    assert {row.group for row in recovered.rows} == {name}


def test_the_groups_of_a_finished_sweep_are_found_with_their_rows_and_their_best_eps(store: Store) -> None:
    context = new_context(store)
    logged = [log_group(context, fitted_group(island, SETTINGS)) for island in ISLANDS]
    assert [group.best.params["eps"] for group in logged if group.best] == [0.9, 0.9, 0.9]
    text = table_text(("island",), SETTINGS.of_algorithm, [row for group in logged for row in group.rows])
    store.client.log_text(context.sweep_id, text, "results.csv")
    assert finished_groups(sweep_of(store, context), SETTINGS.of_algorithm) == logged


def test_the_groups_that_are_late_are_ended_and_their_models_deleted(store: Store) -> None:
    stale = new_context(store, models="all")
    log_group(stale, fitted_group("Dream", stale.settings))
    assert model_statuses(store) == {"READY": 2}
    end_late_groups(new_context(store), [sweep_of(store, stale)])
    [group] = store.children(sweep_of(store, stale)).values()
    assert {group.info.status, *statuses(store.children(group)).values()} == {"KILLED"}
    assert model_statuses(store) == {}


def test_of_groups_that_were_logged_twice_one_stays_without_unfinished_models(store: Store) -> None:
    context = new_context(store, models="all")
    accepted = log_group(context, fitted_group("Dream", context.settings))
    log_group(context, fitted_group("Dream", context.settings))
    store.client.create_logged_model("1", "model", source_run_id=accepted.run_id)
    assert model_statuses(store) == {"READY": 4, "PENDING": 1}
    delete_duplicates(context, {accepted.run_id})
    [group] = store.children(sweep_of(store, context)).values()
    assert group.info.run_id == accepted.run_id
    assert set(store.children(group)) == {"Dream-eps0.5", "Dream-eps0.9"}
    assert len(store.runs()) == 4
    assert model_statuses(store) == {"READY": 2}
