"""What `score` refuses of a table that Spark reads, and what it brings back exactly."""

import mlflow
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from stores import Store

from penguins.data.spark_table import load_spark_table
from penguins.errors import InputError
from penguins.scoring.models import Kind
from penguins.scoring.spark_predictions import collect_result
from penguins.scoring.spark_scoring import require_spark_target


@pytest.mark.parametrize("kind", ["classes", "clusters"])
def test_a_target_of_classes_may_hold_no_fractions(store: Store, session: SparkSession, kind: Kind) -> None:
    session.createDataFrame([(1.0, 1.2), (2.0, 1.7)], "x double, t double").createOrReplaceTempView("fractions")
    with mlflow.start_run():
        table = load_spark_table(session, "fractions", {"x": "features", "t": "target"}, [], classes="t")
    with pytest.raises(InputError, match=r"'target' parameter must name a column of classes.*1\.2"):
        require_spark_target(table, "t", kind, ["1", "2"])


def test_ids_and_classes_beside_gaps_stay_whole(session: SparkSession) -> None:
    rows = [(2**53 + number, number % 2) for number in range(3)] + [(None, None)]
    result = collect_result(session.createDataFrame(rows, "id bigint, prediction bigint"), n_rows=4)
    assert result["id"].tolist() == [2**53, 2**53 + 1, 2**53 + 2, pd.NA]
    assert result["prediction"].tolist() == [0, 1, 0, pd.NA]
