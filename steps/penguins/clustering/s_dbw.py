"""The S_Dbw index: the scattering within the clusters plus the density in the space between each two of them."""

import numpy as np

from penguins.clustering.clusters import Clusters, is_first, parts, ranges, sort_clusters

# The 95 % confidence interval of a mean, in standard errors.
INTERVAL = 1.96
# The weight of the clusters' sizes, against that of their densities, in the point between two of them.
BALANCE = 0.7
NUMBERS_IN_MEMORY = 1 << 20


def s_dbw(clusters: Clusters) -> np.ndarray:
    """Compute the S_Dbw index of clusterings of two clusters or more; it is lowest for dense and well separated clusters.

    The values, of shape (n_clusterings,), equal those of `S_Dbw(X, labels, alg_noise="filter")` of the package s-dbw:
    M. Halkidi and M. Vazirgiannis, "Clustering validity assessment: finding the optimal partitioning of a data set", ICDM 2001,
    with the densities of J. Tong and H. Tan, Journal of Electronics (China) 26, 258 (2009), around the record nearest to the
    mean of each cluster.
    """
    return np.asarray(_density_between(clusters) + _scattering(clusters))


def _scattering(clusters: Clusters) -> np.ndarray:
    """Compute the mean norm of the clusters' standard deviations, weighted, relative to that of all records."""
    members = clusters.members
    n = clusters.n_records[members.clusterings]
    norms = np.sqrt(np.square(clusters.standard_deviations).sum(axis=1))
    weighted = np.add.reduceat((n - members.sizes) / n * norms, members.offsets[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(weighted / (np.linalg.norm(clusters.spreads, axis=1) * (np.diff(members.offsets) - 1)))


def _density_between(clusters: Clusters) -> np.ndarray:
    """Compute the mean over all pairs of clusters of the density between them, relative to that of the denser cluster."""
    members = clusters.members
    centers = _records_nearest_to_means(clusters)
    half_widths = INTERVAL * clusters.standard_deviations / np.sqrt(members.sizes)[:, None]
    is_central = _is_within(clusters.X - centers[members.clusters], half_widths[members.clusters])
    densities = np.bincount(members.clusters, weights=is_central)
    counter = _BoxCounter(clusters)
    n_clusters = np.diff(members.offsets)
    # Each pair of clusters occurs once: a cluster with those that follow in its clustering.
    n_partners = members.offsets[members.clusterings + 1] - np.arange(len(members)) - 1
    totals = np.zeros(len(n_clusters))
    for start, stop in parts(n_partners, max(1, NUMBERS_IN_MEMORY // clusters.X.shape[1])):
        j, i = ranges(np.arange(start + 1, stop + 1), n_partners[start:stop])
        i += start
        midpoints, half_width = _boxes_between(clusters, centers, densities, i, j)
        between = counter.count(i, midpoints, half_width) + counter.count(j, midpoints, half_width)
        ratios = between / np.maximum(densities[i], densities[j])
        totals += np.bincount(members.clusterings[i], weights=ratios, minlength=len(totals))
    return np.asarray(2 * totals / (n_clusters * (n_clusters - 1)))


def _records_nearest_to_means(clusters: Clusters) -> np.ndarray:
    """Return the record of each cluster that is nearest to its mean, the first of equally near ones."""
    members = clusters.members
    smallest = np.minimum.reduceat(clusters.distances, members.starts)
    nearest = np.flatnonzero(clusters.distances == smallest[members.clusters])
    return np.asarray(clusters.X[nearest[is_first(members.clusters[nearest])]])


def _boxes_between(
    clusters: Clusters, centers: np.ndarray, densities: np.ndarray, i: np.ndarray, j: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the box between the clusters i and j of each pair: midpoints and half-widths of shape (n_pairs, n_features)."""
    n_i, n_j = clusters.members.sizes[i][:, None], clusters.members.sizes[j][:, None]
    d_i, d_j = densities[i][:, None], densities[j][:, None]
    # This order of operations puts records on the very edge of a box on the same side as the package does.
    by_size = BALANCE * (centers[i] * n_j + centers[j] * n_i) / (n_i + n_j)
    by_density = (centers[i] * d_i + centers[j] * d_j) / (d_i + d_j)
    deviations = (clusters.standard_deviations[i] + clusters.standard_deviations[j]) / 2
    return by_size + (1 - BALANCE) * by_density, INTERVAL * deviations / np.sqrt(n_i + n_j)


def _is_within(differences: np.ndarray, half_widths: np.ndarray) -> np.ndarray:
    """Return which rows of differences, of shape (n, n_features), are at most the half-widths in every feature."""
    is_small = np.abs(differences) <= half_widths
    # Over many short rows, this is faster than `all`.
    return np.asarray(np.logical_and.reduce(list(is_small.T)))


class _BoxCounter:
    """Counts the records of a cluster in a box. Sorted by one feature, only records in the box's range of it are compared.

    `low` and `high`, of shape (n_clusters, n_features), are the bounds of the clusters.
    """

    def __init__(self, clusters: Clusters) -> None:
        members = clusters.members
        widths = np.ptp(clusters.X, axis=0)
        relative = clusters.standard_deviations.mean(axis=0) / np.where(widths > 0, widths, 1)
        # In this feature the clusters are narrowest, so a range of it excludes most records.
        self.feature = int(np.argmin(np.where(widths > 0, relative, np.inf)))
        self.low = np.minimum.reduceat(clusters.X, members.starts)
        self.high = np.maximum.reduceat(clusters.X, members.starts)
        ascending = np.argsort(clusters.X[:, self.feature])
        self.values = clusters.X[ascending, self.feature]
        by_cluster = sort_clusters(members.clusters[ascending], len(members))
        order = ascending[by_cluster]
        self.X, self.keys = clusters.X[order], members.clusters[order] * (len(order) + 1) + by_cluster

    def count(self, cluster: np.ndarray, center: np.ndarray, half_width: np.ndarray) -> np.ndarray:
        """Count the records of cluster[i] within half_width[i] of center[i] in every feature; of shape (n_boxes,)."""
        # Rounding is monotone: if the nearest corner of the cluster's bounds is outside the box, so is every record.
        gaps = np.maximum(self.low[cluster] - center, center - self.high[cluster])
        boxes = np.flatnonzero(np.logical_and.reduce(list((gaps <= half_width).T)))
        cluster, center, half_width = cluster[boxes], center[boxes], half_width[boxes]
        first, stop = self._ranges(cluster, center[:, self.feature], half_width[:, self.feature])
        lengths = np.maximum(stop - first, 0)
        counts = np.zeros(len(gaps))
        for start, end in parts(lengths, max(1, NUMBERS_IN_MEMORY // self.X.shape[1])):
            records, box = ranges(first[start:end], lengths[start:end])
            box += start
            is_inside = _is_within(self.X[records] - center[box], half_width[box])
            counts[boxes[start:end]] = np.bincount(box - start, weights=is_inside, minlength=end - start)
        return counts

    def _ranges(self, cluster: np.ndarray, center: np.ndarray, half_width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the start and stop in `X` of each cluster's records whose value may be within `half_width` of `center`."""
        slack = 1e-12 * (np.abs(center) + half_width)
        base = cluster * (len(self.values) + 1)
        low = base + np.searchsorted(self.values, center - half_width - slack)
        high = base + np.searchsorted(self.values, center + half_width + slack, side="right")
        return np.searchsorted(self.keys, low), np.searchsorted(self.keys, high)
