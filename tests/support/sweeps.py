"""Sweeps for the tests: made once, copied into a test's own store, and looked at."""

import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import dbscan_sweep
import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run
from stores import SEED_ROWS, Store, open_store

from penguins.cli.rules import to_text
from penguins.cli.script import run_entry_point
from penguins.sweep.fit import GroupResult
from penguins.sweep.settings import SweepSettings
from penguins.sweep.workers import feature_column, fit_group

ISLANDS = ["Biscoe", "Dream", "Torgersen"]
FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def finished_sweep(folder: Path, database: bytes, **parameters: Any) -> Store:
    """Make a store in `folder`, where `database` is an initialised one, and sweep into it."""
    store = open_store(folder, database)
    argv = [f"--{name}={to_text(value)}" for name, value in parameters.items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", store.uri)
        mlflow.set_tracking_uri(store.uri)
        assert run_entry_point(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv) == 0
        mlflow.set_tracking_uri(None)
    return store


def fill_store(store: Store, source: Store) -> None:
    """Copy the runs, models and artifacts of the store `source` into `store`, which is empty."""
    there, here = (str(Path(one.uri.removeprefix("sqlite:///")).parent) for one in (source, store))
    shutil.copytree(f"{there}/artifacts", f"{here}/artifacts", dirs_exist_ok=True)
    with sqlite3.connect(f"{there}/mlflow.db") as original, sqlite3.connect(f"{here}/mlflow.db") as copy:
        original.backup(copy)
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
        ):
            copy.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (there, here))  # noqa: S608  # ours


def fitted_group(island: str, settings: SweepSettings) -> GroupResult:
    """Return what a worker makes of an island."""
    penguins = pd.read_csv(SEED_ROWS).dropna()
    records = penguins.loc[penguins["island"] == island, list(settings.features)]
    columns = {name: feature_column(index) for index, name in enumerate(settings.features)}
    return fit_group(records.rename(columns=columns).assign(group_0=island), settings)


def results(store: Store, run: Run) -> pd.DataFrame:
    """Return the table of a sweep, or that of a group."""
    return pd.read_csv(store.artifact(run, "results.csv"))


def statuses(runs: dict[str, Run]) -> dict[str, str]:
    """Return the status of each run by name."""
    return {name: run.info.status for name, run in runs.items()}


def model_statuses(store: Store) -> Counter[str]:
    """Return how many models of the experiment have each status."""
    experiment_id = store.client.get_experiment_by_name("penguins").experiment_id
    return Counter(str(model.status) for model in store.client.search_logged_models([experiment_id]))
