"""The sweep of one group: labels as DBSCAN's own, with every metric and scale, and the choice."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.metrics import silhouette_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penguins.cli.rules import Auto
from penguins.clustering.eps_grid import propose_eps
from penguins.data.checks import LARGEST
from penguins.sweep.fit import sweep
from penguins.sweep.nearest import nearest_from_bytes

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


@pytest.mark.parametrize(("metric", "eps"), [("euclidean", 0.4), ("haversine", 100.0)])
def test_a_model_of_an_array_predicts_by_the_numbers_of_its_columns(records: pd.DataFrame, metric: str, eps: float) -> None:
    array = records[["a", "c"]].to_numpy()
    model = sweep(array, (eps,), 3, metric=metric).model_that_predicts(0)
    of_frame = sweep(records[["a", "c"]], (eps,), 3, metric=metric).model_that_predicts(0)
    assert model.failure == ""
    assert model.npz is not None
    assert of_frame.npz is not None
    predicted = nearest_from_bytes(model.npz).predict(pd.DataFrame(array, columns=["0", "1"]))
    assert predicted.tolist() == nearest_from_bytes(of_frame.npz).predict(records).tolist()
    assert predicted.max() >= 0
    assert model.kind != of_frame.kind


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


def test_every_eps_is_tried_with_every_min_samples(records: pd.DataFrame) -> None:
    found = sweep(records, EPS, min_samples=(5, 2))
    assert [(outcome.eps, outcome.min_samples) for outcome in found.outcomes] == [(eps, n) for eps in EPS for n in (2, 5)]
    for index, outcome in enumerate(found.outcomes):
        model = found.model(index)["dbscan"]
        plain = DBSCAN(eps=outcome.eps, min_samples=outcome.min_samples).fit(found.X)
        assert (model.min_samples, model.labels_.tolist()) == (outcome.min_samples, plain.labels_.tolist())


@pytest.mark.parametrize(("eps", "remedy"), [((5.0, 9.0), ", for example eps=auto"), (Auto(), "")])
def test_only_a_sweep_of_given_values_recommends_proposed_ones(eps: Auto | tuple[float, ...], remedy: str) -> None:
    evenly_spaced = np.arange(40.0)[:, None]
    warning = sweep(evenly_spaced, eps, min_samples=3).choose("stability", 0.5).warning
    assert warning.endswith(f"other values of eps{remedy}")


def test_an_automatic_grid_is_that_of_each_min_samples(records: pd.DataFrame) -> None:
    found = sweep(records, Auto(12), (3, 8))
    assert [proposal.fixed for proposal in found.proposals] == [{"min_samples": 3}, {"min_samples": 8}]
    for number, proposal in zip((3, 8), found.proposals, strict=True):
        grid = propose_eps(found.X, number, 12)
        assert (proposal.lowest, proposal.highest, proposal.knee) == (grid.values[0], grid.values[-1], grid.knee)
        assert [outcome.eps for outcome in found.outcomes if outcome.min_samples == number] == list(grid.values)
    chosen = found.choose("stability", 0.5).position
    assert chosen is not None
    assert found.outcomes[chosen].metrics["n_clusters"] == 2


def test_without_scaling_eps_is_in_the_unit_of_the_features(records: pd.DataFrame) -> None:
    found = sweep(records, (50.0, 150.0), 3, scale="none")
    assert np.array_equal(found.X, records)
    for index, eps in enumerate((50.0, 150.0)):
        model = found.model(index)
        assert model["dbscan"].labels_.tolist() == DBSCAN(eps=eps, min_samples=3).fit(records.to_numpy()).labels_.tolist()
        assert np.array_equal(model["scaler"].transform(records), records)


def test_haversine_clusters_across_the_180th_meridian_in_kilometres() -> None:
    random = np.random.default_rng(0)
    towns = [random.normal(town, 0.03, (40, 2)) for town in ((-17.8, 180.0), (-16.5, 179.3))]
    degrees = pd.DataFrame(np.vstack(towns), columns=["lat", "lon"])
    degrees["lon"] = (degrees["lon"] + 180) % 360 - 180
    found = sweep(degrees, (20.0, 500.0), 3, metric="haversine")
    assert [outcome.metrics["n_clusters"] for outcome in found.outcomes] == [2, 1]
    for index, eps in enumerate((20.0, 500.0)):
        model = found.model(index)
        plain = DBSCAN(eps=eps / 6371.0088, min_samples=3, metric="haversine", algorithm="ball_tree")
        plain.fit(np.radians(degrees.to_numpy()))
        assert model["dbscan"].labels_.tolist() == plain.labels_.tolist()
        assert vars(model["dbscan"]).keys() == vars(plain).keys()
        assert np.array_equal(model["dbscan"].components_, plain.components_)
        assert np.array_equal(model["scaler"].transform(degrees), np.radians(degrees))
    expected = silhouette_score(np.radians(degrees), found.clusterings[0].labels, metric="haversine")
    assert found.outcomes[0].metrics["silhouette"] == pytest.approx(expected, abs=1e-9)


def test_the_choice_is_that_of_the_rule_over_the_outcomes(records: pd.DataFrame) -> None:
    found = sweep(records, (0.2, 0.6, 0.9, 9.0), 3)
    silhouettes = [outcome.metrics.get("silhouette", -2) for outcome in found.outcomes]
    assert found.choose("silhouette", 0.0).position == int(np.argmax(silhouettes))
    assert found.choose("stability", 0.5).position in (1, 2)
