"""Why the clustering that was chosen for a group deserves doubt, or why none could be chosen, and what to try next.

The texts name no number of the group, so that equal doubts of many groups can be counted. `SEPARATOR` joins several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from penguins.clustering.clusters import NOISE
from penguins.clustering.indices import S_DBW, SILHOUETTE

SEPARATOR = "; "
# One cluster of more than this share of the clustered records holds nearly everything.
NEARLY_EVERYTHING = 0.95
# The choice by stability deserves doubt below this value.
LEAST_STABILITY = 0.5

SMALLEST_EPS = "the chosen eps is the smallest that was tried: try smaller values"
LARGEST_EPS = "the chosen eps is the largest that was tried: try larger values"
NEGATIVE_SILHOUETTE = "the silhouette is negative: clusters overlap, or are not round (then compare dbcv)"
MOSTLY_NOISE = "more than half of the records are noise: try larger eps or smaller min_samples"
ONE_LARGE_CLUSTER = "one cluster holds nearly all clustered records: try smaller eps, or other features"
DUPLICATES = "each cluster consists of equal records (S_Dbw 0): look for rounded or constant columns"
UNSTABLE = f"the clusters change much with eps (stability below {LEAST_STABILITY:g}): there may be no clear clusters"

TOO_FEW_RECORDS = "the group has fewer records than min_samples: try smaller min_samples, or leave the group out"
ALL_NOISE = "every record is noise at every value: try larger eps, smaller min_samples, or eps=auto"
ONE_CLUSTER = "every value gives one cluster or none: there may be no clusters, or try other values of eps, or eps=auto"
LOW_COVERAGE = "every value with two clusters or more leaves too many records as noise: try larger eps or smaller min_coverage"
NO_INDEX = "the index is undefined at every value that keeps enough records: try select_by=stability, or other values of eps"


@dataclass(frozen=True)
class Candidate:
    """A clustering of a group: its eps and min_samples, its `labels`, of shape (n_records,), and its defined metrics."""

    eps: float
    min_samples: int
    labels: np.ndarray
    metrics: Mapping[str, float]


def coverage(labels: np.ndarray) -> float:
    """Return the share of the records that are not noise."""
    return float((labels != NOISE).mean())


def doubts(candidates: Sequence[Candidate], position: int) -> list[str]:
    """Return the reasons to doubt the candidate at `position` among all that were tried."""
    chosen = candidates[position]
    tried = [candidate.eps for candidate in candidates if candidate.min_samples == chosen.min_samples]
    clustered = chosen.labels[chosen.labels != NOISE]
    largest = np.bincount(clustered, minlength=1).max()
    found = {
        SMALLEST_EPS: min(tried) == chosen.eps < max(tried),
        LARGEST_EPS: max(tried) == chosen.eps > min(tried),
        NEGATIVE_SILHOUETTE: chosen.metrics.get(SILHOUETTE, 0) < 0,
        MOSTLY_NOISE: coverage(chosen.labels) < 0.5,
        ONE_LARGE_CLUSTER: largest > NEARLY_EVERYTHING * len(clustered),
        DUPLICATES: chosen.metrics.get(S_DBW) == 0,
    }
    return [text for text, is_true in found.items() if is_true]


def why_none(candidates: Sequence[Candidate], min_coverage: float) -> str:
    """Return why no candidate could be chosen."""
    n_clusters = np.array([len(np.unique(one.labels[one.labels != NOISE])) for one in candidates])
    if all(len(candidate.labels) < candidate.min_samples for candidate in candidates):
        return TOO_FEW_RECORDS
    if not n_clusters.any():
        return ALL_NOISE
    if (n_clusters < 2).all():
        return ONE_CLUSTER
    with_clusters = [one for one, number in zip(candidates, n_clusters, strict=True) if number >= 2]
    if all(coverage(candidate.labels) < min_coverage for candidate in with_clusters):
        return LOW_COVERAGE
    return NO_INDEX
