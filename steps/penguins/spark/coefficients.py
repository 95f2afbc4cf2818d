"""The coefficients of a logistic regression of Spark ML, under the names of the table's columns."""

from collections.abc import Sequence

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.feature import StringIndexerModel

from penguins.evaluation_tables import Lines, coefficient_lines


def spark_coefficient_lines(
    model: PipelineModel, numbers: Sequence[str], texts: Sequence[str], classes: Sequence[str]
) -> Lines:
    """Return the table of `coefficient_lines` of a fitted pipeline, whose regression gets `numbers`, then encoded `texts`.

    Of two classes, the coefficients are those of the second one. The column of an unseen category, which is last among those of
    its text, has none: it is 0 in every row of the training.
    """
    [regression] = [stage for stage in model.stages if isinstance(stage, LogisticRegressionModel)]
    labels = [of_text for stage in model.stages if isinstance(stage, StringIndexerModel) for of_text in stage.labelsArray]
    names: list[str | None] = [*numbers]
    for text, of_text in zip(texts, labels, strict=True):
        names += [*[f"{text}={label}" for label in of_text], None]
    is_seen = np.array([name is not None for name in names])
    return coefficient_lines(
        regression.coefficientMatrix.toArray()[:, is_seen],
        regression.interceptVector.toArray(),
        [name for name in names if name is not None],
        classes[1:] if len(classes) == 2 else classes,
    )
