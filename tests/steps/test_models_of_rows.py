"""The models take the very rows that pandas or Spark read from the table, and answer in the target's own type."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import logistic_regression
import mlflow
import numpy as np
import pandas as pd
import pytest
import ridge_search
import spark_logistic_regression
from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.classification import LogisticRegression as SparkRegression
from pyspark.ml.feature import OneHotEncoder as SparkEncoder
from pyspark.ml.feature import StringIndexer, VectorAssembler
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline as PlainPipeline
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from stores import Steps, Store

N_ROWS = 120
NUMBERS, TEXTS = ["visits", "income", "member"], ["size"]
FEATURES = [*NUMBERS, *TEXTS]
NULLABLE = {"visits": "Int64", "income": "Float64", "member": "boolean", "size": "string"}
TARGETS: dict[str, Callable[[np.ndarray], Any]] = {
    "int": lambda late: late.astype(int),
    "float": lambda late: late + 1.0,
    "bool": lambda late: late,
    "text": lambda late: np.where(late, "yes", "no"),
    "three": lambda late: np.arange(len(late)) % 3 + 9,
}


def table_of(target: str) -> pd.DataFrame:
    """Return a table with columns of whole numbers, fractions, booleans and text and the classes `left`."""
    random = np.random.default_rng(0)
    visits, member = random.integers(0, 30, N_ROWS), random.random(N_ROWS) < 0.5
    size = random.choice(["4", "8", "f"], N_ROWS)
    late = visits + 9 * member + 6 * (size == "f") + random.normal(0, 5, N_ROWS) > 20
    columns = {"visits": visits, "income": random.normal(size=N_ROWS), "member": member, "size": size}
    return pd.DataFrame(columns | {"left": TARGETS[target](late)})


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Remove one value of each column, in nullable types."""
    table = table.astype({name: kind for name, kind in NULLABLE.items() if name in table})
    for row, name in enumerate(FEATURES):
        table.loc[row + 3, name] = pd.NA
    return table


def write_table(table: pd.DataFrame, form: str, gaps: str) -> tuple[str, pd.DataFrame]:
    """Write the table, perhaps with gaps, and return the name of its file and the rows that pandas reads from it."""
    table = with_gaps(table) if gaps == "gaps" else table
    if form == "csv":
        table.to_csv("t.csv", index=False)
        return "t.csv", pd.read_csv("t.csv")
    table.to_parquet("t.parquet")
    return "t.parquet", pd.read_parquet("t.parquet")


def forms_of(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return complete rows in the types that pandas may have for them."""
    categories = dict.fromkeys((*TEXTS, "visits"), "category")
    return {
        "as they are read": rows,
        "nullable": rows.astype(NULLABLE),
        "categories": rows.astype(categories),
        "objects": rows.astype(object),
        "in another order, with another column": rows[FEATURES[::-1]].assign(note=None),
        "floats": rows.astype({"visits": float, "member": object}),
    }


def plain_model(rows: pd.DataFrame, target: str, estimator: Any) -> PlainPipeline:
    """Fit scikit-learn's pipeline, called plainly."""
    encoder = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), TEXTS))
    X = rows[FEATURES].astype({"visits": float, "income": float, "member": float, "size": str})
    y = rows[target]
    if isinstance(estimator, LogisticRegression):
        X, _, y, _ = train_test_split(X, y, test_size=0.2, random_state=0, stratify=y)
    return make_pipeline(encoder, estimator).fit(X, y)


def own_type(classes: "pd.Series") -> Any:
    return classes.dropna().to_numpy().dtype


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("form", "gaps"), [("csv", "whole"), ("csv", "gaps"), ("parquet", "gaps")])
def test_a_classifier_predicts_what_scikit_learn_predicts_plainly(
    store: Store, step: Steps, target: str, form: str, gaps: str
) -> None:
    data, rows = write_table(table_of(target), form, gaps)
    assert step(logistic_regression, data=data, target="left") == 0
    run = store.only("logistic_regression")
    assert run.data.tags["features"] == ",".join(FEATURES)
    rows = rows.dropna()
    plain = plain_model(rows, "left", LogisticRegression(max_iter=1000))
    X = rows[FEATURES].astype({"visits": float, "income": float, "member": float, "size": str})
    expected, probabilities = plain.predict(X), plain.predict_proba(X)
    uri = store.model_uri(run)
    model, function = mlflow.sklearn.load_model(uri), mlflow.pyfunc.load_model(uri)
    assert model.classes_.dtype == own_type(rows["left"])
    for name, given in forms_of(rows[FEATURES]).items():
        assert model.predict_proba(given) == pytest.approx(probabilities), name
        for predicted in (model.predict(given), function.predict(given)):
            assert predicted.tolist() == expected.tolist(), name
            assert predicted.dtype == model.classes_.dtype
    if target != "three":
        assert run.data.tags["positive_class"] == {"int": "1", "float": "2", "bool": "True", "text": "yes"}[target]


@pytest.mark.parametrize("gaps", ["whole", "gaps"])
def test_a_ridge_predicts_what_scikit_learn_predicts_plainly(store: Store, step: Steps, gaps: str) -> None:
    table = table_of("text").drop(columns="left").assign(cost=np.arange(N_ROWS) % 50)
    data, rows = write_table(table, "csv", gaps)
    assert step(ridge_search, data=data, target="cost", alphas="2") == 0
    rows = rows.dropna()
    expected = plain_model(rows, "cost", Ridge(2)).predict(
        rows[FEATURES].astype({"visits": float, "income": float, "member": float, "size": str})
    )
    uri = store.model_uri(store.only("ridge_search"))
    for name, given in forms_of(rows[FEATURES]).items():
        assert mlflow.sklearn.load_model(uri).predict(given) == pytest.approx(expected), name
        assert mlflow.pyfunc.load_model(uri).predict(given) == pytest.approx(expected), name


def test_codes_are_categories_if_they_are_called_so(store: Store, step: Steps, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"hour": np.arange(N_ROWS) % 6, "warm": np.random.default_rng(0).normal(size=N_ROWS)})
    table["bikes"] = table["hour"].map({0: 9, 1: 2, 2: 7, 3: 1, 4: 8, 5: 3}) + table["warm"]
    table.to_csv("t.csv", index=False)
    assert step(ridge_search, data="t.csv", target="bikes", categorical_features="hour", alphas="0.1") == 0
    assert capsys.readouterr().err == ""
    run = store.only("ridge_search")
    assert run.data.tags["features"] == "hour,warm"
    assert run.data.metrics["best_cv_score"] > -0.1
    encoder = make_column_transformer((StandardScaler(), ["warm"]), (OneHotEncoder(), ["hour"]))
    expected = make_pipeline(encoder, Ridge(0.1)).fit(table, table["bikes"]).predict(table)
    rows = table[["hour", "warm"]]
    for given in (rows, rows.astype({"hour": float}), rows.astype({"hour": "category"}), rows.astype({"hour": "Int64"})):
        for flavor in (mlflow.sklearn, mlflow.pyfunc):
            assert flavor.load_model(store.model_uri(run)).predict(given) == pytest.approx(expected)


@pytest.mark.parametrize("module", [logistic_regression, ridge_search])
@pytest.mark.parametrize(
    ("features", "categorical", "line"),
    [
        ("visits,income", "size", "Got 'size', which is none of them. Add it there, or leave it out here."),
        ("visits,income", "visit", "Got 'visit', which is none of them. Did you mean 'visits'?"),
        ("auto", "nowhere", "Got 'nowhere', which is none of them."),
    ],
)
def test_a_categorical_feature_that_is_no_feature_is_refused(
    store: Store,
    step: Steps,
    module: ModuleType,
    features: str,
    categorical: str,
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table_of("int").to_csv("t.csv", index=False)
    assert step(module, data="t.csv", target="left", features=features, categorical_features=categorical) == 2
    errors = capsys.readouterr().err
    assert f"The 'categorical_features' parameter must name columns of the 'features' parameter. {line}" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("module", [logistic_regression, spark_logistic_regression])
def test_numbers_with_fractions_are_no_classes(
    store: Store, step: Steps, session: SparkSession, module: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"x": np.arange(20), "price": np.arange(20) / 2}).to_parquet("t.parquet")
    tables = ["t.parquet", Path("t.parquet").absolute().as_uri()][: 1 if module is logistic_regression else 2]
    for data in tables:
        assert step(module, data=data, target="price", features="x") == 2
        assert "Got 'price', which holds 0.5: predict numbers with ridge_search" in capfd.readouterr().err


def as_spark_reads(session: SparkSession, rows: pd.DataFrame) -> Any:
    """Return complete rows as a Spark table in the types of the rows' values."""
    return session.createDataFrame(rows.astype({"visits": "int64", "member": bool}))


@pytest.mark.parametrize(
    ("target", "form", "gaps", "kind"),
    [
        ("int", "csv", "gaps", "bigint"),
        ("bool", "parquet", "gaps", "boolean"),
        ("float", "csv", "whole", "double"),
        ("text", "csv", "gaps", "string"),
        ("three", "uri", "whole", "bigint"),
        ("bool", "uri", "gaps", "boolean"),
    ],
)
def test_a_classifier_of_spark_predicts_what_spark_predicts_plainly(
    store: Store, step: Steps, session: SparkSession, target: str, form: str, gaps: str, kind: str
) -> None:
    data, rows = write_table(table_of(target), form.replace("uri", "parquet"), gaps)
    data = Path(data).absolute().as_uri() if form == "uri" else data
    assert step(spark_logistic_regression, data=data, target="left", features=",".join(FEATURES)) == 0
    run = store.only("spark_logistic_regression")
    rows = rows.dropna()
    frame = as_spark_reads(session, rows)
    plain = plain_spark_predictions(frame)
    uri = f"runs:/{run.info.run_id}/model"
    predicted = mlflow.spark.load_model(uri).transform(frame)
    assert dict(predicted.dtypes)["prediction"] == kind
    expected = predicted.select("prediction").toPandas()["prediction"].tolist()
    assert expected == plain
    function = mlflow.pyfunc.load_model(uri)
    for name, given in forms_of(rows[FEATURES]).items():
        found = function.predict(given)
        assert found == expected, name
        assert [type(one) for one in found] == [type(one) for one in expected]


def plain_spark_predictions(frame: Any) -> list[Any]:
    """Fit Spark's own stages, called plainly, on the rows that the step trains on, and predict all rows."""
    doubles = [F.col(name).cast("double").alias(name) for name in NUMBERS]
    numbers = frame.select(*doubles, *TEXTS, "left")
    train, _ = spark_logistic_regression.split_frame(numbers, 0.2, seed=0)
    train = train.withColumn("class", F.col("left").cast("string"))
    stages: list[Estimator[Any] | Transformer] = [
        StringIndexer(inputCol="class", outputCol="label", stringOrderType="alphabetAsc"),
        StringIndexer(inputCol="size", outputCol="place", stringOrderType="alphabetAsc"),
        SparkEncoder(inputCol="place", outputCol="sizes", dropLast=False),
        VectorAssembler(inputCols=[*NUMBERS, "sizes"], outputCol="features"),
        SparkRegression(maxIter=10),
    ]
    model = Pipeline(stages=stages).fit(train)
    classes = sorted({row["left"] for row in frame.collect()}, key=str)
    return [classes[int(row["prediction"])] for row in model.transform(numbers).collect()]


SPOILED: dict[str, tuple[str, Any, str]] = {
    "a missing number": ("visits", None, "column 'visits' misses a value"),
    "a number that is none": ("income", np.nan, "column 'income' misses a value"),
    "a missing boolean": ("member", None, "column 'member' misses a value"),
    "a missing text": ("size", None, "column 'size' misses a value"),
    "a text": ("visits", "many", "column 'visits' must hold numbers, got "),
    "a number as text": ("visits", "12", "column 'visits' must hold numbers, got "),
    "an infinite number": ("income", np.inf, "column 'income' must hold finite numbers, got "),
}


def test_what_a_column_may_not_hold_is_said_in_a_line(store: Store, step: Steps, session: SparkSession) -> None:
    table = table_of("int")
    table.to_csv("t.csv", index=False)
    assert step(logistic_regression, data="t.csv", target="left") == 0
    assert step(spark_logistic_regression, data="t.csv", target="left", max_iter=1) == 0
    plain = store.model_uri(store.only("logistic_regression"))
    spark = f"runs:/{store.only('spark_logistic_regression').info.run_id}/model"
    pipeline, spark_pipeline = mlflow.sklearn.load_model(plain), mlflow.spark.load_model(spark)
    functions = [mlflow.pyfunc.load_model(uri) for uri in (plain, spark)]
    for case, (name, value, line) in SPOILED.items():
        spoiled = table[FEATURES].head(1).astype({name: object}).assign(**{name: pd.Series([value], dtype=object)})
        for function in functions:
            with pytest.raises(ValueError, match="column") as refusal:
                function.predict(spoiled)
            assert str(refusal.value).startswith(line), case
            assert str(refusal.value).endswith(" in row 0"), case
        with pytest.raises(Exception, match=line):
            spark_pipeline.transform(session.createDataFrame(spoiled)).select("prediction").collect()
        if "text" not in case or "missing" in case:
            with pytest.raises((ValueError, TypeError)):
                pipeline.predict(spoiled)


def test_a_few_rows_whose_text_pandas_reads_as_numbers_are_predicted_all_the_same(
    store: Store, step: Steps, session: SparkSession
) -> None:
    table = table_of("text")
    table.to_csv("t.csv", index=False)
    assert step(logistic_regression, data="t.csv", target="left") == 0
    assert step(spark_logistic_regression, data="t.csv", target="left", max_iter=1) == 0
    few = table[table["size"] == "4"]
    few.to_csv("few.csv", index=False)
    rows = pd.read_csv("few.csv")
    assert rows["size"].dtype == np.int64
    runs = [store.model_uri(store.only("logistic_regression"))]
    runs.append(f"runs:/{store.only('spark_logistic_regression').info.run_id}/model")
    for uri in runs:
        function = mlflow.pyfunc.load_model(uri)
        assert list(function.predict(rows)) == list(function.predict(few))
        assert list(function.predict(rows.astype({"size": float}))) == list(function.predict(few))
