"""Records in a plane: their first two principal components."""

import numpy as np


def principal_components(X: np.ndarray, is_scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two principal components of `X` of shape (n, n_features), as (n, 2), and their shares of the variance.

    The columns are centred and, if `is_scaled`, divided by their standard deviation where that is not zero. Components that `X`
    does not have are zero. The sign of a component is arbitrary: its largest weight is positive.
    """
    centred = X - X.mean(axis=0)
    if is_scaled:
        spread = X.std(axis=0)
        centred = centred / np.where(spread > 0, spread, 1.0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    directions = np.vstack([directions, np.zeros((2, X.shape[1]))])[:2]
    largest = directions[np.arange(2), np.abs(directions).argmax(axis=1)]
    variances = np.append(sizes**2, (0.0, 0.0))
    return centred @ (directions * np.where(largest < 0, -1, 1)[:, None]).T, variances[:2] / (variances.sum() or 1.0)
