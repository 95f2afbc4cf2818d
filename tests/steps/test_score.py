"""Any model of the project over any table: a prediction for each row, the metrics of training, and the same in Spark."""

from pathlib import Path
from typing import Any

import dbscan_sweep
import kmeans_sweep
import logistic_regression
import mlflow
import numpy as np
import pandas as pd
import pytest
import ridge_search
import score
import spark_logistic_regression
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType
from pyspark.sql import SparkSession
from sklearn import metrics as oracle
from stores import SEED_ROWS, Steps, Store, open_store
from sweeps import fill_store

from penguins.cli.rules import to_text
from penguins.cli.script import run_entry_point
from penguins.tracking.artifacts import load_sklearn_model

TRAININGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "classifier": (logistic_regression, {}),
    "ridge": (ridge_search, {"alphas": "1", "cv": 2}),
    "dbscan": (dbscan_sweep, {"group_by": "none", "eps": "0.6", "models": "all"}),
    "kmeans": (kmeans_sweep, {"group_by": "none", "n_clusters": "3", "models": "all"}),
    "spark": (spark_logistic_regression, {"features": "bill_length_mm,island", "max_iter": 5}),
}
TARGETS = {"classifier": "sex", "ridge": "body_mass_g", "dbscan": "species", "kmeans": "species", "spark": "species"}
SPECIES = ["Adelie", "Chinstrap", "Gentoo"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, initialised_database: bytes, session: SparkSession) -> Store:
    """A store with a model of each kind, which is filled once."""
    folder = tmp_path_factory.mktemp("trained")
    store = open_store(folder, initialised_database)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", store.uri)
        mlflow.set_tracking_uri(store.uri)
        for module, parameters in TRAININGS.values():
            argv = [f"--{name}={to_text(value)}" for name, value in parameters.items()]
            assert run_entry_point(module.NAME, module.main, module.Parameters, argv) == 0
        mlflow.set_tracking_uri(None)
    return store


@pytest.fixture
def models(trained: Store, store: Store) -> dict[str, str]:
    """The URI of each model, in the test's own store."""
    fill_store(store, trained)
    swept = {name: store.children(store.only(name)) for name in ("dbscan_sweep", "kmeans_sweep")}
    [dbscan] = [run for run in store.runs() if run.info.run_name == "all-eps0.6"]
    [kmeans] = [run for run in store.runs() if run.info.run_name == "all-n_clusters3"]
    assert all(swept.values())
    return {
        "classifier": store.model_uri(store.only("logistic_regression")),
        "ridge": store.model_uri(store.only("ridge_search")),
        "dbscan": store.model_uri(dbscan),
        "kmeans": store.model_uri(kmeans),
        "spark": f"runs:/{store.only('spark_logistic_regression').info.run_id}/model",
    }


@pytest.fixture
def table(store: Store) -> pd.DataFrame:
    """The penguins with gaps in t.csv, with their columns in another order and one more, and as pandas reads them."""
    rows = pd.read_csv(SEED_ROWS)
    rows["bird"] = [f"b{place}" for place in range(len(rows))]
    rows[rows.columns[::-1]].to_csv("t.csv", index=False)
    return rows


def predictions(store: Store, run: Run) -> pd.DataFrame:
    return pd.read_parquet(store.artifact(run, "predictions.parquet"))


def predicted_plainly(name: str, uri: str, rows: pd.DataFrame) -> Any:
    """Return what the model itself predicts for complete rows."""
    return mlflow.pyfunc.load_model(uri).predict(rows[mlflow.models.get_model_info(uri).signature.inputs.input_names()])


def columns_of(uri: str) -> list[str]:
    return list(mlflow.models.get_model_info(uri).signature.inputs.input_names())


@pytest.mark.parametrize("name", TRAININGS)
def test_each_row_gets_what_the_model_predicts_and_rows_with_a_gap_get_nothing(
    store: Store, models: dict[str, str], step: Steps, table: pd.DataFrame, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    capfd.readouterr()
    assert step(score, model_uri=models[name], data="t.csv", id="bird") == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    run = store.only("score")
    found = predictions(store, run)
    value = "cluster" if name in ("dbscan", "kmeans") else "prediction"
    assert list(found) == ["row", "bird", value]
    assert found["row"].tolist() == list(range(344))
    assert found["bird"].tolist() == table["bird"].tolist()
    is_complete = table[columns_of(models[name])].notna().all(axis="columns")
    assert found[value].notna().tolist() == is_complete.tolist()
    expected = predicted_plainly(name, models[name], table[is_complete])
    assert list(found[value][is_complete]) == (pytest.approx(list(expected)) if name == "ridge" else list(expected))
    assert run.data.metrics == {"n_rows": is_complete.sum(), "n_rows_left_out": 344 - is_complete.sum()}
    assert f"predictions: {is_complete.sum()} of 344 rows, in predictions.parquet" in printed.out
    assert ("the model is one of Spark ML, which runs on local[*]" in printed.out) == (name == "spark")
    assert str(found[value].dtype) == {"cluster": "Int64", "prediction": "float64" if name == "ridge" else "object"}[value]


def test_the_run_tells_the_model_the_parameters_and_where_the_predictions_are(
    store: Store, models: dict[str, str], step: Steps
) -> None:
    assert step(score, model_uri=models["classifier"]) == 0
    run = store.client.get_run(store.only("score").info.run_id)
    expected = {"model_uri": models["classifier"], "data": "penguins", "target": "", "id": "", "output": "", "spark": "none"}
    assert run.data.params.items() >= expected.items()
    model_id = models["classifier"].removeprefix("models:/")
    assert [one.model_id for one in run.inputs.model_inputs] == [model_id]
    assert run.data.tags["model_id"] == model_id
    assert run.data.tags["predictions"] == "predictions.parquet"
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["penguins"]
    assert store.artifacts(run) == {"predictions.parquet"}


def expected_metrics(name: str, uri: str, rows: pd.DataFrame) -> dict[str, float]:
    """Return the metrics as scikit-learn computes them for complete rows with a target."""
    truth, predicted = rows[TARGETS[name]], np.asarray(predicted_plainly(name, uri, rows))
    if name == "ridge":
        return {
            "eval_root_mean_squared_error": oracle.root_mean_squared_error(truth, predicted),
            "eval_mean_absolute_error": oracle.mean_absolute_error(truth, predicted),
            "eval_r2_score": oracle.r2_score(truth, predicted),
        }
    if name in ("dbscan", "kmeans"):
        return {"adjusted_rand_index": oracle.adjusted_rand_score(truth, predicted)}
    averaged = {"average": "macro"} if name == "spark" else {"pos_label": "MALE", "average": "binary"}
    found = {
        "eval_acc": oracle.accuracy_score(truth, predicted),
        "baseline_acc": truth.value_counts(normalize=True).max(),
        "precision": oracle.precision_score(truth, predicted, **averaged),
        "recall": oracle.recall_score(truth, predicted, **averaged),
        "f1": oracle.f1_score(truth, predicted, **averaged),
    }
    if name == "classifier":
        scores = load_sklearn_model(uri).predict_proba(rows[columns_of(uri)])[:, 1]
        found["auc_score"] = oracle.roc_auc_score(truth == "MALE", scores)
    else:
        scored = mlflow.spark.load_model(uri).transform(
            SparkSession.builder.getOrCreate().createDataFrame(rows[columns_of(uri)])
        )
        scores = np.array([row.probability.toArray() for row in scored.collect()])
        found["auc_score"] = oracle.roc_auc_score(truth, scores, multi_class="ovr", labels=SPECIES)
    return found


@pytest.mark.parametrize("data", ["here", "in spark"])
@pytest.mark.parametrize("name", TRAININGS)
def test_the_metrics_are_those_of_the_rows_with_a_target_wherever_they_are_computed(
    store: Store, models: dict[str, str], step: Steps, table: pd.DataFrame, name: str, data: str
) -> None:
    columns = columns_of(models[name])
    rows = table[table[[*columns, TARGETS[name]]].notna().all(axis="columns")]
    where = {"data": "t.csv"} if data == "here" else {"data": Path("t.csv").absolute().as_uri(), "spark": "local[2]"}
    assert step(score, model_uri=models[name], target=TARGETS[name], id="bird", **where) == 0
    run = store.only("score")
    expected = expected_metrics(name, models[name], rows)
    if data == "in spark" and name == "classifier":
        expected.pop("auc_score")  # a UDF gives no probabilities
    found = {key: value for key, value in run.data.metrics.items() if not key.startswith("n_rows")}
    assert found == pytest.approx(expected)
    has_classes = name in ("classifier", "spark")
    assert ({"conf_matrix.png", "conf_matrix.csv"} & store.artifacts(run) != set()) == has_classes
    if has_classes:
        confusion = pd.read_csv(store.artifact(run, "conf_matrix.csv"))
        assert list(confusion) == ["true", "predicted", "n"]
        assert (confusion["n"].sum(), confusion["n"].min() > 0) == (len(rows), True)
        right = confusion.loc[confusion["true"] == confusion["predicted"], "n"].sum()
        assert right / len(rows) == pytest.approx(expected["eval_acc"])
    n_complete = int(table[columns].notna().all(axis="columns").sum())  # without a target, too
    assert run.data.metrics["n_rows"] == n_complete
    assert len(predictions(store, run)) == 344


@pytest.mark.parametrize("name", TRAININGS)
def test_spark_predicts_what_this_process_predicts(
    store: Store, models: dict[str, str], step: Steps, table: pd.DataFrame, name: str
) -> None:
    assert step(score, model_uri=models[name], data="t.csv", id="bird", output="here") == 0
    assert step(score, model_uri=models[name], data="t.csv", id="bird", output="workers", spark="local[2]") == 0
    uri = Path("t.csv").absolute().as_uri()
    assert step(score, model_uri=models[name], data=uri, id="bird", output="spark", spark="local[2]") == 0
    here, workers, spark = (pd.read_parquet(folder) for folder in ("here", "workers", "spark"))
    pd.testing.assert_frame_equal(here, workers)
    assert list(spark) == [column for column in here if column != "row"]
    by_bird = spark.set_index("bird").loc[here["bird"]].reset_index()
    pd.testing.assert_frame_equal(by_bird, here.drop(columns="row"), check_dtype=False)


# A router of two islands, which tells heavy birds from light ones.
ROUTER = """
import pandas as pd

class Router:
    def predict(self, rows):
        if rows.isna().to_numpy().any():
            raise ValueError("a value is missing")
        known = (rows["island"] != "Torgersen").to_numpy()
        clusters = pd.array((rows["body_mass_g"] > 4200).astype(int), dtype="Int64")
        clusters[~known] = pd.NA
        reasons = ["" if is_known else f"no model of {name}" for is_known, name in zip(known, rows["island"])]
        return pd.DataFrame({"cluster": clusters, "reason": reasons})

def _load_pyfunc(path):
    return Router()
"""


@pytest.fixture
def router(store: Store) -> str:
    Path("penguins_router_of_the_test.py").write_text(ROUTER)
    mlflow.pyfunc.save_model(
        "router",
        loader_module="penguins_router_of_the_test",
        code_paths=["penguins_router_of_the_test.py"],
        metadata={"model_kind": "router", "group_by": ["island"], "features": ["body_mass_g"]},
        signature=ModelSignature(
            inputs=Schema([ColSpec(AnyType(), "island"), ColSpec(AnyType(), "body_mass_g")]),
            outputs=Schema([ColSpec(DataType.double, "cluster"), ColSpec(DataType.string, "reason")]),
        ),
        input_example=pd.DataFrame({"island": ["Dream"], "body_mass_g": [4000.0]}),
        pip_requirements=[],
    )
    return "router"


@pytest.mark.parametrize("where", ["here", "workers", "spark"])
def test_a_router_gives_a_cluster_or_a_reason(
    store: Store,
    step: Steps,
    table: pd.DataFrame,
    router: str,
    session: SparkSession,
    capsys: pytest.CaptureFixture[str],
    where: str,
) -> None:
    table.loc[5, "island"] = None
    table.to_csv("t.csv", index=False)
    data = Path("t.csv").absolute().as_uri() if where == "spark" else "t.csv"
    spark = "none" if where == "here" else "local[2]"
    assert step(score, model_uri=router, data=data, target="species", id="bird,island", spark=spark) == 0
    run = store.only("score")
    found = predictions(store, run).set_index("bird").loc[table["bird"]].reset_index()
    assert list(found) == ["bird", *(["row"] if where != "spark" else []), "island", "cluster", "reason"]
    misses = table[["island", "body_mass_g"]].isna().any(axis="columns")
    unknown = ~misses & (table["island"] == "Torgersen")
    assert str(found["cluster"].dtype) == "Int64"
    assert found["cluster"].isna().tolist() == (misses | unknown).tolist()
    assert set(found["reason"][misses]) == {"misses a value"}
    assert set(found["reason"][unknown]) == {"no model of Torgersen"}
    assert set(found["reason"][~misses & ~unknown]) == {""}
    known = table[~misses & ~unknown]
    labels = known["island"] + (known["body_mass_g"] > 4200).astype(str)
    expected = oracle.adjusted_rand_score(known["species"], labels)
    assert run.data.metrics["adjusted_rand_index"] == pytest.approx(expected)
    if where != "spark":
        assert f"without a cluster: no model of Torgersen ({unknown.sum()})" in capsys.readouterr().out


def test_whole_numbers_and_booleans_stay_such_beside_rows_with_a_gap(store: Store, step: Steps) -> None:
    random = np.random.default_rng(0)
    size = random.normal(size=80)
    rows = pd.DataFrame({"size": size, "number": (size > 0).astype(int) + 7, "flag": size > 0})
    rows.to_csv("t.csv", index=False)
    for target in ("number", "flag"):
        assert step(logistic_regression, data="t.csv", target=target, features="size") == 0
    rows.loc[3, "size"] = None
    rows.loc[4, ["number"]] = None
    rows.to_csv("t.csv", index=False)
    for target, kind in (("number", "Int64"), ("flag", "boolean")):
        [run] = [run for run in store.runs() if run.data.params.get("target") == target]
        assert step(score, model_uri=store.model_uri(run), data="t.csv", target=target, output=target) == 0
        found = pd.read_parquet(target)["prediction"]
        assert str(found.dtype) == kind
        assert found.isna().sum() == 1
        [scored] = [run for run in store.runs() if run.data.params.get("output") == target]
        agree = found.astype(object) == rows[target].astype(object)
        has_both = found.notna() & rows[target].notna()
        assert scored.data.metrics["eval_acc"] == pytest.approx(agree[has_both].mean())
        assert "auc_score" in scored.data.metrics


def test_many_rows_are_a_folder_that_pandas_reads_alike(
    store: Store, models: dict[str, str], step: Steps, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert step(score, model_uri=models["kmeans"], data="t.csv", output="one") == 0
    monkeypatch.setattr("penguins.tracking.artifacts.ROWS_IN_FILE", 100)
    monkeypatch.setattr("penguins.scoring.predictions.ROWS_IN_BLOCK", 70)
    assert step(score, model_uri=models["kmeans"], data="t.csv") == 0
    [run] = [run for run in store.runs() if run.info.run_name == "score" and not run.data.params["output"]]
    folder = store.artifact(run, "predictions.parquet")
    assert sorted(path.name for path in folder.iterdir()) == [f"part-{number:05d}.parquet" for number in range(4)]
    pd.testing.assert_frame_equal(pd.read_parquet(folder), pd.read_parquet("one"))


def test_a_table_of_the_catalogue_is_replaced_as_a_whole(
    store: Store, models: dict[str, str], step: Steps, table: pd.DataFrame, session: SparkSession
) -> None:
    name = "spark_catalog.default.scored"
    try:
        for data in ("penguins", "t.csv"):
            parameters = {"model_uri": models["kmeans"], "data": data, "spark": "local[2]", "output": name}
            assert step(score, **parameters, target="species") == 0
            found = session.table(name).toPandas()
            assert len(found) == 344
            assert found["cluster"].notna().sum() == {"penguins": 333, "t.csv": 342}[data]
            assert [table.name for table in session.catalog.listTables() if "scored" in table.name] == ["scored"]
    finally:
        session.sql(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture
def refused(store: Store, step: Steps, capfd: pytest.CaptureFixture[str]) -> Any:
    def run(**parameters: Any) -> str:
        capfd.readouterr()
        assert step(score, **parameters) == 2
        printed = capfd.readouterr().err
        assert printed.startswith("error: ")
        assert printed.count("\n") == 1
        runs = [run for run in store.runs() if run.info.run_name == "score"]
        assert all(run.info.status == "FAILED" and printed == f"error: {run.data.tags['error']}\n" for run in runs)
        assert all(not store.artifacts(run) for run in runs)
        return printed

    return run


TABLES: dict[str, Any] = {
    "another name": lambda rows: rows.rename(columns={"bill_length_mm": "bill_lenght_mm"}).drop(columns="island"),
    "text": lambda rows: rows.assign(bill_depth_mm="deep"),
    "some text": lambda rows: rows.assign(bill_depth_mm=rows["bill_depth_mm"].astype(str).replace("18.7", "18.7 mm")),
    "infinite": lambda rows: rows.assign(bill_depth_mm=rows["bill_depth_mm"].replace(18.7, np.inf)),
    "empty": lambda rows: rows.assign(bill_depth_mm=None),
    "no target": lambda rows: rows.assign(sex=None),
    "other classes": lambda rows: rows.assign(sex="unknown"),
}
MUST_FIT = "The 'data' parameter must name a table with"
REFUSALS = {
    "another name": f"{MUST_FIT} the columns of the model. Got one without 'bill_length_mm', 'island'. Did you mean "
    "'bill_lenght_mm'? Then rename it there.",
    "text": f"{MUST_FIT} numbers in the columns of the model. Got 'bill_depth_mm', which holds text, for example 'deep'.",
    "some text": f"{MUST_FIT} numbers or text in the columns of the model. Got 'bill_depth_mm', which holds numbers, but in",
    "infinite": f"{MUST_FIT} finite numbers in the columns of the model. Got 'bill_depth_mm', which is infinite in 6 of 342",
    "empty": "The 'data' parameter must name a table with rows that miss no value in",
    "no target": "The 'target' parameter must name a column with values. Got 'sex', which has none in any row",
    "other classes": "The 'target' parameter must name a column with the classes of the model, such as 'FEMALE'. Got one with",
}


@pytest.mark.parametrize("spark", ["none", "local[2]"])
@pytest.mark.parametrize("change", TABLES)
def test_a_table_that_does_not_fit_the_model(
    models: dict[str, str], refused: Any, table: pd.DataFrame, session: SparkSession, change: str, spark: str
) -> None:
    TABLES[change](table).to_csv("t.csv", index=False)
    data = "t.csv" if spark == "none" else Path("t.csv").absolute().as_uri()
    expected = REFUSALS[change]
    assert expected in refused(model_uri=models["classifier"], data=data, target="sex", spark=spark)


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"target": "island"}, "The 'target' parameter must not name a column that the model takes"),
        ({"target": "sez"}, "The 'target' parameter must name columns of the table. Got 'sez', which it does not have."),
        ({"id": "brid"}, "The 'id' parameter must name columns of the table. Got 'brid', which it does not have. Did you mean"),
        ({"id": "prediction"}, "The 'id' parameter must not name a column that has the name of a result. Got 'prediction'"),
        ({"output": "t.csv"}, "Got 't.csv', where the table lies that is read."),
        ({"output": "."}, "Got '.', where the table lies that is read."),
        ({"output": "full"}, "Got 'full', a folder that holds something else than earlier predictions."),
        ({"output": "full/x"}, "Got 'full/x', a file."),
        ({"output": "https://host/x"}, "a URI that is only read."),
        ({"output": "xyz://host/x"}, "to which MLflow cannot upload"),
        ({"output": "spark_catalog.nowhere.t", "spark": "local[2]"}, "with CREATE SCHEMA `spark_catalog`.`nowhere`"),
        ({"data": "u.csv"}, "The 'data' parameter must name a file that is there."),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_written(
    models: dict[str, str], refused: Any, table: pd.DataFrame, parameters: dict[str, Any], rule: str
) -> None:
    Path("full").mkdir()
    Path("full/x").write_text("mine")
    assert rule in refused(**({"model_uri": models["classifier"], "data": "t.csv"} | parameters))
    assert Path("full/x").read_text() == "mine"


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("models:/nothing/1", "must name a model that can be reached. Got 'models:/nothing/1': "),
        ("models:/nothing@best", "must name a model that can be reached. Got 'models:/nothing@best': "),
        ("models:/m-0", "must name a model that can be reached. Got 'models:/m-0': "),
        ("runs:/0/model", "must name a model that can be reached. Got 'runs:/0/model': "),
        ("nowhere", "must name a model that can be reached. Got 'nowhere', and there is no such folder in "),
        ("empty", "must name a model that can be reached. Got 'empty', which holds no file MLmodel."),
        ("broken", "must name a model of MLflow. Got 'broken': "),
        ("plain", "must name a model that a step of this project has logged. Got 'plain', a model of the flavours "),
    ],
)
def test_a_model_that_is_not_there_or_not_of_this_project(models: dict[str, str], refused: Any, uri: str, rule: str) -> None:
    Path("empty").mkdir()
    Path("broken").mkdir()
    Path("broken/MLmodel").write_text("{")
    if uri == "plain":
        mlflow.sklearn.save_model(
            load_sklearn_model(models["classifier"]), "plain", serialization_format="skops", pip_requirements=[]
        )
    assert f"The 'model_uri' parameter {rule}" in refused(model_uri=uri)


def test_a_model_has_to_be_named_and_a_table_of_a_catalogue_needs_spark(refused: Any, models: dict[str, str]) -> None:
    assert "The 'model_uri' parameter must be the URI of a model, such as" in refused()
    printed = refused(model_uri=models["kmeans"], output="main.birds.clusters")
    assert "The 'spark' parameter must name a Spark where the output is a table of its catalogue. Got none" in printed
