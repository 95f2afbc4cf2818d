"""The sweep of one group: a clustering for every value of the parameters, the indices, and the choice of the best value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from penguins.cli.rules import Auto
from penguins.clustering.doubts import Candidate
from penguins.clustering.eps_grid import k_distances
from penguins.clustering.indices import N_CLUSTERED_RECORDS, N_CLUSTERS, Evaluation, evaluate
from penguins.clustering.selection import Choice, choose
from penguins.sweep.algorithm import ALGORITHMS, Algorithm, Clustering, Params, Proposal, Space, feature_names
from penguins.sweep.chosen import ChosenClustering, chosen_clustering
from penguins.sweep.clusterings import cluster_values, scale_records
from penguins.sweep.nearest import NearestRecords
from penguins.tracking.sklearn_types import load_trusted, not_storable

# Between the values of a group in its name, where several columns make the groups.
SEPARATOR = ", "
# The values of each parameter of an algorithm by name, the swept one first.
Grid = Mapping[str, "Auto | Sequence[float]"]


@dataclass(frozen=True)
class Outcome:
    """The result of one value: its parameters, the defined metrics by name, and why the others are undefined.

    `estimated` says how a metric was estimated, if one was.
    """

    params: Params
    metrics: Mapping[str, float]
    reason: str
    estimated: str

    @property
    def eps(self) -> float:
        """DBSCAN's eps, for callers of `sweep`."""
        return self.params["eps"]

    @property
    def min_samples(self) -> int:
        """DBSCAN's min_samples, for callers of `sweep`."""
        return int(self.params["min_samples"])


@dataclass(frozen=True)
class SweepModel:
    """A model to log, as its files hold it, which also travels from a worker to the driver.

    `skops` is the fitted pipeline as skops writes it, and `npz` the records by which it predicts, as `NearestRecords.save`
    writes them, where its estimator cannot predict. Models with the same `kind` differ in nothing else. `failure` says why
    skops could not write this one.
    """

    kind: str
    skops: bytes
    npz: bytes | None = None
    failure: str = ""

    @property
    def pipeline(self) -> Pipeline:
        """The fitted pipeline. Raises an error of skops where it holds more than may be trusted."""
        return load_trusted(self.skops)


def pack_model(pipeline: Pipeline, nearest: NearestRecords | None) -> SweepModel:
    """Return a fitted pipeline, and the records by which it predicts if it needs any, as a model to log."""
    import skops.io  # loads half of scikit-learn, which a sweep without models does not need

    scaler, (name, estimator) = pipeline["scaler"], pipeline.steps[-1]
    kind = [repr(scaler), *feature_names(scaler), name, type(estimator).__module__, type(estimator).__qualname__]
    kind += [str(estimator.get_params().get("metric")), str(nearest is None)]
    try:
        stored = skops.io.dumps(pipeline, compression=ZIP_DEFLATED, compresslevel=1)  # a sixth of the size, as fast
        return SweepModel(json.dumps(kind), stored, nearest.to_bytes() if nearest else None)
    except Exception as error:  # noqa: BLE001  # skops calls methods of the estimator, which may raise anything
        return SweepModel(json.dumps(kind), b"", failure=str(not_storable(estimator, f"{type(error).__name__}: {error}")))


@dataclass(frozen=True)
class ProposalOfGroup:
    """The values that were proposed for a group with these fixed parameters: their range, and their evidence, if any."""

    fixed: Params
    lowest: float
    highest: float
    distances: Sequence[float]
    knee: float | None


@dataclass(frozen=True)
class SweepFit:
    """The outcomes of one group, ascending by the swept parameter, then by the fixed ones, and all that their models hold."""

    algorithm: Algorithm
    outcomes: list[Outcome]
    scaler: StandardScaler | FunctionTransformer
    space: Space
    clusterings: list[Clustering]
    proposals: list[ProposalOfGroup]

    @property
    def X(self) -> np.ndarray:
        """The records in the space of the clustering, of shape (n_records, n_features)."""
        return self.space.X

    def model(self, position: int) -> Pipeline:
        """Return the fitted pipeline of the outcome at `position`, with every attribute that scikit-learn's `fit` sets."""
        params, clustering = self.outcomes[position].params, self.clusterings[position]
        fitted = self.algorithm.fitted_estimator(clustering, params, self.space)
        return Pipeline([("scaler", self.scaler), (self.algorithm.name, fitted)])

    def model_that_predicts(self, position: int) -> SweepModel:
        """Return the model of the outcome at `position` with all that its predictions need."""
        pipeline = self.model(position)
        return pack_model(pipeline, None if hasattr(pipeline, "predict") else self.nearest(position))

    def nearest(self, position: int) -> NearestRecords:
        """Return how the clustering of the outcome at `position` assigns new records."""
        params, clustering = self.outcomes[position].params, self.clusterings[position]
        return self.algorithm.nearest_records(clustering, params, self.space, self.scaler)

    def chosen(self, position: int, X: pd.DataFrame, identity: pd.DataFrame, with_model: bool) -> ChosenClustering:
        """Return the clustering of the outcome at `position` for the user, and how it predicts if `with_model`.

        `X` and `identity` are those of `chosen_clustering`.
        """
        nearest = self.nearest(position) if with_model else None
        return chosen_clustering(self.clusterings[position], self.space, nearest, X, identity)

    def choose(self, select_by: str, min_coverage: float) -> Choice:
        """Choose the best outcome by the rule `select_by`, and say why the choice deserves doubt, if it does."""
        curves = list(dict.fromkeys(self._fixed(outcome) for outcome in self.outcomes))
        candidates = [
            Candidate(
                outcome.params[self.algorithm.swept],
                curves.index(self._fixed(outcome)),
                clustering.labels,
                outcome.metrics,
                self.algorithm.fewest_records(outcome.params),
            )
            for outcome, clustering in zip(self.outcomes, self.clusterings, strict=True)
        ]
        words = self.algorithm.words
        if self.proposals:  # then a warning that recommends to let the values be proposed is of no use
            words = replace(words, other_values=f"other values of {words.swept}")
        return choose(candidates, select_by, min_coverage, words, self.X)

    def _fixed(self, outcome: Outcome) -> tuple[float, ...]:
        return tuple(outcome.params[name] for name in self.algorithm.fixed)

    def median_distance(self) -> float | None:
        """Return the median distance of the records to their min_samples-th nearest ones, by the smallest min_samples."""
        numbers = [int(outcome.params["min_samples"]) for outcome in self.outcomes if "min_samples" in outcome.params]
        return float(np.median(k_distances(self.X, min(numbers), self.space.metric))) if numbers else None


def group_name(key: Sequence[str]) -> str:
    """Return what people call the group with these values in the columns of groups."""
    return SEPARATOR.join(key)


@dataclass(frozen=True)
class GroupResult:
    """The outcomes of one group, or the reason why the group failed.

    `key` holds the group's value in each column of groups.
    `best` is the position of the chosen outcome, if there is one, and `reason` why it won; `warning` says why the choice
    deserves doubt, or why there is none; `median_distance` is that of the records to their `min_samples`-th nearest one, in a
    group without a best outcome. `models` holds the models that are to be logged, by the position of their outcome; `example`
    is a row for them, the means of the features. `chosen` is what the sweep gives back of it, and `digest` tells its records.
    """

    key: tuple[str, ...]
    n_records: int
    outcomes: Sequence[Outcome]
    best: int | None
    warning: str = ""
    failure: str = ""
    proposals: Sequence[ProposalOfGroup] = field(default_factory=list)
    example: Sequence[float] = field(default_factory=list)
    median_distance: float | None = None
    models: Mapping[int, SweepModel] = field(default_factory=dict)
    chosen: ChosenClustering | None = field(default=None, compare=False)
    digest: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """What people call the group."""
        return group_name(self.key)

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
    """Cluster `records`, of shape (n_records, n_features), with DBSCAN for every eps and every min_samples.

    See `fit_grid`. Eps is a distance in the space of the clustering, and in kilometres with the metric haversine.
    """
    numbers = [int(number) for number in np.atleast_1d(min_samples)]
    return fit_grid(ALGORITHMS["dbscan"], records, {"eps": eps_values, "min_samples": numbers}, seed, metric, scale)


def fit_grid(
    algorithm: Algorithm,
    records: pd.DataFrame | np.ndarray,
    grid: Grid,
    seed: int = 0,
    metric: str = "euclidean",
    scale: str = "standard",
) -> SweepFit:
    """Cluster `records`, of shape (n_records, n_features), for every combination of the values in `grid`.

    With `scale` standard, the features are scaled to zero mean and unit variance within these records. With the metric
    haversine, the two features are latitude and longitude in degrees, and `scale` does not apply. `Auto` proposes the values of
    the swept parameter. `seed` is that of the algorithm, and chooses the sample on which an index of very many records is
    estimated.
    Raises ValueError where a record holds a value that is infinite, or too large to be squared.
    """
    frame = records if isinstance(records, pd.DataFrame) else pd.DataFrame(records)
    scaler, space = scale_records(frame, seed, metric, scale)
    wanted: list[Params] = []
    proposals = []
    for numbers in product(*[sorted(_listed(grid[name])) for name in algorithm.fixed]):
        fixed = dict(zip(algorithm.fixed, numbers, strict=True))
        values, proposal = _values(algorithm, space, grid[algorithm.swept], fixed)
        proposals += proposal
        wanted += [{algorithm.swept: value, **fixed} for value in values]
    found = cluster_values(algorithm, space, wanted)
    evaluations = evaluate(space.X, [clustering.labels for _, clustering in found], seed, metric)
    outcomes = [
        Outcome(params, evaluation.metrics, _reason(clustering, evaluation), evaluation.estimated)
        for (params, clustering), evaluation in zip(found, evaluations, strict=True)
    ]
    return SweepFit(algorithm, outcomes, scaler, space, [clustering for _, clustering in found], proposals)


def fit_again(
    algorithm: Algorithm, records: pd.DataFrame, values: Sequence[Params], seed: int, metric: str, scale: str
) -> SweepFit:
    """Cluster `records` with the parameters in `values` as `fit_grid` does, and compute no metric."""
    scaler, space = scale_records(records, seed, metric, scale)
    found = cluster_values(algorithm, space, values)
    outcomes = [Outcome(params, {}, "", "") for params, _ in found]
    return SweepFit(algorithm, outcomes, scaler, space, [clustering for _, clustering in found], [])


def _reason(clustering: Clustering, evaluation: Evaluation) -> str:
    """Return why an outcome lacks something; where nothing was fitted, that every record is noise says nothing more."""
    if not evaluation.metrics[N_CLUSTERS]:
        return clustering.reason or evaluation.reason
    return "; ".join(filter(None, (clustering.reason, evaluation.reason)))


def _listed(values: Any) -> Sequence[float]:
    if isinstance(values, Auto):
        raise TypeError("only the swept parameter can be auto")
    return list(values)


def _values(
    algorithm: Algorithm, space: Space, wanted: Auto | Sequence[float], fixed: Params
) -> tuple[Sequence[float], list[ProposalOfGroup]]:
    """Return the values of the swept parameter in ascending order and, where they were proposed, the proposal."""
    if not isinstance(wanted, Auto):
        return sorted(wanted), []
    found: Proposal = algorithm.propose(space, fixed, wanted.n_values or algorithm.n_proposed)
    return found.values, [ProposalOfGroup(fixed, found.values[0], found.values[-1], found.distances, found.knee)]
