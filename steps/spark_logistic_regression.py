"""Which species is it? A logistic regression in Spark, from indexing to scoring.

Asks of the table a column of classes (`target`) and columns of numbers or text (`features`).
Logs `train_acc` and `eval_acc` from the model's own summaries, the confusion matrix and the Spark ML pipeline as the model,
which it loads back: a model that does not predict the same as the one that was fitted fails the step.
"""

from dataclasses import dataclass

from common import options, spark

NAME = "spark_logistic_regression"


@dataclass(frozen=True)
class Parameters:
    """Logistic regression of a class with Spark ML."""

    data: str = options.data()
    target: str = options.parameter("species", options.COLUMN, "the column of classes to predict")
    features: tuple[str, ...] = options.parameter(
        "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,island,sex",
        options.COLUMNS,
        "the columns, of numbers or text, to predict it from",
    )
    test_size: float = options.test_size()
    max_iter: int = options.parameter("10", options.Integer(1, 100_000), "most iterations of the solver, 1 or more")
    seed: int = options.seed()
    spark: str = options.spark()
    experiment: str = options.experiment()


if __name__ == "__main__":
    spark.begin(options.check(NAME, Parameters).spark)

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, cast

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.feature import IndexToString, OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from common import dataset, plots, spark_models, spark_table, tracking, work

BUCKETS = 1_000_000
OUTPUTS = ("prediction", "probability", "rawPrediction")
LABEL, VECTOR, PREDICTED = "class (label)", "features (vector)", "prediction (label)"
TRUTH = "class (text)"
# In a column's name, what Spark's stages read as more than a name, and what its SQL does.
MISREAD_BY_STAGES, MISREAD_BY_SQL = re.compile(r"[.`*]"), re.compile(r"\$\{|__THIS__")


def split(frame: DataFrame, test_size: float, seed: int) -> tuple[DataFrame, DataFrame]:
    """Rows to train on and rows to evaluate on, chosen by a hash of the row and `seed`: the same on any number of cores."""
    row = F.xxhash64(*[F.col(spark_table.column(name)) for name in frame.columns], F.lit(seed))
    held_out = F.pmod(row, F.lit(BUCKETS)) < F.lit(round(test_size * BUCKETS))
    return frame.where(~held_out), frame.where(held_out)


def plain_names(names: Sequence[str]) -> dict[str, str]:
    """For each column the name under which the stages find it: its own, or a stand-in where they would misread that."""
    return {name: f"feature {place} (renamed)" if MISREAD_BY_STAGES.search(name) else name for place, name in enumerate(names)}


def names_between(features: Sequence[str]) -> set[str]:
    """The columns that the stages write on the way, and that the table must not have."""
    plain = plain_names(features)
    renamed = set(plain.values()) - set(features)
    return (
        {LABEL, VECTOR, PREDICTED, TRUTH, *renamed}
        | {_index(name) for name in plain.values()}
        | {_encoded(name) for name in plain.values()}
    )


def _index(name: str) -> str:
    return f"{name} (index)"


def _encoded(name: str) -> str:
    return f"{name} (one-hot)"


def require_readable(columns: dict[str, str]) -> None:
    """Raises InputError where a column (of column to parameter) has a name that Spark could only misread."""
    for name, parameter in columns.items():
        if MISREAD_BY_STAGES.search(name) and MISREAD_BY_SQL.search(name):
            raise options.InputError(
                f"The {options.quoted(parameter)} parameter must not name a column whose name holds a dot, a backtick or a "
                f"star and also ${{ or __THIS__. Got {options.quoted(name)}: rename it in the table."
            )


def pipeline(numbers: Sequence[str], texts: Sequence[str], classes: Sequence[str], max_iter: int) -> Pipeline:
    """An unfitted pipeline that takes raw rows, to be fitted with the place of the class among `classes` in the column `LABEL`.

    It gives the class's name as `prediction`.
    A category that was not seen in training gets a column of its own, which is 0 in every row of the training.
    """
    plain = plain_names([*numbers, *texts])
    aliases = [f"{spark_table.column(name)} AS {spark_table.column(other)}" for name, other in plain.items() if name != other]
    stages: list[Estimator[Any] | Transformer] = []
    if aliases:
        stages.append(SQLTransformer(statement=f"SELECT *, {', '.join(aliases)} FROM __THIS__"))  # noqa: S608  # quoted
    found = [plain[name] for name in texts]
    indexed, encoded = [_index(name) for name in found], [_encoded(name) for name in found]
    if texts:
        stages += [
            StringIndexer(inputCols=found, outputCols=indexed, handleInvalid="keep", stringOrderType="alphabetAsc"),
            OneHotEncoder(inputCols=indexed, outputCols=encoded, dropLast=False),
        ]
    stages += [
        VectorAssembler(inputCols=[*[plain[name] for name in numbers], *encoded], outputCol=VECTOR),
        LogisticRegression(featuresCol=VECTOR, labelCol=LABEL, predictionCol=PREDICTED, maxIter=max_iter),
        IndexToString(inputCol=PREDICTED, outputCol="prediction", labels=list(classes)),
    ]
    return Pipeline(stages=stages)


def confusion_matrix(predictions: DataFrame, target: str, classes: Sequence[str]) -> np.ndarray:
    """Counts by true and predicted class, of shape (n_classes, n_classes)."""
    places = {name: place for place, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    for truth, predicted, count in predictions.groupBy(spark_table.column(target), "prediction").count().collect():
        counts[places[truth], places[predicted]] = count
    return counts


def require_classes(train: DataFrame, held_out: DataFrame, target: str, test_size: float) -> None:
    """Raises InputError unless `target` has two classes or more, and each of them is on both sides of the split."""
    sides: list[Counter[str]] = [
        Counter(dict(side.groupBy(spark_table.column(target)).count().collect())) for side in (train, held_out)
    ]
    counts = sides[0] + sides[1]
    dataset.require_classes(counts, target)
    dataset.require_both_sides(sides[0], sides[1], test_size)


def log_model(model: PipelineModel, example: pd.DataFrame, shared: str) -> str:
    """Logs the fitted pipeline, which takes raw rows like `example`, to the active run; returns its URI.

    `shared` is a folder that Spark sees, too, where it is needed.
    """
    kinds = {name: DataType.double if kind == np.float64 else DataType.string for name, kind in example.dtypes.items()}
    schema = ModelSignature(
        inputs=Schema([ColSpec(kind, name) for name, kind in kinds.items()]),
        outputs=Schema([ColSpec(DataType.string, "prediction")]),
    )
    packages = tracking.requirements("mlflow", "pyspark", "pandas", "numpy")
    described = {"signature": schema, "input_example": example, "pip_requirements": packages}
    if shared:
        return spark_models.log(model, shared, **described)
    return str(mlflow.spark.log_model(model, artifact_path="model", **described).model_uri)


def load_model(uri: str, shared: str) -> PipelineModel:
    """The pipeline that `log_model` has logged."""
    return spark_models.load(uri, shared) if shared else cast(PipelineModel, mlflow.spark.load_model(uri))


def main(parameters: Parameters) -> None:
    """Fits, evaluates and logs the regression in an MLflow run."""
    features, target = list(parameters.features), parameters.target
    with tracking.step_run(NAME, parameters) as run, ExitStack() as stack:
        columns = dataset.used(features=features, target=target)
        dataset.require_other_names(columns, [*OUTPUTS, *names_between(features)])
        require_readable(columns)
        shared = spark_models.shared_folder(parameters.spark)
        session = stack.enter_context(spark.session(parameters.spark))
        spark_models.find_volume(session)
        table = spark_table.load(session, parameters.data, columns, target)
        spark_table.require_finite(table, "features", features)
        tracking.log_work(work.of(NAME, parameters, table.digest))
        sides = split(spark.kept(table.frame), parameters.test_size, parameters.seed)
        train, held_out = [side.withColumn(TRUTH, F.col(spark_table.column(target))) for side in sides]
        require_classes(train, held_out, target, parameters.test_size)
        indexer = StringIndexer(inputCol=TRUTH, outputCol=LABEL, stringOrderType="alphabetAsc").fit(train)
        train, held_out = indexer.transform(train), indexer.transform(held_out)
        classes = list(indexer.labels)  # in Java's order, which for some scripts is not Python's
        numbers = [name for name in features if name in table.numbers]
        texts = [name for name in features if name in table.texts]

        model = pipeline(numbers, texts, classes, parameters.max_iter).fit(train)
        regression = cast(LogisticRegressionModel, model.stages[-2])
        evaluation = regression.evaluate(PipelineModel(model.stages[:-2]).transform(held_out))
        figures = {"train_acc": regression.summary.accuracy, "eval_acc": evaluation.accuracy}
        mlflow.log_metrics(figures)
        counts = confusion_matrix(model.transform(held_out), target, classes)
        title = f"{plots.shortened(target)}: {counts.sum()} records held out"
        tracking.log_figure(plots.confusion_matrix(counts, classes, title), "conf_matrix.png")

        uri = log_model(
            model,
            train.select(*[spark_table.column(name) for name in features]).limit(tracking.EXAMPLE_ROWS).toPandas(),
            shared,
        )
        loaded = load_model(uri, shared).transform(held_out)
        if not np.array_equal(confusion_matrix(loaded, target, classes), counts):
            raise options.WorkError(f"The model at {uri} does not predict as the one that was fitted.")
        tracking.print_figures(NAME, run, figures)


if __name__ == "__main__":
    options.script(NAME, main, Parameters)
