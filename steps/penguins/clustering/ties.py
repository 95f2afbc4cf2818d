"""Comparisons of squared distances with eps squared where rounding may decide, so that the result stays scikit-learn's."""

from dataclasses import dataclass

import numpy as np

# A squared distance that differs from eps squared by less than this, relatively, is a tie: rounding decides its side.
TIE_TOLERANCE = 1e-13
# The rounding of one operation.
PRECISION = float(np.finfo(float).eps)
# Outside these bounds scikit-learn compares all pairs through matrix products, with a rounding of their own.
FEWEST_RECORDS, MOST_FEATURES = 12, 15


class TieError(ArithmeticError):
    """A distance is so near to eps that the order of the operations decides whether it is within eps."""


@dataclass(frozen=True)
class Limits:
    """Bounds for squared distances: up to `low` they are certainly within eps, up to `high` they tie, beyond they are not."""

    low: float
    high: float

    @classmethod
    def of_eps(cls, eps: float, rounding: float = 0.0) -> "Limits":
        """Return the limits of eps, where squared distances have an error up to `rounding` besides the relative one."""
        square = min(eps * eps, float(np.finfo(float).max))  # The square of a huge eps overflows.
        tolerance = TIE_TOLERANCE * square + rounding
        return cls(square - tolerance, square + tolerance)

    def compare(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tell for each squared distance whether it is certainly within eps, and whether it ties with eps."""
        within = squares <= self.low
        return within, ~within & (squares <= self.high)


def squares_by_products(X: np.ndarray) -> np.ndarray:
    """Compute all squared distances of X, of shape (n_records, n_features), by |x|^2 - 2 x.y + |y|^2, fast in many features."""
    norms = np.einsum("ij,ij->i", X, X)
    squares = X @ X.T
    squares *= -2
    squares += norms
    squares += norms[:, None]
    np.fill_diagonal(squares, 0)
    return np.asarray(np.fmax(squares, 0, out=squares))


def rounding_of_products(X: np.ndarray) -> float:
    """Bound the error of squared distances by matrix products of X, on both sides: here and in scikit-learn.

    X has shape (n_records, n_features). The error grows with the norms and not with the distance.
    """
    largest = float(np.einsum("ij,ij->i", X, X).max(initial=0))
    return float(8 * (X.shape[1] + 4) * PRECISION * largest)
