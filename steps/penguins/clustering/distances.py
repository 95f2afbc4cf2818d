"""Squared distances between records, from differences and never from matrix products, whose error small distances show."""

import numpy as np
from scipy.spatial.distance import cdist

from penguins.clustering.sphere import kilometres, unit_vectors

# Up to this number of records, the matrix of all distances stays in memory.
MOST_RECORDS_IN_MATRIX = 2_000


class Distances:
    """Squared distances between records, with an error of a few units in the last place.

    `X`, of shape (n_records, n_features), are the records; with the metric haversine, they are latitude and longitude in
    degrees, and the distances are in kilometres on a sphere. `power` is the number of features.
    """

    def __init__(self, X: np.ndarray, metric: str = "euclidean") -> None:
        self.is_sphere = metric == "haversine"
        self.points = unit_vectors(X) if self.is_sphere else X
        self.power = X.shape[1]
        self._matrix = None
        if len(X) <= MOST_RECORDS_IN_MATRIX:
            self._matrix = self._compute(self.points, self.points)

    def __len__(self) -> int:
        return len(self.points)

    def squares(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return a new array of the squared distances, of shape (len(rows), len(columns))."""
        if self._matrix is not None:
            return np.asarray(self._matrix[rows][:, columns])
        return self._compute(self.points[rows], self.points[columns])

    @property
    def are_in_memory(self) -> bool:
        """Whether the distances of all records are at hand, so that those of any pairs are."""
        return self._matrix is not None

    def of_pairs(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return a new array of the squared distance of each pair, of shape (n_pairs,). Raises ValueError unless in memory."""
        if self._matrix is None:
            raise ValueError("the distances of pairs need the matrix of all distances")
        return np.asarray(self._matrix.take(rows * len(self) + columns))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return a new array of the squared distances of the records from `start` to `stop` to all records."""
        if self._matrix is not None:
            return self._matrix[start:stop].copy()
        return self._compute(self.points[start:stop], self.points)

    def _compute(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squares = cdist(a, b, "sqeuclidean")
        return np.square(kilometres(np.sqrt(squares))) if self.is_sphere else np.asarray(squares)
