"""The evidence of a group: which records are sampled, and the curve of its distances."""

import numpy as np
import pytest

from penguins.sweep.evidence import distance_curve, n_sampled, sample_places


@pytest.mark.parametrize(
    ("n_groups", "width", "expected"),
    [
        (1, 13, 2_000),
        (30, 13, 2_000),
        (31, 13, 1_935),
        (1_000, 13, 60),
        (1_200, 13, 50),
        (100_000, 13, 50),
        (30, 1_000, 333),
        (100_000, 1_000, 5),
        (2_000, 1_000_000, 1),
    ],
)
def test_many_groups_and_wide_tables_have_smaller_samples(n_groups: int, width: int, expected: int) -> None:
    assert n_sampled(n_groups, width) == expected


def test_all_records_of_a_small_group_are_sampled_and_of_a_large_one_as_many_as_are_wanted() -> None:
    for n_records, expected in ((1, 1), (49, 49), (50, 50), (51, 50), (10_000, 50)):
        places = sample_places(("a",), n_records, 50, 3, seed=0)
        assert places is not None
        assert len(set(places)) == expected
        assert places.tolist() == sorted(places)
        assert {0 <= place < n_records for place in places} == {True}


def test_the_sample_depends_on_the_group_and_the_seed_alone() -> None:
    draws = [
        sample_places(key, 1_000, 50, n_groups, seed)
        for key, n_groups, seed in ((("a", "b"), 3, 0), (("a", "b"), 3, 0), (("a, b",), 3, 0), (("a", "b"), 3, 1))
    ]
    first, again, other_group, other_seed = [set(places) for places in draws if places is not None]
    assert first == again
    assert len(first & other_group) < 20
    assert len(first & other_seed) < 20


def test_of_more_than_two_thousand_groups_some_two_thousand_have_evidence() -> None:
    def n_with(n_groups: int, seed: int) -> int:
        return sum(sample_places((str(group),), 5, 5, n_groups, seed) is not None for group in range(n_groups))

    assert n_with(2_000, 0) == 2_000
    assert 1_850 < n_with(10_000, 0) < 2_150
    assert n_with(10_000, 0) != n_with(10_000, 1)


@pytest.mark.parametrize("n_records", [1, 2, 3, 64, 65, 1_000, 100_003])
def test_the_curve_has_both_ends_and_evenly_spaced_shares_of_the_sorted_distances(n_records: int) -> None:
    distances = np.random.default_rng(0).permutation(np.arange(n_records) ** 2.0)
    shares, found = distance_curve(distances).T
    assert len(shares) == min(64, n_records)
    ranks = np.round(shares * max(n_records - 1, 1)).astype(int)
    assert found.tolist() == (ranks**2.0).tolist()
    assert (shares[0], found[0]) == (0, 0)
    assert found[-1] == (n_records - 1) ** 2
    if n_records > 1:
        assert shares[-1] == 1
        assert np.ptp(np.diff(shares)) <= 1 / (n_records - 1) + 1e-12
