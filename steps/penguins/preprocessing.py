"""The preprocessing of a table's columns into the numbers that scikit-learn fits on, as part of the logged pipeline."""

from collections.abc import Sequence

from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from penguins.text import format_number

UNSEEN = -1


def build_pipeline(
    numbers: Sequence[str], texts: Sequence[str], encoding: str, estimator: object, codes: Sequence[str] = ()
) -> Pipeline:
    """Build an unfitted pipeline that takes raw rows, scales the columns `numbers`, encodes the others and ends in `estimator`.

    `texts` are columns of text and `codes` columns of numbers that stand for categories. `encoding` is `onehot`, one column for
    each category, or `ordinal`, one column with the categories' ranks. A category that is not in the training data is encoded
    as zeros (`onehot`) or -1 (`ordinal`); a missing value raises. The estimator gets a sparse matrix where the encoded table is
    mostly zeros, as with hundreds of categories, and a dense array otherwise.
    """
    # An encoder takes a missing value for one more category. The indicator adds no column, since the training misses no value.
    guard = MissingIndicator(missing_values=None, features="missing-only", error_on_new=True)
    categories = FeatureUnion([("complete", guard), ("encoder", _build_encoder(encoding))])
    parts = [("scaled", StandardScaler(), list(numbers)), ("encoded", categories, list(texts))]
    if codes:
        # The function only checks that all are finite numbers.
        parts.append(("codes", make_pipeline(FunctionTransformer(validate=True), _build_encoder(encoding)), list(codes)))
    columns = ColumnTransformer(parts)
    # By default scikit-learn 1.6 stores the list of the unused columns in a type that skops does not trust.
    if columns.get_params(deep=False).get("force_int_remainder_cols") is True:
        columns.set_params(force_int_remainder_cols=False)
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _build_encoder(encoding: str) -> OneHotEncoder | OrdinalEncoder:
    if encoding == "onehot":
        return OneHotEncoder(handle_unknown="ignore")
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNSEEN)


def encoded_names(pipeline: Pipeline) -> list[str]:
    """Return what people call the columns that the estimator of a fitted pipeline gets: `species=Adelie` of a category."""
    names: list[str] = []
    for part, transformer, columns in pipeline["columns"].transformers_:
        if part == "scaled":
            names += columns
        elif part in ("encoded", "codes") and columns:
            encoder = transformer.named_transformers["encoder"] if part == "encoded" else transformer[-1]
            names += _categories(encoder, columns) if isinstance(encoder, OneHotEncoder) else columns
    return names


def _categories(encoder: OneHotEncoder, columns: Sequence[str]) -> list[str]:
    return [
        f"{column}={format_number(value) if isinstance(value, float) else value}"
        for column, categories in zip(columns, encoder.categories_, strict=True)
        for value in categories
    ]
