"""The functions that workers run on one group to compute it.

The package is shipped to the workers of Spark, and nothing of it is imported there. Processes of this machine import it.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from penguins.clustering.eps_grid import k_distances
from penguins.sweep.algorithm import Clustering, Params
from penguins.sweep.chosen import ChosenClustering, clustering_without_choice
from penguins.sweep.evidence import Evidence, distance_curve, measured_places, n_sampled, sample_places
from penguins.sweep.fit import GroupResult, SweepFit, fit_again, fit_grid
from penguins.sweep.settings import SweepSettings
from penguins.sweep.transfer import chosen_to_frame, fitted_group_to_frame
from penguins.text import one_line

# The column of the frame that the workers get with the row's place in the user's table, if it has one.
ROW = "row"


def group_fields(settings: SweepSettings) -> list[str]:
    """Return the names under which the columns of groups are sent to the workers."""
    return [f"group_{index}" for index in range(len(settings.group_columns))]


def feature_column(index: int) -> str:
    """Return the name under which the feature at `index` is sent to the workers."""
    return f"feature_{index}"


def id_column(index: int) -> str:
    """Return the name under which the column of ids at `index` is sent to the workers."""
    return f"id_{index}"


def split_columns(records: pd.DataFrame, settings: SweepSettings) -> tuple[tuple[str, ...], pd.DataFrame, pd.DataFrame]:
    """Return the key of the group, its features, and the identity of its records: their places, or their ids.

    Both frames have the order of the user's table, or of the features and ids where Spark reads it.
    """
    fields, features = group_fields(settings), [feature_column(index) for index in range(len(settings.features))]
    others = [name for name in records.columns if name not in (*fields, *features)]
    values = np.array([records[name].to_numpy(float) for name in features])
    order = _order(records, values, [*features, *others])
    X = pd.DataFrame(values.take(order, axis=1).T, columns=list(settings.features), copy=False)
    identity = pd.DataFrame({name: records[name].array.take(order) for name in others}, copy=False)
    return tuple(str(records[name].array[0]) for name in fields), X, identity


def _order(records: pd.DataFrame, values: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Return the order of the records: that of the user's table, or of `columns`, which begin with the features.

    An algorithm numbers its clusters by the order of the records, and Spark may send them in any order. The features are in
    `values`, of shape (n_features, n_records).
    """
    if ROW in records:
        return records[ROW].to_numpy().argsort()
    order = np.lexsort(values[::-1])
    are_equal = (values[:, order[1:]] == values[:, order[:-1]]).all(axis=0).any()
    if are_equal and len(columns) > len(values):  # only then the other columns, which take longer, decide
        return records.reset_index(drop=True).sort_values(list(columns)).index.to_numpy()
    return order


def fit_group(records: pd.DataFrame, settings: SweepSettings) -> GroupResult:
    """Cluster the records of one group. Whatever fails becomes the group's failure and affects no other group."""
    key, X, identity = split_columns(records, settings)
    return replace(fit_records(key, X, identity, settings)[0], digest=digest_of(X))


def fit_records(
    key: tuple[str, ...], X: pd.DataFrame, identity: pd.DataFrame | None, settings: SweepSettings
) -> tuple[GroupResult, Clustering | None]:
    """Cluster the records `X` of a group, in the table's units, and return also the chosen clustering, if there is one.

    Without `identity`, which tells the records, the result has nothing of single records and clusters.
    """
    try:
        fit = _fit(X, settings)
        choice = fit.choose(settings.select_by, settings.min_coverage)
        position = choice.position
        chosen = None if identity is None else _chosen(fit, position, key, X, identity, settings)
    except Exception as error:  # noqa: BLE001  # any failure is this group's result
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        failure = kind + one_line(error)
        chosen = None if identity is None else clustering_without_choice(identity)
        return GroupResult(key, len(X), [], None, failure=failure, chosen=chosen), None
    to_log = settings.models_to_log([outcome.params for outcome in fit.outcomes], len(X), choice.position)
    group = GroupResult(
        key,
        len(X),
        fit.outcomes,
        choice.position,
        choice.warning,
        proposals=fit.proposals,
        example=X.to_numpy().mean(axis=0).tolist() if identity is not None else [],
        median_distance=fit.median_distance() if position is None and identity is not None else None,
        models={position: fit.model_that_predicts(position) for position in to_log},
        chosen=chosen,
        reason=choice.reason,
    )
    return group, None if position is None else fit.clusterings[position]


def _chosen(
    fit: SweepFit,
    position: int | None,
    key: tuple[str, ...],
    X: pd.DataFrame,
    identity: pd.DataFrame,
    settings: SweepSettings,
) -> ChosenClustering:
    """Return what the sweep gives back of a group: the outcome at `position`, if there is one, and the evidence."""
    chosen = clustering_without_choice(identity) if position is None else fit.chosen(position, X, identity, settings.has_router)
    places = _sample_places(key, len(X), settings)
    if places is None:
        return chosen
    labels = np.column_stack([clustering.labels[places] for clustering in fit.clusterings])
    return replace(chosen, evidence=Evidence(places, X.to_numpy(float)[places], labels.astype(np.int32), _curves(fit)))


def is_sampled(key: tuple[str, ...], n_records: int, settings: SweepSettings) -> bool:
    """Tell whether the sweep has evidence of this group."""
    return _sample_places(key, n_records, settings) is not None


def _sample_places(key: tuple[str, ...], n_records: int, settings: SweepSettings) -> np.ndarray | None:
    width = len(settings.features) + settings.most_values
    return sample_places(key, n_records, n_sampled(settings.n_groups, width), settings.n_groups, settings.seed)


def _curves(fit: SweepFit) -> np.ndarray:
    """Return the rows of `Evidence.curves`."""
    numbers = sorted({int(outcome.params["min_samples"]) for outcome in fit.outcomes if "min_samples" in outcome.params})
    places = measured_places(len(fit.X), fit.space.seed)
    curves = [distance_curve(k_distances(fit.X, number, fit.space.metric, places)) for number in numbers]
    rows = [np.insert(curve, 0, number, axis=1) for number, curve in zip(numbers, curves, strict=True)]
    return np.concatenate(rows) if rows else np.empty((0, 3))


def digest_of(X: pd.DataFrame) -> str:
    """Return a digest of records by which MLflow tells datasets apart, of eight signs as its own are."""
    names = "\0".join(map(str, X.columns)).encode()
    return hashlib.sha256(names + np.ascontiguousarray(X.to_numpy(dtype=float)).tobytes()).hexdigest()[:8]


def _fit(X: pd.DataFrame, settings: SweepSettings) -> SweepFit:
    return fit_grid(settings.of_algorithm, X, settings.grid, settings.seed, settings.metric, settings.scale)


def fit_again_in_worker(
    records: pd.DataFrame, settings: SweepSettings, values: Mapping[tuple[str, ...], tuple[Sequence[Params], int | None]]
) -> pd.DataFrame:
    """Cluster a group once more, and return what the sweep gives back of it; no run is logged.

    `values` holds by the key of each group the parameters of all its outcomes, sorted, and the position of the best one.
    """
    key, X, identity = split_columns(records, settings)
    wanted, best = values[key]
    if _sample_places(key, len(X), settings) is None:  # its labels at the other values are of no use
        wanted, best = ([], None) if best is None else ([wanted[best]], 0)
    fit = fit_again(settings.of_algorithm, X, wanted, settings.seed, settings.metric, settings.scale)
    return chosen_to_frame(key, _chosen(fit, best, key, X, identity, settings))


def fit_in_worker(records: pd.DataFrame, settings: SweepSettings) -> pd.DataFrame:
    """Cluster a group and return it for the driver to log."""
    return fitted_group_to_frame(fit_group(records, settings))


def lower_priority() -> None:
    """Let the driver go first where it shares the machine: a sweep waits for its logging, not for the workers."""
    if hasattr(os, "nice") and os.nice(0) == 0:
        os.nice(10)
