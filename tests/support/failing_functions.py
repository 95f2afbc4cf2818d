"""Functions that fail on a worker of Spark in all the ways there are, and how the reason for that must begin."""

from collections.abc import Callable

import pandas as pd

WORKER_ENDED = "a Python worker ended without an answer, most often because the system killed it for lack of memory: let fewer"
REASONS = {
    "an error of Python": "ValueError: no b of two lines",
    "an error of MLflow": "MlflowException: no store: b",
    "an error of no module": "OddError: odd",
    "an error that another one caused": "RuntimeError: outer: text",
    "memory that the worker does not get": "MemoryError: no 7 GiB: let fewer tasks run at the same time, with spark=local[1]",
    "memory, and no word": "MemoryError: let fewer tasks run at the same time, with spark=local[1]",
    "a killed worker": WORKER_ENDED,
    "a worker that exits": WORKER_ENDED,
}


def failing_function(kind: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function for `applyInPandas` over a column `key` that fails in one group in a way of `REASONS`."""

    def fail(records: pd.DataFrame) -> pd.DataFrame:
        import os
        import signal

        from mlflow.exceptions import MlflowException

        class OddError(Exception):
            """Belong to no module that could be imported."""

        errors = {
            "an error of Python": ValueError("no b\nof two lines"),
            "an error of MLflow": MlflowException("no store: b"),
            "an error of no module": OddError("odd"),
            "memory that the worker does not get": MemoryError("no 7 GiB"),
            "memory, and no word": MemoryError(),
        }
        if records["key"].iloc[0] == "b":
            if kind in errors:
                raise errors[kind]
            if kind == "an error that another one caused":
                raise RuntimeError("outer: text") from KeyError("inner")
            if kind == "a killed worker":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(7)
        return records

    return fail
