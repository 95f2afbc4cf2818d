"""The registry of a file and of servers: two steps that register at the same time, and a user who may not register."""

import subprocess
import sys
import uuid
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import requests
from servers import LONGEST_S, USER, Server, environment
from stores import SEED_ROWS, Store

from penguins.project import PROJECT
from penguins.tracking.server import PASSWORD, USERNAME

ALPHAS = ("1000000", "1")


def start_step(store: Store, step: str, *options: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "steps" / f"{step}.py"), *options],
        env=environment(MLFLOW_TRACKING_URI=store.uri, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("kind", ["file", "server"])
def test_of_two_steps_that_register_at_the_same_time_the_better_one_is_champion(
    store: Store, tracking_server: Server, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = store if kind == "file" else Store(tracking_server.url)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", asked.uri)
    mlflow.set_tracking_uri(asked.uri)
    name = f"mass-{kind}"
    experiment = f"--experiment={name}"
    running = [start_step(asked, "ridge_search", f"--alphas={alpha}", f"--register={name}", experiment) for alpha in ALPHAS]
    for process in running:
        printed, noise = process.communicate(timeout=LONGEST_S)
        assert (process.returncode, noise) == (0, "")
        assert f"registered: {name}/" in printed
    runs = {run.data.params["alphas"]: run for run in asked.runs(name) if "registered_model" in run.data.tags}
    assert len(asked.client.search_model_versions(f"name='{name}'")) == 2
    champion = asked.client.get_model_version_by_alias(name, "champion")
    assert champion.run_id == runs["1"].info.run_id
    assert runs["1"].data.tags["registered_model"] == f"{name}/{champion.version}"
    rows = pd.read_csv(SEED_ROWS).dropna()
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    expected = mlflow.pyfunc.load_model(asked.model_uri(runs["1"]))
    assert loaded.predict(rows).tolist() == expected.predict(rows).tolist()
    model = asked.client.get_logged_model(runs["1"].outputs.model_outputs[0].model_id)
    assert model.tags["mlflow.modelVersions"].count(name) == 1


def test_a_user_who_may_not_register_gets_the_reason_and_keeps_the_results(team_store: Store) -> None:
    first = start_step(team_store, "ridge_search", "--alphas=1", "--register=mass", **USER)
    assert first.communicate(timeout=LONGEST_S)[1] == ""
    assert first.returncode == 0
    bob = {USERNAME: f"bob-{uuid.uuid4().hex[:8]}", PASSWORD: "another password of twelve characters"}
    answer = requests.post(
        f"{team_store.uri}/api/2.0/mlflow/users/create",
        json={"username": bob[USERNAME], "password": bob[PASSWORD]},
        auth=(USER[USERNAME], USER[PASSWORD]),
        timeout=60,
    )
    assert answer.status_code == 200
    experiment = f"--experiment={bob[USERNAME]}"
    second = start_step(team_store, "ridge_search", "--alphas=1", "--register=mass", experiment, **bob)
    _, errors = second.communicate(timeout=LONGEST_S)
    assert second.returncode == 1
    [line] = errors.splitlines()
    assert line.startswith("error: The model could not be registered as 'mass': ")
    assert "ermission denied" in line
    run = next(run for run in team_store.runs(bob[USERNAME]) if run.info.run_name == "ridge_search")
    assert (run.info.status, f"error: {run.data.tags['error']}") == ("FAILED", line)
    assert run.data.metrics["best_alpha"] == 1
    assert len(team_store.client.search_model_versions("name='mass'")) == 1
