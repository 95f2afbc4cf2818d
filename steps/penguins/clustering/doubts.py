"""Why the clustering that was chosen for a group deserves doubt, or why none could be chosen, and what to try next.

The texts name no number of the group, so that equal doubts of many groups can be counted. `SEPARATOR` joins several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from penguins.clustering.clusters import NOISE
from penguins.clustering.indices import S_DBW, SILHOUETTE

SEPARATOR = "; "
# One cluster of more than this share of the clustered records holds nearly everything.
NEARLY_EVERYTHING = 0.95
# The choice by stability deserves doubt below this value.
LEAST_STABILITY = 0.5

# The texts in braces are those of `Words`.
SMALLEST_VALUE = "the chosen {swept} is the smallest that was tried: try smaller values"
LARGEST_VALUE = "the chosen {swept} is the largest that was tried: try larger values"
NEGATIVE_SILHOUETTE = "the silhouette is negative: clusters overlap, or are not round (then compare dbcv)"
MOSTLY_NOISE = "more than half of the records are noise: try {less_noise}"
ONE_LARGE_CLUSTER = "one cluster holds nearly all clustered records: try {more_clusters}, or other features"
DUPLICATES = "each cluster consists of equal records (S_Dbw 0): look for rounded or constant columns"
MOSTLY_DUPLICATES = "most clusters consist of equal records: look for rounded or whole-number columns"
UNSTABLE = f"the clusters change much with {{swept}} (stability below {LEAST_STABILITY:g}): there may be no clear clusters"

TOO_FEW_RECORDS = "the group has fewer records than {fewest_records}: try smaller {fewest_records}, or leave the group out"
ALL_NOISE = "every record is noise at every value: try {less_noise}, or {other_values}"
ONE_CLUSTER = "every value gives one cluster or none: there may be no clusters, or try {other_values}"
LOW_COVERAGE = "every value with two clusters or more leaves too much noise: try {less_noise}, or smaller min_coverage"
NO_INDEX = "the index is undefined at every value that keeps enough records: try another select_by, or {other_values}"


@dataclass(frozen=True)
class Words:
    """What the texts call the parameters of an algorithm.

    `swept` is the parameter whose values are compared, `lowest` its lowest value that makes sense, `fewest_records` the
    parameter that no group may have fewer records than. The others complete "try …": `more_clusters` if there are too few
    clusters, `other_values` if no value gives any, and `less_noise`, which only an algorithm with noise needs.
    """

    swept: str
    fewest_records: str
    more_clusters: str
    other_values: str
    less_noise: str = "other features"
    lowest: float = 0

    def fill(self, text: str) -> str:
        """Return `text` with the words in its braces."""
        return text.format(**asdict(self))


EPS_WORDS = Words(
    swept="eps",
    fewest_records="min_samples",
    less_noise="larger eps or smaller min_samples",
    more_clusters="smaller eps",
    other_values="other values of eps, for example eps=auto",
)


@dataclass(frozen=True)
class Candidate:
    """A clustering of a group: its `labels`, of shape (n_records,), its defined metrics, and which value it comes from.

    Candidates with the same `curve`, for example the same min_samples, differ in `value`, that of the swept parameter, only.
    `fewest_records` is the number of records that the value needs.
    """

    value: float
    curve: float
    labels: np.ndarray
    metrics: Mapping[str, float]
    fewest_records: int = 0


def coverage(labels: np.ndarray) -> float:
    """Return the share of the records that are not noise."""
    return float((labels != NOISE).mean())


def doubts(candidates: Sequence[Candidate], position: int, words: Words = EPS_WORDS, X: np.ndarray | None = None) -> list[str]:
    """Return the reasons to doubt the candidate at `position` among all that were tried.

    `X`, of shape (n_records, n_features), are the records, without which nothing is said of equal ones.
    """
    chosen = candidates[position]
    of_curve = [candidate for candidate in candidates if candidate.curve == chosen.curve]
    tried = [candidate.value for candidate in of_curve]
    # Where another value gives the same clusters, the chosen one is at the edge of the grid only as the first of equals.
    is_alone = sum(np.array_equal(candidate.labels, chosen.labels) for candidate in of_curve) == 1
    clustered = chosen.labels[chosen.labels != NOISE]
    largest = np.bincount(clustered, minlength=1).max()
    has_no_spread = chosen.metrics.get(S_DBW) == 0
    found = {
        SMALLEST_VALUE: is_alone and words.lowest < min(tried) == chosen.value < max(tried),
        LARGEST_VALUE: is_alone and max(tried) == chosen.value > min(tried),
        NEGATIVE_SILHOUETTE: chosen.metrics.get(SILHOUETTE, 0) < 0,
        MOSTLY_NOISE: coverage(chosen.labels) < 0.5,
        ONE_LARGE_CLUSTER: largest > NEARLY_EVERYTHING * len(clustered),
        DUPLICATES: has_no_spread,
        MOSTLY_DUPLICATES: X is not None and not has_no_spread and _share_of_equal(X, chosen.labels) > 0.5,
    }
    return [words.fill(text) for text, is_true in found.items() if is_true]


def _share_of_equal(X: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of the clusters whose records are all equal."""
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]
    if not len(order):
        return 0.0
    starts = np.flatnonzero(np.diff(labels[order], prepend=NOISE))
    clustered = X[order]
    lowest, highest = np.minimum.reduceat(clustered, starts), np.maximum.reduceat(clustered, starts)
    return float((lowest == highest).all(axis=1).mean())


def why_none(candidates: Sequence[Candidate], min_coverage: float, words: Words = EPS_WORDS) -> str:
    """Return why no candidate could be chosen."""
    n_clusters = np.array([len(np.unique(one.labels[one.labels != NOISE])) for one in candidates])
    with_clusters = [one for one, number in zip(candidates, n_clusters, strict=True) if number >= 2]
    if all(len(candidate.labels) < candidate.fewest_records for candidate in candidates):
        why = TOO_FEW_RECORDS
    elif not n_clusters.any():
        why = ALL_NOISE
    elif not with_clusters:
        why = ONE_CLUSTER
    elif all(coverage(candidate.labels) < min_coverage for candidate in with_clusters):
        why = LOW_COVERAGE
    else:
        why = NO_INDEX
    return words.fill(why)
