"""The registry: which version is the champion, what is written about it, and what happens when several runs ask at once."""

import json
import subprocess
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from servers import environment
from sklearn.linear_model import LogisticRegression
from stores import Store

from penguins.errors import InputError, WorkError
from penguins.preprocessing import build_pipeline
from penguins.tracking.artifacts import log_sklearn_model
from penguins.tracking.held_out import ACCURACY, RMSE, Figure
from penguins.tracking.model_versions import register_once
from penguins.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    Candidate,
    Comparison,
    decide,
    promotion_command,
    register_and_compare,
    register_router,
    require_registrable,
)
from penguins.tracking.row_hashes import PANDAS, SeenRows, hash_frame, hash_training_rows, log_row_hashes

NAME = "sex of penguins"
ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, 0.0, 1.0, 0.0]})
CLASSES = pd.Series([0, 0, 1, 1])


@dataclass
class Examination:
    """Rows on which each version has the figure in `marks`, by its number. `wait` is called before a version is scored."""

    marks: dict[int, Any]
    wait: Callable[[], object] = lambda: None
    asked: list[str] = field(default_factory=list)
    method: str = PANDAS
    columns: Collection[str] = ("a", "b")
    n_rows: int = 4

    def score(self, uri: str) -> float:
        self.asked.append(uri)
        self.wait()
        mark = self.marks[int(uri.rpartition("/")[2])]
        if isinstance(mark, Exception):
            raise mark
        return float(mark)

    def hashes(self, columns: Sequence[str], n_zero_bits: int) -> np.ndarray:
        return hash_frame(ROWS, columns, n_zero_bits)


def log_model(target: str = "sex", mark: float = 0.5, figure: Figure = ACCURACY, with_rows: int = 0) -> Candidate:
    """Log a small model in a run of its own; `with_rows` says of how many rows the run keeps hashes."""
    with mlflow.start_run(experiment_id=Store(mlflow.get_tracking_uri()).experiment_id) as run:
        model = build_pipeline(["a", "b"], [], "onehot", LogisticRegression()).fit(ROWS, CLASSES)
        uri = log_sklearn_model(model, "model", ROWS).model_uri
        if with_rows:
            log_row_hashes(hash_training_rows(ROWS.head(with_rows)))
    return Candidate(uri, run.info.run_id, target, figure, mark)


def aliases(store: Store, name: str = NAME) -> dict[str, int]:
    return {alias: int(version) for alias, version in store.client.get_registered_model(name).aliases.items()}


def decision_of(store: Store, candidate: Candidate) -> str:
    return str(store.client.get_run(candidate.run_id).data.tags["registry_decision"])


@pytest.mark.parametrize(
    ("figure", "new", "champion", "alias"),
    [
        (ACCURACY, 0.9, 0.8, CHAMPION),
        (ACCURACY, 0.8, 0.9, CHALLENGER),
        (ACCURACY, 0.8, 0.8, CHALLENGER),
        (RMSE, 3.0, 4.0, CHAMPION),
        (RMSE, 4.0, 3.0, CHALLENGER),
        (RMSE, 3.0, 3.0, CHALLENGER),
        (ACCURACY, 0.0, None, CHALLENGER),
    ],
)
def test_the_better_figure_wins_and_a_tie_leaves_the_champion(
    figure: Figure, new: float, champion: float | None, alias: str
) -> None:
    comparison = Comparison("7", champion, why_not="" if champion else "speaks another language")
    decision = decide(Candidate("", "", "sex", figure, new), comparison, 12)
    assert decision.alias == alias
    assert f"{figure.name} {new:g} on 12 held-out rows" in decision.why
    assert "version 7" in decision.why
    assert (f"against {champion:g}" if champion else "speaks another language") in decision.why


@pytest.mark.parametrize(
    ("seen", "words"),
    [(SeenRows(3), "on 3 of them"), (SeenRows(8, True), "on about 8 of them"), (None, "on an unknown number of them")],
)
def test_a_decision_says_on_how_many_of_the_rows_the_champion_was_trained(seen: SeenRows | None, words: str) -> None:
    assert decide(Candidate("", "", "sex", ACCURACY, 0.9), Comparison("7", 0.8, seen), 12).why.endswith(words)


def test_the_first_version_is_the_champion_and_a_better_one_takes_its_place(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = log_model(mark=0.75, with_rows=3)
    register_and_compare(NAME, first, Examination({}))
    assert aliases(store) == {CHAMPION: 1}
    worse, tie, better = log_model(mark=0.5), log_model(mark=0.6), log_model(mark=0.75)
    for candidate, champion_mark, expected in (
        (worse, 0.6, {CHAMPION: 1, CHALLENGER: 2}),
        (tie, 0.6, {CHAMPION: 1, CHALLENGER: 3}),
        (better, 0.6, {CHAMPION: 4, CHALLENGER: 3}),
    ):
        examination = Examination({1: champion_mark})
        register_and_compare(NAME, candidate, examination)
        assert aliases(store) == expected
        assert examination.asked == [f"models:/{NAME}/1"]
        metrics = store.client.get_run(candidate.run_id).data.metrics
        assert metrics["registry_new_acc"] == candidate.value
        assert metrics["registry_champion_acc"] == champion_mark
        assert metrics["champion_rows_trained_on"] == 3
        assert metrics["registry_n_rows"] == 4
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(ROWS).tolist() == [0, 0, 1, 1]
    version = store.client.get_model_version_by_alias(NAME, CHAMPION)
    assert version.run_id == better.run_id
    run = store.client.get_run(better.run_id)
    assert run.data.tags["registered_model"] == f"{NAME}/4"
    sentence = (
        f"{NAME}/4 is the champion: accuracy 0.75 on 4 held-out rows, against 0.6 of version 1, which was trained on 3 of them"
    )
    assert run.data.tags["registry_decision"] == version.description == sentence
    assert version.tags["target"] == "sex"
    assert (version.tags["registry_new_acc"], version.tags["registry_champion_acc"]) == ("0.75", "0.6")
    printed = capsys.readouterr().out
    assert f"registered: {sentence}\n" in printed
    assert len(printed.splitlines()) == 4
    model = store.client.get_logged_model(better.uri.removeprefix("models:/"))
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": NAME, "version": 4}]


@pytest.mark.parametrize(
    ("champion", "mark", "words"),
    [
        ({"target": "species"}, 0.1, "predicts 'species' rather than 'sex'"),
        ({"figure": RMSE}, 0.1, "is compared by root mean squared error"),
        ({}, ValueError("it takes 'c'"), "(it takes 'c')"),
        ({}, KeyError("c"), "(KeyError: 'c')"),
        ({}, SystemError("it\nbroke."), "(SystemError: it broke)"),
    ],
)
def test_a_champion_that_cannot_be_compared_stays_and_the_reason_is_said(
    store: Store, capsys: pytest.CaptureFixture[str], champion: dict[str, Any], mark: Any, words: str
) -> None:
    register_and_compare(NAME, log_model(**champion), Examination({}))
    new = log_model(mark=1.0)
    capsys.readouterr()
    register_and_compare(NAME, new, Examination({1: mark}))
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: 2}
    assert words in decision_of(store, new)
    assert "registry_champion_acc" not in store.client.get_run(new.run_id).data.metrics
    line, command = capsys.readouterr().out.splitlines()
    assert words in line
    assert promotion_command(NAME, "2") in command


def test_a_champion_registered_by_hand_is_compared_unless_its_run_had_another_target(store: Store) -> None:
    by_hand = log_model()
    mlflow.register_model(by_hand.uri, NAME)
    store.client.set_registered_model_alias(NAME, CHAMPION, "1")
    beaten = log_model(mark=0.9)
    register_and_compare(NAME, beaten, Examination({1: 0.5}))
    assert "trained on an unknown number of them" in decision_of(store, beaten)
    assert aliases(store) == {CHAMPION: 2}
    store.client.set_tag(by_hand.run_id, "target", "species")
    store.client.set_registered_model_alias(NAME, CHAMPION, "1")
    refused = log_model(mark=0.9)
    register_and_compare(NAME, refused, Examination({1: 0.5}))
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: 3}
    assert "predicts 'species'" in decision_of(store, refused)


@pytest.mark.parametrize("damage", ["other columns", "no pickle", "no run"])
def test_where_the_training_rows_of_the_champion_are_not_known_that_is_said(store: Store, tmp_path: Path, damage: str) -> None:
    first = log_model(with_rows=2)
    register_and_compare(NAME, first, Examination({}))
    if damage == "no pickle":
        (tmp_path / "training_rows.npz").write_bytes(b"no archive")
        store.client.log_artifact(first.run_id, str(tmp_path / "training_rows.npz"))
    if damage == "no run":
        store.client.delete_run(first.run_id)
        mlflow.artifacts.download_artifacts(run_id=first.run_id)
    new = log_model(mark=0.9)
    register_and_compare(NAME, new, Examination({1: 0.5}, columns=("a",) if damage == "other columns" else ("a", "b")))
    assert aliases(store) == {CHAMPION: 2}
    words = "on 2 of them" if damage == "no run" else "on an unknown number of them"
    assert decision_of(store, new).endswith(words)


def test_the_model_of_a_run_is_registered_once(store: Store) -> None:
    first, second = log_model(), log_model(mark=0.4)
    register_and_compare(NAME, first, Examination({}))
    for _ in range(3):
        register_and_compare(NAME, second, Examination({1: 0.5}))
        register_and_compare(NAME, first, Examination({}))
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: 2}
    assert len(store.client.search_model_versions(f"name='{NAME}'")) == 2


def test_an_attempt_that_ended_before_the_alias_was_set_is_completed(store: Store) -> None:
    candidate = log_model()
    register_once(MlflowClient(), candidate.uri, NAME, candidate.run_id, {})
    assert aliases(store) == {}
    register_and_compare(NAME, candidate, Examination({}))
    assert aliases(store) == {CHAMPION: 1}
    assert len(store.client.search_model_versions(f"name='{NAME}'")) == 1


def register_at_once(candidates: Sequence[Candidate], marks: dict[int, float], wait: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(candidates)) as pool:
        for done in [pool.submit(register_and_compare, NAME, one, Examination(marks, wait)) for one in candidates]:
            done.result()


def test_of_two_that_compare_with_the_same_champion_at_once_the_better_one_is_champion(store: Store) -> None:
    register_and_compare(NAME, log_model(mark=0.5), Examination({}))
    candidates = [log_model(mark=mark) for mark in (0.7, 0.9)]
    numbers = {int(register_once(MlflowClient(), one.uri, NAME, one.run_id, {"target": "sex"})): one for one in candidates}
    both = threading.Barrier(2)
    n_asked = iter(range(100))
    marks = {1: 0.5} | {number: one.value for number, one in numbers.items()}
    register_at_once(candidates, marks, lambda: both.wait(30) if next(n_asked) < 2 else None)
    [better] = [number for number, one in numbers.items() if one.value == 0.9]
    assert aliases(store)[CHAMPION] == better
    assert decision_of(store, numbers[better]).startswith(f"{NAME}/{better} is the champion: ")


def test_a_worse_one_that_sets_its_alias_late_does_not_stay_champion(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    worse, better = log_model(mark=0.7), log_model(mark=0.9)
    for one in (worse, better):
        register_once(MlflowClient(), one.uri, NAME, one.run_id, {"target": "sex"})
    set_alias, order, late = MlflowClient.set_registered_model_alias, list[str](), threading.Event()

    def set_late(client: MlflowClient, name: str, alias: str, version: str) -> None:
        if (alias, version) == (CHAMPION, "1") and not late.is_set():
            late.set()
            while order != ["2"]:  # the better one has set its alias and looked once
                threading.Event().wait(0.05)
            threading.Event().wait(0.3)
        order.append(version)
        set_alias(client, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", set_late)
    with ThreadPoolExecutor(2) as pool:
        marks = {1: 0.7, 2: 0.9}
        first = pool.submit(register_and_compare, NAME, worse, Examination(marks))
        late.wait(30)
        second = pool.submit(register_and_compare, NAME, better, Examination(marks))
        first.result()
        second.result()
    assert order[:3] == ["2", "1", "2"]
    assert aliases(store) == {CHAMPION: 2, CHALLENGER: 1}


def test_a_champion_that_changes_while_it_is_compared_is_compared_again(store: Store) -> None:
    for mark in (0.5, 0.4):
        register_and_compare(NAME, log_model(mark=mark), Examination({1: 0.5}))
    changes = iter(["2", None])

    def promote_other() -> None:
        if version := next(changes):
            store.client.set_registered_model_alias(NAME, CHAMPION, version)

    examination = Examination({1: 0.5, 2: 0.95}, promote_other)
    new = log_model(mark=0.9)
    register_and_compare(NAME, new, examination)
    assert examination.asked == [f"models:/{NAME}/1", f"models:/{NAME}/2"]
    assert aliases(store) == {CHAMPION: 2, CHALLENGER: 3}
    assert "against 0.95 of the champion, version 2" in decision_of(store, new)


def test_a_router_is_the_challenger_until_its_command_promotes_it(store: Store, tmp_path: Path) -> None:
    first, second = log_model(), log_model()
    [line] = register_router(first.uri, NAME, first.run_id)
    assert line == f"registered: {NAME}/1 is the champion, because there was none"
    assert register_router(first.uri, NAME, first.run_id) == [f"registered: {NAME}/1 is the champion already"]
    line, remedy = register_router(second.uri, NAME, second.run_id)
    assert line == f"registered: {NAME}/2 is the challenger of version 1"
    assert decision_of(store, second) == f"{NAME}/2 is the challenger of version 1"
    assert aliases(store) == {CHAMPION: 1, CHALLENGER: 2}
    command = remedy.removeprefix("to make it the champion: ")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(command, shell=True, cwd=elsewhere, env=environment(), check=True, capture_output=True)  # noqa: S602
    assert aliases(store)[CHAMPION] == 2
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "there", "not_there"),
    [
        ("sqlite:///own.db", "own.db", "sqlite:///own.db"),
        ("http://ada:secret@host:5000", "MlflowClient()", "secret"),
        ("sqlite:////a$b/m.db", "sqlite:////a$b/m.db", 'python -c "'),
    ],
)
def test_the_command_of_a_promotion_holds_in_any_folder_and_shows_no_password(
    store: Store, monkeypatch: pytest.MonkeyPatch, uri: str, there: str, not_there: str
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    command = promotion_command("birds", "3")
    assert there in command
    assert not_there not in command


@pytest.mark.parametrize("name", ["sex", "a.b", "a.b.c.d", "a..c", "a. .c"])
@pytest.mark.parametrize("registry_uri", ["databricks-uc", "databricks-uc://profile", "uc:http://127.0.0.1:1"])
def test_unity_catalog_takes_names_of_three_parts_only(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str, registry_uri: str
) -> None:
    require_registrable(name)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry_uri)
    with pytest.raises(InputError, match=r"three parts, as in catalog\.schema\.model"):
        require_registrable(name)
    require_registrable("main.birds.sex")
    require_registrable("")


def test_a_name_that_a_prompt_has_is_refused(store: Store) -> None:
    mlflow.genai.register_prompt(NAME.replace(" ", "_"), "Which sex is {{bird}}?")
    candidate = log_model()
    with pytest.raises(WorkError, match=r"already taken by a prompt.*keeps its results") as refusal:
        register_and_compare(NAME.replace(" ", "_"), candidate, Examination({}))
    assert "\n" not in str(refusal.value)


def test_a_store_without_a_registry_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = log_model()
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "nowhere://host")
    with pytest.raises(WorkError, match="not supported by the store with URI: 'nowhere://host'"):
        register_router(candidate.uri, NAME, candidate.run_id)
