"""The sweep of one group: DBSCAN for every eps in the group's scaled space, and the best of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from clustering import density, metrics
from clustering.density import Clustering

LARGEST = 1e150


@dataclass(frozen=True)
class Outcome:
    """What one eps gave: the metrics that are defined, by name, why the others are not, and how one was estimated, if so."""

    eps: float
    metrics: dict[str, float]
    reason: str
    estimated: str


@dataclass(frozen=True)
class Sweep:
    """The outcomes of one group in ascending order of eps, and what their models are made of."""

    outcomes: list[Outcome]
    scaler: StandardScaler
    X: np.ndarray
    clusterings: list[Clustering]
    min_samples: int

    def model(self, index: int) -> Pipeline:
        """The fitted pipeline of the outcome at `index`, with all that scikit-learn's own `fit` leaves on it."""
        clustering = self.clusterings[index]
        dbscan = DBSCAN(eps=self.outcomes[index].eps, min_samples=self.min_samples)
        dbscan.n_features_in_ = self.X.shape[1]
        dbscan.labels_ = clustering.labels
        dbscan.core_sample_indices_ = clustering.core
        dbscan.components_ = self.X[clustering.core]
        return Pipeline([("scaler", self.scaler), ("dbscan", dbscan)])


@dataclass(frozen=True)
class Group:
    """One group's outcomes in ascending order of eps, the best of them, or the reason for which there are none.

    `models` holds by eps those that are to be logged.
    """

    name: str
    n_records: int
    outcomes: Sequence[Outcome]
    best_eps: float | None
    failure: str = ""
    models: Mapping[float, Pipeline] = field(default_factory=dict)


def sweep(records: pd.DataFrame, eps_values: Sequence[float], min_samples: int, seed: int = 0) -> Sweep:
    """Clusters `records`, of shape (n_records, n_features), for every eps.

    The features are scaled to zero mean and unit variance within these records; eps is a distance in that space. `seed`
    chooses the sample on which an index of very many records is estimated.
    Raises ValueError where a record holds a value that is not finite, or so large that its square is not.
    """
    infinite = [name for name in records.columns if not (records[name].abs() < LARGEST).all()]
    if infinite:
        kind = "infinite values" if np.isinf(records[infinite].to_numpy()).any() else f"values beyond {LARGEST:g}"
        raise ValueError(f"{kind} in {', '.join(map(str, infinite))}")
    scaler = StandardScaler().fit(records)
    X = np.ascontiguousarray(scaler.transform(records))
    ascending = sorted(eps_values)
    clusterings = density.dbscan(X, ascending, min_samples)
    found = metrics.evaluate(X, [clustering.labels for clustering in clusterings], seed)
    outcomes = [Outcome(eps, one.metrics, one.reason, one.estimated) for eps, one in zip(ascending, found, strict=True)]
    return Sweep(outcomes, scaler, X, clusterings, min_samples)


def best(outcomes: Sequence[Outcome], n_records: int, select_by: str, min_coverage: float) -> Outcome | None:
    """The outcome that is best by the index `select_by`, of those whose clusters hold `min_coverage` of the records or more.

    None where no such outcome has the index; the smallest eps of several that are equally good.
    """
    sign = -1 if metrics.HIGHEST_IS_BEST[select_by] else 1
    enough = min_coverage * n_records
    eligible = [
        outcome
        for outcome in outcomes
        if select_by in outcome.metrics and outcome.metrics[metrics.N_CLUSTERED_RECORDS] >= enough
    ]
    return min(eligible, key=lambda outcome: (sign * outcome.metrics[select_by], outcome.eps), default=None)
