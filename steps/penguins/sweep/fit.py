"""The sweep of one group: DBSCAN for every value of eps and min_samples, the indices, and the choice of the best value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from penguins.cli.parameters import Auto
from penguins.clustering.dbscan import Clustering, dbscan
from penguins.clustering.doubts import Candidate
from penguins.clustering.eps_grid import N_PROPOSED, EpsGrid, k_distances, propose_eps
from penguins.clustering.indices import N_CLUSTERED_RECORDS, evaluate
from penguins.clustering.selection import Choice, choose
from penguins.clustering.sphere import EARTH_RADIUS_KM
from penguins.data.checks import LARGEST

HAVERSINE = "haversine"


@dataclass(frozen=True)
class Outcome:
    """The result of one value of eps and min_samples.

    It holds the defined metrics by name, why the others are undefined, and how one was estimated, if so.
    """

    eps: float
    metrics: Mapping[str, float]
    reason: str
    estimated: str
    min_samples: int


@dataclass(frozen=True)
class SweepFit:
    """The outcomes of one group in ascending order of eps, then of min_samples, and all that their models hold.

    `X`, of shape (n_records, n_features), are the records in the space of the clustering; with the metric haversine, they are
    latitude and longitude in degrees. `grids` holds the proposed values of eps, by min_samples, where eps is `auto`.
    """

    outcomes: list[Outcome]
    scaler: StandardScaler | FunctionTransformer
    X: np.ndarray
    clusterings: list[Clustering]
    metric: str
    grids: Mapping[int, EpsGrid]

    def model(self, index: int) -> Pipeline:
        """Return the fitted pipeline of the outcome at `index`, with every attribute that scikit-learn's `fit` sets."""
        clustering, outcome = self.clusterings[index], self.outcomes[index]
        if self.metric == HAVERSINE:
            X = np.radians(self.X)
            eps = outcome.eps / EARTH_RADIUS_KM
            fitted = DBSCAN(eps=eps, min_samples=outcome.min_samples, metric=HAVERSINE, algorithm="ball_tree")
        else:
            X = self.X
            fitted = DBSCAN(eps=outcome.eps, min_samples=outcome.min_samples)
        fitted.n_features_in_ = X.shape[1]
        fitted.labels_ = clustering.labels
        fitted.core_sample_indices_ = clustering.core
        fitted.components_ = X[clustering.core]
        return Pipeline([("scaler", self.scaler), ("dbscan", fitted)])

    def choose(self, select_by: str, min_coverage: float) -> Choice:
        """Choose the best outcome by the rule `select_by`, and say why the choice deserves doubt, if it does."""
        pairs = zip(self.outcomes, self.clusterings, strict=True)
        candidates = [Candidate(one.eps, one.min_samples, found.labels, one.metrics) for one, found in pairs]
        return choose(candidates, select_by, min_coverage)

    def median_distance(self) -> float:
        """Return the median distance of the records to their nearest ones, by the smallest min_samples."""
        smallest = min(outcome.min_samples for outcome in self.outcomes)
        return float(np.median(k_distances(self.X, smallest, self.metric)))


@dataclass(frozen=True)
class GridOfGroup:
    """The values of eps that were proposed for a group: their range, and the k-distances with their knee, if it has one."""

    min_samples: int
    lowest: float
    highest: float
    distances: Sequence[float]
    knee: float | None


@dataclass(frozen=True)
class GroupResult:
    """The outcomes of one group, or the reason why the group failed.

    `best` is the position of the chosen outcome, if there is one; `warning` says why the choice deserves doubt, or why there is
    none; `median_distance` is that of the records to their `min_samples`-th nearest one, in a group without a best outcome.
    `models` holds the fitted pipelines that are to be logged, by the position of their outcome; `example` is a row for
    them, the means of the features.
    """

    name: str
    n_records: int
    outcomes: Sequence[Outcome]
    best: int | None
    warning: str = ""
    failure: str = ""
    grids: Sequence[GridOfGroup] = field(default_factory=list)
    example: Sequence[float] = field(default_factory=list)
    median_distance: float | None = None
    models: Mapping[int, Pipeline] = field(default_factory=dict)

    @property
    def best_outcome(self) -> Outcome | None:
        """The chosen outcome."""
        return None if self.best is None else self.outcomes[self.best]

    def coverage(self, outcome: Outcome) -> float:
        """Return the share of the group's records that the outcome's clusters hold."""
        return outcome.metrics[N_CLUSTERED_RECORDS] / self.n_records


def sweep(
    records: pd.DataFrame | np.ndarray,
    eps_values: Sequence[float] | Auto,
    min_samples: int | Sequence[int],
    seed: int = 0,
    metric: str = "euclidean",
    scale: str = "standard",
) -> SweepFit:
    """Cluster `records`, of shape (n_records, n_features), for every eps and every min_samples.

    With `scale` standard, the features are scaled to zero mean and unit variance within these records; eps is a distance in
    that space. With none, it is in the unit of the features. With the metric haversine, the two features are latitude and
    longitude in degrees, `scale` does not apply, and eps is in kilometres. `Auto` proposes the values of eps. `seed` chooses
    the sample on which an index of very many records is estimated.
    Raises ValueError where a record holds a value that is infinite, or too large to be squared.
    """
    records = pd.DataFrame(records)
    unusable = [name for name in records.columns if not (records[name].abs() < LARGEST).all()]
    if unusable:
        kind = "infinite values" if np.isinf(records[unusable].to_numpy()).any() else f"values beyond {LARGEST:g}"
        raise ValueError(f"{kind} in {', '.join(map(str, unusable))}")
    scaler = _fitted_scaler(records, metric, scale)
    scaled = records if metric == HAVERSINE else scaler.transform(records)
    X = np.ascontiguousarray(np.asarray(scaled, dtype=float))
    numbers = sorted(int(number) for number in np.atleast_1d(min_samples))
    grids = {}
    if isinstance(eps_values, Auto):
        grids = {number: propose_eps(X, number, eps_values.n_values or N_PROPOSED, metric, seed) for number in numbers}
    found = []
    for number in numbers:
        ascending = grids[number].values if grids else sorted(eps_values)  # type: ignore[arg-type]  # a list here
        clusterings = dbscan(X, ascending, number, metric)
        found += [(eps, number, clustering) for eps, clustering in zip(ascending, clusterings, strict=True)]
    found.sort(key=lambda one: one[:2])
    evaluations = evaluate(X, [clustering.labels for _, _, clustering in found], seed, metric)
    outcomes = [
        Outcome(eps, evaluation.metrics, evaluation.reason, evaluation.estimated, number)
        for (eps, number, _), evaluation in zip(found, evaluations, strict=True)
    ]
    return SweepFit(outcomes, scaler, X, [clustering for _, _, clustering in found], metric, grids)


def _fitted_scaler(records: pd.DataFrame, metric: str, scale: str) -> StandardScaler | FunctionTransformer:
    """Return the first step of the models, which takes the records into the space of the clustering."""
    if metric == HAVERSINE:
        return FunctionTransformer(np.radians).fit(records)
    is_scaled = scale == "standard"
    return StandardScaler(with_mean=is_scaled, with_std=is_scaled).fit(records)
