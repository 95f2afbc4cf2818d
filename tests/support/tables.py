"""Random tables of the shapes that break arithmetic: duplicates, constant columns, lattices, points far from the origin."""

import numpy as np


def random_table(seed: int) -> tuple[np.ndarray, list[float], int]:
    """Return a table of shape (n_records, n_features), ascending values of eps that suit it, and min_samples."""
    random = np.random.default_rng(seed)
    n = int(random.integers(2, (14, 60, 200, 500)[seed % 4]))
    features = int(random.integers(1, (3, 6, 18)[seed % 3]))
    centers = random.normal(size=(int(random.integers(1, 8)), features)) * random.choice([0, 1, 3, 30])
    X = centers[random.integers(0, len(centers), n)] + random.normal(size=(n, features)) * random.choice([0, 1e-3, 0.1, 0.5, 1])
    kind = seed % 5
    if kind == 1:
        X = np.round(X, int(random.integers(0, 3)))
    elif kind == 2:
        X = X[random.integers(0, n, n)]
    elif kind == 3 and features > 1:
        X[:, 0] = random.choice([0.0, 0.1, 7])
    elif kind == 4:
        X = X + random.choice([0, 1e3])
    unit = float(np.median(np.linalg.norm(X - X[0], axis=1))) + 0.01
    scale = np.array([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]) * unit
    eps_values = sorted({float(eps) for eps in (np.round(scale, 2) if kind == 1 else scale) if eps > 0} | {0.1, 1.0})
    return X, eps_values, int(random.choice([1, 2, 3, 5, 12]))
