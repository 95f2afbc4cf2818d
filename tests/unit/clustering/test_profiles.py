"""The profile of each cluster is what pandas says of its records, in the table's units."""

import numpy as np
import pandas as pd
import pytest

from penguins.clustering.profiles import profile_clusters, profile_columns
from penguins.clustering.sphere import unit_vectors


def profiles_of(
    records: pd.DataFrame, labels: np.ndarray, points: np.ndarray, is_sphere: bool = False
) -> tuple[pd.DataFrame, list[int | None]]:
    """Return the profiles as a frame, and the places of the most typical records."""
    rows, typical = profile_clusters(records.to_numpy(), labels, points, is_sphere)
    return pd.DataFrame(rows, columns=profile_columns(list(map(str, records)))), typical


def test_each_cluster_has_its_size_share_and_statistics_and_noise_comes_first() -> None:
    random = np.random.default_rng(0)
    records = pd.DataFrame(random.normal(100, 15, size=(60, 2)), columns=["height", "weight"])
    labels = random.integers(-1, 3, size=60)
    profiles, typical = profiles_of(records, labels, records.to_numpy())
    assert list(profiles) == profile_columns(["height", "weight"])
    expected = records.groupby(labels).agg(["size", "mean", "std", "median"])
    assert profiles["cluster"].tolist() == expected.index.tolist() == [-1, 0, 1, 2]
    assert profiles["size"].tolist() == expected["height", "size"].tolist()
    assert profiles["share"].sum() == pytest.approx(1)
    for feature in records:
        for statistic in ("mean", "std", "median"):
            assert profiles[f"{feature}_{statistic}"].tolist() == pytest.approx(expected[feature, statistic].tolist())
    assert typical[0] is None
    assert profiles["height_typical"].isna().tolist() == [True, False, False, False]
    for cluster, place in enumerate(typical[1:]):
        of_cluster = records[labels == cluster]
        distances = np.linalg.norm(of_cluster - of_cluster.mean(), axis=1)
        assert place == of_cluster.index[distances.argmin()]
        assert place is not None
        assert profiles["weight_typical"][cluster + 1] == records["weight"].iloc[place]


def test_a_cluster_of_one_record_has_no_standard_deviation() -> None:
    profiles, typical = profiles_of(pd.DataFrame({"x": [3.0]}), np.array([0]), np.array([[0.0]]))
    assert profiles.iloc[0, :6].tolist()[:4] == [0, 1, 1.0, 3.0]
    assert np.isnan(profiles["x_std"][0])
    assert typical == [0]


@pytest.mark.parametrize("turn", [0, 360])
def test_positions_on_both_sides_of_the_180th_meridian_have_their_mean_there(turn: int) -> None:
    longitudes = np.array([179.0, 180.0, -179.0, -178.0, 170.0])
    places = pd.DataFrame({"lat": np.zeros(5), "lon": np.where(longitudes < 0, longitudes + turn, longitudes)})
    profiles, [place] = profiles_of(places, np.zeros(5, dtype=int), unit_vectors(places.to_numpy()), is_sphere=True)
    assert profiles["lon_mean"][0] == pytest.approx(178.4)
    assert profiles["lon_median"][0] == pytest.approx(180)
    assert profiles["lon_std"][0] == pytest.approx(np.std([179, 180, 181, 182, 170], ddof=1))
    assert place == 0


def test_a_mean_beyond_the_meridian_is_written_as_the_table_writes_its_longitudes() -> None:
    places = pd.DataFrame({"lat": [0.0, 0.0], "lon": [179.0, -177.0]})
    profiles, _ = profiles_of(places, np.zeros(2, dtype=int), unit_vectors(places.to_numpy()), is_sphere=True)
    assert profiles["lon_mean"][0] == pytest.approx(-179)
