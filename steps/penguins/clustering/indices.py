"""Five indices of the quality of a clustering, or the reason why they are undefined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penguins.clustering.clusters import NOISE, Clusters
from penguins.clustering.dbcv import dbcv
from penguins.clustering.s_dbw import s_dbw
from penguins.clustering.silhouette import euclidean_distances, mean_silhouettes
from penguins.clustering.sphere import EARTH_RADIUS_KM, unit_vectors

SILHOUETTE, CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW = "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw"
DBCV = "dbcv"
INDICES = (SILHOUETTE, CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW, DBCV)
N_CLUSTERS, N_CLUSTERED_RECORDS = "n_clusters", "n_clustered_records"
METRICS = (*INDICES, N_CLUSTERS, N_CLUSTERED_RECORDS)
HIGHEST_IS_BEST = {SILHOUETTE: True, CALINSKI_HARABASZ: True, DAVIES_BOULDIN: False, S_DBW: False, DBCV: True}

# Up to this number, the silhouette compares every record with every other; beyond, only a sample of the records, which bounds
# the work.
MOST_COMPARISONS = 20_000_000_000
SMALLEST_SAMPLE = 1_000
# scikit-learn treats distances up to ZERO as 0. PRECISION is the rounding of its formula for squared distances, relative to the
# squared distances from the origin. A relative error up to NEGLIGIBLE is accepted.
ZERO, PRECISION, NEGLIGIBLE = 1e-8, float(np.finfo(float).eps), 1e-10
NUMBERS_IN_MEMORY = 1 << 21


@dataclass(frozen=True)
class Evaluation:
    """The defined `metrics` by name, the `reason` why the others are undefined, and how the silhouette was `estimated`.

    `reason` is empty if all metrics are defined, `estimated` if none is an estimate.
    """

    metrics: dict[str, float]
    reason: str
    estimated: str = ""


def evaluate(X: np.ndarray, labels: Sequence[np.ndarray], seed: int = 0, metric: str = "euclidean") -> list[Evaluation]:
    """Compute the metrics of several clusterings of the same records.

    X, finite, of shape (n_records, n_features), holds the records in the space in which they were clustered. Each item of
    labels, of shape (n_records,), holds the cluster of each record, or -1 for noise, which all indices but DBCV ignore. `seed`
    selects the sample for the estimate of the silhouette and of DBCV if there are too many records to compare all pairs.
    With the metric haversine, the features are latitude and longitude in degrees. Silhouette and DBCV are those of great-circle
    distances; the others need means and take the records as points in three dimensions, in kilometres.
    """
    position: dict[bytes, int] = {}
    positions = [position.setdefault(one.tobytes(), len(position)) for one in labels]
    distinct = np.array([_renumber(labels[positions.index(number)]) for number in range(len(position))])
    counts = [_counts(one) for one in distinct]
    defined = [number for number, (_, reason) in enumerate(counts) if not reason]
    of_density = dict(zip(defined, dbcv(X, distinct[defined], seed, metric) if defined else [], strict=True))
    is_sphere = metric == "haversine"
    if is_sphere:
        X = EARTH_RADIUS_KM * unit_vectors(X)
        X = X - X.mean(axis=0)  # for the precision of matrix products
    silhouettes = dict(zip(defined, _silhouettes(X, distinct[defined], seed, is_sphere), strict=True))
    evaluations = []
    for number, (metrics, reason) in enumerate(counts):
        if reason:
            evaluations.append(Evaluation(metrics, reason))
        else:
            value, estimated = silhouettes[number]
            density = of_density[number]
            indices = {SILHOUETTE: value, **_other_indices(X, distinct[number])}
            if not density.reason:
                indices[DBCV] = density.value
            estimates = "; ".join(filter(None, (estimated, density.estimated)))
            evaluations.append(Evaluation({**indices, **metrics}, density.reason, estimates))
    return [evaluations[number] for number in positions]


def _renumber(labels: np.ndarray) -> np.ndarray:
    """Replace the clusters of `labels` by 0, 1 … without a gap."""
    _, numbered = np.unique(np.append(labels, NOISE), return_inverse=True)
    return np.asarray(numbered[:-1] - 1)


def _counts(labels: np.ndarray) -> tuple[dict[str, float], str]:
    """Return the metrics that are always defined, and the reason why the indices are undefined, or an empty text."""
    clustered = labels[labels != NOISE]
    n_clusters = int(labels.max(initial=NOISE)) + 1
    counts = {N_CLUSTERS: float(n_clusters), N_CLUSTERED_RECORDS: float(len(clustered))}
    if not len(clustered):
        return counts, "every record is noise: the indices need two clusters or more"
    if n_clusters < 2:
        return counts, "one cluster: the indices need two or more"
    if n_clusters == len(clustered):
        return counts, "as many clusters as clustered records: the indices need fewer"
    return counts, ""


def _other_indices(X: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    clusters = Clusters.from_labels(X[labels != NOISE], labels[labels != NOISE])
    return {
        CALINSKI_HARABASZ: calinski_harabasz(clusters),
        DAVIES_BOULDIN: davies_bouldin(clusters),
        S_DBW: s_dbw(clusters),
    }


def _silhouettes(X: np.ndarray, labels: np.ndarray, seed: int, is_sphere: bool) -> list[tuple[float, str]]:
    """Compute the mean silhouette of each clustering, and describe its sample where it is an estimate."""
    scored = labels != NOISE
    sizes = scored.sum(axis=1)
    is_large = sizes**2 > MOST_COMPARISONS
    estimated = [""] * len(labels)
    priority = np.random.default_rng(seed).permutation(len(X))
    for clustering in np.flatnonzero(is_large):
        members = np.flatnonzero(scored[clustering])
        sample = max(SMALLEST_SAMPLE, MOST_COMPARISONS // sizes[clustering])
        scored[clustering, np.delete(members, np.argpartition(priority[members], sample)[:sample])] = False
        estimated[clustering] = f"silhouette: the mean of {sample} of {sizes[clustering]} clustered records (seed {seed})"
    means = np.empty(len(labels))
    for batch in (np.flatnonzero(is_large), np.flatnonzero(~is_large)):
        if len(batch):
            means[batch] = mean_silhouettes(X, labels[batch], scored[batch], is_sphere)
    return list(zip(means.tolist(), estimated, strict=True))


def calinski_harabasz(clusters: Clusters) -> float:
    """Compute the Calinski-Harabasz index as scikit-learn does; it is highest for dense and well separated clusters.

    T. Calinski and J. Harabasz, "A dendrite method for cluster analysis", Communications in Statistics 3, 1 (1974).
    """
    n, k = len(clusters.X), len(clusters)
    between = clusters.sizes @ np.square(clusters.means - clusters.X.mean(axis=0)).sum(axis=1)
    within = clusters.squared_deviations.sum()
    return 1.0 if within == 0 else float(between * (n - k) / (within * (k - 1)))


def davies_bouldin(clusters: Clusters) -> float:
    """Compute the Davies-Bouldin index as scikit-learn does; it is lowest for dense and well separated clusters.

    D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE PAMI 1, 224 (1979).
    """
    means, spreads = clusters.means, _spreads(clusters)
    k = len(means)
    worst, is_separated = np.zeros(k), False
    step = max(1, NUMBERS_IN_MEMORY // k)
    for start in range(0, k, step):
        rows = slice(start, min(start + step, k))
        distances = euclidean_distances(means if step >= k else means[rows], means)
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0
        is_separated |= bool((distances > ZERO).any())
        distances[distances == 0] = np.inf
        worst[rows] = ((spreads[rows, None] + spreads) / distances).max(axis=1)
    if not is_separated or (spreads <= ZERO).all():
        return 0.0
    return float(worst.mean())


def _spreads(clusters: Clusters) -> np.ndarray:
    """Compute the mean distance between the records of each cluster and its mean, of shape (n_clusters,)."""
    distances = np.sqrt(clusters.squared_deviations.sum(axis=1))
    sums = np.bincount(clusters.labels, weights=distances)
    # scikit-learn's formula gives a distance of about 1e-8 between two equal records, which shows in its index. Where that
    # rounding matters, its formula is used.
    norms = np.linalg.norm(clusters.means, axis=1)[clusters.labels]
    with np.errstate(invalid="ignore"):
        rounding = np.nan_to_num(4 * PRECISION * norms**2 / np.maximum(distances, np.sqrt(PRECISION) * norms))
    for cluster in np.flatnonzero(np.bincount(clusters.labels, weights=rounding) > NEGLIGIBLE * sums).tolist():
        mean = clusters.means[cluster : cluster + 1]
        sums[cluster] = euclidean_distances(clusters.X[clusters.members(cluster)], mean).sum()
    return np.asarray(sums / clusters.sizes)
