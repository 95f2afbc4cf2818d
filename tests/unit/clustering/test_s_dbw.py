"""S_Dbw does not depend on the size of the parts in which pairs of clusters are counted."""

import numpy as np
import pytest
from s_dbw import S_Dbw

from penguins.clustering.clusters import Clusters
from penguins.clustering.s_dbw import s_dbw


@pytest.mark.parametrize("numbers", [1, 10, 1000, 1 << 22])
def test_the_index_in_parts_equals_that_of_the_package(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.clustering.s_dbw.NUMBERS_IN_MEMORY", numbers)
    random = np.random.default_rng(0)
    labels = random.integers(0, 12, 200)
    X = random.normal(size=(12, 3))[labels] + 0.7 * random.normal(size=(200, 3))
    assert s_dbw(Clusters.from_labels(X, labels[np.newaxis])) == pytest.approx(S_Dbw(X, labels, alg_noise="filter"), rel=1e-12)
