"""Hashes of rows: equal rows are recognised whatever their types and the order of their columns, and of many rows a share."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from stores import Store

from penguins.tracking.row_hashes import (
    MOST_HASHES,
    PANDAS,
    TRAINING_ROWS,
    RowHashes,
    SeenRows,
    count_seen,
    hash_frame,
    hash_training_rows,
    load_row_hashes,
    log_row_hashes,
    zero_bits,
)

ROWS = pd.DataFrame({"size": [1, 2, 0], "name": ["a", "b", "1"], "flag": [True, False, True]})


@pytest.mark.parametrize(
    "other",
    [
        ROWS[["flag", "name", "size"]],
        ROWS.astype({"size": np.float64}),
        ROWS.astype({"size": np.int8, "flag": np.float64}),
        ROWS.astype({"size": "Int64", "name": "string", "flag": "boolean"}),
        ROWS.assign(size=[1.0, 2.0, -0.0]),
        ROWS.set_axis([7, 5, 9]),
        ROWS.astype({"name": "category"}),
    ],
)
def test_equal_rows_have_equal_hashes_whatever_their_types_and_the_order_of_the_columns(other: pd.DataFrame) -> None:
    assert hash_frame(other, list(other.columns)).tolist() == hash_frame(ROWS, list(ROWS.columns)).tolist()


@pytest.mark.parametrize(
    "other",
    [
        ROWS.assign(size=[1, 2, 1e-9]),
        ROWS.assign(name=["a", "b", "1.0"]),
        ROWS.rename(columns={"size": "name", "name": "size"}),
        ROWS.assign(flag=[True, False, False]),
    ],
)
def test_other_rows_have_other_hashes(other: pd.DataFrame) -> None:
    assert hash_frame(other, list(other.columns)).tolist() != hash_frame(ROWS, list(ROWS.columns)).tolist()
    assert len(set(hash_frame(ROWS, list(ROWS.columns)).tolist())) == 3


def test_the_hashes_of_a_run_are_those_that_it_has_logged(store: Store) -> None:
    rows = hash_training_rows(ROWS)
    with mlflow.start_run(experiment_id=store.experiment_id) as run:
        assert load_row_hashes(run.info.run_id) is None
        log_row_hashes(rows)
    loaded = load_row_hashes(run.info.run_id)
    assert loaded is not None
    assert (loaded.method, loaded.columns, loaded.n_zero_bits) == (PANDAS, ("flag", "name", "size"), 0)
    assert sorted(loaded.hashes.tolist()) == sorted(rows.hashes.tolist())
    assert store.artifacts(run) == {TRAINING_ROWS}


def test_a_file_that_would_run_code_is_not_loaded(store: Store, tmp_path: Path) -> None:
    bad = np.array([{"any": "object"}], dtype=object)
    np.savez(tmp_path / TRAINING_ROWS, method=bad, columns=bad, n_zero_bits=bad, hashes=bad)
    with mlflow.start_run(experiment_id=store.experiment_id) as run:
        mlflow.log_artifact(str(tmp_path / TRAINING_ROWS))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_row_hashes(run.info.run_id)


@pytest.mark.parametrize(
    ("n_rows", "bits"), [(0, 0), (1, 0), (MOST_HASHES, 0), (MOST_HASHES + 1, 1), (2 * MOST_HASHES, 1), (2 * MOST_HASHES + 1, 2)]
)
def test_about_a_million_hashes_are_kept_at_most(n_rows: int, bits: int) -> None:
    assert zero_bits(n_rows) == bits
    assert n_rows / 2**bits <= MOST_HASHES


def test_rows_are_counted_with_their_repetitions() -> None:
    training = RowHashes(PANDAS, ("a",), 0, np.array([3, 5], dtype=np.uint64))
    assert count_seen(np.array([3, 3, 4, 5], dtype=np.uint64), 0, training) == SeenRows(3)
    assert str(SeenRows(3)) == "3"


@pytest.mark.parametrize(("bits_here", "bits_there"), [(3, 0), (0, 3), (2, 4)])
def test_of_a_share_of_the_hashes_the_number_is_estimated(bits_here: int, bits_there: int) -> None:
    frame = pd.DataFrame({"a": np.arange(40_000)})
    training = RowHashes(PANDAS, ("a",), bits_there, hash_frame(frame.head(30_000), ["a"], bits_there))
    seen = count_seen(hash_frame(frame.tail(20_000), ["a"], bits_here), bits_here, training)
    assert seen.is_estimate
    assert seen.number == pytest.approx(10_000, rel=0.15)
    assert str(seen) == f"about {seen.number}"
