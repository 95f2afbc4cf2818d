"""The preprocessing keeps many categories sparse and small tables dense, changes no prediction, and can be stored by skops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline

from penguins.preprocessing import build_pipeline, encoded_names
from penguins.project import PROJECT

NUMBERS, TEXTS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm"], ["sex", "species", "island"]


def flights(n_rows: int, n_planes: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    planes = np.array([f"N{number:05}" for number in range(n_planes)])
    plane = random.permutation(np.resize(np.arange(n_planes), n_rows))
    km = random.gamma(2, 300, n_rows)
    late = 10 * random.normal(size=n_planes)[plane] + km / 100 + random.normal(size=n_rows)
    return pd.DataFrame({"km": km, "plane": planes[plane], "late": late})


def encode(rows: pd.DataFrame, encoding: str = "onehot") -> tuple[Pipeline, Any]:
    """Return the fitted transformer of the columns, and the dense or sparse matrix of `rows`."""
    columns = build_pipeline(["km"], ["plane"], encoding, None)["columns"]
    return columns, columns.fit_transform(rows)


def make_dense(pipeline: Pipeline) -> Pipeline:
    return pipeline.set_params(columns__encoded__encoder__sparse_output=False)


def test_thousands_of_categories_take_little_memory() -> None:
    _, X = encode(flights(12_000, 3_000))
    assert sparse.issparse(X)
    assert X.shape == (12_000, 3_001)
    assert X.data.nbytes + X.indices.nbytes + X.indptr.nbytes < 1_000_000


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
def test_the_penguins_stay_a_dense_array_of_the_same_bits(encoding: str) -> None:
    rows = pd.read_csv(PROJECT / "data" / "penguins.csv").dropna()
    pipelines = [build_pipeline(NUMBERS, TEXTS, encoding, None)["columns"] for _ in range(2)]
    if encoding == "onehot":
        pipelines[1].set_params(encoded__encoder__sparse_output=False)
    ours, dense = (pipeline.fit_transform(rows) for pipeline in pipelines)
    assert isinstance(ours, np.ndarray)
    assert ours.flags["C_CONTIGUOUS"] == dense.flags["C_CONTIGUOUS"]
    assert ours.tobytes() == dense.tobytes()


@pytest.mark.parametrize("alpha", [0.05, 1, 1000])
@pytest.mark.parametrize(("n_rows", "n_planes"), [(1_500, 200), (250, 240)])
def test_a_precise_ridge_predicts_from_sparse_columns_as_from_dense_ones(alpha: float, n_rows: int, n_planes: int) -> None:
    rows = flights(n_rows, n_planes)
    sparse_ridge, dense_ridge = (build_pipeline(["km"], ["plane"], "onehot", Ridge(alpha, tol=1e-12)) for _ in range(2))
    ours = sparse_ridge.fit(rows, rows["late"]).predict(rows)
    assert sparse.issparse(sparse_ridge["columns"].transform(rows))
    expected = make_dense(dense_ridge).fit(rows, rows["late"]).predict(rows)
    assert np.abs(ours - expected).max() <= 1e-8 * np.abs(expected).max()


def test_a_logistic_regression_predicts_from_sparse_columns_as_from_dense_ones() -> None:
    rows = flights(1_500, 200)
    y = pd.cut(rows["late"], 3, labels=["early", "on time", "late"]).astype(str)
    sparse_model, dense_model = (
        build_pipeline(["km"], ["plane"], "onehot", LogisticRegression(max_iter=1000)) for _ in range(2)
    )
    ours = sparse_model.fit(rows, y).predict_proba(rows)
    assert sparse.issparse(sparse_model["columns"].transform(rows))
    expected = make_dense(dense_model).fit(rows, y).predict_proba(rows)
    assert ours == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_planes", [2, 30])
def test_an_unseen_category_is_encoded_as_zeros(n_planes: int) -> None:
    columns, X = encode(flights(60, n_planes))
    assert sparse.issparse(X) == (n_planes == 30)
    unseen = columns.transform(pd.DataFrame({"km": [100.0], "plane": ["unseen"]}))
    unseen = unseen.toarray() if sparse.issparse(unseen) else unseen
    assert unseen.shape == (1, 1 + n_planes)
    assert not unseen[0, 1:].any()


def test_ordinal_categories_are_ranked_alphabetically_and_unseen_ones_are_minus_one() -> None:
    rows = pd.DataFrame({"km": [1.0, 2.0, 3.0], "plane": ["c", "a", "b"]})
    columns, X = encode(rows, "ordinal")
    assert X[:, 1].tolist() == [2, 0, 1]
    assert columns.transform(pd.DataFrame({"km": [1.0], "plane": ["d"]}))[0, 1] == -1


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
@pytest.mark.parametrize(("numbers", "texts"), [(["km"], ["plane"]), (["km"], []), ([], ["plane"])])
@pytest.mark.parametrize("n_planes", [2, 30])
def test_skops_stores_a_fitted_pipeline_without_trusting_a_type(
    encoding: str, numbers: list[str], texts: list[str], n_planes: int
) -> None:
    rows = flights(60, n_planes)
    fitted = build_pipeline(numbers, texts, encoding, Ridge(tol=1e-12)).fit(rows, rows["late"])
    stored = skops.io.dumps(fitted)
    assert skops.io.get_untrusted_types(data=stored) == []
    assert skops.io.loads(stored, trusted=[]).predict(rows).tolist() == fitted.predict(rows).tolist()


MISSING: list[Any] = [None, np.nan, pd.NA]


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
@pytest.mark.parametrize("missing", MISSING, ids=str)
@pytest.mark.parametrize("column", ["km", "plane", "hour"])
def test_a_missing_value_raises_and_is_not_encoded(encoding: str, missing: object, column: str) -> None:
    rows = flights(60, 2).assign(hour=np.arange(60) % 3)
    model = build_pipeline(["km"], ["plane"], encoding, Ridge(), ["hour"]).fit(rows, rows["late"])
    spoiled = rows.head(2).assign(**{column: pd.Series([rows[column][0], missing], dtype=object)})
    with pytest.raises((ValueError, TypeError)):
        model.predict(spoiled)


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
def test_codes_are_encoded_as_categories_whatever_the_type_of_numbers(encoding: str) -> None:
    rows = pd.DataFrame({"hour": [3, 1, 2, 1], "y": [1.0, 0.0, 2.0, 3.0]})
    model = build_pipeline([], [], encoding, Ridge(), ["hour"]).fit(rows, rows["y"])
    expected = [[0, 0, 1], [1, 0, 0], [0, 1, 0]] if encoding == "onehot" else [[2], [0], [1]]
    for dtype in ("int64", "float64", "Int64", "category", "object"):
        assert model["columns"].transform(rows.head(3).astype({"hour": dtype})).tolist() == expected
    unseen = model["columns"].transform(pd.DataFrame({"hour": [9]})).tolist()
    assert unseen == ([[0, 0, 0]] if encoding == "onehot" else [[-1]])
    assert skops.io.get_untrusted_types(data=skops.io.dumps(model)) == []


@pytest.mark.parametrize("encoding", ["onehot", "ordinal"])
def test_the_columns_of_the_estimator_have_the_names_that_people_know(encoding: str) -> None:
    rows = pd.DataFrame({"km": [1.0, 2.0, 4.0], "g": ["b", "a", "b"], "code": [3.0, 10.0, 3.0], "h": ["x=1", "", "é"]})
    fitted = build_pipeline(["km"], ["g", "h"], encoding, Ridge(), ["code"]).fit(rows, rows["km"])
    names = encoded_names(fitted)
    if encoding == "ordinal":
        assert names == ["km", "g", "h", "code"]
    else:
        assert names == ["km", "g=a", "g=b", "h=", "h=x=1", "h=é", "code=3", "code=10"]
    found = fitted["columns"].transform(rows)
    assert len(names) == found.shape[1]
    if encoding == "onehot":
        assert found[:, names.index("g=b")].tolist() == [1, 0, 1]
        assert found[:, names.index("code=10")].tolist() == [0, 1, 0]


def test_names_are_those_of_columns_of_one_kind_alone_and_of_whole_numbers() -> None:
    rows = pd.DataFrame({"g": ["b", "a"], "code": [3, 10], "y": [0.0, 1.0]})
    assert encoded_names(build_pipeline([], ["g"], "onehot", Ridge()).fit(rows, rows["y"])) == ["g=a", "g=b"]
    assert encoded_names(build_pipeline(["y"], [], "onehot", Ridge()).fit(rows, rows["y"])) == ["y"]
    assert encoded_names(build_pipeline([], [], "onehot", Ridge(), ["code"]).fit(rows, rows["y"])) == ["code=3", "code=10"]
