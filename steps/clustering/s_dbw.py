"""The S_Dbw index: how dense the clusters are inside, and how empty the space between each two of them."""

import numpy as np
from scipy.spatial.distance import cdist

from clustering.clusters import Clusters

# The 95 % interval of a mean, and the weight of the clusters' sizes against their densities in the point between two of them.
INTERVAL = 1.96
BALANCE = 0.7
NUMBERS_IN_MEMORY = 1 << 22


def s_dbw(clusters: Clusters) -> float:
    """The S_Dbw index of two clusters or more, lowest for clusters that are dense and apart.

    Equal to `S_Dbw(X, labels, alg_noise="filter")` of the package s-dbw, which walks the records in Python: M. Halkidi and
    M. Vazirgiannis, "Clustering validity assessment: finding the optimal partitioning of a data set", ICDM 2001, with the
    densities of J. Tong and H. Tan, Journal of Electronics (China) 26, 258 (2009), around the record nearest to each mean.
    """
    return _density_between(clusters) + _scattering(clusters)


def _scattering(clusters: Clusters) -> float:
    n, sizes = len(clusters.X), clusters.sizes
    norms = np.sqrt((clusters.deviations**2).sum(axis=1))
    weighted = ((n - sizes) / n * norms).sum()
    return float(weighted / (np.linalg.norm(clusters.X.std(axis=0)) * (len(sizes) - 1)))


def _density_between(clusters: Clusters) -> float:
    """The mean over pairs of the density between two clusters relative to the denser one's own."""
    centers = np.array([_nearest_to_mean(clusters, cluster) for cluster in range(len(clusters))])
    reaches = INTERVAL * clusters.deviations / np.sqrt(clusters.sizes)[:, None]
    dense = (np.abs(clusters.X - centers[clusters.labels]) <= reaches[clusters.labels]).all(axis=1)
    own = np.bincount(clusters.labels, weights=dense, minlength=len(clusters))
    search = _Search(clusters)
    k = len(clusters)
    step = max(1, NUMBERS_IN_MEMORY // clusters.X[:k].size)
    total = 0.0
    for start in range(0, k - 1, step):
        i, j = np.nonzero(np.arange(start, min(start + step, k - 1))[:, None] < np.arange(k))
        i += start
        between, reach = _between(clusters, centers, own, i, j)
        found = search.counts(i, between, reach) + search.counts(j, between, reach)
        total += float((found / np.maximum(own[i], own[j])).sum())
    return 2 * total / (k * (k - 1))


def _nearest_to_mean(clusters: Clusters, cluster: int) -> np.ndarray:
    members = clusters.X[clusters.members(cluster)]
    return np.asarray(members[np.argmin(cdist(members, clusters.means[cluster : cluster + 1]))])


def _between(
    clusters: Clusters, centers: np.ndarray, own: np.ndarray, i: np.ndarray, j: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The points between the clusters i and j of each pair and how far around them to look, of shape (n_pairs, n_features)."""
    n_i, n_j = clusters.sizes[i][:, None], clusters.sizes[j][:, None]
    d_i, d_j = own[i][:, None], own[j][:, None]
    # In this order of operations, records on the very edge of a reach fall on the same side as in the package.
    by_size = BALANCE * (centers[i] * n_j + centers[j] * n_i) / (n_i + n_j)
    by_density = (centers[i] * d_i + centers[j] * d_j) / (d_i + d_j)
    reach = INTERVAL * ((clusters.deviations[i] + clusters.deviations[j]) / 2) / np.sqrt(n_i + n_j)
    return by_size + (1 - BALANCE) * by_density, reach


class _Search:
    """Counts the records of a cluster in a box: of the clusters' records, sorted by one feature, those in its range."""

    def __init__(self, clusters: Clusters) -> None:
        widths = np.ptp(clusters.X, axis=0)
        narrow = clusters.deviations.mean(axis=0) / np.where(widths > 0, widths, 1)
        self.feature = int(np.argmin(np.where(widths > 0, narrow, np.inf)))
        order = np.lexsort((clusters.X[:, self.feature], clusters.labels))
        self.X = clusters.X[order]
        self.low = np.minimum.reduceat(clusters.X, clusters.starts)
        self.high = np.maximum.reduceat(clusters.X, clusters.starts)
        self.values = np.sort(clusters.X[:, self.feature])
        self.places = clusters.labels * (len(self.X) + 1) + np.searchsorted(self.values, self.X[:, self.feature])
        """Of each record, its cluster and the rank of its value in one number, which ascends."""

    def counts(self, cluster: np.ndarray, center: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """How many records of each `cluster` are within `reach` of `center` in every feature; of shape (n_boxes,)."""
        # Rounding is monotone: where the nearest corner of the cluster's bounds is out of reach, so is every record.
        near = ((self.low[cluster] - center <= reach) & (center - self.high[cluster] <= reach)).all(axis=1)
        found = np.zeros(len(cluster))
        boxes = np.flatnonzero(near)
        first, stop = self._range(cluster[boxes], center[boxes, self.feature], reach[boxes, self.feature])
        lengths = np.maximum(stop - first, 0)
        ends = np.cumsum(lengths)
        at_once = max(1, NUMBERS_IN_MEMORY // self.X.shape[1])
        cuts = np.searchsorted(ends, np.arange(at_once, ends[-1] if len(ends) else 0, at_once))
        for part in np.split(np.arange(len(boxes)), np.unique(cuts + 1)):
            box = np.repeat(boxes[part], lengths[part])
            offsets = np.repeat(first[part] - (np.cumsum(lengths[part]) - lengths[part]), lengths[part])
            records = self.X[offsets + np.arange(len(box))]
            inside = (np.abs(records - center[box]) <= reach[box]).all(axis=1)
            found += np.bincount(box[inside], minlength=len(found))
        return found

    def _range(self, cluster: np.ndarray, center: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the records of each cluster begin and end whose value may be within `reach` of `center`."""
        slack = 1e-12 * (np.abs(center) + reach)
        base = cluster * (len(self.X) + 1)
        low = base + np.searchsorted(self.values, center - reach - slack)
        high = base + np.searchsorted(self.values, center + reach + slack, side="right")
        return np.searchsorted(self.places, low), np.searchsorted(self.places, high)
