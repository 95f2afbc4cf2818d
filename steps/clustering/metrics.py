"""How good a clustering is: four indices over the records that are not noise, or why they are undefined."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import metrics

NOISE = -1
SILHOUETTE, CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW = "silhouette", "calinski-harabasz", "davies-bouldin", "s-dbw"
INDICES = (SILHOUETTE, CALINSKI_HARABASZ, DAVIES_BOULDIN, S_DBW)
N_CLUSTERS, N_CLUSTERED_RECORDS = "n_clusters", "n_clustered_records"
NAMES = (*INDICES, N_CLUSTERS, N_CLUSTERED_RECORDS)
HIGHEST_IS_BEST = {SILHOUETTE: True, CALINSKI_HARABASZ: True, DAVIES_BOULDIN: False, S_DBW: False}

# The 95 % interval of a mean, and the weight of the clusters' sizes against their densities in the point between two of them.
INTERVAL = 1.96
BALANCE = 0.7


@dataclass(frozen=True)
class Evaluation:
    """The metrics that are defined, by name, and the reason for which the others are not (empty where all are)."""

    metrics: dict[str, float]
    reason: str


def evaluate(X: np.ndarray, labels: np.ndarray) -> Evaluation:
    """The metrics of a clustering.

    X, of shape (n_records, n_features), holds the records in the space in which they were clustered; labels, of shape
    (n_records,), the number of each one's cluster, or -1 for noise, which no index takes into account.
    Raises ValueError where X holds a value that is not finite.
    """
    kept = labels != NOISE
    records, members = X[kept], labels[kept]
    n_clusters = len(np.unique(members))
    counts = {N_CLUSTERS: float(n_clusters), N_CLUSTERED_RECORDS: float(len(members))}
    if not len(members):
        return Evaluation(counts, "every record is noise: the indices need two clusters or more")
    if n_clusters < 2:
        return Evaluation(counts, "one cluster: the indices need two or more")
    if n_clusters == len(members):
        return Evaluation(counts, "as many clusters as clustered records: the indices need fewer")
    indices = {
        SILHOUETTE: float(metrics.silhouette_score(records, members)),
        CALINSKI_HARABASZ: float(metrics.calinski_harabasz_score(records, members)),
        DAVIES_BOULDIN: float(metrics.davies_bouldin_score(records, members)),
        S_DBW: s_dbw(records, members),
    }
    return Evaluation(indices | counts, "")


def s_dbw(X: np.ndarray, labels: np.ndarray) -> float:
    """The S_Dbw index of a clustering without noise, lowest for clusters that are dense and apart.

    X has the shape (n_records, n_features), labels (n_records,), with two clusters or more. Equal to
    `S_Dbw(X, labels, alg_noise="filter")` of the package s-dbw, which walks the records in Python: M. Halkidi and
    M. Vazirgiannis, "Clustering validity assessment: finding the optimal partitioning of a data set", ICDM 2001, with the
    densities of J. Tong and H. Tan, Journal of Electronics (China) 26, 258 (2009), around the record nearest to each mean.
    """
    order = np.argsort(labels, kind="stable")
    X = X[order]
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    clusters = [X[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    deviations = np.array([cluster.std(axis=0) for cluster in clusters])
    centers = np.array([_nearest_to_mean(cluster) for cluster in clusters])
    return _density_between(clusters, starts, sizes, deviations, centers, X) + _scattering(X, sizes, deviations)


def _nearest_to_mean(cluster: np.ndarray) -> np.ndarray:
    nearest: np.ndarray = cluster[np.argmin(cdist(cluster, cluster.mean(axis=0)[None, :]))]
    return nearest


def _scattering(X: np.ndarray, sizes: np.ndarray, deviations: np.ndarray) -> float:
    norms = np.sqrt((deviations**2).sum(axis=1))
    weighted = ((len(X) - sizes) / len(X) * norms).sum()
    return float(weighted / (np.linalg.norm(X.std(axis=0)) * (len(sizes) - 1)))


def _density_between(
    clusters: list[np.ndarray],
    starts: np.ndarray,
    sizes: np.ndarray,
    deviations: np.ndarray,
    centers: np.ndarray,
    X: np.ndarray,
) -> float:
    """The mean over pairs of the density between two clusters relative to the denser one's own; each pair is looked at once."""
    reaches = INTERVAL * deviations / np.sqrt(sizes)[:, None]
    own = np.array(
        [
            np.count_nonzero((np.abs(cluster - center) <= reach).all(axis=1))
            for cluster, center, reach in zip(clusters, centers, reaches, strict=True)
        ]
    )
    k = len(clusters)
    total = 0.0
    for i in range(k - 1):
        others = slice(i + 1, k)
        n_i, n_j = sizes[i], sizes[others, None]
        d_i, d_j = own[i], own[others, None]
        # In this order of operations, records on the very edge of a reach fall on the same side as in the package.
        by_size = BALANCE * (centers[i] * n_j + centers[others] * n_i) / (n_i + n_j)
        by_density = (centers[i] * d_i + centers[others] * d_j) / (d_i + d_j)
        between = by_size + (1 - BALANCE) * by_density
        reach = INTERVAL * ((deviations[i] + deviations[others]) / 2) / np.sqrt(n_i + n_j)

        in_i = (np.abs(clusters[i][:, None] - between) <= reach).all(axis=2).sum(axis=0)
        belongs = np.repeat(np.arange(k - i - 1), sizes[others])
        inside = (np.abs(X[starts[i + 1] :] - between[belongs]) <= reach[belongs]).all(axis=1)
        in_j = np.bincount(belongs, weights=inside, minlength=k - i - 1)
        total += ((in_i + in_j) / np.maximum(own[i], own[others])).sum()
    return float(2 * total / (k * (k - 1)))
