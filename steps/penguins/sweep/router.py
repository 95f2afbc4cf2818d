"""Assign new records of all groups of a sweep: each to a cluster of its own group, or to none, with the reason.

A model carries a copy of this file, with which MLflow loads it as a python_function in an environment that does not have this
project. It therefore imports nothing of the project but `nearest` and `table_rows`, of which the model carries copies, too.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from penguins.sweep.nearest import NearestPredictor, NearestRecords, to_matrix
from penguins.tracking.table_rows import LONGEST_VALUE, to_texts

# The value of a group in each column of groups, as text; empty where nothing is grouped.
Key = tuple[str, ...]
CLUSTER, REASON = "cluster", "reason"


@dataclass(frozen=True)
class Router:
    """The groups of a sweep by their keys: of each the records that new ones are compared with, or why it has none.

    `group_by` are the columns of groups, and `columns` those of the features. Without columns of groups, the only key is ().
    Raises ValueError where a group does not fit these columns.
    """

    group_by: tuple[str, ...]
    columns: tuple[str, ...]
    is_sphere: bool
    groups: Mapping[Key, NearestRecords | str]
    _predictors: dict[Key, NearestPredictor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.group_by and set(self.groups) != {()}:
            raise ValueError(f"without columns of groups, the only key is (), got {list(self.groups)[:5]}")
        for key, group in self.groups.items():
            if len(key) != len(self.group_by):
                raise ValueError(f"the key {key!r} does not fit the columns {self.group_by!r}")
            if isinstance(group, str):
                if not group:
                    raise ValueError(f"the group {key!r} needs a reason for having no clusters")
            elif (group.columns, group.is_sphere) != (self.columns, self.is_sphere):
                raise ValueError(f"the group {key!r} has other columns or another space than the router")

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return for each row its `cluster` (Int64, -1 for noise) and the `reason` why it has none, else an empty text.

        A row has no cluster, a missing value, where its group is unknown, has no clusters, or misses a value in its key.
        Raises ValueError with the column and the first row where a column is missing or holds what it may not.
        """
        X = to_matrix(rows, self.columns)
        keys = self._keys(rows)
        reasons: dict[Key | int, str] = {}
        clusters, has_cluster = np.zeros(len(X), dtype=np.int64), np.zeros(len(X), dtype=bool)
        for key, places in _places_by_key(keys).items():
            if isinstance(key, int):
                reasons[key] = f"column {self.group_by[key]!r} misses a value"
                continue
            group = self.groups.get(key, "")
            if isinstance(group, str):
                reasons[key] = group or self._why_unknown(key)
                continue
            if key not in self._predictors:
                self._predictors[key] = NearestPredictor(group)
            clusters[places] = self._predictors[key].assign(X[places])
            has_cluster[places] = True
        found = {CLUSTER: pd.arrays.IntegerArray(clusters, ~has_cluster), REASON: [reasons.get(key, "") for key in keys]}
        return pd.DataFrame(found, index=rows.index).astype({REASON: object})

    def _keys(self, rows: pd.DataFrame) -> list[Key | int]:
        """Return the key of each row, or the position of the first column of groups in which it misses a value."""
        keys: list[Key | int]
        if not self.group_by:
            return [()] * len(rows)
        columns, missing = [], np.full(len(rows), -1)
        for place, name in enumerate(self.group_by):
            if name not in rows:
                raise ValueError(f"column {name!r} is missing")
            is_missing = rows[name].isna().to_numpy(dtype=bool)
            missing[is_missing & (missing < 0)] = place
            known = dict.fromkeys(key[place] for key in self.groups)
            columns.append(to_names(rows[name].astype(object).mask(is_missing, ""), name, known))
        keys = list(zip(*columns, strict=True))
        for row in np.flatnonzero(missing >= 0):
            keys[row] = int(missing[row])
        return keys

    def _why_unknown(self, key: Key) -> str:
        values = [f"{_shorten(repr(text))} in column {name!r}" for name, text in zip(self.group_by, key, strict=True)]
        return f"no group of the training has {', '.join(values)}"

    def save(self, path: str) -> None:
        """Write this to a file of NumPy's format `npz`, without pickle: the arrays of all groups, one after the other."""
        with_clusters = {key: group for key, group in self.groups.items() if not isinstance(group, str)}
        groups, n_columns = list(with_clusters.values()), len(self.columns)
        described = {
            "group_by": self.group_by,
            "columns": self.columns,
            "is_sphere": self.is_sphere,
            "keys": list(with_clusters),
            "reasons": [[key, group] for key, group in self.groups.items() if isinstance(group, str)],
        }
        np.savez(
            path,
            described=np.frombuffer(json.dumps(described).encode(), dtype=np.uint8),
            offsets=np.cumsum([0, *[len(group.points) for group in groups]]),
            points=np.concatenate([np.zeros((0, 3 if self.is_sphere else n_columns)), *[group.points for group in groups]]),
            clusters=np.concatenate([np.zeros(0, dtype=np.int64), *[group.clusters for group in groups]]),
            reach=np.concatenate([np.zeros(0), *[group.reach for group in groups]]),
            centers=np.reshape([group.center for group in groups], (-1, n_columns)),
            scales=np.reshape([group.scale for group in groups], (-1, n_columns)),
        )


def load_router(path: str) -> Router:
    """Read what `Router.save` wrote."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    described = json.loads(arrays["described"].tobytes())
    columns, is_sphere = tuple(described["columns"]), described["is_sphere"]
    groups: dict[Key, NearestRecords | str] = {}
    parts = zip(described["keys"], pairwise(arrays["offsets"]), arrays["centers"], arrays["scales"], strict=True)
    for key, (start, stop), center, scale in parts:
        part = {name: arrays[name][start:stop] for name in ("points", "clusters", "reach")}
        groups[tuple(key)] = NearestRecords(columns, center, scale, is_sphere, **part)
    groups |= {tuple(key): reason for key, reason in described["reasons"]}
    return Router(tuple(described["group_by"]), columns, is_sphere, groups)


def to_names(values: pd.Series, name: str, known: Iterable[str]) -> np.ndarray:
    """Return a column of groups as text: the name in `known` that the training gave a value, or how the value is written.

    Raises ValueError where it holds anything but text, numbers, booleans and dates.
    """
    names = dict.fromkeys(known)
    return to_texts(pd.Series([_write_date(value, names) for value in values], dtype=object), name, list(names))


def _write_date(value: Any, known: Mapping[str, None]) -> Any:
    """Write a date as the training did, with the time of day or without where that is midnight; leave other values."""
    if not isinstance(value, date):
        return value
    texts = [str(value)]
    if not isinstance(value, datetime):
        texts.append(f"{value} 00:00:00")
    elif value.time() == time():
        texts.append(str(value.date()))
    return next((text for text in texts if text in known), texts[0])


def _places_by_key(keys: list[Key | int]) -> dict[Key | int, np.ndarray]:
    """Return the rows of each key in ascending order."""
    codes: dict[Key | int, int] = {}
    of_rows = np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)
    order = np.argsort(of_rows, kind="stable")
    ends = np.cumsum(np.bincount(of_rows, minlength=len(codes)))
    return dict(zip(codes, np.split(order, ends[:-1]), strict=True)) if codes else {}


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _load_pyfunc(path: str) -> Router:
    """Load the model for MLflow, which looks for a function of this name."""
    return load_router(path)
