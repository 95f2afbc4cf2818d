"""How good a clustering is: four indices over the records that are not noise, or why they are undefined."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clustering.clusters import Clusters
from clustering.s_dbw import s_dbw
from clustering.silhouette import euclidean_distances, mean_silhouettes

NOISE = -1
SILHOUETTE, CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW = "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw"
INDICES = (SILHOUETTE, CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW)
N_CLUSTERS, N_CLUSTERED_RECORDS = "n_clusters", "n_clustered_records"
NAMES = (*INDICES, N_CLUSTERS, N_CLUSTERED_RECORDS)
HIGHEST_IS_BEST = {SILHOUETTE: True, CALINSKI_HARABASZ: True, DAVIES_BOULDIN: False, S_DBW: False}

# Up to here every record is compared with every other; beyond, a sample of them is, so that the work grows no faster.
MOST_COMPARISONS = 20_000_000_000
SMALLEST_SAMPLE = 1_000
# scikit-learn's own bound for what counts as 0; the precision of its formula for squared distances, relative to those from
# the origin, and the relative error up to which nobody minds.
ZERO = 1e-8
PRECISION = float(np.finfo(float).eps)
NEGLIGIBLE = 1e-10
NUMBERS_IN_MEMORY = 1 << 21


@dataclass(frozen=True)
class Evaluation:
    """The metrics that are defined, by name, the reason for which the others are not, and how one was estimated, if it was."""

    metrics: dict[str, float]
    reason: str
    estimated: str = ""


def evaluate(X: np.ndarray, labels: Sequence[np.ndarray], seed: int = 0) -> list[Evaluation]:
    """The metrics of each of several clusterings of the same records.

    X, finite, of shape (n_records, n_features), holds the records in the space in which they were clustered; each of labels,
    of shape (n_records,), the number of each one's cluster, or -1 for noise, which no index takes into account. `seed` chooses
    the records on which the silhouette is estimated where there are more than can be compared with each other.
    """
    distinct: dict[bytes, int] = {}
    place = [distinct.setdefault(one.tobytes(), len(distinct)) for one in labels]
    chosen = np.array([_numbered(labels[place.index(number)]) for number in range(len(distinct))])
    counts = [_counts(one) for one in chosen]
    defined = [number for number, (_, reason) in enumerate(counts) if not reason]
    silhouettes = dict(zip(defined, _silhouettes(X, chosen[defined], seed), strict=True))
    found = []
    for number, (metrics, reason) in enumerate(counts):
        if reason:
            found.append(Evaluation(metrics, reason))
        else:
            value, estimated = silhouettes[number]
            found.append(Evaluation({SILHOUETTE: value, **_other_indices(X, chosen[number]), **metrics}, "", estimated))
    return [found[number] for number in place]


def _numbered(labels: np.ndarray) -> np.ndarray:
    """`labels` with the clusters numbered 0, 1 … without a gap."""
    _, numbered = np.unique(np.append(labels, NOISE), return_inverse=True)
    return np.asarray(numbered[:-1] - 1)


def _counts(labels: np.ndarray) -> tuple[dict[str, float], str]:
    """The metrics that are always defined, and why the indices are not, if they are not."""
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
    clusters = Clusters.of(X[labels != NOISE], labels[labels != NOISE])
    return {
        CALINSKI_HARABASZ: calinski_harabasz(clusters),
        DAVIES_BOULDIN: davies_bouldin(clusters),
        S_DBW: s_dbw(clusters),
    }


def _silhouettes(X: np.ndarray, labels: np.ndarray, seed: int) -> list[tuple[float, str]]:
    """The mean silhouette of each clustering, with a sentence on the sample where it is estimated."""
    scored = labels != NOISE
    sizes = scored.sum(axis=1)
    large = sizes**2 > MOST_COMPARISONS
    found: list[tuple[float, str]] = [(np.nan, "")] * len(labels)
    priority = np.random.default_rng(seed).permutation(len(X))
    for clustering in np.flatnonzero(large):
        members = np.flatnonzero(scored[clustering])
        sample = max(SMALLEST_SAMPLE, MOST_COMPARISONS // sizes[clustering])
        scored[clustering, np.delete(members, np.argpartition(priority[members], sample)[:sample])] = False
        found[clustering] = (np.nan, f"silhouette: the mean of {sample} of {sizes[clustering]} clustered records (seed {seed})")
    for together in (np.flatnonzero(large), np.flatnonzero(~large)):
        if len(together):
            values = mean_silhouettes(X, labels[together], scored[together])
            for clustering, value in zip(together, values, strict=True):
                found[clustering] = (float(value), found[clustering][1])
    return found


def calinski_harabasz(clusters: Clusters) -> float:
    """The Calinski-Harabasz index, highest for clusters that are dense and apart, as scikit-learn has it.

    T. Calinski and J. Harabasz, "A dendrite method for cluster analysis", Communications in Statistics 3, 1 (1974).
    """
    n, k = len(clusters.X), len(clusters)
    between = clusters.sizes @ np.square(clusters.means - clusters.X.mean(axis=0)).sum(axis=1)
    within = clusters.from_means.sum()
    return 1.0 if within == 0 else float(between * (n - k) / (within * (k - 1)))


def davies_bouldin(clusters: Clusters) -> float:
    """The Davies-Bouldin index, lowest for clusters that are dense and apart, as scikit-learn has it.

    D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE PAMI 1, 224 (1979).
    """
    means, spreads = clusters.means, _spreads(clusters)
    k = len(means)
    worst, apart = np.zeros(k), False
    step = max(1, NUMBERS_IN_MEMORY // k)
    for start in range(0, k, step):
        rows = slice(start, min(start + step, k))
        distances = euclidean_distances(means if step >= k else means[rows], means)
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0
        apart |= bool((distances > ZERO).any())
        distances[distances == 0] = np.inf
        worst[rows] = ((spreads[rows, None] + spreads) / distances).max(axis=1)
    if not apart or (spreads <= ZERO).all():
        return 0.0
    return float(worst.mean())


def _spreads(clusters: Clusters) -> np.ndarray:
    """The mean distances of the clusters' records from their means, of shape (n_clusters,)."""
    distances = np.sqrt(clusters.from_means.sum(axis=1))
    sums = np.bincount(clusters.labels, weights=distances)
    # scikit-learn's formula gives a distance of some 1e-8 between two records that coincide, and its index shows it.
    norms = np.linalg.norm(clusters.means, axis=1)[clusters.labels]
    with np.errstate(invalid="ignore"):
        rounding = np.nan_to_num(4 * PRECISION * norms**2 / np.maximum(distances, np.sqrt(PRECISION) * norms))
    for cluster in np.flatnonzero(np.bincount(clusters.labels, weights=rounding) > NEGLIGIBLE * sums).tolist():
        mean = clusters.means[cluster : cluster + 1]
        sums[cluster] = euclidean_distances(clusters.X[clusters.members(cluster)], mean).sum()
    return np.asarray(sums / clusters.sizes)
