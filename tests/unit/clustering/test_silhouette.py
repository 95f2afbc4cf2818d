"""The silhouettes of clusterings that share sums of distances equal those of scikit-learn, whatever the sizes of the parts."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_samples, silhouette_score

from penguins.clustering.silhouette import mean_silhouettes


@pytest.mark.parametrize(("tile", "block", "sums"), [(512, 256, 10**6), (7, 256, 10**6), (512, 5, 10**6), (64, 256, 1)])
def test_shared_sums_give_the_mean_over_the_scored_records(
    tile: int, block: int, sums: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TILE": tile, "WIDEST_BLOCK": block, "SUMS_IN_MEMORY": sums, "MOST_RECORDS_IN_MATRIX": 0}.items():
        monkeypatch.setattr(f"penguins.clustering.silhouette.{name}", value)
    random = np.random.default_rng(0)
    X, blobs = make_blobs(300, 3, centers=4, random_state=0)
    labels = np.stack([blobs, random.integers(-1, 6, 300), np.where(random.random(300) < 0.3, -1, blobs // 2)])
    scored = (labels != -1) & (random.random(labels.shape) < 0.5)
    expected = []
    for own, chosen in zip(labels, scored, strict=True):
        clustered = own != -1
        expected.append(silhouette_samples(X[clustered], own[clustered])[chosen[clustered]].mean())
    assert mean_silhouettes(X, labels, scored).tolist() == pytest.approx(expected, rel=1e-10)


def test_clusterings_that_share_a_matrix_show_the_rounding_of_their_own_where_records_coincide() -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        n = int(random.integers(40, 90))
        X = 10 * random.normal(size=(n // 2, 3))[random.integers(0, n // 2, n)]
        labels = np.stack([np.where(random.random(n) < share, -1, random.integers(0, 3, n)) for share in (0, 0.1, 0.4, 0.7)])
        expected = [silhouette_score(X[own != -1], own[own != -1]) for own in labels]
        assert mean_silhouettes(X, labels, labels != -1).tolist() == pytest.approx(expected, rel=1e-11, abs=1e-13)


def test_few_clustered_records_of_a_large_group_are_scored_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.clustering.silhouette.MOST_RECORDS_IN_MATRIX", 250)
    monkeypatch.setattr("penguins.clustering.silhouette.SUMS_IN_MEMORY", 1_000)
    X, blobs = make_blobs(300, 3, centers=4, random_state=0)
    half = np.where(np.arange(300) % 2, blobs, -1)
    labels = np.stack([half, half[::-1], blobs])
    expected = [silhouette_score(X[own != -1], own[own != -1]) for own in labels]
    assert mean_silhouettes(X, labels, labels != -1).tolist() == pytest.approx(expected, rel=1e-11)
    assert mean_silhouettes(X, labels[:1], labels[:1] != -1).tolist() == pytest.approx(expected[:1], rel=1e-11)
