"""The preprocessing of a table's columns into the numbers that scikit-learn fits on, as part of the logged pipeline."""

from collections.abc import Sequence

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

UNSEEN = -1


def build_pipeline(numbers: Sequence[str], texts: Sequence[str], encoding: str, estimator: object) -> Pipeline:
    """Build an unfitted pipeline that takes raw rows, scales the columns `numbers`, encodes `texts` and ends in `estimator`.

    `encoding` is `onehot`, one column for each category, or `ordinal`, one column with the categories' alphabetical ranks. A
    category that is not in the training data is encoded as zeros (`onehot`) or -1 (`ordinal`). The estimator gets a sparse
    matrix where the encoded table is mostly zeros, as with hundreds of categories, and a dense array otherwise.
    """
    encoders = {
        "onehot": OneHotEncoder(handle_unknown="ignore"),
        "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNSEEN),
    }
    columns = ColumnTransformer([("scaled", StandardScaler(), list(numbers)), ("encoded", encoders[encoding], list(texts))])
    # By default scikit-learn 1.6 stores the list of the unused columns in a type that skops does not trust.
    if columns.get_params(deep=False).get("force_int_remainder_cols") is True:
        columns.set_params(force_int_remainder_cols=False)
    return Pipeline([("columns", columns), ("estimator", estimator)])
