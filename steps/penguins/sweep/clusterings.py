"""The clusterings of one group: its records in the space in which they are compared, and a clustering for each value."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from penguins.clustering.ties import PRECISION
from penguins.data.checks import LARGEST
from penguins.sweep.algorithm import HAVERSINE, Algorithm, Clustering, Params, Space


def scale_records(
    records: pd.DataFrame, seed: int, metric: str, scale: str
) -> tuple[StandardScaler | FunctionTransformer, Space]:
    """Return the fitted first step of the models, and the `records` in the space of the clustering.

    Raises ValueError where a record holds a value that is infinite, or too large to be squared.
    """
    values = records.to_numpy(float)
    is_usable = (np.abs(values) < LARGEST).all(axis=0)
    if not is_usable.all():
        kind = "infinite values" if np.isinf(values).any() else f"values beyond {LARGEST:g}"
        raise ValueError(f"{kind} in {', '.join(map(str, records.columns[~is_usable]))}")
    if metric == HAVERSINE:
        return FunctionTransformer(np.radians).fit(records), Space(np.ascontiguousarray(values), metric, seed)
    scaler = _fitted_scaler(values, records.columns, scale == "standard")
    X = values if scaler.mean_ is None else (values - scaler.mean_) / scaler.scale_
    return scaler, Space(np.ascontiguousarray(X), metric, seed)


def _fitted_scaler(values: np.ndarray, columns: pd.Index, is_scaled: bool) -> StandardScaler:
    """Return a scaler with every attribute that its own `fit` sets, which for a small group takes longer than the clustering.

    The variance is that of the corrected two-pass algorithm, and a variance within its rounding error is that of a constant
    column, as in scikit-learn: T. Chan, G. Golub and R. LeVeque, "Algorithms for computing the sample variance", The American
    Statistician 37, 3 (1983).
    """
    n = len(values)
    scaler = StandardScaler(with_mean=is_scaled, with_std=is_scaled)
    scaler.n_features_in_, scaler.n_samples_seen_ = values.shape[1], np.float64(n) if is_scaled else np.int64(n)
    if all(isinstance(name, str) for name in columns):
        scaler.feature_names_in_ = columns.to_numpy(dtype=object)
    scaler.mean_ = scaler.var_ = scaler.scale_ = None
    if is_scaled:
        mean = values.sum(axis=0) / n
        differences = values - mean
        correction = differences.sum(axis=0)
        variance = (np.square(differences).sum(axis=0) - correction**2 / n) / n
        rounding = n * PRECISION * variance + (n * mean * PRECISION) ** 2
        scaler.mean_, scaler.var_ = mean, variance
        scaler.scale_ = np.where(variance <= rounding, 1.0, np.sqrt(variance))
    return scaler


def cluster_values(algorithm: Algorithm, space: Space, values: Iterable[Params]) -> list[tuple[Params, Clustering]]:
    """Cluster the records with each of the parameters in `values`; return these with their clusterings, sorted by them."""
    by_fixed: dict[tuple[float, ...], list[float]] = {}
    for params in values:
        by_fixed.setdefault(tuple(params[name] for name in algorithm.fixed), []).append(params[algorithm.swept])
    found: list[tuple[Params, Clustering]] = []
    for numbers, of_swept in by_fixed.items():
        fixed, ascending = dict(zip(algorithm.fixed, numbers, strict=True)), sorted(of_swept)
        clusterings = algorithm.fit(space, ascending, fixed)
        found += [({algorithm.swept: value, **fixed}, one) for value, one in zip(ascending, clusterings, strict=True)]
    return sorted(found, key=lambda pair: tuple(pair[0].values()))
