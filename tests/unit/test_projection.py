"""Principal components, with scikit-learn as the oracle."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from penguins.projection import principal_components


@pytest.mark.parametrize("is_scaled", [True, False])
def test_principal_components_are_those_of_scikit_learn(is_scaled: bool) -> None:
    X = np.random.default_rng(1).normal(size=(60, 4)) @ np.diag([5.0, 2.0, 1.0, 0.1])
    components, shares = principal_components(X, is_scaled)
    oracle = PCA(2)
    expected = oracle.fit_transform(StandardScaler().fit_transform(X) if is_scaled else X)
    assert np.abs(components) == pytest.approx(np.abs(expected))
    assert shares == pytest.approx(oracle.explained_variance_ratio_)


@pytest.mark.parametrize("X", [np.zeros((3, 3)), np.ones((2, 4)), np.array([[1.0, 5.0, 5.0], [2.0, 5.0, 5.0]])])
def test_principal_components_of_constant_columns_are_finite(X: np.ndarray) -> None:
    components, shares = principal_components(X, is_scaled=True)
    assert np.isfinite(components).all()
    assert np.isfinite(shares).all()


def test_the_sign_of_a_component_does_not_depend_on_the_order_of_the_records() -> None:
    X = np.random.default_rng(2).normal(size=(40, 3))
    forwards, _ = principal_components(X, is_scaled=True)
    backwards, _ = principal_components(X[::-1], is_scaled=True)
    assert backwards[::-1] == pytest.approx(forwards)
