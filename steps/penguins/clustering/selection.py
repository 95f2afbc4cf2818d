"""The choice among the clusterings of one group: by an index, or by their stability over the values of a parameter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from penguins.clustering.clusters import NOISE, count_labels
from penguins.clustering.doubts import (
    EPS_WORDS,
    LEAST_STABILITY,
    SEPARATOR,
    UNSTABLE,
    Candidate,
    Words,
    coverage,
    doubts,
    why_none,
)
from penguins.clustering.indices import HIGHEST_IS_BEST
from penguins.clustering.reasons import reason_by_index, reason_by_stability

STABILITY = "stability"
# For the choice by stability, a cluster of fewer records, or of a smaller share of the group, counts as noise.
FEWEST_RECORDS, SMALLEST_SHARE = 5, 0.01
# Up to this number, the sizes of the intersections of all clusters are a matrix; more are a sparse one.
NUMBERS_IN_MEMORY = 1 << 20


@dataclass(frozen=True)
class Choice:
    """The `position` of the chosen candidate, None where none is eligible, and a `warning`, empty where there is no doubt.

    `reason` says in a few words what the candidate gives and why it won, empty where none did.
    """

    position: int | None
    warning: str
    reason: str = ""


def choose(
    candidates: Sequence[Candidate],
    select_by: str,
    min_coverage: float,
    words: Words = EPS_WORDS,
    X: np.ndarray | None = None,
) -> Choice:
    """Choose the best candidate by the rule `select_by`, and say why the choice deserves doubt, if it does.

    `select_by` is `stability` or the name of an index. Eligible by an index is a candidate that has the index and whose
    clusters hold `min_coverage` of the records; by stability, see `stabilities`. Of several that are equally good, the first
    one is chosen. `words` are those of the warnings, and `X`, of shape (n_records, n_features), are the records, of which equal
    ones deserve doubt.
    """
    compared = _compare(candidates, min_coverage) if select_by == STABILITY else None
    if compared:
        scores = compared.stabilities(len(candidates))
    else:
        sign = 1 if HIGHEST_IS_BEST[select_by] else -1
        values = [sign * candidate.metrics.get(select_by, np.nan) for candidate in candidates]
        enough = [coverage(candidate.labels) >= min_coverage for candidate in candidates]
        scores = np.where(enough, values, np.nan)
    if np.isnan(scores).all():
        return Choice(None, why_none(candidates, min_coverage, words))
    position = int(np.nanargmax(scores))
    is_unstable = select_by == STABILITY and len(candidates) > 1 and scores[position] < LEAST_STABILITY
    found = doubts(candidates, position, words, X) + ([words.fill(UNSTABLE)] if is_unstable else [])
    if compared:
        of_size = f" of {compared.smallest} records or more" if compared.smallest > 1 else ""
        demand = f"two clusters{of_size} that hold {min_coverage:.0%} of the records"
        reason = reason_by_stability(candidates, compared.eligible, compared.agreement, compared.weights, position, demand)
    else:
        reason = reason_by_index(candidates, scores, position, select_by)
    return Choice(position, SEPARATOR.join(found), reason)


def stabilities(candidates: Sequence[Candidate], min_coverage: float) -> np.ndarray:
    """Compute the stability of each candidate, of shape (n_candidates,), in [-1, 1], NaN where it is not eligible.

    The stability of clustering i is its coverage times its mean adjusted Rand index with all eligible clusterings j, itself
    included:

        stability(i) = coverage(i) * sum_j w(j) ARI(i, j) / sum_j w(j)

    w(j) is the width of the interval of log(value) around value j, up to half the way to its neighbours in the grid. So the
    clustering is chosen that is found, in nearly the same form, over the widest range of values: the medoid of the grid.
    Clusters below 1 % of the records, or below five records, count as noise here, and noise as one more cluster of the index.
    Eligible is a clustering of two clusters or more that hold `min_coverage` of the records. Where no candidate of a small
    group is, small clusters count as clusters.
    L. Hubert and P. Arabie, "Comparing partitions", Journal of Classification 2, 193 (1985); the medoid of many clusterings as
    their consensus: A. Strehl and J. Ghosh, "Cluster ensembles", JMLR 3, 583 (2002), with another index of agreement.
    """
    return _compare(candidates, min_coverage).stabilities(len(candidates))


@dataclass(frozen=True)
class _Comparison:
    """The positions of the `eligible` candidates, the coverage of each, and the adjusted Rand index of every two of them.

    `weights`, of shape (n_candidates,), are the widths of the intervals of all candidates. Clusters of fewer than `smallest`
    records counted as noise.
    """

    eligible: np.ndarray
    coverages: np.ndarray
    agreement: np.ndarray
    weights: np.ndarray
    smallest: int

    def stabilities(self, n_candidates: int) -> np.ndarray:
        """Return the stability of each candidate, as the function of this name does."""
        scores, weights = np.full(n_candidates, np.nan), self.weights[self.eligible]
        if len(self.eligible):
            scores[self.eligible] = self.coverages * (self.agreement @ weights / weights.sum())
        return scores


def _compare(candidates: Sequence[Candidate], min_coverage: float) -> _Comparison:
    """Compare every two eligible candidates, without their small clusters where that leaves any."""
    labels = np.array([candidate.labels for candidate in candidates])
    n_records, sizes, widths = labels.shape[1], count_labels(labels), _widths(candidates)
    sizes[:, 0] = 0  # noise is no cluster
    smallest = math.ceil(max(FEWEST_RECORDS, SMALLEST_SHARE * n_records))
    for size in (smallest, 1):
        is_kept = sizes >= size
        shares = np.where(is_kept, sizes, 0).sum(axis=1) / n_records
        eligible = np.flatnonzero((is_kept.sum(axis=1) >= 2) & (shares >= min_coverage))
        if len(eligible):
            kept = np.where(np.take_along_axis(is_kept, labels + 1, axis=1)[eligible], labels[eligible], NOISE)
            return _Comparison(eligible, shares[eligible], adjusted_rand_indices(kept), widths, size)
    return _Comparison(eligible, np.array([]), np.empty((0, 0)), widths, 1)


def _widths(candidates: Sequence[Candidate]) -> np.ndarray:
    """Return the width of each candidate's interval of log(value); each curve has a grid of its own and equal weight."""
    values = np.log([candidate.value for candidate in candidates])
    curves = np.array([candidate.curve for candidate in candidates])
    widths = np.empty(len(candidates))
    for curve in np.unique(curves):
        grid = np.flatnonzero(curves == curve)
        grid = grid[np.argsort(values[grid])]
        half = np.diff(values[grid]) / 2
        of_grid = np.append(half, 0) + np.append(0, half)
        widths[grid] = of_grid / of_grid.sum() if len(grid) > 1 else 1.0
    return widths


def adjusted_rand_indices(labels: np.ndarray) -> np.ndarray:
    """Compute the adjusted Rand index of every two rows of labels, of shape (n_clusterings, n_records), as scikit-learn does.

    Returns a symmetric array of shape (n_clusterings, n_clusterings).
    """
    n = labels.shape[1]
    both = _pairs_in_both(labels - labels.min(axis=1, keepdims=True))
    each = np.diagonal(both)
    expected = np.outer(each, each) / max(1, n * (n - 1) / 2)
    highest = (each[:, None] + each) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(highest == expected, 1.0, (both - expected) / (highest - expected))


def _pairs_in_both(codes: np.ndarray) -> np.ndarray:
    """Count the pairs of records that are in one cluster in both of every two clusterings.

    `codes`, of shape (n_clusterings, n_records), are 0, 1 …; the result has the shape (n_clusterings, n_clusterings).
    """
    n_clusterings, n = codes.shape
    offsets = np.concatenate([[0], np.cumsum(codes.max(axis=1) + 1)])
    starts, n_clusters = offsets[:-1], int(offsets[-1])
    columns = (codes + starts[:, None]).T
    # The contingency tables of all pairs of clusterings, as blocks of one matrix.
    if n_clusters * max(n, n_clusters) <= NUMBERS_IN_MEMORY:
        is_member = np.zeros((n, n_clusters))
        is_member[np.arange(n)[:, None], columns] = 1
        tables = is_member.T @ is_member
        return np.add.reduceat(np.add.reduceat(tables * (tables - 1) / 2, starts, axis=0), starts, axis=1)
    shape = n, n_clusters
    members = csr_array((np.ones(columns.size), columns.ravel(), np.arange(0, columns.size + 1, n_clusterings)), shape=shape)
    found = (members.T @ members).tocoo()
    clustering = np.repeat(np.arange(n_clusterings), np.diff(offsets))
    block = clustering[found.row] * n_clusterings + clustering[found.col]
    pairs = np.bincount(block, weights=found.data * (found.data - 1) / 2, minlength=n_clusterings**2)
    return pairs.reshape(n_clusterings, n_clusterings)
