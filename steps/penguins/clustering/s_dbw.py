"""The S_Dbw index: the scattering within the clusters plus the density in the space between each two of them."""

from collections.abc import Iterator

import numpy as np

from penguins.clustering.clusters import Clusters

# The 95 % confidence interval of a mean, in standard errors.
INTERVAL = 1.96
# The weight of the clusters' sizes, against that of their densities, in the point between two of them.
BALANCE = 0.7
NUMBERS_IN_MEMORY = 1 << 16


def s_dbw(clusters: Clusters) -> np.ndarray:
    """Compute the S_Dbw index of each clustering, of two clusters or more; it is lowest for dense, distant clusters.

    Returns an array of shape (n_clusterings,). Each value equals that of `S_Dbw(X, labels, alg_noise="filter")` of the package
    s-dbw: M. Halkidi and M. Vazirgiannis, "Clustering validity assessment: finding the optimal partitioning of a data set",
    ICDM 2001, with the densities of J. Tong and H. Tan, Journal of Electronics (China) 26, 258 (2009), around the record
    nearest to the mean of each cluster.
    """
    return _density_between(clusters) + [_scattering(clusters, block) for block in clusters.blocks]


def _scattering(clusters: Clusters, block: slice) -> float:
    """Compute the mean norm of the clusters' standard deviations, weighted, relative to that of all records."""
    records, sizes = clusters.records(block), clusters.sizes[block]
    n = len(records)
    norms = np.sqrt((clusters.standard_deviations[block] ** 2).sum(axis=1))
    weighted = ((n - sizes) / n * norms).sum()
    return float(weighted / (np.linalg.norm(records.std(axis=0)) * (len(sizes) - 1)))


def _density_between(clusters: Clusters) -> np.ndarray:
    """Compute the mean over all pairs of clusters of the density between them, relative to that of the denser cluster."""
    centers = clusters.X[_records_nearest_to_means(clusters)]
    half_widths = INTERVAL * clusters.standard_deviations / np.sqrt(clusters.sizes)[:, None]
    is_central = (np.abs(clusters.X - centers[clusters.labels]) <= half_widths[clusters.labels]).all(axis=1)
    densities = np.bincount(clusters.labels, weights=is_central, minlength=len(clusters))
    counter = _BoxCounter(clusters)
    totals = np.zeros(len(clusters.blocks))
    for i, j in _pairs(clusters):
        midpoints, half_width = _boxes_between(clusters, centers, densities, i, j)
        between = counter.count(i, midpoints, half_width) + counter.count(j, midpoints, half_width)
        relative = between / np.maximum(densities[i], densities[j])
        totals += np.bincount(clusters.clustering[i], weights=relative, minlength=len(totals))
    n_clusters = np.bincount(clusters.clustering)
    return np.asarray(2 * totals / (n_clusters * (n_clusters - 1)))


def _pairs(clusters: Clusters) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs i < j of clusters of the same clustering, as many at a time as fit into memory."""
    at_once = max(1, NUMBERS_IN_MEMORY // clusters.X.shape[1])
    last = np.array([block.stop for block in clusters.blocks])[clusters.clustering]
    n_pairs = last - np.arange(len(clusters)) - 1
    ends = np.cumsum(n_pairs)
    cuts = np.searchsorted(ends, np.arange(at_once, ends[-1], at_once))
    for part in np.split(np.arange(len(clusters)), np.unique(cuts + 1)):
        i = np.repeat(part, n_pairs[part])
        offsets = np.cumsum(n_pairs[part]) - n_pairs[part]
        yield i, i + 1 + np.arange(len(i)) - np.repeat(offsets, n_pairs[part])


def _records_nearest_to_means(clusters: Clusters) -> np.ndarray:
    """Return the index of the first record of each cluster that is nearest to its mean, of shape (n_clusters,)."""
    squares = np.zeros(len(clusters.X))
    for column in clusters.squared_deviations.T:  # the package's order of operations
        squares += column
    distances = np.sqrt(squares)
    is_nearest = distances == np.minimum.reduceat(distances, clusters.starts)[clusters.labels]
    candidates = np.flatnonzero(is_nearest)
    return candidates[np.searchsorted(clusters.labels[candidates], np.arange(len(clusters)))]


def _boxes_between(
    clusters: Clusters, centers: np.ndarray, densities: np.ndarray, i: np.ndarray, j: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the box between the clusters i and j of each pair: midpoints and half-widths of shape (n_pairs, n_features)."""
    n_i, n_j = clusters.sizes[i][:, None], clusters.sizes[j][:, None]
    d_i, d_j = densities[i][:, None], densities[j][:, None]
    # This order of operations puts records on the very edge of a box on the same side as the package does.
    by_size = BALANCE * (centers[i] * n_j + centers[j] * n_i) / (n_i + n_j)
    by_density = (centers[i] * d_i + centers[j] * d_j) / (d_i + d_j)
    deviations = (clusters.standard_deviations[i] + clusters.standard_deviations[j]) / 2
    return by_size + (1 - BALANCE) * by_density, INTERVAL * deviations / np.sqrt(n_i + n_j)


class _BoxCounter:
    """Counts the records of a cluster in a box. Sorted by one feature, only records in the box's range of it are compared.

    `X`, of shape (n, n_features), is sorted by cluster, then by `feature`; `values` are that feature's values of all records in
    ascending order. `keys`, of shape (n,), combine each record's cluster and the rank of its value in one ascending number.
    `low` and `high`, of shape (n_clusters, n_features), are the bounds of the clusters.
    """

    def __init__(self, clusters: Clusters) -> None:
        widths = np.ptp(clusters.X, axis=0)
        relative = clusters.standard_deviations.mean(axis=0) / np.where(widths > 0, widths, 1)
        # In this feature the clusters are narrowest, so a range of it excludes most records.
        self.feature = int(np.argmin(np.where(widths > 0, relative, np.inf)))
        order = np.lexsort((clusters.X[:, self.feature], clusters.labels))
        self.X = clusters.X[order]
        self.low = np.minimum.reduceat(clusters.X, clusters.starts)
        self.high = np.maximum.reduceat(clusters.X, clusters.starts)
        self.values = np.sort(clusters.X[:, self.feature])
        self.keys = clusters.labels * (len(self.X) + 1) + np.searchsorted(self.values, self.X[:, self.feature])

    def count(self, cluster: np.ndarray, center: np.ndarray, half_width: np.ndarray) -> np.ndarray:
        """Count the records of cluster[i] within half_width[i] of center[i] in every feature; of shape (n_boxes,)."""
        # Rounding is monotone: if the nearest corner of the cluster's bounds is outside the box, so is every record.
        overlaps = ((self.low[cluster] - center <= half_width) & (center - self.high[cluster] <= half_width)).all(axis=1)
        counts = np.zeros(len(cluster))
        boxes = np.flatnonzero(overlaps)
        first, stop = self._ranges(cluster[boxes], center[boxes, self.feature], half_width[boxes, self.feature])
        lengths = np.maximum(stop - first, 0)
        ends = np.cumsum(lengths)
        at_once = max(1, NUMBERS_IN_MEMORY // self.X.shape[1])
        cuts = np.searchsorted(ends, np.arange(at_once, ends[-1] if len(ends) else 0, at_once))
        for part in np.split(np.arange(len(boxes)), np.unique(cuts + 1)):
            box = np.repeat(boxes[part], lengths[part])
            offsets = np.repeat(first[part] - (np.cumsum(lengths[part]) - lengths[part]), lengths[part])
            records = self.X[offsets + np.arange(len(box))]
            is_inside = (np.abs(records - center[box]) <= half_width[box]).all(axis=1)
            counts += np.bincount(box[is_inside], minlength=len(counts))
        return counts

    def _ranges(self, cluster: np.ndarray, center: np.ndarray, half_width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the start and stop in `X` of each cluster's records whose value may be within `half_width` of `center`."""
        slack = 1e-12 * (np.abs(center) + half_width)
        base = cluster * (len(self.X) + 1)
        low = base + np.searchsorted(self.values, center - half_width - slack)
        high = base + np.searchsorted(self.values, center + half_width + slack, side="right")
        return np.searchsorted(self.keys, low), np.searchsorted(self.keys, high)
