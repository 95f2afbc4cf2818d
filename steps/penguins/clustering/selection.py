"""The choice among the clusterings of one group: by an index, or by their stability over the values of a parameter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from penguins.clustering.clusters import NOISE
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

STABILITY = "stability"
# For the choice by stability, a cluster of fewer records, or of a smaller share of the group, counts as noise.
FEWEST_RECORDS, SMALLEST_SHARE = 5, 0.01


@dataclass(frozen=True)
class Choice:
    """The `position` of the chosen candidate, None where none is eligible, and a `warning`, empty where there is no doubt."""

    position: int | None
    warning: str


def choose(candidates: Sequence[Candidate], select_by: str, min_coverage: float, words: Words = EPS_WORDS) -> Choice:
    """Choose the best candidate by the rule `select_by`, and say why the choice deserves doubt, if it does.

    `select_by` is `stability` or the name of an index. Eligible by an index is a candidate that has the index and whose
    clusters hold `min_coverage` of the records; by stability, see `stabilities`. Of several that are equally good, the first
    one is chosen. `words` are those of the warnings.
    """
    if select_by == STABILITY:
        scores = stabilities(candidates, min_coverage)
    else:
        sign = 1 if HIGHEST_IS_BEST[select_by] else -1
        values = [sign * candidate.metrics.get(select_by, np.nan) for candidate in candidates]
        enough = [coverage(candidate.labels) >= min_coverage for candidate in candidates]
        scores = np.where(enough, values, np.nan)
    if np.isnan(scores).all():
        return Choice(None, why_none(candidates, min_coverage, words))
    position = int(np.nanargmax(scores))
    is_unstable = select_by == STABILITY and len(candidates) > 1 and scores[position] < LEAST_STABILITY
    found = doubts(candidates, position, words) + ([words.fill(UNSTABLE)] if is_unstable else [])
    return Choice(position, SEPARATOR.join(found))


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
    as_found = np.array([candidate.labels for candidate in candidates])
    scores = np.full(len(candidates), np.nan)
    for labels in (np.array([_drop_small_clusters(one) for one in as_found]), as_found):
        shares = (labels != NOISE).mean(axis=1)
        has_clusters = [len(np.unique(one[one != NOISE])) >= 2 for one in labels]
        eligible = np.flatnonzero(has_clusters & (shares >= min_coverage))
        if len(eligible):
            weights = _widths(candidates)[eligible]
            agreement = adjusted_rand_indices(labels[eligible]) @ weights / weights.sum()
            scores[eligible] = shares[eligible] * agreement
            break
    return scores


def _drop_small_clusters(labels: np.ndarray) -> np.ndarray:
    """Return the labels with the records of small clusters as noise."""
    sizes = np.bincount(labels[labels != NOISE], minlength=1)
    is_small = sizes < max(FEWEST_RECORDS, SMALLEST_SHARE * len(labels))
    # The last entry stands for noise, whose label is -1.
    return np.asarray(np.append(np.where(is_small, NOISE, np.arange(len(sizes))), NOISE)[labels])


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
    n_clusterings, n = labels.shape
    codes = labels - labels.min(axis=1, keepdims=True)
    offsets = np.concatenate([[0], np.cumsum(codes.max(axis=1) + 1)])
    columns = (codes + offsets[:-1, None]).T.ravel()
    shape = n, int(offsets[-1])
    indicator = csr_array((np.ones(columns.size), columns, np.arange(0, columns.size + 1, n_clusterings)), shape=shape)
    # The contingency tables of all pairs of clusterings, as blocks of one matrix.
    tables = (indicator.T @ indicator).tocoo()
    clustering = np.repeat(np.arange(n_clusterings), np.diff(offsets))
    block = clustering[tables.row] * n_clusterings + clustering[tables.col]
    pairs = np.bincount(block, weights=tables.data * (tables.data - 1) / 2, minlength=n_clusterings**2)
    both = pairs.reshape(n_clusterings, n_clusterings)
    each = np.diagonal(both)
    expected = np.outer(each, each) / max(1, n * (n - 1) / 2)
    highest = (each[:, None] + each) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(highest == expected, 1.0, (both - expected) / (highest - expected))
