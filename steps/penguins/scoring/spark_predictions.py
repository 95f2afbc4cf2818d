"""Predict in Spark: by a UDF of MLflow, or by the transformer of Spark ML."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator, RegressionEvaluator
from pyspark.ml.feature import IndexToString
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.data.output import Output
from penguins.data.spark_columns import class_name, quote_column, to_exact_pandas
from penguins.data.spark_output import replace_tables
from penguins.data.spark_table import SparkTable
from penguins.errors import InputError, WorkError
from penguins.scoring.evaluation import Evaluation, evaluate_classes, evaluate_clusters
from penguins.scoring.models import CLUSTER, PREDICTION, REASON, ScoredModel
from penguins.scoring.predictions import MISSES_A_VALUE, Predicted, as_frame
from penguins.spark.jobs import spark_failure_reason
from penguins.spark.ml_models import load_spark_model
from penguins.text import quote

# Columns that pass through Spark beside those of the table, which hardly has such names.
PLACE, OUTPUT = "(row number)", "(output)"
PROBABILITIES = "(probabilities)"
# So many rows of predictions come to this process at most.
MOST_ROWS_HERE = 20_000_000


@dataclass(frozen=True)
class SparkScorer:
    """A model in a session: `spark_model` if it is one of Spark ML, whose classes are `classes`; else it becomes a UDF."""

    model: ScoredModel
    session: SparkSession
    spark_model: PipelineModel | None = None
    classes: Sequence[str] = ()

    def transform(self, frame: DataFrame) -> DataFrame:
        """Return complete rows with the columns `model.outputs`, and of a Spark ML model also `PROBABILITIES`, an array."""
        if self.spark_model is not None:
            features = [quote_column(name) for name in self.model.columns]
            others = [name for name in frame.columns if name not in self.model.columns]
            packed = F.struct(*[F.col(quote_column(name)) for name in others]) if others else F.struct(F.lit(0).alias("0"))
            # Columns that the stages make must not meet columns of the table.
            given = frame.select(*features, packed.alias(OUTPUT))
            found = self.spark_model.transform(given)
            kept = [F.col(OUTPUT)[name].alias(name) for name in others]
            probabilities = vector_to_array(F.col("probability")).alias(PROBABILITIES)
            return found.select(*features, *kept, F.col(PREDICTION), probabilities)
        function = self._function()
        row = F.struct(*[F.col(quote_column(name)).alias(name) for name in self.model.columns])
        found = frame.withColumn(OUTPUT, function(row))
        outputs = [F.col(OUTPUT)[name].alias(name) for name in self.model.outputs]
        if not self.model.is_router:
            outputs = [F.col(OUTPUT).alias(self.model.outputs[0])]
        fields = [field.cast("bigint").alias(CLUSTER) if name == CLUSTER else field for name, field in self._named(outputs)]
        return found.select(*[quote_column(name) for name in frame.columns], *fields)

    def _named(self, outputs: Sequence[Column]) -> Iterator[tuple[str, Column]]:
        return zip(self.model.outputs, outputs, strict=True)

    def _function(self) -> Any:
        # MLflow warns that the model predicts in this environment, as it does without Spark.
        for name in ("mlflow.pyfunc", "mlflow.models.flavor_backend_registry"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return mlflow.pyfunc.spark_udf(self.session, self.model.folder, result_type=self.model.spark_type, env_manager="local")


def open_scorer(model: ScoredModel, session: SparkSession, shared: str) -> SparkScorer:
    """Load the model into the session, through the folder `shared` of `shared_folder` if it is one of Spark ML."""
    if not model.is_spark:
        return SparkScorer(model, session)
    with report_spark_errors():
        loaded = load_spark_model(model.folder, shared)
    labels = [list(stage.getLabels()) for stage in loaded.stages if isinstance(stage, IndexToString)]
    if not labels:
        raise InputError(f"The 'model_uri' parameter must name a model of classes. Got {model.uri!r}, which has none.")
    return SparkScorer(model, session, loaded, labels[-1])


@contextmanager
def report_spark_errors(what: str = "The model cannot predict in Spark") -> Iterator[None]:
    """Raise WorkError with `what` failed and the reason where Spark fails in the block."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise WorkError(f"{what}: {spark_failure_reason(error)}") from error


def predict_in_spark(scorer: SparkScorer, rows: pd.DataFrame) -> Predicted:
    """Return what the model predicts for complete rows of a table of this machine, in their order."""
    model = scorer.model
    columns = list(model.columns)
    with report_spark_errors():
        frame = scorer.session.createDataFrame(rows[columns].assign(**{PLACE: np.arange(len(rows))}))
        outputs = [*model.outputs, *([PROBABILITIES] if model.is_spark else [])]
        found = scorer.transform(frame).select(F.col(quote_column(PLACE)), *map(quote_column, outputs)).toPandas()
    found = found.sort_values(PLACE, ignore_index=True)
    predicted = as_frame(model, found if model.is_router else found[model.outputs[0]])
    return Predicted(predicted, np.vstack(found[PROBABILITIES].to_list()) if model.is_spark else None)


def result_in_spark(scored: DataFrame, table: SparkTable, model: ScoredModel, id_columns: Sequence[str]) -> DataFrame:
    """Return the columns `id_columns` and the predictions of all rows of a table that Spark reads, which has no order."""
    ids = [F.col(quote_column(name)) for name in id_columns]
    predicted = scored.select(*ids, *[F.col(name) for name in model.outputs])
    types = dict(scored.dtypes)
    missing = [F.lit(None).cast(types[name]).alias(name) for name in model.outputs if name != REASON]
    missing += [F.lit(MISSES_A_VALUE).alias(REASON)] if model.is_router else []
    if table.incomplete is None:
        return predicted
    return predicted.unionAll(table.incomplete.select(*ids, *missing))


def collect_result(result: DataFrame, n_rows: int) -> pd.DataFrame:
    """Bring the predictions to this process. Raises InputError where there are too many."""
    if n_rows > MOST_ROWS_HERE:
        raise InputError(
            f"The 'output' parameter must name a URI or a table where there are more than {MOST_ROWS_HERE} predictions. Got "
            f"{n_rows} rows: give, for example, output=s3://bucket/predictions."
        )
    with report_spark_errors():
        found = to_exact_pandas(result)
    if CLUSTER in found:
        found[CLUSTER] = found[CLUSTER].astype("Int64")
    return found


def write_in_spark(result: DataFrame, output: Output) -> None:
    """Let Spark write the predictions to a URI or to a table of its catalogue."""
    with report_spark_errors(f"The predictions could not be written to {quote(output.where)}"):
        if output.kind == "table":
            replace_tables({output.address: result})
        else:
            result.write.parquet(output.address)


def evaluate_in_spark(scored: DataFrame, scorer: SparkScorer, target: str, classes: Sequence[str]) -> Evaluation:
    """Compare predictions with the column `target` of rows that Spark keeps; `classes` are those of the model, as text."""
    model = scorer.model
    rows = scored.where(F.col(quote_column(target)).isNotNull())
    with report_spark_errors():
        if model.kind == "numbers":
            return _evaluate_numbers(rows, target)
        if model.kind == "clusters":
            keys = [*map(quote_column, model.groups), CLUSTER]
            counts = _counts(rows.where(F.col(CLUSTER).isNotNull()), [class_name(rows, target).alias("truth"), *keys])
            clusters = pd.Series(list(zip(*[counts[place] for place in range(1, len(keys) + 1)], strict=True)), dtype=object)
            return evaluate_clusters(counts[0], clusters, counts["n"])
        counts = _counts(rows, [class_name(rows, target), class_name(rows, PREDICTION)])
        truth, predicted = (counts[place].to_numpy(dtype=object) for place in (0, 1))
        evaluation = evaluate_classes(truth, predicted, classes, counts["n"].to_numpy())
        if model.is_spark and set(truth) == set(classes):
            evaluation.figures["auc_score"] = _area(rows, class_name(rows, target), classes)
    return evaluation


def _counts(rows: DataFrame, keys: Sequence[Column | str]) -> pd.DataFrame:
    """Count the rows by `keys`: the columns 0, 1, … and `n`."""
    fields = [F.col(key) if isinstance(key, str) else key for key in keys]
    plain = rows.select(*[field.alias(str(place)) for place, field in enumerate(fields)])
    found = plain.groupBy(*plain.columns).count().toPandas()
    return found.rename(columns={str(place): place for place in range(len(fields))} | {"count": "n"})


def _evaluate_numbers(rows: DataFrame, target: str) -> Evaluation:
    plain = rows.select(F.col(quote_column(target)).alias("truth"), F.col(PREDICTION).cast("double").alias("predicted"))
    names = {"rmse": "eval_root_mean_squared_error", "mae": "eval_mean_absolute_error", "r2": "eval_r2_score"}
    evaluator = RegressionEvaluator(labelCol="truth", predictionCol="predicted")
    return Evaluation({name: evaluator.setMetricName(metric).evaluate(plain) for metric, name in names.items()})  # type: ignore[arg-type]


def _area(rows: DataFrame, truth: Column, classes: Sequence[str]) -> float:
    """Return the area under the ROC curve: of the second of two classes, or the mean of each class against the rest."""
    evaluator = BinaryClassificationEvaluator(labelCol="label", rawPredictionCol="score", numBins=0)
    places = [1] if len(classes) == 2 else range(len(classes))
    areas = []
    for place in places:
        is_class = (truth == F.lit(classes[place])).cast("double").alias("label")
        areas.append(evaluator.evaluate(rows.select(is_class, F.col(PROBABILITIES)[place].alias("score"))))
    return float(np.mean(areas))
