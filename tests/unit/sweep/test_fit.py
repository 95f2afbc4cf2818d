"""The sweep of one group: labels as DBSCAN's own, and the best eps by the rule of `select_by`."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penguins.data.checks import LARGEST
from penguins.sweep.fit import Outcome, best_outcome, sweep

EPS = (0.2, 0.4, 0.8)


@pytest.fixture
def records() -> pd.DataFrame:
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(center, 1, (40, 3)) for center in (0, 6)])
    return pd.DataFrame(values * [1, 100, 0.01], columns=["a", "b", "c"])


def test_each_eps_gives_the_labels_of_a_scaled_dbscan(records: pd.DataFrame) -> None:
    found = sweep(records, EPS, min_samples=3)
    for index, outcome in enumerate(found.outcomes):
        model = found.model(index)
        plain = make_pipeline(StandardScaler(), DBSCAN(eps=outcome.eps, min_samples=3)).fit(records)
        assert model["dbscan"].labels_.tolist() == plain[-1].labels_.tolist()
        assert np.array_equal(model["scaler"].transform(records), plain[0].transform(records))


def test_a_model_has_every_attribute_that_fitting_it_would_have_set(records: pd.DataFrame) -> None:
    found = sweep(records, EPS, min_samples=3)
    plain = DBSCAN(eps=0.4, min_samples=3).fit(found.X)
    mine = found.model(1)["dbscan"]
    assert vars(mine).keys() == vars(plain).keys()
    for name, value in vars(plain).items():
        assert np.array_equal(getattr(mine, name), value), name
        assert np.asarray(getattr(mine, name)).dtype == np.asarray(value).dtype, name


def test_an_array_gives_the_same_outcomes_as_a_data_frame(records: pd.DataFrame) -> None:
    of_array, of_frame = sweep(records.to_numpy(), EPS, 3), sweep(records, EPS, 3)
    assert of_array.outcomes == of_frame.outcomes
    assert np.array_equal(of_array.X, of_frame.X)
    assert of_array.model(1)["dbscan"].labels_.tolist() == of_frame.model(1)["dbscan"].labels_.tolist()


def test_outcomes_come_in_ascending_order_of_eps(records: pd.DataFrame) -> None:
    found = sweep(records, (0.8, 0.2, 0.4), 3)
    assert [outcome.eps for outcome in found.outcomes] == [0.2, 0.4, 0.8]
    assert [found.model(index)["dbscan"].eps for index in range(3)] == [0.2, 0.4, 0.8]


@pytest.mark.parametrize(
    "records",
    [
        pd.DataFrame({"a": [1.0]}),
        pd.DataFrame({"a": [1.0, 1.0, 1.0], "b": [2.0, 2.0, 2.0]}),
        pd.DataFrame({"a": [0.0, 1e6, 2e6]}),
    ],
    ids=["one record", "constant columns", "all noise"],
)
def test_degenerate_groups_are_results_with_undefined_indices(records: pd.DataFrame) -> None:
    for outcome in sweep(records, EPS, min_samples=3).outcomes:
        assert outcome.reason
        assert "silhouette" not in outcome.metrics


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.inf, "infinite values in b"),
        (-np.inf, "infinite values in b"),
        (LARGEST, "values beyond 1e+150 in b"),
        (-1e200, "values beyond 1e+150 in b"),
    ],
)
def test_a_value_that_cannot_be_scaled_is_refused_with_its_column(records: pd.DataFrame, value: float, why: str) -> None:
    records.loc[3, "b"] = value
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the message is compared as a whole
        sweep(records, EPS, 3)
    assert str(refused.value) == why


def outcome(eps: float, coverage: float, **indices: float) -> Outcome:
    metrics = {name.replace("_", "-"): value for name, value in indices.items()}
    return Outcome(eps, {**metrics, "n_clustered_records": coverage}, "", "")


@pytest.mark.parametrize(
    ("select_by", "min_coverage", "eps"),
    [
        ("s-dbw", 0.5, 0.3),
        ("s-dbw", 0.0, 0.1),
        ("silhouette", 0.5, 0.4),
        ("silhouette", 0.0, 0.1),
        ("silhouette", 0.9, None),
        ("calinski-harabasz", 0.5, 0.3),
        ("davies-bouldin", 0.5, 0.4),
        ("davies-bouldin", 0.9, None),
    ],
)
def test_the_best_eps_is_best_by_the_index_among_those_that_cluster_enough_records(
    select_by: str, min_coverage: float, eps: float | None
) -> None:
    outcomes = [
        outcome(0.1, 2, s_dbw=0.1, silhouette=0.9),
        outcome(0.2, 8),
        outcome(0.3, 5, s_dbw=0.2, silhouette=0.3, calinski_harabasz=70, davies_bouldin=0.9),
        outcome(0.4, 8, s_dbw=0.4, silhouette=0.5, calinski_harabasz=60, davies_bouldin=0.8),
        outcome(0.5, 8, s_dbw=0.4, silhouette=0.5, calinski_harabasz=60, davies_bouldin=0.8),
    ]
    found = best_outcome(outcomes, 10, select_by, min_coverage)
    assert (found.eps if found else None) == eps
