"""Why a clustering was chosen, in words: the words say what the numbers say."""

import numpy as np
import pytest

from penguins.clustering.doubts import Candidate
from penguins.clustering.selection import choose

TWO, OTHER_TWO = np.repeat([0, 1], 20), np.tile([0, 1], 20)
# Two of the 40 records of TWO are noise.
NEARLY_TWO = np.where(np.arange(40) < 2, -1, TWO)
# A record of TWO is a cluster of their own, too small to count when clusterings are compared.
TWO_AND_A_SMALL_ONE = np.where(np.arange(40) < 1, 2, TWO)
THREE = np.where(np.arange(40) < 10, 2, TWO)
NOISE = np.full(40, -1)


def candidates(*labels: np.ndarray, curve: int = 0, first: int = 1) -> list[Candidate]:
    return [
        Candidate(first + number, curve, one, {"silhouette": round(0.1 * number, 1), "davies-bouldin": 1.0 + number})
        for number, one in enumerate(labels)
    ]


CASES: dict[str, tuple[list[Candidate], str, str]] = {
    "the widest range": (
        candidates(NOISE, THREE, TWO, TWO, TWO, NOISE),
        "stability",
        "the same 2 clusters from 3 to 5 (the widest range)",
    ),
    "a range of nearly the same": (
        candidates(NOISE, TWO, NEARLY_TWO, TWO_AND_A_SMALL_ONE, OTHER_TWO),
        "stability",
        "nearly the same 2 clusters from 2 to 4 (the widest range)",
    ),
    "a gap ends a range": (
        candidates(TWO, TWO, OTHER_TWO, TWO, TWO, TWO, first=10),
        "stability",
        "the same 2 clusters from 10 to 11, the most stable of 6 values",
    ),
    "no neighbour agrees": (
        candidates(THREE, TWO, OTHER_TWO),
        "stability",
        "2 clusters, the most stable of 3 values",
    ),
    "only one gives clusters": (
        candidates(NOISE, TWO, NOISE),
        "stability",
        "2 clusters: no other of the 3 values gives two clusters of 5 records or more that hold 50% of the records",
    ),
    "only one was tried": (candidates(TWO), "stability", "2 clusters: no other value was tried"),
    "the highest index": (
        candidates(TWO, THREE, TWO),
        "silhouette",
        "2 clusters with the highest silhouette, 0.2, of 3 values",
    ),
    "the lowest index": (
        candidates(THREE, TWO, TWO),
        "davies-bouldin",
        "3 clusters with the lowest davies-bouldin, 1, of 3 values",
    ),
    "only one has enough records": (
        candidates(NOISE, TWO),
        "silhouette",
        "2 clusters: no other of the 2 values gives enough records in clusters",
    ),
    "none is eligible": (candidates(NOISE, NOISE), "stability", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_says_what_won_and_over_which_range(case: str) -> None:
    tried, select_by, expected = CASES[case]
    assert choose(tried, select_by, 0.5).reason == expected


def test_a_range_stays_within_the_curve_of_the_chosen_value() -> None:
    tried = [*candidates(NOISE, TWO, TWO), *candidates(TWO, TWO, TWO, curve=1, first=11)]
    assert choose(tried, "stability", 0.5).reason == "the same 2 clusters from 2 to 3, the most stable of 6 values"
