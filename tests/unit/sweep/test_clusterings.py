"""The clusterings of a group: one for each wanted value, whatever values the others have."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

from penguins.cli.rules import Auto
from penguins.sweep.algorithm import ALGORITHMS
from penguins.sweep.clusterings import cluster_values, scale_records
from penguins.sweep.fit import fit_again, fit_grid

X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["x", "y"])


def test_each_of_some_values_has_its_clustering_in_the_order_of_the_results() -> None:
    _, space = scale_records(X, 0, "euclidean", "standard")
    values = [{"eps": eps, "min_samples": number} for eps, number in ((0.5, 4), (0.2, 2), (0.3, 4), (0.2, 3))]
    found = cluster_values(ALGORITHMS["dbscan"], space, values)
    assert [tuple(params.values()) for params, _ in found] == [(0.2, 2), (0.2, 3), (0.3, 4), (0.5, 4)]
    scaled = StandardScaler().fit_transform(X)
    for params, clustering in found:
        assert clustering.labels.tolist() == DBSCAN(**params).fit_predict(scaled).tolist()


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("dbscan", {"eps": Auto(7), "min_samples": [2, 5]}),
        ("hdbscan", {"min_cluster_size": Auto(4), "min_samples": [2, 5]}),
        ("kmeans", {"n_clusters": [2, 3, 5]}),
    ],
)
def test_a_group_that_is_fitted_again_has_the_same_labels_and_models(name: str, grid: dict[str, object]) -> None:
    first = fit_grid(ALGORITHMS[name], X, grid)  # type: ignore[arg-type]  # the types of a grid
    values = [outcome.params for outcome in first.outcomes]
    again = fit_again(ALGORITHMS[name], X, values, 0, "euclidean", "standard")
    assert [outcome.params for outcome in again.outcomes] == values
    assert [one.labels.tolist() for one in again.clusterings] == [one.labels.tolist() for one in first.clusterings]
    assert again.nearest(1).points.tolist() == first.nearest(1).points.tolist()


@pytest.mark.parametrize("scale", ["standard", "none"])
@pytest.mark.parametrize("seed", range(20))
def test_the_scaler_is_that_which_scikit_learn_fits(seed: int, scale: str) -> None:
    random = np.random.default_rng(seed)
    n, k = int(random.integers(1, 300)), int(random.integers(1, 6))
    values = random.normal(size=(n, k)) * 10.0 ** random.integers(-8, 8, k) + 10.0 ** random.integers(-5, 9)
    values[:, 0] = values[0, 0] if seed % 3 == 0 else values[:, 0].round()
    whole = pd.DataFrame(values, columns=[f"feature {number}" for number in range(k)])
    for records in (whole, pd.DataFrame({name: whole[name].to_numpy().copy() for name in whole})):
        expected = StandardScaler(with_mean=scale == "standard", with_std=scale == "standard").fit(records)
        scaler, space = scale_records(records, 0, "euclidean", scale)
        assert vars(scaler).keys() == vars(expected).keys()
        for name, attribute in vars(expected).items():
            assert np.array_equal(getattr(scaler, name), attribute), name
        assert np.array_equal(space.X, expected.transform(records))
