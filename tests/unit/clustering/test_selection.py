"""The choice among the clusterings of a group, by stability and by an index, and the doubts about it."""

import dataclasses

import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from penguins.clustering import doubts
from penguins.clustering.dbscan import dbscan
from penguins.clustering.doubts import Candidate
from penguins.clustering.eps_grid import propose_eps
from penguins.clustering.selection import adjusted_rand_indices, choose, stabilities


def candidates_of(X: np.ndarray, eps_values: list[float], min_samples: int = 3) -> list[Candidate]:
    found = zip(eps_values, dbscan(X, eps_values, min_samples), strict=True)
    return [Candidate(eps, min_samples, clustering.labels, {}) for eps, clustering in found]


def candidate(labels: list[int], eps: float = 1.0, min_samples: int = 1, **metrics: float) -> Candidate:
    named = {name.replace("_", "-"): value for name, value in metrics.items()}
    return Candidate(eps, min_samples, np.array(labels), named, fewest_records=min_samples)


def text(doubt: str) -> str:
    """Return a doubt in the words of eps."""
    return doubts.EPS_WORDS.fill(doubt)


# Three values of eps with clusters of their own.
DISTINCT = [candidate([0, 0, 1, 1], 1), candidate([0, 1, 1, 1], 2), candidate([0, 1, 0, 1], 3)]


@pytest.mark.parametrize("most_in_matrix", [0, 1 << 20])
def test_the_adjusted_rand_indices_of_all_pairs_are_those_of_scikit_learn(
    most_in_matrix: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penguins.clustering.selection.NUMBERS_IN_MEMORY", most_in_matrix)
    random = np.random.default_rng(0)
    for n in (1, 2, 7, 60):
        labels = np.array([random.integers(-1, highest, n) for highest in (0, 1, 1, 2, 5, 20, 60)])
        expected = [[adjusted_rand_score(a, b) for a in labels] for b in labels]
        assert adjusted_rand_indices(labels) == pytest.approx(np.array(expected), abs=1e-12)


def test_stability_is_the_coverage_times_the_weighted_agreement_with_all_eligible_clusterings() -> None:
    X, _ = make_blobs(300, centers=4, cluster_std=1.2, random_state=3)
    eps = np.array([0.2, 0.5, 0.6, 1.1, 1.5, 6.0, 50.0])
    found = candidates_of(X, eps.tolist())
    scores = stabilities(found, min_coverage=0.5)
    labels = []
    for one in found:
        sizes = {cluster: (one.labels == cluster).sum() for cluster in set(one.labels) - {-1}}
        labels.append(np.array([label if label >= 0 and sizes[label] >= 5 else -1 for label in one.labels]))
    shares = np.array([(one >= 0).mean() for one in labels])
    eligible = [i for i, one in enumerate(labels) if len(set(one) - {-1}) >= 2 and shares[i] >= 0.5]
    assert 2 <= len(eligible) < len(eps)
    x = np.log(eps)
    widths = np.array([(x[min(i + 1, 6)] - x[max(i - 1, 0)]) / 2 for i in range(7)])
    for i in range(7):
        if i not in eligible:
            assert np.isnan(scores[i])
            continue
        agreement = sum(widths[j] * adjusted_rand_score(labels[i], labels[j]) for j in eligible)
        assert scores[i] == pytest.approx(shares[i] * agreement / widths[eligible].sum(), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("min_samples", [3, 5, 10])
def test_the_most_stable_clustering_of_an_automatic_grid_is_the_right_one(seed: int, min_samples: int) -> None:
    moons, of_moons = make_moons(400, noise=0.06, random_state=seed)
    blobs, of_blobs = make_blobs(400, centers=[[0, 0], [5, 0], [0, 5], [5, 5], [2.5, 9]], cluster_std=0.6, random_state=seed)
    for X, truth in ((moons, of_moons), (blobs, of_blobs)):
        scaled = StandardScaler().fit_transform(X)
        found = candidates_of(scaled, list(propose_eps(scaled, min_samples, 40).values), min_samples)
        position = choose(found, "stability", 0.5).position
        assert position is not None
        assert adjusted_rand_score(truth, found[position].labels) > 0.9


def test_several_min_samples_are_pooled_with_equal_weight() -> None:
    X, truth = make_blobs(300, centers=3, cluster_std=0.5, random_state=0)
    found = [one for min_samples in (3, 5) for one in candidates_of(X, [0.05, 0.4, 0.8, 1.6, 3.2], min_samples)]
    position = choose(found, "stability", 0.5).position
    assert position is not None
    assert adjusted_rand_score(truth, found[position].labels) > 0.95


def test_in_a_group_of_few_records_small_clusters_count() -> None:
    X = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    assert choose(candidates_of(X, [0.15, 1.0, 9.0], 2), "stability", 0.5).position == 0


def test_an_index_chooses_its_best_value_among_those_that_keep_enough_records() -> None:
    two = [0, 0, 1, 1]
    tried = [
        candidate([0, 1, -1, -1], 0.1, silhouette=0.9, davies_bouldin=0.1),
        candidate(two, 0.2, silhouette=0.5, davies_bouldin=0.6),
        candidate(two, 0.3, silhouette=0.5, davies_bouldin=0.6),
        candidate(two, 0.4, silhouette=0.7, davies_bouldin=0.7),
        candidate([0, 0, 0, 0], 0.5),
    ]
    assert choose(tried, "silhouette", 0.75).position == 3
    assert choose(tried, "davies-bouldin", 0.75).position == 1  # of equals the first
    assert choose(tried, "silhouette", 0.5).position == 0
    assert choose(tried, "dbcv", 0.5).position is None


@pytest.mark.parametrize(
    ("tried", "position", "expected"),
    [
        (DISTINCT, 1, []),
        (DISTINCT, 0, [text(doubts.SMALLEST_VALUE)]),
        (DISTINCT, 2, [text(doubts.LARGEST_VALUE)]),
        ([candidate([0, 0, 1, 1], eps) for eps in (1, 2, 3)], 0, []),  # the first of equals
        ([candidate([0, 0, 1, 1])], 0, []),
        ([candidate([0, 0, 1, 1], silhouette=-0.1)], 0, [doubts.NEGATIVE_SILHOUETTE]),
        ([candidate([0, 1, -1, -1, -1])], 0, [text(doubts.MOSTLY_NOISE)]),
        ([candidate([0] * 110 + [1] * 3)], 0, [text(doubts.ONE_LARGE_CLUSTER)]),
        ([candidate([0, 0, 1, 1], s_dbw=0.0)], 0, [doubts.DUPLICATES]),
    ],
)
def test_a_choice_that_deserves_doubt_says_why(tried: list[Candidate], position: int, expected: list[str]) -> None:
    assert doubts.doubts(tried, position) == expected


def test_a_choice_by_stability_in_records_without_clusters_is_called_unstable() -> None:
    X = np.random.default_rng(0).uniform(size=(400, 2))
    found = candidates_of(X, list(propose_eps(X, 3, 40).values))
    assert text(doubts.UNSTABLE) in choose(found, "stability", 0.5).warning


def test_clusters_of_equal_records_deserve_doubt_if_they_are_most() -> None:
    X = np.array([[1.0], [1], [2], [2], [3], [3.1], [9]])
    tried = [candidate([0, 0, 1, 1, 2, 2, -1], value) for value in (1, 2, 3)]
    assert doubts.doubts(tried, 1, X=X) == [doubts.MOSTLY_DUPLICATES]
    assert doubts.doubts(tried, 1, X=X + np.array([[0.0], [0.1], [0], [0], [0], [0], [0]])) == []
    assert doubts.doubts(tried, 1) == []


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ([candidate([-1, -1], min_samples=3)], doubts.TOO_FEW_RECORDS),
        ([candidate([-1, -1, -1], eps) for eps in (1, 2)], doubts.ALL_NOISE),
        ([candidate([-1, -1, -1]), candidate([0, 0, 0])], doubts.ONE_CLUSTER),
        ([candidate([0, 0, 1, 1, *[-1] * 8])], doubts.LOW_COVERAGE),
        ([candidate([0, 1, 2])], doubts.NO_INDEX),
    ],
)
def test_where_nothing_can_be_chosen_the_reason_is_given(tried: list[Candidate], expected: str) -> None:
    found = choose(tried, "silhouette", 0.5)
    assert (found.position, found.warning) == (None, text(expected))


def test_the_smallest_value_that_makes_sense_is_no_end_of_the_grid() -> None:
    words = dataclasses.replace(doubts.EPS_WORDS, lowest=1)
    assert doubts.doubts(DISTINCT, 0, words) == []
    assert doubts.doubts(DISTINCT, 2, words) == [text(doubts.LARGEST_VALUE)]


def test_no_text_holds_the_separator_by_which_several_are_counted() -> None:
    texts = [one for name, one in vars(doubts).items() if name.isupper() and isinstance(one, str) and name != "SEPARATOR"]
    assert len(texts) >= 12
    assert not [one for one in texts if doubts.SEPARATOR.strip() in text(one)]
