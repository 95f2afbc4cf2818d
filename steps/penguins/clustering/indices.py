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
    others = _other_indices(X, [distinct[number] for number in defined])
    evaluations = []
    for number, (metrics, reason) in enumerate(counts):
        if reason:
            evaluations.append(Evaluation(metrics, reason))
        else:
            value, estimated = silhouettes[number]
            density = of_density[number]
            indices = {SILHOUETTE: value, **others[defined.index(number)]}
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


def _other_indices(X: np.ndarray, labels: Sequence[np.ndarray]) -> list[dict[str, float]]:
    """Compute the indices that need no distances between records, for as many clusterings at a time as fit into memory."""
    at_once = max(1, NUMBERS_IN_MEMORY // X.size)
    found = []
    for start in range(0, len(labels), at_once):
        clusters = Clusters.from_labels(X, labels[start : start + at_once])
        values = zip(calinski_harabasz(clusters), davies_bouldin(clusters), s_dbw(clusters), strict=True)
        found += [dict(zip((CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW), map(float, one), strict=True)) for one in values]
    return found


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


def calinski_harabasz(clusters: Clusters) -> list[float]:
    """Compute the Calinski-Harabasz index of each clustering as scikit-learn does; it is highest for dense, distant clusters.

    T. Calinski and J. Harabasz, "A dendrite method for cluster analysis", Communications in Statistics 3, 1 (1974).
    """
    within_clusters = np.add.reduceat(clusters.squared_deviations.sum(axis=1), clusters.starts)
    indices = []
    for block in clusters.blocks:
        records = clusters.records(block)
        n, k = len(records), block.stop - block.start
        between = clusters.sizes[block] @ np.square(clusters.means[block] - records.mean(axis=0)).sum(axis=1)
        within = within_clusters[block].sum()
        indices.append(1.0 if within == 0 else float(between * (n - k) / (within * (k - 1))))
    return indices


def davies_bouldin(clusters: Clusters) -> list[float]:
    """Compute the Davies-Bouldin index of each clustering as scikit-learn does; it is lowest for dense, distant clusters.

    D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE PAMI 1, 224 (1979).
    """
    spreads = _spreads(clusters)
    return [_davies_bouldin(clusters.means[block], spreads[block]) for block in clusters.blocks]


def _davies_bouldin(means: np.ndarray, spreads: np.ndarray) -> float:
    k = len(means)
    worst, is_separated = np.zeros(k), False
    step = max(1, NUMBERS_IN_MEMORY // k)
    for start in range(0, k, step):
        rows = slice(start, min(start + step, k))
        distances = euclidean_distances(means if step >= k else means[rows], means)
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0
        is_separated |= bool(distances.max() > ZERO)
        distances[distances == 0] = np.inf
        worst[rows] = ((spreads[rows, None] + spreads) / distances).max(axis=1)
    if not is_separated or spreads.max() <= ZERO:
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
