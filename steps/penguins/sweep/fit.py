"""The sweep of one group: DBSCAN for every eps in the group's scaled space, and the best of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from penguins.clustering.dbscan import Clustering, dbscan
from penguins.clustering.indices import HIGHEST_IS_BEST, N_CLUSTERED_RECORDS, evaluate
from penguins.data.checks import LARGEST


@dataclass(frozen=True)
class Outcome:
    """The result of one eps: the defined metrics by name, why the others are undefined, and how one was estimated, if so."""

    eps: float
    metrics: Mapping[str, float]
    reason: str
    estimated: str


@dataclass(frozen=True)
class SweepFit:
    """The outcomes of one group in ascending order of eps, and all that their models hold.

    `X`, of shape (n_records, n_features), are the scaled records.
    """

    outcomes: list[Outcome]
    scaler: StandardScaler
    X: np.ndarray
    clusterings: list[Clustering]
    min_samples: int

    def model(self, index: int) -> Pipeline:
        """Return the fitted pipeline of the outcome at `index`, with every attribute that scikit-learn's `fit` sets."""
        clustering = self.clusterings[index]
        fitted = DBSCAN(eps=self.outcomes[index].eps, min_samples=self.min_samples)
        fitted.n_features_in_ = self.X.shape[1]
        fitted.labels_ = clustering.labels
        fitted.core_sample_indices_ = clustering.core
        fitted.components_ = self.X[clustering.core]
        return Pipeline([("scaler", self.scaler), ("dbscan", fitted)])


@dataclass(frozen=True)
class GroupResult:
    """The outcomes of one group in ascending order of eps with the best eps, or the reason why the group failed.

    `models` holds the fitted pipelines that are to be logged, by eps.
    """

    name: str
    n_records: int
    outcomes: Sequence[Outcome]
    best_eps: float | None
    failure: str = ""
    models: Mapping[float, Pipeline] = field(default_factory=dict)


def sweep(records: pd.DataFrame | np.ndarray, eps_values: Sequence[float], min_samples: int, seed: int = 0) -> SweepFit:
    """Cluster `records`, of shape (n_records, n_features), for every eps.

    The features are scaled to zero mean and unit variance within these records; eps is a distance in that space. `seed`
    chooses the sample on which an index of very many records is estimated.
    Raises ValueError where a record holds a value that is infinite, or too large to be squared.
    """
    records = pd.DataFrame(records)
    unusable = [name for name in records.columns if not (records[name].abs() < LARGEST).all()]
    if unusable:
        kind = "infinite values" if np.isinf(records[unusable].to_numpy()).any() else f"values beyond {LARGEST:g}"
        raise ValueError(f"{kind} in {', '.join(map(str, unusable))}")
    scaler = StandardScaler().fit(records)
    X = np.ascontiguousarray(scaler.transform(records))
    ascending = sorted(eps_values)
    clusterings = dbscan(X, ascending, min_samples)
    evaluations = evaluate(X, [clustering.labels for clustering in clusterings], seed)
    outcomes = [
        Outcome(eps, found.metrics, found.reason, found.estimated) for eps, found in zip(ascending, evaluations, strict=True)
    ]
    return SweepFit(outcomes, scaler, X, clusterings, min_samples)


def best_outcome(outcomes: Sequence[Outcome], n_records: int, select_by: str, min_coverage: float) -> Outcome | None:
    """Return the best outcome by the index `select_by` among those whose clusters hold `min_coverage` of the records.

    Returns None where no such outcome has the index. Of several that are equally good the smallest eps wins.
    """
    sign = -1 if HIGHEST_IS_BEST[select_by] else 1
    enough = min_coverage * n_records
    eligible = [
        outcome for outcome in outcomes if select_by in outcome.metrics and outcome.metrics[N_CLUSTERED_RECORDS] >= enough
    ]
    return min(eligible, key=lambda outcome: (sign * outcome.metrics[select_by], outcome.eps), default=None)
