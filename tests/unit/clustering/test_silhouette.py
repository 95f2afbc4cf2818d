"""The silhouettes of clusterings that share sums of distances equal those of scikit-learn, whatever the sizes of the parts."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_samples

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
