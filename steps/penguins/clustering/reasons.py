"""Why the clustering that was chosen for a group won, in words. They hold no text of the data."""

from collections.abc import Sequence

import numpy as np

from penguins.clustering.clusters import NOISE
from penguins.clustering.doubts import Candidate
from penguins.clustering.indices import HIGHEST_IS_BEST

# Two clusterings are nearly the same from this adjusted Rand index on.
NEARLY_SAME = 0.9


def reason_by_index(candidates: Sequence[Candidate], scores: np.ndarray, position: int, select_by: str) -> str:
    """Return why the candidate at `position` won by an index; `scores`, of shape (n_candidates,), are NaN of the others."""
    n_eligible, n_clusters = int(np.isfinite(scores).sum()), _n_clusters(candidates[position])
    if n_eligible == 1:
        return _only_one(n_clusters, len(candidates), "enough records in clusters")
    extreme = "highest" if HIGHEST_IS_BEST[select_by] else "lowest"
    value = candidates[position].metrics[select_by]
    return f"{n_clusters} clusters with the {extreme} {select_by}, {value:.3g}, of {n_eligible} values"


def reason_by_stability(
    candidates: Sequence[Candidate],
    eligible: np.ndarray,
    agreement: np.ndarray,
    weights: np.ndarray,
    position: int,
    demand: str,
) -> str:
    """Return why the candidate at `position` is the most stable one: the range of values that give nearly the same clusters.

    `eligible` holds the positions of the candidates that were compared, and `agreement` the adjusted Rand index of every two
    of them, of shape (n_eligible, n_eligible); `weights`, of shape (n_candidates,), are the widths of their intervals.
    `demand` says in words which clusterings are compared.
    """
    n_clusters = _n_clusters(candidates[position])
    if len(eligible) == 1:
        return _only_one(n_clusters, len(candidates), demand)
    most_stable = f"the most stable of {len(candidates)} values"
    ranges = {int(one): _range_around(candidates, eligible, agreement, place) for place, one in enumerate(eligible)}
    found = ranges[position]
    if len(found) == 1:
        return f"{n_clusters} clusters, {most_stable}"
    is_same = all(np.array_equal(candidates[one].labels, candidates[position].labels) for one in found)
    is_widest = weights[found].sum() >= max(weights[one].sum() for one in ranges.values())
    values = f"from {candidates[found[0]].value:g} to {candidates[found[-1]].value:g}"
    widest = " (the widest range)" if is_widest else f", {most_stable}"
    return f"{'the same' if is_same else 'nearly the same'} {n_clusters} clusters {values}{widest}"


def _range_around(candidates: Sequence[Candidate], eligible: np.ndarray, agreement: np.ndarray, place: int) -> list[int]:
    """Return the positions of the values next to the one at `eligible[place]`, without a gap, with nearly the same clusters."""
    position = int(eligible[place])
    curve = [index for index, one in enumerate(candidates) if one.curve == candidates[position].curve]
    curve.sort(key=lambda index: candidates[index].value)
    same = {int(one) for one, value in zip(eligible, agreement[place], strict=True) if value >= NEARLY_SAME} | {position}
    first = last = curve.index(position)
    while first > 0 and curve[first - 1] in same:
        first -= 1
    while last + 1 < len(curve) and curve[last + 1] in same:
        last += 1
    return curve[first : last + 1]


def _only_one(n_clusters: int, n_candidates: int, what: str) -> str:
    others = f"no other of the {n_candidates} values gives {what}"
    return f"{n_clusters} clusters: {'no other value was tried' if n_candidates == 1 else others}"


def _n_clusters(candidate: Candidate) -> int:
    return len(np.unique(candidate.labels[candidate.labels != NOISE]))
