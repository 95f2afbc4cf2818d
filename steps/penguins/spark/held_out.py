"""The rows that a Spark step holds out, on which a new model and the present champion are compared, and their hashes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import mlflow
import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from penguins.spark.ml_models import load_spark_model
from penguins.tracking.held_out import require_inputs
from penguins.tracking.row_hashes import SPARK, RowHashes, log_row_hashes, zero_bits


@dataclass(frozen=True)
class HeldOutSparkFrame:
    """Rows in a frame of Spark. `fields` gives what is hashed of each feature and of the target, in double or as text.

    `figure_of` returns the figure of the frame that a model has transformed; `shared` is the folder of `shared_folder`.
    """

    frame: DataFrame
    fields: Mapping[str, Column]
    target: str
    n_rows: int
    shared: str
    figure_of: Callable[[DataFrame], float]
    method: str = SPARK

    @property
    def columns(self) -> Collection[str]:
        return self.fields.keys()

    def score(self, uri: str) -> float:
        signature = mlflow.models.get_model_info(uri).signature
        if signature and signature.inputs.has_input_names():
            require_inputs(signature.inputs.required_input_names(), self.columns, self.target)
        return self.figure_of(load_spark_model(uri, self.shared).transform(self.frame))

    def hashes(self, columns: Sequence[str], n_zero_bits: int) -> np.ndarray:
        return hash_spark_frame(self.frame, {name: self.fields[name] for name in columns}, n_zero_bits)


def hash_spark_frame(frame: DataFrame, fields: Mapping[str, Column], n_zero_bits: int) -> np.ndarray:
    """Return the hashes of the rows that are kept, as uint64. Spark hashes the rows; the others never leave it."""
    hashed = frame.select(F.xxhash64(*[fields[name] for name in sorted(fields)]).alias("hash"))
    kept = hashed.where(F.pmod("hash", F.lit(2**n_zero_bits)) == 0).toPandas()["hash"]
    return kept.to_numpy(dtype=np.int64).view(np.uint64)


def log_spark_training_rows(frame: DataFrame, fields: Mapping[str, Column], n_rows: int) -> None:
    """Log hashes of the rows that a model was trained on, `n_rows` at most, as an artifact of the active run."""
    bits = zero_bits(n_rows)
    log_row_hashes(RowHashes(SPARK, tuple(sorted(fields)), bits, hash_spark_frame(frame, fields, bits)))
