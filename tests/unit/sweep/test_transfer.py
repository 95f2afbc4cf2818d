"""The way from a worker to the driver: a group arrives as it was sent, bit for bit, or as a failure that names a remedy."""

import dataclasses
import math
import random

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from penguins.sweep.fit import GroupResult, Outcome, ProposalOfGroup, sweep
from penguins.sweep.results import LoggedGroup, ResultRow
from penguins.sweep.transfer import (
    fitted_group_to_frame,
    fitted_groups_from_rows,
    logged_group_to_frame,
    logged_groups_from_rows,
)

EPS = (0.3, 0.5, 0.9)


def fitted_group(name: str = "Biscoe", with_models: tuple[int, ...] = (0, 1, 2)) -> GroupResult:
    records = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["x", "y"])
    fit = sweep(records, EPS, min_samples=3)
    models = {position: fit.model_that_predicts(position) for position in with_models}
    proposals = [
        ProposalOfGroup({"min_samples": 3}, 0.1, 2.0, [0.1, 0.1 + 0.2], None),
        ProposalOfGroup({"min_samples": 5}, 0.2, 3.0, [], 0.7),
    ]
    return GroupResult(
        (name,), len(records), fit.outcomes, 1, "doubt", proposals=proposals, example=[0.1 + 0.2, 1.0], models=models
    )


def receive(*frames: pd.DataFrame) -> list[GroupResult]:
    """Return the groups that come from these frames, whose rows arrive in any order."""
    rows = [row for frame in frames for row in frame.to_dict("records")]
    random.Random(0).shuffle(rows)  # noqa: S311  # no secret
    return fitted_groups_from_rows(rows)


def content(model: Pipeline) -> dict[tuple[str, str], object]:
    """Return every attribute of the steps of a pipeline, arrays with their type and their bytes."""
    return {
        (name, key): (value.dtype, value.tolist() if value.dtype == object else value.tobytes())
        if isinstance(value, np.ndarray)
        else value
        for name, step in model.steps
        for key, value in vars(step).items()
    }


@pytest.mark.parametrize("with_models", [(0, 1, 2), (1,), ()])
def test_a_group_arrives_as_it_was_sent_bit_for_bit(with_models: tuple[int, ...]) -> None:
    sent = fitted_group(with_models=with_models)
    [arrived] = receive(fitted_group_to_frame(sent))
    assert dataclasses.replace(arrived, models={}) == dataclasses.replace(sent, models={})
    assert list(arrived.models) == list(with_models)
    for position in with_models:
        assert content(arrived.models[position].pipeline) == content(sent.models[position].pipeline)
        one, other = (vars(group.models[position].nearest) for group in (arrived, sent))
        assert all(np.array_equal(one[name], value) for name, value in other.items())


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, -0.0, math.inf, math.nan])
def test_a_metric_arrives_with_every_bit(value: float) -> None:
    outcome = Outcome({"eps": 0.1, "min_samples": 3}, {"silhouette": value}, "why, \0\n🐧", "an estimate")
    [arrived] = receive(fitted_group_to_frame(GroupResult(("a",), 1, [outcome], None)))
    [found] = arrived.outcomes
    assert found.metrics["silhouette"].hex() == value.hex()
    assert (found.reason, found.estimated) == ("why, \0\n🐧", "an estimate")


def test_a_group_that_failed_arrives_with_its_reason() -> None:
    sent = GroupResult(("a",), 7, [], None, failure="infinite values in 'x'")
    assert receive(fitted_group_to_frame(sent)) == [sent]


def test_groups_arrive_sorted_whatever_their_names_are() -> None:
    names = ["10", "9", "", "null\0byte", "null\0", "line\nbreak", "both\r\nends", "🐧", "x" * 6000]
    arrived = receive(*[fitted_group_to_frame(GroupResult((name,), 1, [], None, failure="why")) for name in names])
    assert [group.name for group in arrived] == [
        "9",
        "10",
        "",
        "both\r\nends",
        "line\nbreak",
        "null\0",
        "null\0byte",
        "x" * 6000,
        "🐧",
    ]


def test_models_that_are_too_large_fail_their_group_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.sweep.transfer.LARGEST_PAYLOAD", 5000)
    [small] = receive(fitted_group_to_frame(fitted_group(with_models=())))
    assert small.failure == ""
    frame = fitted_group_to_frame(fitted_group())
    assert len(frame) == 1
    assert frame["model"].tolist() == [None]
    [arrived] = receive(frame)
    assert (arrived.outcomes, arrived.models, arrived.best) == ([], {}, None)
    assert arrived.n_records == 40
    assert arrived.failure.startswith("its fitted models take ")
    assert arrived.failure.endswith("run with log_from=executors, or with models=best or none")


def test_a_group_that_the_worker_has_logged_arrives_as_it_was_sent() -> None:
    params = {"eps": 0.1, "min_samples": 3}
    metrics = {"silhouette": 0.1 + 0.2, "n_clusters": 2.0}
    row = ResultRow(("b\0",), params, metrics, "models:/m-1", "", 10, best=True, warning="doubt", estimated="on 5")
    sent = [
        LoggedGroup(("b\0",), "run 1", 10, [row, ResultRow(("b\0",), params | {"eps": 0.5}, {}, "", "why", 10)]),
        LoggedGroup(("10",), "run 2", 7, [], failure="why"),
        LoggedGroup(("9",), "run 3", 8, []),
    ]
    frames = [logged_group_to_frame(group) for group in sent]
    assert all(len(frame) == 1 for frame in frames)
    rows = [row for frame in frames for row in frame.to_dict("records")]
    assert logged_groups_from_rows(rows) == [sent[2], sent[1], sent[0]]
