"""Which species is it? A logistic regression in Spark, from indexing to scoring.

Needs a column of classes (`target`) and columns of numbers, booleans or text (`features`).
Logs `train_acc` and `eval_acc` from the model's own summaries, the confusion matrix, the coefficients and the Spark ML pipeline
as the model, which it loads back: a model that does not predict the same as the one that was fitted fails the step. With
`register`, the model goes to MLflow's registry, where it is compared with the champion on the rows held out.
"""

from dataclasses import dataclass
from typing import Annotated

from penguins.cli.parameters import (
    AUTO,
    Data,
    Experiment,
    Parameter,
    Predictors,
    Read,
    Register,
    Seed,
    Spark,
    TestSize,
    require_target,
)
from penguins.cli.read_options import DETECT
from penguins.cli.rules import COLUMN, Integer
from penguins.cli.script import check_command_line, run_script
from penguins.cli.steps import Step
from penguins.spark.session import start_in_background
from penguins.spark.target import SparkTarget

STEP = Step(
    "spark_logistic_regression",
    question="which species?",
    holds="`train_acc`, `eval_acc`, `conf_matrix.png`, `conf_matrix.csv`, `coefficients.csv`, the Spark ML model `model`",
    headline="eval_acc",
    model="model",
    in_all=True,
    weight=3,
    needs_spark=True,
)
NAME = STEP.name
# The columns that `auto` stands for in the penguins.
PENGUINS = {
    "target": "species",
    "features": ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "island", "sex"),
}


@dataclass(frozen=True)
class Parameters:
    """Logistic regression of a class with Spark ML."""

    data: Data = "penguins"
    target: Annotated[str, Parameter(COLUMN, "the column of classes to predict; auto: species, of the penguins")] = AUTO
    features: Predictors = (AUTO,)
    test_size: TestSize = 0.2
    max_iter: Annotated[int, Parameter(Integer(1, 100_000), "most iterations of the solver, 1 or more")] = 10
    seed: Seed = 0
    spark: Spark = "local[*]"
    register: Register = ""
    read: Read = DETECT
    experiment: Experiment = ""

    def __post_init__(self) -> None:
        require_target(self.data, self.target)


if __name__ == "__main__":
    start_in_background(SparkTarget(check_command_line(NAME, Parameters).spark))

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, cast

import mlflow
from mlflow.entities import Run
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.feature import IndexToString, OneHotEncoder, SQLTransformer, StringIndexer, StringIndexerModel, VectorAssembler
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from penguins.data.checks import columns_in_use, require_both_sides, require_classes, require_memory, require_other_names
from penguins.data.describe_spark import describe_spark_columns
from penguins.data.locate import table_digest
from penguins.data.resolve import resolve_columns
from penguins.data.spark_checks import require_spark_categories, require_spark_classes, require_spark_finite
from penguins.data.spark_columns import class_name, quote_column
from penguins.data.spark_rows import check_number, check_text
from penguins.data.spark_table import SparkTable, load_spark_table
from penguins.errors import WorkError
from penguins.evaluation_tables import confusion_lines
from penguins.plots.classes import confusion_matrix_figure
from penguins.plots.style import short_label
from penguins.resume.step_run import record_fingerprint, step_run
from penguins.spark.coefficients import spark_coefficient_lines
from penguins.spark.held_out import HeldOutSparkFrame, log_spark_training_rows
from penguins.spark.jobs import persist
from penguins.spark.ml_models import load_spark_model, log_spark_model, shared_folder, use_volume
from penguins.spark.session import step_session
from penguins.tracking.artifact_names import COEFFICIENTS, CONFUSION
from penguins.tracking.artifacts import EXAMPLE_ROWS, log_csv, log_figure, model_requirements
from penguins.tracking.conclusion import conclude_with_metrics, conclusion_of_classifier
from penguins.tracking.held_out import ACCURACY, accuracy
from penguins.tracking.registry import Candidate, register_and_compare, require_registrable
from penguins.tracking.row_models import rows_signature

BUCKETS = 1_000_000
OUTPUTS = ("prediction", "probability", "rawPrediction")
LABEL, VECTOR, PREDICTED, NAMED = "class (label)", "features (vector)", "prediction (label)", "prediction (text)"
TRUTH, INDEXED, ENCODED = "class (text)", "{} (index)", "{} (one-hot)"


@dataclass(frozen=True)
class Split:
    """The rows to train on and the rows held out. The column `TRUTH` holds the class as text, `LABEL` its place in `classes`.

    `kind` is the type of the classes in the table.
    """

    train: DataFrame
    held_out: DataFrame
    classes: list[str]
    kind: str


def split_frame(frame: DataFrame, test_size: float, seed: int) -> tuple[DataFrame, DataFrame]:
    """Return rows to train on and rows to hold out, by a hash of the row and `seed`: the same on any number of cores."""
    row = F.xxhash64(*[F.col(quote_column(name)) for name in frame.columns], F.lit(seed))
    is_held_out = F.pmod(row, F.lit(BUCKETS)) < F.lit(round(test_size * BUCKETS))
    return frame.where(~is_held_out), frame.where(is_held_out)


def split_table(table: SparkTable, parameters: Parameters) -> Split:
    """Check the table, split it and index its classes. Raises InputError where a class is missing on one side."""
    require_spark_finite(table, "features", parameters.features)
    n_distinct = require_spark_categories(table, "features", parameters.features)
    require_spark_classes(table, "target", parameters.target)
    sides = split_frame(persist(table.frame), parameters.test_size, parameters.seed)
    train, held_out = [side.withColumn(TRUTH, class_name(side, parameters.target)) for side in sides]
    require_classes_on_both_sides(train, held_out, parameters.target, parameters.test_size)
    indexer = StringIndexer(inputCol=TRUTH, outputCol=LABEL, stringOrderType="alphabetAsc").fit(train)
    n_numbers = len(parameters.features) - len(n_distinct)
    remedy = "Leave the column out of 'features'"
    require_memory(0, n_distinct, n_numbers, parameters.target, len(indexer.labels), remedy)
    # The indexer's labels are in Java's order of texts, which is not always Python's.
    return Split(
        indexer.transform(train), indexer.transform(held_out), list(indexer.labels), dict(train.dtypes)[parameters.target]
    )


def require_classes_on_both_sides(train: DataFrame, held_out: DataFrame, target: str, test_size: float) -> None:
    """Raise InputError unless `target` has two classes or more, and each of them rows on both sides of the split."""
    trained, evaluated = [Counter[str](dict(side.groupBy(TRUTH).count().collect())) for side in (train, held_out)]
    require_classes(trained + evaluated, target)
    require_both_sides(trained, evaluated, test_size)


def plain_names(names: Sequence[str]) -> dict[str, str]:
    """Map each column to the name under which the stages find it, because they would misread some names."""
    return {name: f"feature {place}" for place, name in enumerate(names)}


def intermediate_columns(features: Sequence[str]) -> set[str]:
    """Return the columns that the stages add on the way and that the table must not have."""
    plain = plain_names(features).values()
    return {LABEL, VECTOR, PREDICTED, NAMED, TRUTH, *plain} | {
        column.format(name) for name in plain for column in (INDEXED, ENCODED)
    }


def build_pipeline(numbers: Sequence[str], texts: Sequence[str], split: Split, max_iter: int) -> Pipeline:
    """Build a pipeline that takes raw rows, learns from the place of the class in `split.classes` and predicts the class.

    The place is in the column `LABEL`, the class in `prediction`. A category that was not seen in training has a column of its
    own, which is 0 in every row of the training; a missing value raises when Spark reads the row.
    """
    plain = plain_names([*numbers, *texts])
    checked = [check_number(name) for name in numbers] + [check_text(name) for name in texts]
    aliases = [f"{sql} AS {quote_column(name)}" for sql, name in zip(checked, plain.values(), strict=True)]
    indexed = [INDEXED.format(plain[name]) for name in texts]
    encoded = [ENCODED.format(plain[name]) for name in texts]
    stages: list[Estimator[Any] | Transformer] = []
    stages.append(SQLTransformer(statement=f"SELECT *, {', '.join(aliases)} FROM __THIS__"))  # noqa: S608  # quoted
    if texts:
        categories = [plain[name] for name in texts]
        stages += [
            StringIndexer(inputCols=categories, outputCols=indexed, handleInvalid="keep", stringOrderType="alphabetAsc"),
            OneHotEncoder(inputCols=indexed, outputCols=encoded, dropLast=False),
        ]
    typed = f"CAST({quote_column(NAMED)} AS {split.kind}) AS prediction"
    stages += [
        VectorAssembler(inputCols=[*[plain[name] for name in numbers], *encoded], outputCol=VECTOR),
        LogisticRegression(featuresCol=VECTOR, labelCol=LABEL, predictionCol=PREDICTED, maxIter=max_iter),
        IndexToString(inputCol=PREDICTED, outputCol=NAMED, labels=split.classes),
        SQLTransformer(statement=f"SELECT *, {typed} FROM __THIS__"),  # noqa: S608  # a name and a type of ours
    ]
    return Pipeline(stages=stages)


def fit(split: Split, table: SparkTable, features: Sequence[str], max_iter: int) -> PipelineModel:
    """Fit the pipeline of `build_pipeline` to the rows to train on."""
    numbers = [name for name in features if name in table.numbers]
    texts = [name for name in features if name in table.texts]
    return build_pipeline(numbers, texts, split, max_iter).fit(split.train)


def evaluate(model: PipelineModel, held_out: DataFrame) -> dict[str, float]:
    """Return the accuracies on both sides of the split from the regression's own summaries."""
    *before, regression, _, _ = model.stages
    regression = cast(LogisticRegressionModel, regression)
    evaluation = regression.evaluate(PipelineModel(before).transform(held_out))
    return {"train_acc": regression.summary.accuracy, "eval_acc": evaluation.accuracy}


def count_classes(predictions: DataFrame) -> dict[tuple[str, str], int]:
    """Count rows by true and predicted class, given as text."""
    counts = predictions.groupBy(TRUTH, class_name(predictions, "prediction")).count().collect()
    return {(truth, predicted): count for truth, predicted, count in counts}


def log_model(model: PipelineModel, train: DataFrame, table: SparkTable, features: Sequence[str], shared: str) -> str:
    """Log the fitted pipeline, which takes raw rows, to the active run and return its URI.

    `shared` is a folder that Spark sees as well, empty where none is needed.
    """
    example = train.select(*[quote_column(name) for name in features]).limit(EXAMPLE_ROWS).toPandas()
    predictions = model.transform(train.limit(1)).select("prediction").toPandas()["prediction"]
    texts = [name for name in features if name in table.texts]
    found = [stage.labelsArray for stage in model.stages if isinstance(stage, StringIndexerModel)]
    labels = dict(zip(texts, found[0], strict=True)) if found else {}
    return log_spark_model(
        model,
        shared,
        {name: list(labels[name]) if name in labels else None for name in features},
        signature=rows_signature(features, predictions),
        input_example=example,
        pip_requirements=model_requirements("mlflow", "pyspark", "pandas", "numpy"),
    )


def register_model(name: str, candidate: Candidate, split: Split, table: SparkTable, n_rows: int, shared: str) -> None:
    """Register the model and compare it with the champion on the `n_rows` rows that were held out."""
    fields = {column: F.col(quote_column(column)) for column in table.frame.columns} | {candidate.target: F.col(TRUTH)}
    log_spark_training_rows(split.train, fields, table.rows)
    held_out, target = split.held_out, candidate.target
    rows = HeldOutSparkFrame(held_out, fields, target, n_rows, shared, lambda predicted: accuracy(count_classes(predicted)))
    register_and_compare(name, candidate, rows)


def fit_and_log(session: SparkSession, shared: str, asked: Parameters, run: Run) -> None:
    """Fit, evaluate and log the regression in the active run, and register it where that is asked for."""
    parameters = resolve_columns(
        asked, PENGUINS, lambda data: describe_spark_columns(session, data, asked.read), with_texts=True
    )
    columns = columns_in_use(features=parameters.features, target=parameters.target)
    require_other_names(columns, [*OUTPUTS, *intermediate_columns(parameters.features)])
    features, target = list(parameters.features), parameters.target
    table = load_spark_table(session, parameters.data, columns, [], classes=target, read=asked.read)
    record_fingerprint(NAME, asked, table.digest)
    split = split_table(table, parameters)
    model = fit(split, table, features, parameters.max_iter)
    figures = evaluate(model, split.held_out)
    mlflow.log_metrics(figures)
    counts = count_classes(model.transform(split.held_out))
    n_held_out = sum(counts.values())
    title = f"{short_label(target)}: {n_held_out} records held out"
    log_figure(confusion_matrix_figure(counts, split.classes, title), "conf_matrix.png")
    log_csv(confusion_lines(counts, split.classes), CONFUSION)
    numbers, texts = ([name for name in features if name in of_kind] for of_kind in (table.numbers, table.texts))
    log_csv(spark_coefficient_lines(model, numbers, texts, split.classes), COEFFICIENTS)
    uri = log_model(model, split.train, table, features, shared)
    loaded = load_spark_model(uri, shared).transform(split.held_out)
    if count_classes(loaded) != counts:
        raise WorkError(f"The model at {uri} does not predict as the one that was fitted.")
    conclude_with_metrics(run, NAME, conclusion_of_classifier(parameters, figures, n_held_out, uri), figures)
    if asked.register:
        candidate = Candidate(uri, run.info.run_id, target, ACCURACY, figures["eval_acc"])
        register_model(asked.register, candidate, split, table, n_held_out, shared)


def main(parameters: Parameters) -> None:
    """Fit, evaluate and log the regression in an MLflow run."""
    with step_run(NAME, parameters, table_digest(parameters.data)) as run, ExitStack() as stack:
        require_registrable(parameters.register)
        target = SparkTarget(parameters.spark)
        shared = shared_folder(target)
        session = stack.enter_context(step_session(target))
        use_volume(session, parameters.register)
        fit_and_log(session, shared, parameters, run)


if __name__ == "__main__":
    run_script(NAME, main, Parameters)
