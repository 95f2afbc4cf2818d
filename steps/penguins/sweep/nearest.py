"""Assign new records to the clusters of a fitted clustering, by their nearest records.

A model of a sweep carries a copy of this file, with which MLflow loads it as a python_function in an environment that does not
have this project. It therefore imports nothing of the project but `table_rows`, of which the model carries a copy, too.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from penguins.tracking.table_rows import to_numbers


@dataclass(frozen=True)
class NearestRecords:
    """The records of a clustering that new records are compared with, and the way into their space.

    `points`, of shape (n_points, n_dimensions), belong to the `clusters`, of shape (n_points,). A new record belongs to the
    cluster of its nearest point, if the distance is up to that point's `reach`, of shape (n_points,), and else it is noise, -1.
    The space is that of `columns`, less `center` and divided by `scale`, each of shape (n_columns,); with `is_sphere`, the
    columns are latitude and longitude in degrees, and the space is that of unit vectors.
    """

    columns: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    is_sphere: bool
    points: np.ndarray
    clusters: np.ndarray
    reach: np.ndarray

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the cluster of each row, of shape (n_rows,). Raises ValueError where a column may not hold a value."""
        return NearestPredictor(self).predict(rows)

    def to_bytes(self) -> bytes:
        """Return what `save` writes."""
        file = BytesIO()
        self.save(file)
        return file.getvalue()

    def save(self, path: str | BytesIO) -> None:
        """Write this to a file of NumPy's format `npz`, without pickle."""
        columns = np.frombuffer(json.dumps(self.columns).encode(), dtype=np.uint8)
        np.savez(
            path,
            columns=columns,
            center=self.center,
            scale=self.scale,
            is_sphere=np.array(self.is_sphere),
            points=self.points,
            clusters=self.clusters,
            reach=self.reach,
        )


class NearestPredictor:
    """Assign new records by `NearestRecords`, whose search tree is made once and kept for all predictions."""

    def __init__(self, nearest: NearestRecords) -> None:
        self.nearest, self.tree = nearest, cKDTree(nearest.points)

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Return the cluster of each row, of shape (n_rows,). Raises ValueError where a column may not hold a value."""
        return self.assign(to_matrix(rows, self.nearest.columns))

    def assign(self, X: np.ndarray) -> np.ndarray:
        """Return the cluster of each record of X, of shape (n_records, n_columns), in the units of the table."""
        own = self.nearest
        if not len(own.points):
            return np.full(len(X), -1)
        X = (X - own.center) / own.scale
        if own.is_sphere:
            latitude, longitude = np.radians(X).T
            X = np.column_stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
        # Beyond the largest reach, the search need not go on; a little farther, because the tree compares rounded squares.
        farthest = own.reach.max() * (1 + 1e-9) + 1e-100
        distances, nearest = self.tree.query(X, distance_upper_bound=farthest)
        nearest[nearest == len(own.points)] = 0  # there is none, at an infinite distance
        return np.where(distances <= own.reach[nearest], own.clusters[nearest], -1)


def to_matrix(rows: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Return columns of numbers as an array of shape (n_rows, n_columns).

    Raises ValueError where one is missing or may not hold a value.
    """
    for name in columns:
        if name not in rows:
            raise ValueError(f"column {name!r} is missing")
    return np.column_stack([to_numbers(rows[name], name).astype(float) for name in columns])


def nearest_from_bytes(content: bytes) -> NearestRecords:
    """Read what `NearestRecords.to_bytes` returned."""
    return load_nearest(BytesIO(content))


def load_nearest(path: str | BytesIO) -> NearestRecords:
    """Read what `NearestRecords.save` wrote. Raises ValueError, TypeError or KeyError where it is something else."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    columns = tuple(json.loads(arrays.pop("columns").tobytes()))
    return NearestRecords(columns, is_sphere=bool(arrays.pop("is_sphere")), **arrays)


def _load_pyfunc(path: str) -> NearestPredictor:
    """Load the model for MLflow, which looks for a function of this name."""
    return NearestPredictor(load_nearest(path))
