"""The algorithms that a sweep may use: a new one is a class and a line in `ALGORITHMS`.

The rest of `sweep` knows none of them by name.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from penguins.clustering.clusters import NOISE
from penguins.clustering.dbscan import dbscan
from penguins.clustering.doubts import EPS_WORDS, Words
from penguins.clustering.eps_grid import N_PROPOSED, k_distances, propose_eps
from penguins.clustering.indices import N_CLUSTERS
from penguins.clustering.sphere import EARTH_RADIUS_KM, chord, unit_vectors
from penguins.sweep.nearest import NearestRecords

HAVERSINE = "haversine"

# The value of each parameter of a clustering by name: the swept parameter first, then the fixed ones in their order.
Params = Mapping[str, float]


@dataclass(frozen=True)
class Space:
    """The records of a group as they are clustered: X, of shape (n_records, n_features), the metric, and the seed.

    With the metric haversine, X holds latitude and longitude in degrees.
    """

    X: np.ndarray
    metric: str = "euclidean"
    seed: int = 0

    @property
    def is_sphere(self) -> bool:
        """Whether the records are positions on the Earth."""
        return self.metric == HAVERSINE

    @property
    def points(self) -> np.ndarray:
        """The records where straight distances have the order of those of the metric: X, or unit vectors."""
        return unit_vectors(self.X) if self.is_sphere else self.X

    @property
    def sklearn_X(self) -> np.ndarray:
        """The records as scikit-learn's estimators take them, which want radians with the metric haversine."""
        return np.radians(self.X) if self.is_sphere else self.X


@dataclass(frozen=True)
class Clustering:
    """The result of one value: `labels`, of shape (n_records,), -1 for noise.

    `core` holds the indices of the records that decide where new ones belong, None for all that are not noise. `estimator` is
    the fitted estimator, where it was fitted already. `reason` says why the group has no clustering for this value, or fewer
    clusters than it asks for.
    """

    labels: np.ndarray
    core: np.ndarray | None = None
    estimator: Any = None
    reason: str = ""


@dataclass(frozen=True)
class Assignment:
    """By what new records are assigned to the clusters of a clustering.

    `points`, of shape (n_points, n_dimensions), are in the space of `Space.points` and belong to the `clusters`, of shape
    (n_points,). A new record belongs to the cluster of its nearest point, if the distance is up to that point's `reach`, of
    shape (n_points,), and else it is noise.
    """

    points: np.ndarray
    clusters: np.ndarray
    reach: np.ndarray


@dataclass(frozen=True)
class Proposal:
    """The values that are proposed for a group, ascending; of eps also the sorted k-distances and their knee, if any."""

    values: Sequence[float]
    distances: Sequence[float] = ()
    knee: float | None = None


class Algorithm(ABC):
    """A clustering algorithm of which a sweep compares several values of one parameter.

    This class serves any clusterer of scikit-learn: a subclass gives the four attributes and `estimator`. It overrides the
    other methods where the algorithm knows better.
    """

    # The name of the estimator in the logged pipeline.
    name: ClassVar[str]
    # The parameter whose values are compared, and the others, each combination of which gives a curve of its own.
    swept: ClassVar[str]
    fixed: ClassVar[tuple[str, ...]] = ()
    # What warnings call the parameters.
    words: ClassVar[Words]
    # How many values are proposed at most, 0 where none can be.
    n_proposed: ClassVar[int] = 0
    # Whether the swept parameter is a distance in the space of the clustering.
    is_distance: ClassVar[bool] = False

    @abstractmethod
    def estimator(self, params: Params, space: Space) -> Any:
        """Return the unfitted estimator with these parameters."""

    def fewest_records(self, params: Params) -> int:
        """Return how many records a group must have for these parameters: two at least."""
        return max(2, int(params[self.words.fewest_records]))

    def can_fit(self, params: Params, n_records: int) -> bool:
        """Tell whether a group of so many records has a clustering with these parameters."""
        return n_records >= self.fewest_records(params)

    def propose(self, space: Space, fixed: Params, n_values: int) -> Proposal:
        """Propose up to `n_values` values of the swept parameter for a group."""
        raise NotImplementedError(f"{self.swept}=auto")

    def fit(self, space: Space, values: Sequence[float], fixed: Params) -> list[Clustering]:
        """Cluster a group for each of `values` of the swept parameter, in ascending order."""
        return [self._fit_one({self.swept: value, **fixed}, space) for value in values]

    def _fit_one(self, params: Params, space: Space) -> Clustering:
        n_records, fewest = len(space.X), self.fewest_records(params)
        if not self.can_fit(params, n_records):
            reason = f"the group has {n_records} of the {fewest} records that {self.words.fewest_records} needs"
            return Clustering(np.full(n_records, NOISE), reason=reason)
        with warnings.catch_warnings():  # Fewer clusters than asked for are a reason in the results.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = self.estimator(params, space).fit(space.sklearn_X)
        n_clusters = len(np.unique(fitted.labels_[fitted.labels_ != NOISE]))
        asked = params.get(N_CLUSTERS, n_clusters)
        reason = f"{n_clusters} clusters of the {asked} asked for: there are too few different records"
        return Clustering(fitted.labels_, estimator=fitted, reason=reason if n_clusters < asked else "")

    def fitted_estimator(self, clustering: Clustering, params: Params, space: Space) -> Any:  # noqa: ARG002  # of subclasses
        """Return the estimator of a clustering, with every attribute that its `fit` sets."""
        return clustering.estimator

    def reach(self, clustering: Clustering, params: Params, space: Space) -> np.ndarray:  # noqa: ARG002  # of subclasses
        """Return how far from a record of a cluster a new record may be and still belong to it, of shape (n_records,).

        It is a distance of `space.points`. Only an estimator without `predict` needs it; by default it has no limit.
        """
        return np.full(len(space.X), np.inf)

    def assignment(self, clustering: Clustering, params: Params, space: Space) -> Assignment:
        """Return by what new records are assigned: the core records, or all that are not noise, as far as `reach`.

        Raises NotImplementedError where the estimator has a `predict` of its own, whose rule this one may not be.
        """
        if hasattr(self.estimator(params, space), "predict"):
            raise NotImplementedError(
                f"{type(self).__name__} must override assignment: its estimator predicts by a rule of its own, "
                "and new records must not be assigned by another one"
            )
        core = np.flatnonzero(clustering.labels != NOISE) if clustering.core is None else clustering.core
        return Assignment(space.points[core], clustering.labels[core], self.reach(clustering, params, space)[core])

    def nearest_records(
        self, clustering: Clustering, params: Params, space: Space, scaler: StandardScaler | FunctionTransformer
    ) -> NearestRecords:
        """Return `assignment` with the columns of a table, and the way from their units into the space of the clustering."""
        columns, by = feature_names(scaler), self.assignment(clustering, params, space)
        center, scale = (getattr(scaler, name, None) for name in ("mean_", "scale_"))
        return NearestRecords(
            columns=tuple(columns),
            center=np.zeros(len(columns)) if center is None else center,
            scale=np.ones(len(columns)) if scale is None else scale,
            is_sphere=space.is_sphere,
            points=by.points,
            clusters=by.clusters,
            reach=by.reach,
        )


class Dbscan(Algorithm):
    """DBSCAN over eps. A new record belongs to the cluster of its nearest core sample within eps."""

    name, swept, fixed, words, n_proposed = "dbscan", "eps", ("min_samples",), EPS_WORDS, N_PROPOSED
    is_distance = True

    def estimator(self, params: Params, space: Space) -> DBSCAN:
        if space.is_sphere:
            eps = params["eps"] / EARTH_RADIUS_KM
            return DBSCAN(eps=eps, min_samples=params["min_samples"], metric=HAVERSINE, algorithm="ball_tree")
        return DBSCAN(eps=params["eps"], min_samples=params["min_samples"])

    def fewest_records(self, params: Params) -> int:
        return int(params["min_samples"])

    def can_fit(self, params: Params, n_records: int) -> bool:  # noqa: ARG002  # too few records are all noise
        return True

    def propose(self, space: Space, fixed: Params, n_values: int) -> Proposal:
        grid = propose_eps(space.X, int(fixed["min_samples"]), n_values, space.metric, space.seed)
        return Proposal(grid.values, grid.distances.tolist(), grid.knee)

    def fit(self, space: Space, values: Sequence[float], fixed: Params) -> list[Clustering]:
        found = dbscan(space.X, values, int(fixed["min_samples"]), space.metric)
        return [Clustering(one.labels, one.core) for one in found]

    def fitted_estimator(self, clustering: Clustering, params: Params, space: Space) -> DBSCAN:
        fitted, X = self.estimator(params, space), space.sklearn_X
        fitted.n_features_in_ = X.shape[1]
        fitted.labels_ = clustering.labels
        fitted.core_sample_indices_ = clustering.core
        fitted.components_ = X[clustering.core]
        return fitted

    def reach(self, clustering: Clustering, params: Params, space: Space) -> np.ndarray:  # noqa: ARG002  # the same for all
        return np.full(len(space.X), chord(params["eps"]) if space.is_sphere else params["eps"])


class Hdbscan(Algorithm):
    """HDBSCAN over min_cluster_size.

    A new record belongs to the cluster of its nearest clustered record within the largest core distance of that cluster: the
    radius in which even its sparsest record has min_samples records, itself included.
    """

    name, swept, fixed, n_proposed = "hdbscan", "min_cluster_size", ("min_samples",), 12
    words = Words(
        swept="min_cluster_size",
        fewest_records="min_samples",
        less_noise="smaller min_cluster_size or min_samples",
        more_clusters="smaller min_cluster_size",
        other_values="other values of min_cluster_size, for example min_cluster_size=auto",
        lowest=2,
    )

    def estimator(self, params: Params, space: Space) -> HDBSCAN:
        sizes = {"min_cluster_size": params["min_cluster_size"], "min_samples": params["min_samples"]}
        return HDBSCAN(**sizes, metric=space.metric, copy=True)

    def propose(self, space: Space, fixed: Params, n_values: int) -> Proposal:  # noqa: ARG002  # min_samples changes nothing
        """Propose sizes from 1 % of the records, or five, to a third of them, evenly spaced in log scale."""
        n_records = len(space.X)
        lowest = max(min(5, n_records // 4), -(-n_records // 100), 2)
        values = np.geomspace(lowest, max(lowest, n_records // 3), n_values).round().astype(int)
        return Proposal(np.unique(values).tolist())

    def reach(self, clustering: Clustering, params: Params, space: Space) -> np.ndarray:
        number = max(2, int(params["min_samples"]))  # with one, the core distance of every record is 0
        distances = k_distances(space.points, number)
        largest = np.full(len(distances), -np.inf)
        for cluster in np.unique(clustering.labels):
            is_member = clustering.labels == cluster
            largest[is_member] = distances[is_member].max()
        return largest


class KMeansClusters(Algorithm):
    """k-means over n_clusters, seeded. A new record belongs to the cluster of its nearest center."""

    name, swept = "kmeans", "n_clusters"
    words = Words(
        swept="n_clusters",
        fewest_records="n_clusters",
        more_clusters="larger n_clusters",
        other_values="other values of n_clusters",
        lowest=2,
    )

    def estimator(self, params: Params, space: Space) -> KMeans:
        return KMeans(n_clusters=params["n_clusters"], random_state=space.seed)

    def assignment(self, clustering: Clustering, params: Params, space: Space) -> Assignment:  # noqa: ARG002  # by the centers
        """Return the centers, without a limit. Of centers that coincide, scikit-learn predicts the first."""
        centers = clustering.estimator.cluster_centers_
        clusters = np.sort(np.unique(centers, axis=0, return_index=True)[1])
        return Assignment(centers[clusters], clusters, np.full(len(clusters), np.inf))


def feature_names(scaler: StandardScaler | FunctionTransformer) -> list[str]:
    """Return the names of the columns that the scaler was fitted on; for an array, their numbers as text."""
    return [str(name) for name in getattr(scaler, "feature_names_in_", range(scaler.n_features_in_))]


ALGORITHMS: Mapping[str, Algorithm] = {one.name: one for one in (Dbscan(), Hdbscan(), KMeansClusters())}
