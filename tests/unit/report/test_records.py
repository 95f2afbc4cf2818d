"""The records of a group in the page: profiles, points, noise."""

import json

import numpy as np
import pandas as pd
import pytest

from penguins.report.records import noise_part, points_part, profiled_features, profiles_part


@pytest.mark.parametrize("features", [["a"], ["a", "b_mean"], ["x_mean", "x"], ["typical_row", "share"], ["a", "a_std"]])
@pytest.mark.parametrize("typical", [[], ["typical_row"], ["typical_row", "typical_x_mean"]])
def test_the_features_are_read_from_the_columns_of_the_profiles(features: list[str], typical: list[str]) -> None:
    of_features = [name + end for name in features for end in ("_mean", "_std", "_median", "_typical")]
    table = pd.DataFrame(columns=["town", "cluster", "size", "share", *of_features, *typical])
    assert profiled_features(table) == features


def test_points_have_their_labels_by_value_and_what_tells_them() -> None:
    X = np.random.default_rng(0).normal(size=(5, 3))
    points = pd.DataFrame(X, columns=["a", "b", "c"]).assign(row=range(3, 8), id=["x", "y\n", "z", "<b>", ""])
    points["labels"] = [[0, -1], [0, 0], [1, 0], [1, 0], [-1, 0]]
    part = points_part(points, ["a", "b", "c"], ["id"], {"scale": "standard"})
    assert part["labels"] == [[0, 0, 1, 1, -1], [-1, 0, 0, 0, 0]]
    assert part["names"][0] == "x, row 3"
    assert len(part["components"]) == 2
    np.testing.assert_allclose(np.array(part["features"]).T, X, atol=0.005)


def test_two_features_need_no_principal_components() -> None:
    points = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0], "labels": [[0], [0]]})
    part = points_part(points, ["a", "b"], [], {})
    assert part["components"] == part["explained"] == []
    assert part["names"] == ["record", "record"]


NOISE = pd.DataFrame({"row": range(500), "id": [f"n{row}" for row in range(500)], "cluster": -1})


@pytest.mark.parametrize(("n_groups", "n_shown"), [(1, 200), (1_000, 20), (100_000, 5)])
def test_the_page_has_a_part_of_much_noise_and_its_number(n_groups: int, n_shown: int) -> None:
    part = noise_part(NOISE, ["id"], None, ["a"], n_groups)
    assert part["n_all"] == 500
    assert part["columns"] == ["row", "id"]
    assert part["rows"] == [[str(row), f"n{row}"] for row in range(n_shown)]


def test_noise_has_its_features_where_all_of_it_is_among_the_points() -> None:
    points = pd.DataFrame({"row": range(600), "a": np.arange(600) / 2})
    part = noise_part(NOISE, [], points, ["a"], 1)
    assert part["columns"] == ["row", "a"]
    assert part["rows"][:2] == [["0", "0"], ["1", "0.5"]]
    assert noise_part(NOISE, [], points[points["row"] > 1], ["a"], 1)["columns"] == ["row"]


def test_noise_that_nothing_tells_apart_is_only_counted() -> None:
    part = noise_part(NOISE[["cluster"]], [], None, ["a"], 1)
    assert (part["columns"], part["rows"], part["n_all"]) == ([], [], 500)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.NA, None),
        (float("nan"), None),
        (2**60, str(2**60)),
        (12345.678, "12345.678"),
        (True, "True"),
        (pd.Timestamp("2024-01-02"), "2024-01-02 00:00:00"),
    ],
)
def test_an_id_of_any_kind_is_shown_exactly(value: object, expected: object) -> None:
    noise = pd.DataFrame({"id": pd.Series([value], dtype=object), "cluster": -1})
    assert noise_part(noise, ["id"], None, [], 1)["rows"] == [[expected]]
    json.dumps(noise_part(noise, ["id"], None, [], 1), allow_nan=False)


def test_a_profile_says_which_record_is_the_most_typical() -> None:
    row = {"cluster": "0", "size": "3", "share": "0.5", "a_mean": "1.5", "a_std": "0.1", "a_median": "1", "a_typical": "1"}
    [part] = profiles_part(pd.DataFrame([row | {"typical_row": "7", "typical_id": "x"}]), ["a"], 1)
    assert part == {"cluster": 0, "size": 3, "share": 0.5, "features": [[1.5, 0.1, 1]], "typical": "row 7, id x"}


def test_a_profile_in_some_of_the_features_keeps_its_typical_record() -> None:
    of_features = {f"{name}{end}": "1" for name in ("a", "typical_speed") for end in ("_mean", "_std", "_median", "_typical")}
    table = pd.DataFrame([{"cluster": "0", "size": "3", "share": "1", **of_features, "typical_row": "7"}])
    [part] = profiles_part(table, ["a"], 2)
    assert (part["features"], part["typical"]) == ([[1, 1, 1]], "row 7")


def test_an_id_that_is_a_feature_too_stands_once() -> None:
    points = pd.DataFrame({"row": range(600), "id": [f"n{row}" for row in range(600)]})
    assert noise_part(NOISE, ["id"], points, ["id"], 1)["columns"] == ["row", "id"]
