"""The sweep of one group: DBSCAN for every eps in the group's scaled space, and the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from clustering import metrics


@dataclass(frozen=True)
class Outcome:
    """What one eps gave: the metrics that are defined, by name, why the others are not, and the fitted model."""

    eps: float
    metrics: dict[str, float]
    reason: str
    model: Pipeline


def sweep(records: pd.DataFrame, eps_values: Sequence[float], min_samples: int) -> list[Outcome]:
    """Clusters `records`, of shape (n_records, n_features), for every eps, in ascending order of eps.

    The features are scaled to zero mean and unit variance within these records; eps is a distance in that space.
    Raises ValueError where a record holds a value that is not finite.
    """
    infinite = [name for name in records.columns if not np.isfinite(records[name]).all()]
    if infinite:
        raise ValueError(f"infinite values in {', '.join(map(str, infinite))}")
    scaler = StandardScaler().fit(records)
    X = scaler.transform(records)
    outcomes = []
    for eps in sorted(eps_values):
        dbscan = DBSCAN(eps=eps, min_samples=min_samples).fit(X)
        found = metrics.evaluate(X, dbscan.labels_)
        model = Pipeline([("scaler", scaler), ("dbscan", dbscan)])
        outcomes.append(Outcome(eps, found.metrics, found.reason, model))
    return outcomes


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
