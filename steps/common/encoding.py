"""How columns of a table become the numbers that scikit-learn fits on, inside the pipeline that is logged."""

from collections.abc import Sequence

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

UNSEEN = -1


def pipeline(numbers: Sequence[str], texts: Sequence[str], encoding: str, estimator: object) -> Pipeline:
    """An unfitted pipeline that takes raw rows: `numbers` scaled, `texts` encoded, then `estimator`.

    `encoding` is `onehot`, a column for each category, or `ordinal`, one column with the categories' places in the alphabet.
    A category that was not seen in training is no category at all (`onehot`) or -1 (`ordinal`).
    """
    encoders = {
        "onehot": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNSEEN),
    }
    columns = ColumnTransformer([("scaled", StandardScaler(), list(numbers)), ("encoded", encoders[encoding], list(texts))])
    # scikit-learn 1.6 keeps its list of the columns left out in a type that skops does not trust, unless it is told not to.
    if columns.get_params(deep=False).get("force_int_remainder_cols") is True:
        columns.set_params(force_int_remainder_cols=False)
    return Pipeline([("columns", columns), ("estimator", estimator)])
