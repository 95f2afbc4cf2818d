"""Which species is it? The Spark step's run, its split, and its model."""

import dbscan_sweep
import mlflow
import numpy as np
import pandas as pd
import pytest
import spark_logistic_regression
from pyspark.sql import SparkSession
from stores import SEED_ROWS, Steps, Store


def test_its_run_holds_what_the_interface_names_and_a_model_that_takes_raw_rows(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    assert step(spark_logistic_regression, features="bill_length_mm,island", max_iter=5) == 0
    run = store.only("spark_logistic_regression")
    assert run.info.status == "FINISHED"
    assert store.artifacts(run) == {"conf_matrix.png", "conf_matrix.csv", "coefficients.csv", "model"}
    uri = f"runs:/{run.info.run_id}/model"
    rows = pd.read_csv(SEED_ROWS).dropna()
    model = mlflow.spark.load_model(uri)
    train, held_out = spark_logistic_regression.split_frame(
        session.createDataFrame(rows[["bill_length_mm", "island", "species"]]), 0.2, seed=0
    )
    for frame, metric in ((train, "train_acc"), (held_out, "eval_acc")):
        predicted = model.transform(frame)
        accuracy = predicted.where("prediction = species").count() / frame.count()
        assert run.data.metrics[metric] == pytest.approx(accuracy)
    assert 0.5 < run.data.metrics["eval_acc"] < 1
    predictions = mlflow.pyfunc.load_model(uri).predict(rows[["bill_length_mm", "island"]].head(40))
    assert set(predictions) <= {"Adelie", "Chinstrap", "Gentoo"}
    assert mlflow.models.get_model_info(uri).saved_input_example_info is not None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("target", "classes"), [("species", ["Adelie", "Chinstrap", "Gentoo"]), ("sex", ["MALE"])])
def test_its_coefficients_and_confusion_are_those_of_its_predictions(
    store: Store, step: Steps, session: SparkSession, target: str, classes: list[str]
) -> None:
    assert step(spark_logistic_regression, target=target, features="island,bill_length_mm,body_mass_g", max_iter=5) == 0
    run = store.only("spark_logistic_regression")
    table = pd.read_csv(store.artifact(run, "coefficients.csv"))
    islands = [f"island={name}" for name in ("Biscoe", "Dream", "Torgersen")]
    names = ["(intercept)", "bill_length_mm", "body_mass_g", *islands]
    assert list(zip(table["class"], table["feature"], strict=True)) == [(name, one) for name in classes for one in names]
    rows = pd.read_csv(SEED_ROWS).dropna()[["island", "bill_length_mm", "body_mass_g", target]]
    columns = [rows["bill_length_mm"], rows["body_mass_g"], *[rows["island"] == name.partition("=")[2] for name in islands]]
    by_class = table["coefficient"].to_numpy().reshape(len(classes), len(names))
    scores = by_class[:, :1] + by_class[:, 1:] @ np.array(columns, dtype=float)
    model = mlflow.spark.load_model(f"runs:/{run.info.run_id}/model")
    raw = model.transform(session.createDataFrame(rows)).select("rawPrediction").toPandas()["rawPrediction"]
    expected = np.array([vector.toArray() for vector in raw]).T
    assert scores[-1].tolist() == pytest.approx(expected[-1].tolist())
    assert (scores - scores[-1]).tolist() == [pytest.approx(row) for row in (expected[-len(classes) :] - expected[-1]).tolist()]
    confusion = pd.read_csv(store.artifact(run, "conf_matrix.csv"))
    right = confusion.loc[confusion["true"] == confusion["predicted"], "n"].sum()
    assert right / confusion["n"].sum() == pytest.approx(run.data.metrics["eval_acc"])


def test_two_classes_are_told_apart_in_a_session_in_which_a_sweep_ran_before(
    store: Store, step: Steps, session: SparkSession
) -> None:
    assert step(dbscan_sweep, eps="0.5", models="none") == 0
    assert step(spark_logistic_regression, target="sex", features="bill_length_mm,body_mass_g") == 0
    assert store.only("spark_logistic_regression").data.metrics["eval_acc"] > 0.6


def test_the_split_is_the_same_on_any_number_of_partitions_and_another_with_another_seed(session: SparkSession) -> None:
    frame = session.createDataFrame(pd.read_csv(SEED_ROWS).dropna())
    held_out = {
        (partitions, seed): {
            tuple(row) for row in spark_logistic_regression.split_frame(frame.repartition(partitions), 0.2, seed)[1].collect()
        }
        for partitions, seed in ((1, 0), (7, 0), (1, 1))
    }
    assert held_out[1, 0] == held_out[7, 0]
    assert held_out[1, 0] != held_out[1, 1]
    assert 40 < len(held_out[1, 0]) < 95
