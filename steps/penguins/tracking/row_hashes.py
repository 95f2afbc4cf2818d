"""Hashes of the rows that a model was trained on, kept with its run: a later run can tell whether the model knows its rows."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from pandas.api import types

TRAINING_ROWS = "training_rows.npz"
MOST_HASHES = 1_000_000
# How rows were hashed. Hashes of different functions cannot be compared.
PANDAS, SPARK = "pandas", "spark"


@dataclass(frozen=True)
class RowHashes:
    """64-bit hashes of rows in `columns`, by the function `method`, as an array of uint64.

    Only those whose lowest `n_zero_bits` bits are zero are kept.
    """

    method: str
    columns: tuple[str, ...]
    n_zero_bits: int
    hashes: np.ndarray


@dataclass(frozen=True)
class SeenRows:
    """How many of the rows held out equal a row of the training; an estimate where only a share of the hashes is kept."""

    number: int
    is_estimate: bool = False

    def __str__(self) -> str:
        return f"about {self.number}" if self.is_estimate else str(self.number)


def zero_bits(n_rows: int) -> int:
    """Return how many of the lowest bits must be zero for about `MOST_HASHES` hashes of `n_rows` rows to be kept."""
    return (max(0, n_rows - 1) // MOST_HASHES).bit_length()


def keep_share(hashes: np.ndarray, n_zero_bits: int) -> np.ndarray:
    """Return the hashes, of uint64, whose lowest `n_zero_bits` bits are zero: the same share of equal rows everywhere."""
    kept: np.ndarray = hashes[hashes % np.uint64(2**n_zero_bits) == 0]
    return kept


def hash_frame(frame: pd.DataFrame, columns: Sequence[str], n_zero_bits: int = 0) -> np.ndarray:
    """Return the hashes of the rows that are kept, as uint64. Neither the order of the columns nor 1 instead of 1.0 matters."""
    plain = {}
    for place, name in enumerate(sorted(columns)):
        values = frame[name]
        is_number = types.is_numeric_dtype(values)
        plain[place] = values.astype(np.float64) + 0.0 if is_number else values.astype(str).astype(object)  # + 0.0: -0 is 0
    return keep_share(pd.util.hash_pandas_object(pd.DataFrame(plain), index=False).to_numpy(), n_zero_bits)


def hash_training_rows(frame: pd.DataFrame) -> RowHashes:
    """Hash the rows of a frame that a model was trained on: its features and its target."""
    bits = zero_bits(len(frame))
    return RowHashes(PANDAS, tuple(sorted(frame.columns)), bits, hash_frame(frame, list(frame.columns), bits))


def log_row_hashes(rows: RowHashes) -> None:
    """Log the hashes as an artifact of the active run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, TRAINING_ROWS)
        np.savez_compressed(
            path,
            method=np.array(rows.method),
            columns=np.array(rows.columns),
            n_zero_bits=np.array(rows.n_zero_bits),
            hashes=np.unique(rows.hashes),
        )
        mlflow.log_artifact(str(path))


def load_row_hashes(run_id: str) -> RowHashes | None:
    """Return the hashes that a run has logged, or None where it has none."""
    if TRAINING_ROWS not in [artifact.path for artifact in MlflowClient().list_artifacts(run_id)]:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=TRAINING_ROWS, dst_path=folder)
        with np.load(path, allow_pickle=False) as stored:
            columns = tuple(str(name) for name in stored["columns"])
            return RowHashes(str(stored["method"]), columns, int(stored["n_zero_bits"]), stored["hashes"])


def count_seen(hashes: np.ndarray, n_zero_bits: int, training: RowHashes) -> SeenRows:
    """Count the rows with these hashes, kept as with `n_zero_bits`, that are among the rows of `training`."""
    bits = max(n_zero_bits, training.n_zero_bits)
    seen = int(np.isin(keep_share(hashes, bits), training.hashes).sum())
    return SeenRows(seen * 2**bits, is_estimate=bits > 0)
