"""The all-points core distances of DBCV, for all clusterings of a group from a single pass over its distances."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import csr_array

from penguins.clustering.clusters import NOISE, segment_sizes
from penguins.clustering.distances import Distances
from penguins.clustering.threads import n_threads

NUMBERS_IN_CACHE = 1 << 18
# Core distances are rounded to so many bits, so that those which are equal in exact arithmetic are equal.
BITS = 40


def all_points_core_distances(points: Distances, labels: np.ndarray) -> np.ndarray:
    """Return the squared all-points core distance of each record in each clustering.

    labels and the result have shape (n_clusterings, n_records); the labels are -1 for noise, where the result is infinite, and
    each cluster has two records or more.
    """
    order = np.lexsort(labels)
    cells = labels[:, order]
    starts = np.flatnonzero(np.append(True, (cells[:, 1:] != cells[:, :-1]).any(axis=0)))
    offsets = np.concatenate([[0], np.cumsum(labels.max(axis=1) + 1)])
    clustering, cell = np.nonzero(cells[:, starts] != NOISE)
    cluster = offsets[clustering] + cells[clustering, starts[cell]]
    by_cluster = np.argsort(cluster, kind="stable")
    stops = np.searchsorted(cluster[by_cluster], np.arange(offsets[-1] + 1))
    clusters = csr_array((np.ones(len(cell)), cell[by_cluster], stops), shape=(int(offsets[-1]), len(starts)))
    sizes = clusters @ segment_sizes(starts, len(points)).astype(float)
    own = np.where(labels == NOISE, -1, offsets[:-1, None] + labels)
    result = np.full(labels.shape, np.inf)

    def fill(start: int) -> None:
        rows = np.arange(start, min(start + step, len(points)))
        powers, scales = _scaled_powers(points, rows)
        sums = clusters @ np.add.reduceat(powers[:, order], starts, axis=1).T
        of_rows = own[:, rows]
        mine = np.where(of_rows >= 0, sums[of_rows, np.arange(len(rows))], np.nan)
        with np.errstate(divide="ignore"):
            mean = mine / (sizes[of_rows] - 1)
            result[:, rows] = np.where(of_rows >= 0, scales * mean ** (-2 / points.power), np.inf)

    step = max(1, NUMBERS_IN_CACHE // len(points))
    with np.errstate(invalid="ignore", over="ignore"):
        if n_threads(len(points)) == 1:
            for start in range(0, len(points), step):
                fill(start)
        else:
            with ThreadPoolExecutor(n_threads(len(points))) as pool:
                list(pool.map(fill, range(0, len(points), step)))
    for one, record in zip(*np.nonzero(np.isinf(result) & (labels != NOISE)), strict=True):
        result[one, record] = _core_square(points, int(record), np.flatnonzero(labels[one] == labels[one, record]))
    return _rounded(result)


def _scaled_powers(points: Distances, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return d^-n_features from each of `rows` to all records, 0 to itself, and the squared unit of each row's distances.

    The unit is the distance to the nearest record that does not coincide, so that no power overflows. It is infinite for
    records that coincide.
    """
    squares = points.rows(int(rows[0]), int(rows[-1]) + 1)
    squares[np.arange(len(rows)), rows] = np.inf
    scales = np.where(squares > 0, squares, np.inf).min(axis=1, initial=np.inf)
    scales[np.isinf(scales)] = 1.0
    with np.errstate(divide="ignore"):
        ratios = np.divide(scales[:, None], squares, out=squares)
    return _half_power(ratios, points.power), scales


def _half_power(values: np.ndarray, exponent: int) -> np.ndarray:
    """Return values^(exponent / 2), by multiplication."""
    result = np.sqrt(values) if exponent % 2 else np.ones_like(values)
    factor, left = values, exponent // 2
    while left:
        if left % 2:
            result *= factor
        left //= 2
        if left:
            factor = factor * factor
    return result


def _core_square(points: Distances, record: int, members: np.ndarray) -> float:
    """Return the squared core distance of a record whose cluster is so far that its powers vanish."""
    others = points.squares(np.array([record]), members[members != record])[0]
    nearest = others.min()
    return float(nearest * ((nearest / others) ** (points.power / 2)).mean() ** (-2 / points.power))


def _rounded(values: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(values)
    return np.asarray(np.ldexp(np.round(np.ldexp(mantissa, BITS)), exponent - BITS))
