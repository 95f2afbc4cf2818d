"""Five indices of the quality of a clustering, or the reason why they are undefined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from penguins.clustering.clusters import NOISE, Clusters, is_first, parts, ranges
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
NUMBERS_IN_MEMORY = 1 << 19


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
    first: dict[bytes, int] = {}
    positions = [first.setdefault(one.tobytes(), len(first)) for one in labels]
    if not positions:
        return []
    distinct = _number_clusters(np.array([labels[positions.index(number)] for number in range(len(first))]))
    n_clusters = distinct.max(axis=1, initial=NOISE) + 1
    n_clustered = (distinct != NOISE).sum(axis=1)
    reasons = [_why_undefined(*counts) for counts in zip(n_clusters.tolist(), n_clustered.tolist(), strict=True)]
    defined = [number for number, reason in enumerate(reasons) if not reason]
    indices = dict(zip(defined, _indices(X, distinct[defined], seed, metric) if defined else [], strict=True))
    evaluations = []
    for number, (k, n, reason) in enumerate(zip(n_clusters.tolist(), n_clustered.tolist(), reasons, strict=True)):
        counts = {N_CLUSTERS: float(k), N_CLUSTERED_RECORDS: float(n)}
        of_clustering = indices.get(number, Evaluation({}, reason))
        evaluations.append(replace(of_clustering, metrics=of_clustering.metrics | counts))
    return [evaluations[number] for number in positions]


def _number_clusters(labels: np.ndarray) -> np.ndarray:
    """Replace the clusters in each row of labels, of shape (n_clusterings, n_records), by 0, 1 … without a gap."""
    n_clusterings, n_records = labels.shape
    highest = labels.max(axis=1, initial=NOISE)
    if highest.max() < n_records:
        is_used = np.zeros((n_clusterings, n_records + 1), dtype=bool)
        is_used[np.arange(n_clusterings)[:, None], labels] = True  # noise, -1, is the last column
        if (is_used[:, :-1].sum(axis=1) == highest + 1).all():
            return labels
    numbered = [np.unique(np.append(one, NOISE), return_inverse=True)[1][:-1] - 1 for one in labels]
    return np.array(numbered)


def _why_undefined(n_clusters: int, n_clustered: int) -> str:
    """Return the reason why the indices are undefined, or an empty text."""
    if not n_clusters:
        return "every record is noise: the indices need two clusters or more"
    if n_clusters < 2:
        return "one cluster: the indices need two or more"
    if n_clusters == n_clustered:
        return "as many clusters as clustered records: the indices need fewer"
    return ""


def _indices(X: np.ndarray, labels: np.ndarray, seed: int, metric: str) -> list[Evaluation]:
    """Compute the five indices of clusterings for which they are defined, in labels, of shape (n_clusterings, n_records)."""
    densities = dbcv(X, labels, seed, metric)
    is_sphere = metric == "haversine"
    if is_sphere:
        X = EARTH_RADIUS_KM * unit_vectors(X)
        X = X - X.mean(axis=0)  # for the precision of matrix products
    silhouettes, estimates = _silhouettes(X, labels, seed, is_sphere)
    columns = {SILHOUETTE: silhouettes, **_indices_of_means(X, labels)}
    evaluations = []
    for density, estimated, *values in zip(densities, estimates, *columns.values(), strict=True):
        metrics = dict(zip(columns, values, strict=True))
        if not density.reason:
            metrics[DBCV] = density.value
        evaluations.append(Evaluation(metrics, density.reason, "; ".join(filter(None, (estimated, density.estimated)))))
    return evaluations


def _indices_of_means(X: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    """Compute the indices that need the means of the clusters, in batches of clusterings that fit in the memory."""
    columns: dict[str, list[float]] = {CALINSKI_HARABASZ: [], DAVIES_BOULDIN: [], S_DBW: []}
    at_once = max(1, NUMBERS_IN_MEMORY // X.size)
    for start in range(0, len(labels), at_once):
        clusters = Clusters.from_labels(X, labels[start : start + at_once])
        columns[CALINSKI_HARABASZ] += calinski_harabasz(clusters).tolist()
        columns[DAVIES_BOULDIN] += davies_bouldin(clusters).tolist()
        columns[S_DBW] += s_dbw(clusters).tolist()
    return columns


def _silhouettes(X: np.ndarray, labels: np.ndarray, seed: int, is_sphere: bool) -> tuple[list[float], list[str]]:
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
    return means.tolist(), estimated


def calinski_harabasz(clusters: Clusters) -> np.ndarray:
    """Compute the Calinski-Harabasz index as scikit-learn does; it is highest for dense and well separated clusters.

    The values have shape (n_clusterings,). T. Calinski and J. Harabasz, "A dendrite method for cluster analysis",
    Communications in Statistics 3, 1 (1974).
    """
    members = clusters.members
    n, k = clusters.n_records, np.diff(members.offsets)
    squares = np.square(clusters.means - clusters.centers[members.clusterings]).sum(axis=1)
    between = np.bincount(members.clusterings, weights=members.sizes * squares)
    within = np.bincount(clusters.clusterings, weights=np.square(clusters.distances))
    is_spread = within > 0
    return np.where(is_spread, between * (n - k) / (np.where(is_spread, within, 1) * (k - 1)), 1.0)


def davies_bouldin(clusters: Clusters) -> np.ndarray:
    """Compute the Davies-Bouldin index as scikit-learn does; it is lowest for dense and well separated clusters.

    The values have shape (n_clusterings,). D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE PAMI 1, 224
    (1979).
    """
    members, spreads = clusters.members, _spreads(clusters)
    starts, n_clusters = members.offsets[:-1], np.diff(members.offsets)
    n_partners = n_clusters[members.clusterings]
    worst, farthest = np.empty(len(members)), np.empty(len(members))
    for start, stop in parts(n_partners, NUMBERS_IN_MEMORY):
        j, i = ranges(starts[members.clusterings[start:stop]], n_partners[start:stop])
        i += start
        distances = _distances_between_means(clusters, start, stop, i, j)
        rows = np.flatnonzero(is_first(i))
        farthest[start:stop] = np.maximum.reduceat(distances, rows)
        distances[distances == 0] = np.inf
        worst[start:stop] = np.maximum.reduceat((spreads[i] + spreads[j]) / distances, rows)
    is_separated = (np.maximum.reduceat(farthest, starts) > ZERO) & (np.maximum.reduceat(spreads, starts) > ZERO)
    return np.where(is_separated, np.add.reduceat(worst, starts) / n_clusters, 0.0)


def _distances_between_means(clusters: Clusters, start: int, stop: int, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Compute the distances between the means of clusters i and j: `start` to `stop`, each with all of its clustering."""
    members, means = clusters.members, clusters.means
    products = []
    # The rounding of a product of small matrices depends on their size, so each clustering has its own, as in scikit-learn.
    for clustering in range(members.clusterings[start], members.clusterings[stop - 1] + 1):
        first, end = members.offsets[clustering], members.offsets[clustering + 1]
        products.append(means[max(first, start) : min(end, stop)] @ means[first:end].T)
    norms = np.einsum("ij,ij->i", means, means)
    squares = -2 * np.concatenate([product.ravel() for product in products])
    squares += norms[i]
    squares += norms[j]
    squares[i == j] = 0
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _spreads(clusters: Clusters) -> np.ndarray:
    """Compute the mean distance between the records of each cluster and its mean, of shape (n_clusters,)."""
    members, distances = clusters.members, clusters.distances
    sums = np.bincount(members.clusters, weights=distances)
    # scikit-learn's formula gives a distance of about 1e-8 between two equal records, which shows in its index. Where that
    # rounding matters, its formula is used.
    norms = np.linalg.norm(clusters.means, axis=1)[members.clusters]
    with np.errstate(invalid="ignore"):
        rounding = np.nan_to_num(4 * PRECISION * norms**2 / np.maximum(distances, np.sqrt(PRECISION) * norms))
    for cluster in np.flatnonzero(np.bincount(members.clusters, weights=rounding) > NEGLIGIBLE * sums).tolist():
        of_cluster = slice(members.starts[cluster], members.starts[cluster] + members.sizes[cluster])
        sums[cluster] = euclidean_distances(clusters.X[of_cluster], clusters.means[cluster : cluster + 1]).sum()
    return np.asarray(sums / members.sizes)
