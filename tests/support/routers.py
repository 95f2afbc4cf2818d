"""A small router for the tests, logged as a sweep logs it, and the rows that it is asked about."""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.models.model import ModelInfo

from penguins.sweep.algorithm import ALGORITHMS
from penguins.sweep.fit import SweepFit, fit_grid
from penguins.sweep.router import Router
from penguins.sweep.router_model import log_router
from penguins.tracking.artifacts import model_requirements

FEATURES = ("bill_length_mm", "body_mass_g")
GRIDS: dict[str, dict[str, tuple[float, ...]]] = {
    "dbscan": {"eps": (0.5,), "min_samples": (3,)},
    "kmeans": {"n_clusters": (3,)},
}
NO_BEST = "no value has the index"
REQUIREMENTS = model_requirements("mlflow", "scikit-learn", "pandas", "numpy")
# A row of every kind: of two groups, of one without a best value, of an unknown one, and without a year.
ROWS = pd.DataFrame(
    {
        "island": ["Biscoe", "Dream", "Torgersen", "Atlantis", "Dream"],
        "year": pd.array([2007, 2008, 2007, 2007, None], dtype="Int64"),
        "bill_length_mm": [0.0, 100.0, 0.0, 0.0, 0.0],
        "body_mass_g": [0, 0, 0, 0, 0],
    }
)
REASONS = [
    "",
    "",
    NO_BEST,
    "no group of the training has 'Atlantis' in column 'island', '2007' in column 'year'",
    "column 'year' misses a value",
]


def fit_records(algorithm: str, seed: int) -> tuple[pd.DataFrame, SweepFit]:
    """Cluster two blobs, one near each end of the first feature, and return their records with the fit."""
    random = np.random.default_rng(seed)
    bills = np.concatenate([random.normal(0, 1, 30), random.normal(100, 1, 30)])
    records = pd.DataFrame({"bill_length_mm": bills, "body_mass_g": random.normal(0, 1, 60)})
    return records, fit_grid(ALGORITHMS[algorithm], records, GRIDS[algorithm])


def example_of(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the first row by column."""
    return {str(name): values.iloc[0] for name, values in rows.items()}


def small_router(algorithm: str = "dbscan") -> Router:
    """Return a router of three groups, one of them without a best value."""
    groups: dict[tuple[str, ...], Any] = {("Torgersen", "2007"): NO_BEST}
    for seed, key in enumerate([("Biscoe", "2007"), ("Dream", "2008")]):
        _, found = fit_records(algorithm, seed)
        params, clustering = found.outcomes[0].params, found.clusterings[0]
        groups[key] = found.algorithm.nearest_records(clustering, params, found.space, found.scaler)
    return Router(("island", "year"), FEATURES, False, groups)


def log_small_router(algorithm: str = "dbscan", **options: Any) -> tuple[str, ModelInfo]:
    """Log the router to a run of its own, and return its URI and what MLflow says of it."""
    with mlflow.start_run(run_id=MlflowClient().create_run("1").info.run_id) as run:
        info = log_router(small_router(algorithm), algorithm, example_of(ROWS), REQUIREMENTS, **options)
    return f"runs:/{run.info.run_id}/router", info
