"""The algorithms of a sweep: the labels are scikit-learn's own, and new records are assigned by the rule of each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from penguins.cli.rules import Auto
from penguins.project import PROJECT
from penguins.sweep.algorithm import ALGORITHMS, Algorithm, Space
from penguins.sweep.fit import Grid, SweepFit, fit_grid
from penguins.sweep.nearest import NearestRecords, load_nearest, nearest_from_bytes

DBSCAN_, HDBSCAN_, KMEANS_ = (ALGORITHMS[name] for name in ("dbscan", "hdbscan", "kmeans"))
FEATURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
ISLANDS = ["Biscoe", "Dream", "Torgersen"]
GRIDS: dict[str, Grid] = {
    "dbscan": {"eps": (0.3, 0.7, 1.1), "min_samples": (2, 5)},
    "hdbscan": {"min_cluster_size": (3, 8, 20), "min_samples": (1, 4)},
    "kmeans": {"n_clusters": (2, 3, 5)},
}


def island(name: str) -> pd.DataFrame:
    penguins = pd.read_csv(PROJECT / "data" / "penguins.csv").dropna()
    return penguins.loc[penguins["island"] == name, FEATURES].reset_index(drop=True)


def fit(name: str, records: pd.DataFrame, **options: str) -> SweepFit:
    return fit_grid(ALGORITHMS[name], records, GRIDS[name], **options)  # type: ignore[arg-type]  # texts


@pytest.mark.parametrize("name", ISLANDS)
def test_kmeans_gives_the_labels_of_scikit_learn_with_the_seed(name: str) -> None:
    records = island(name)
    X = StandardScaler().fit_transform(records)
    for seed in (0, 7):
        found = fit_grid(KMEANS_, records, GRIDS["kmeans"], seed)
        for number, outcome, clustering in zip((2, 3, 5), found.outcomes, found.clusterings, strict=True):
            assert outcome.params == {"n_clusters": number}
            plain = KMeans(n_clusters=number, random_state=seed).fit(X)
            assert clustering.labels.tolist() == plain.labels_.tolist()


@pytest.mark.parametrize("name", ISLANDS)
def test_hdbscan_gives_the_labels_of_scikit_learn_for_every_combination(name: str) -> None:
    records = island(name)
    X = StandardScaler().fit_transform(records)
    found = fit("hdbscan", records)
    expected = [(size, number) for size in (3, 8, 20) for number in (1, 4)]
    assert [tuple(outcome.params.values()) for outcome in found.outcomes] == expected
    for (size, number), clustering in zip(expected, found.clusterings, strict=True):
        plain = HDBSCAN(min_cluster_size=size, min_samples=number, copy=True).fit(X)
        assert clustering.labels.tolist() == plain.labels_.tolist()


def test_hdbscan_clusters_positions_on_the_earth() -> None:
    random = np.random.default_rng(0)
    towns = [random.normal(town, 0.03, (40, 2)) for town in ((-17.8, 180.0), (-16.5, 179.3))]
    degrees = pd.DataFrame(np.vstack(towns), columns=["lat", "lon"])
    found = fit("hdbscan", degrees, metric="haversine")
    plain = HDBSCAN(min_cluster_size=8, min_samples=4, metric="haversine", copy=True).fit(np.radians(degrees))
    assert found.clusterings[3].labels.tolist() == plain.labels_.tolist()
    nearest = found.nearest(3)
    is_clustered = plain.labels_ >= 0
    assert nearest.predict(degrees)[is_clustered].tolist() == plain.labels_[is_clustered].tolist()
    other_side = degrees.assign(lon=degrees["lon"] - 360)
    assert nearest.predict(other_side).tolist() == nearest.predict(degrees).tolist()
    assert nearest.predict(pd.DataFrame({"lat": [0.0], "lon": [0.0]})).tolist() == [-1]


@pytest.mark.parametrize("n_records", [4, 12, 100, 1_000, 20_000])
def test_proposed_sizes_run_from_small_clusters_to_a_third_of_the_records(n_records: int) -> None:
    found = HDBSCAN_.propose(Space(np.zeros((n_records, 1))), {"min_samples": 3}, 12).values
    assert list(found) == sorted(set(found))
    assert len(found) <= 12
    assert found[0] >= 2
    assert found[-1] <= max(2, n_records / 3)
    if n_records >= 100:
        assert found[0] == max(5, n_records / 100)
        assert len(found) == 12


def test_a_proposal_is_made_for_each_group_and_its_best_size_finds_the_clusters() -> None:
    random = np.random.default_rng(0)
    records = pd.DataFrame(
        np.vstack([random.normal(center, spread, (60, 2)) for center, spread in ((0, 1), (9, 0.1), (-9, 2))])
    )
    found = fit_grid(HDBSCAN_, records, {"min_cluster_size": Auto(), "min_samples": (3,)})
    choice = found.choose("stability", 0.5)
    assert choice.position is not None
    assert found.outcomes[choice.position].metrics["n_clusters"] == 3
    assert (found.proposals[0].lowest, found.proposals[0].highest) == (5, 60)


@pytest.mark.parametrize(
    ("algorithm", "grid", "reason"),
    [
        (KMEANS_, {"n_clusters": (2, 9)}, "the group has 4 of the 9 records that n_clusters needs"),
        (HDBSCAN_, {"min_cluster_size": (2,), "min_samples": (9,)}, "the group has 4 of the 9 records that min_samples needs"),
    ],
)
def test_a_value_that_needs_more_records_is_a_result_without_clusters(
    algorithm: Algorithm, grid: dict[str, tuple[int, ...]], reason: str
) -> None:
    records = pd.DataFrame({"a": [0.0, 0.1, 5.0, 5.1]})
    found = fit_grid(algorithm, records, grid)
    assert found.outcomes[-1].reason == reason
    assert found.outcomes[-1].metrics == {"n_clusters": 0, "n_clustered_records": 0}
    assert found.clusterings[-1].labels.tolist() == [-1] * 4


def test_fewer_clusters_than_asked_for_are_said() -> None:
    found = fit_grid(KMEANS_, pd.DataFrame({"a": [0.0] * 6 + [1.0] * 6}), {"n_clusters": (2, 3)})
    assert [outcome.metrics["n_clusters"] for outcome in found.outcomes] == [2, 2]
    assert found.outcomes[0].reason == ""
    assert found.outcomes[1].reason == "2 clusters of the 3 asked for: there are too few different records"


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("n_records", [1, 2, 3])
def test_tiny_groups_and_equal_records_are_results(name: str, n_records: int) -> None:
    for records in (pd.DataFrame({"a": np.arange(n_records, dtype=float)}), pd.DataFrame({"a": np.ones(n_records)})):
        found = fit(name, records)
        assert all(outcome.reason for outcome in found.outcomes)


@pytest.mark.parametrize(("name", "options"), [("dbscan", {}), ("hdbscan", {}), ("hdbscan", {"scale": "none"})])
def test_new_records_belong_to_the_cluster_of_the_nearest_record_within_reach(name: str, options: dict[str, str]) -> None:
    records = island("Biscoe").sample(frac=1, random_state=0, ignore_index=True)
    known, new = records.iloc[:120], records.iloc[120:]
    found = fit(name, known, **options)
    n_assigned = 0
    for position, clustering in enumerate(found.clusterings):
        model = found.model_that_predicts(position)
        assert model.npz is not None
        nearest_records = nearest_from_bytes(model.npz)
        core = np.flatnonzero(clustering.labels >= 0) if clustering.core is None else clustering.core
        assert nearest_records.predict(known)[core].tolist() == clustering.labels[core].tolist()
        predicted = nearest_records.predict(new)
        n_assigned += int((predicted >= 0).sum())
        if not len(core):
            assert set(predicted) == {-1}
            continue
        scaled = [model.pipeline["scaler"].transform(rows) for rows in (known, new)]
        distances, nearest = NearestNeighbors(n_neighbors=1).fit(scaled[0][core]).kneighbors(scaled[1])
        params = found.outcomes[position].params
        reach = np.full(len(core), params.get("eps", np.nan))
        if name == "hdbscan":
            k = max(2, int(params["min_samples"]))
            core_distances = NearestNeighbors(n_neighbors=k).fit(scaled[0]).kneighbors(scaled[0])[0][:, -1]
            largest = pd.Series(core_distances).groupby(clustering.labels).transform("max")
            reach = largest.to_numpy()[core]
        expected = np.where(distances[:, 0] <= reach[nearest[:, 0]], clustering.labels[core][nearest[:, 0]], -1)
        assert predicted.tolist() == expected.tolist()
    assert n_assigned > 0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_records_of_a_clustering_are_predicted_in_their_own_clusters(name: str) -> None:
    records = island("Dream")
    found = fit(name, records)
    for position, clustering in enumerate(found.clusterings):
        model = found.model_that_predicts(position)
        core = np.flatnonzero(clustering.labels >= 0) if clustering.core is None else clustering.core
        predicted = (nearest_from_bytes(model.npz) if model.npz else model.pipeline).predict(records)
        assert predicted[core].tolist() == clustering.labels[core].tolist()


def test_a_model_of_kmeans_predicts_by_itself() -> None:
    records = island("Dream")
    found = fit("kmeans", records)
    model = found.model_that_predicts(1)
    assert model.npz is None
    assert model.pipeline.predict(records).tolist() == found.clusterings[1].labels.tolist()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_logged_estimator_is_the_one_that_fitting_gives(name: str) -> None:
    found = fit(name, island("Torgersen"))
    for position in range(len(found.outcomes)):
        estimator = found.model(position)[-1]
        plain = clone(estimator).fit(found.X)
        assert vars(estimator).keys() == vars(plain).keys()
        assert np.array_equal(estimator.labels_, plain.labels_)


def test_what_predicts_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    records = island("Torgersen").rename(columns={"bill_length_mm": "null\0byte, 🐧"})
    nearest = fit("dbscan", records).nearest(2)
    nearest.save(f"{tmp_path}/nearest.npz")
    found = load_nearest(f"{tmp_path}/nearest.npz")
    for name, value in vars(nearest).items():
        assert np.array_equal(getattr(found, name), value), name
    assert found.predict(records).tolist() == nearest.predict(records).tolist()


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float32", "bool"])
def test_columns_of_numbers_of_any_type_are_taken_and_others_ignored(dtype: str) -> None:
    rows = pd.DataFrame({"other": ["x", "y"], "a": [0, 1]}).astype({"a": dtype})
    one = NearestRecords(("a",), np.zeros(1), np.ones(1), False, np.array([[0.0]]), np.array([4]), np.array([0.5]))
    assert one.predict(rows).tolist() == [4, -1]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_value_is_refused_with_its_column(missing: object) -> None:
    one = NearestRecords(("a", "b"), np.zeros(2), np.ones(2), False, np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="column 'b' misses a value in row 1"):
        one.predict(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, missing]}))


def test_a_record_just_as_far_as_the_reach_belongs_to_the_cluster_and_one_beyond_does_not() -> None:
    random = np.random.default_rng(0)
    for away in [0.0, 1e-3, 0.1, 1e9, *random.uniform(0, 2, 500)]:
        # Along one axis from the origin, the distance is exact.
        rows = pd.DataFrame({"a": [away, 0.0], "b": 0.0})
        for reach, expected in [(away, 4), (np.nextafter(away, -1), -1), (np.nextafter(away, np.inf), 4), (np.inf, 4)]:
            known = NearestRecords(
                ("a", "b"), np.zeros(2), np.ones(2), False, np.zeros((1, 2)), np.array([4]), np.array([reach])
            )
            assert known.predict(rows)[0] == expected
            assert known.predict(rows)[1] == (4 if reach >= 0 else -1)
