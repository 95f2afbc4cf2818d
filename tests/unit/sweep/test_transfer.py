"""The way from a worker to the driver: a group arrives as it was sent, bit for bit, or as a failure that names a remedy."""

import dataclasses
import json
import math
import os
import pickle
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline

from penguins.errors import WorkError
from penguins.sweep.chosen import ChosenClustering
from penguins.sweep.evidence import Evidence
from penguins.sweep.fit import GroupResult, Outcome, ProposalOfGroup, pack_model, sweep
from penguins.sweep.nearest import nearest_from_bytes
from penguins.sweep.results import LoggedGroup, ResultRow
from penguins.sweep.transfer import (
    chosen_from_rows,
    chosen_to_frame,
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
    assert arrived == sent
    assert list(arrived.models) == list(with_models)


def test_a_model_that_travels_holds_the_pipeline_as_it_was_fitted_and_its_records() -> None:
    fit = sweep(pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["x", "y"]), EPS, min_samples=3)
    packed = fit.model_that_predicts(1)
    assert content(packed.pipeline) == content(fit.model(1))
    assert packed.npz is not None
    one, other = vars(nearest_from_bytes(packed.npz)), vars(fit.nearest(1))
    assert all(np.array_equal(one[name], value) for name, value in other.items())


def test_a_model_that_skops_cannot_write_travels_as_the_reason() -> None:
    group = fitted_group(with_models=())
    records = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["x", "y"])
    pipeline = sweep(records, EPS, min_samples=3).model(0)
    pipeline["dbscan"].own = (number for number in range(3))
    [arrived] = receive(fitted_group_to_frame(dataclasses.replace(group, models={0: pack_model(pipeline, None)})))
    assert arrived.outcomes == group.outcomes
    assert arrived.models[0].failure.startswith("The DBSCAN cannot be stored with skops: ")


def chosen_clustering_of(**ids: object) -> ChosenClustering:
    """Return a clustering of three records with these columns of ids, and how it predicts."""
    found = sweep(pd.DataFrame({"x": [0.0, 0.1, 9.0], "y": [0.0, 0.1, 9.0]}), (0.5,), min_samples=2)
    X = pd.DataFrame({"x": [0.0, 0.1, 9.0], "y": [0.0, 0.1, 9.0]})
    return found.chosen(0, X, pd.DataFrame(ids, index=range(3)), with_model=True)


# The types of ids as Spark gives them to a worker.
IDS = {
    "text": ["a", None, "null\0\n🐧"],
    "whole numbers": np.array([2**62 + 1, 0, -1]),
    "numbers": [0.1 + 0.2, None, -0.0],
    "booleans": [True, None, False],
    "booleans without gaps": np.array([True, False, True]),
    "dates": [date(1, 1, 1), None, date(9999, 12, 31)],
    "times": np.array(["2024-02-29T23:59:59.999999", "NaT", "1970-01-01"], dtype="datetime64[ns]"),
    "durations": np.array([86_400_000_000_000, "NaT", 1_000], dtype="timedelta64[ns]"),
    "decimals": [Decimal("12345678901234567890.12"), None, Decimal("0.10")],
    "bytes": [b"\x80\x04", None, b""],
    "nothing": [None, None, None],
}


@pytest.mark.parametrize("values", IDS.values(), ids=IDS)
def test_a_chosen_clustering_arrives_as_it_was_sent_with_ids_of_any_type(values: object) -> None:
    sent = chosen_clustering_of(id_0=values, row=[7, 0, 3])
    found = chosen_from_rows(chosen_to_frame(("a", "b"), sent).to_dict("records"))
    arrived = found["a, b"]
    pd.testing.assert_frame_equal(arrived.records, sent.records)
    assert str(arrived.profiles) == str(sent.profiles)  # as NaN is not itself
    assert arrived.typical == sent.typical
    assert arrived.nearest is not None
    one, other = vars(arrived.nearest), vars(sent.nearest)
    assert all(np.array_equal(one[name], value) for name, value in other.items())


@pytest.mark.parametrize("n_curves", [0, 2])
def test_the_evidence_arrives_with_every_bit_by_each_way(n_curves: int) -> None:
    X, labels = np.array([[0.1 + 0.2, -0.0], [5e-324, 1e308]]), np.array([[0, -1, 7], [2**31 - 1, 0, 0]], dtype=np.int32)
    sent = Evidence(np.array([3, 8]), X, labels, np.array([[3, 0.0, 0.1 + 0.2], [3, 1.0, 5e-324]])[:n_curves])
    chosen = dataclasses.replace(chosen_clustering_of(row=[7, 0, 3]), evidence=sent)
    [fitted] = receive(fitted_group_to_frame(dataclasses.replace(fitted_group(), chosen=chosen)))
    logged = LoggedGroup(("b",), "run 1", 10, [], chosen=chosen)
    [from_worker] = logged_groups_from_rows(logged_group_to_frame(logged).to_dict("records"))
    again = chosen_from_rows(chosen_to_frame(("a",), chosen).to_dict("records"))["a"]
    for arrived in (fitted.chosen, from_worker.chosen, again):
        assert arrived is not None
        assert arrived.evidence is not None
        for name, values in vars(sent).items():
            found = getattr(arrived.evidence, name)
            assert (found.shape, found.dtype, found.tobytes()) == (values.shape, values.dtype, values.tobytes())


class Bomb:
    """Make a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def skops_that_calls(function: str, *args: object) -> bytes:
    """Return a file of skops that calls a function, named with its module, where its reader trusts that name."""
    module, _, name = function.rpartition(".")
    values = [
        {"__module__": "builtins", "__class__": "str", "__loader__": "JsonNode", "content": json.dumps(one)} for one in args
    ]
    arguments = {"__module__": "builtins", "__class__": "tuple", "__loader__": "TupleNode", "content": values}
    state = {"__module__": "builtins", "__class__": "dict", "__loader__": "JsonNode", "content": "null"}
    call = {
        "__module__": module,
        "__class__": name,
        "__loader__": "LossNode",
        "__reduce__": {"args": arguments},
        "content": state,
    }
    stored = BytesIO()
    with ZipFile(stored, "w") as archive:
        archive.writestr("schema.json", json.dumps(call | {"protocol": skops.io._protocol.PROTOCOL}))
    return stored.getvalue()


def bombs(folder: Path) -> dict[str, bytes]:
    """Return what a worker might send to have `folder` made: by pickle, or by a file that names a function."""
    array, arrays = BytesIO(), BytesIO()
    np.save(array, np.array([Bomb(folder)], dtype=object), allow_pickle=True)
    np.savez(arrays, points=np.array([Bomb(folder)], dtype=object))
    return {
        "pickle": pickle.dumps(Bomb(folder)),
        "an array of objects": array.getvalue(),
        "arrays of objects": arrays.getvalue(),
        "skops that calls a function": skops_that_calls("os.mkdir", str(folder)),
    }


# What reads a bomb of each kind without care.
CARELESS: dict[str, Callable[[bytes], object]] = {
    "pickle": pickle.loads,
    "an array of objects": lambda bomb: np.load(BytesIO(bomb), allow_pickle=True),
    "arrays of objects": lambda bomb: np.load(BytesIO(bomb), allow_pickle=True)["points"],
    "skops that calls a function": lambda bomb: skops.io.loads(bomb, trusted=skops.io.get_untrusted_types(data=bomb)),
}


@pytest.mark.parametrize("kind", CARELESS)
def test_a_bomb_goes_off_where_it_is_read_without_care(tmp_path: Path, kind: str) -> None:
    CARELESS[kind](bombs(tmp_path / "made")[kind])
    assert (tmp_path / "made").is_dir()


@pytest.mark.parametrize("kind", CARELESS)
@pytest.mark.parametrize("field", ["result", "model", "nearest", "records", "router"])
def test_nothing_that_a_worker_sends_runs_code_in_the_driver(tmp_path: Path, field: str, kind: str) -> None:
    made = tmp_path / "made"
    bomb = bombs(made)[kind]
    group = dataclasses.replace(fitted_group(), chosen=chosen_clustering_of(id_0=["a", "b", "c"]))
    rows = fitted_group_to_frame(group).to_dict("records")
    rows[0][field] = bomb
    with suppress(WorkError):
        for arrived in fitted_groups_from_rows(rows):
            with suppress(Exception):
                _ = arrived.models[0].pipeline
            with suppress(Exception):
                nearest_from_bytes(arrived.models[0].npz or b"")
    with suppress(WorkError):
        logged_groups_from_rows(rows)
    with suppress(WorkError):
        chosen_from_rows(rows)
    assert not made.exists()


@pytest.mark.parametrize("field", ["result", "records", "router"])
def test_a_result_that_is_none_is_refused_in_one_line(tmp_path: Path, field: str) -> None:
    [row] = chosen_to_frame(("a",), chosen_clustering_of(id_0=["a", "b", "c"])).to_dict("records")
    with pytest.raises(WorkError, match=r"^A worker of Spark returned no result of a sweep: \w+: .*$"):
        chosen_from_rows([row | {field: pickle.dumps(Bomb(tmp_path / "made"))}])


def damaged_arrays() -> bytes:
    """Return a compressed file of arrays of which the first compressed byte is damaged."""
    stored = BytesIO()
    np.savez_compressed(stored, columns=np.arange(1000))
    content = bytearray(stored.getvalue())
    [name_length, extra_length] = struct.unpack_from("<HH", content, 26)
    content[30 + name_length + extra_length] = 0xFF  # a kind of compressed block that does not exist
    return bytes(content)


def enormous_arrays() -> bytes:
    """Return a file of arrays that claims to hold 10**12 numbers."""
    stored, header = BytesIO(), BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with ZipFile(stored, "w") as archive:
        archive.writestr("points.npy", header.getvalue())
    return stored.getvalue()


@pytest.mark.parametrize(
    ("field", "content", "error"),
    [
        ("result", "[" * 200_000, "RecursionError"),
        ("router", damaged_arrays(), "error"),
        ("router", enormous_arrays(), "MemoryError"),
    ],
)
def test_a_result_that_ends_its_reader_is_refused_in_one_line(field: str, content: object, error: str) -> None:
    [row] = chosen_to_frame(("a",), chosen_clustering_of(id_0=["a", "b", "c"])).to_dict("records")
    with pytest.raises(WorkError, match=rf"^A worker of Spark returned no result of a sweep: \w*{error}: .*$"):
        chosen_from_rows([row | {field: content}])


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
