"""What Spark's workers do in a sweep whose tables Spark writes: cluster group by group, and give each as one nested row.

The package is shipped to the workers, and nothing of it is imported there. Batches of Arrow come in, sorted by group and in the
group in the order of the records, and go out, many groups in each: a batch or a data frame for each group would take a
millisecond.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from penguins.sweep.algorithm import Clustering
from penguins.sweep.chosen import ChosenClustering
from penguins.sweep.results import LoggedGroup, group_without_run, result_columns
from penguins.sweep.settings import SweepSettings
from penguins.sweep.transfer import logged_group_row
from penguins.sweep.workers import fit_records, group_fields, is_sampled, lower_priority

# A batch that goes out has so many groups or records at most, one large group aside.
MOST_GROUPS, MOST_RECORDS = 500, 50_000


def nested_rows(batches: Iterable[pa.RecordBatch], settings: SweepSettings, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Cluster the groups in `batches`, and yield batches of `schema`, that of `nested_type`, with a row for each."""
    lower_priority()
    columns = pd.Index(settings.features)  # once: to make it takes longer than a data frame
    rows = _NestedRows(settings, schema, columns)
    for records in split_groups(batches, len(group_fields(settings))):
        rows.add(records)
        if len(rows.keys) >= MOST_GROUPS or sum(rows.sizes) >= MOST_RECORDS:
            yield rows.batch()
            rows = _NestedRows(settings, schema, columns)
    if rows.keys:
        yield rows.batch()


def split_groups(batches: Iterable[pa.RecordBatch], n_keys: int) -> Iterator[pa.RecordBatch]:
    """Yield the records of each group; the first `n_keys` columns hold its key, and its records follow one another."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        keys = batch.columns[:n_keys]
        is_first = np.zeros(batch.num_rows, dtype=bool)
        for values in keys:
            is_first[1:] |= pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
        if pending and batch.num_rows:
            is_first[0] = any(before[-1] != values[0] for before, values in zip(pending[-1].columns, keys, strict=False))
        for start, end in pairwise([0, *np.flatnonzero(is_first[1:]) + 1, batch.num_rows]):
            if pending and is_first[start : start + 1].any():
                yield _one_batch(pending)
                pending = []
            pending += [batch.slice(start, end - start)] if end > start else []
    if pending:
        yield _one_batch(pending)


def _one_batch(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


@dataclass
class _NestedRows:
    """The rows of some groups, column by column."""

    settings: SweepSettings
    schema: pa.Schema
    columns: pd.Index
    keys: list[Sequence[str]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    failures: list[str | None] = field(default_factory=list)
    best: list[float | None] = field(default_factory=list)
    doubts: list[bool] = field(default_factory=list)
    cells: list[list[Any]] = field(default_factory=list)
    n_cells: list[int] = field(default_factory=list)
    identities: list[pa.RecordBatch] = field(default_factory=list)
    clusters: list[pa.Array] = field(default_factory=list)
    cores: list[pa.Array] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, records: pa.RecordBatch) -> None:
        """Cluster a group and add its row."""
        settings = self.settings
        n_keys, n_features = len(settings.group_columns), len(settings.features)
        key = tuple(str(records.column(place)[0]) for place in range(n_keys))
        # The values lie in memory as in the frames of other sweeps, so that sums have the same last digit.
        values = np.vstack([records.column(n_keys + place).to_numpy() for place in range(n_features)])
        X = pd.DataFrame(values.T, columns=self.columns)
        identity = records.select(list(range(n_keys + n_features, records.num_columns)))
        with_sample = is_sampled(key, len(X), settings)
        group, clustering = fit_records(key, X, _to_pandas(identity) if with_sample else None, settings)
        logged = group_without_run(group).with_rows(settings.values_of_failure)
        self.keys.append(key)
        self.sizes.append(len(X))
        self.failures.append(group.failure or None)
        self.best.append(logged.best.params[settings.swept] if logged.best else None)
        self.doubts.append(bool(logged.best and logged.warning))
        columns = result_columns(settings.of_algorithm)
        self.cells += [row.cells(columns)[n_keys:] for row in logged.rows]
        self.n_cells.append(len(logged.rows))
        self._add_records(identity, clustering)
        self.samples.append(logged_group_row(_sample_of(logged)) if with_sample else {})

    def _add_records(self, identity: pa.RecordBatch, clustering: Clustering | None) -> None:
        n_records = self.sizes[-1]
        self.identities.append(identity)
        labels, core = (None, None) if clustering is None else (clustering.labels, clustering.core)
        self.clusters.append(pa.nulls(n_records, pa.int64()) if labels is None else pa.array(labels, pa.int64()))
        if core is None:
            self.cores.append(pa.nulls(n_records, pa.bool_()))
        else:
            is_core = np.zeros(n_records, dtype=bool)
            is_core[core] = True
            self.cores.append(pa.array(is_core))

    def batch(self) -> pa.RecordBatch:
        """Return the rows as a batch."""
        n_keys = len(self.settings.group_columns)
        columns: list[Any] = [[key[place] for key in self.keys] for place in range(n_keys)]
        columns += [self.sizes, self.failures, self.best, self.doubts, self.n_cells]
        columns += [self._results(), self._records()]
        columns += [[sample.get(name) for sample in self.samples] for name in ("result", "records")]
        return pa.RecordBatch.from_arrays(
            [
                values if isinstance(values, pa.Array) else pa.array(values, one.type)
                for values, one in zip(columns, self.schema, strict=True)
            ],
            schema=self.schema,
        )

    def _results(self) -> pa.Array:
        kind = self.schema.field("results").type
        by_column = list(zip(*self.cells, strict=True))
        fields = list(kind.value_type)
        values = [_result_column(one, cells) for one, cells in zip(fields, by_column, strict=True)]
        return _lists(kind, self.n_cells, values)

    def _records(self) -> pa.Array:
        kind = self.schema.field("records").type
        values = [pa.concat_arrays(of_groups) for of_groups in zip(*[one.columns for one in self.identities], strict=True)]
        values += [pa.concat_arrays(self.clusters), pa.concat_arrays(self.cores)]
        return _lists(kind, self.sizes, [one.cast(of.type) for one, of in zip(values, kind.value_type, strict=True)])


def _to_pandas(identity: pa.RecordBatch) -> pd.DataFrame:
    """Return what tells the records as `split_columns` does, which has whole numbers as text."""
    for place, column in enumerate(identity.columns):
        if pa.types.is_integer(column.type):
            identity = identity.set_column(place, identity.column_names[place], column.cast(pa.string()))
    found: pd.DataFrame = identity.to_pandas()
    return found


def _result_column(one: pa.Field, cells: Sequence[Any]) -> pa.Array:
    return pa.array([cell == "true" for cell in cells] if pa.types.is_boolean(one.type) else cells, one.type)


def _lists(kind: pa.ListType, sizes: Sequence[int], values: Sequence[pa.Array]) -> pa.Array:
    """Return lists of structs of the type `kind`, of which each has one of the `sizes`."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(values), fields=list(kind.value_type)), type=kind)


def _sample_of(group: LoggedGroup) -> LoggedGroup:
    """Return a group with those of its records alone that the evidence and the profiles name."""
    if not (chosen := group.chosen) or not chosen.evidence:
        return replace(group, chosen=None)
    typical = np.array([place for place in chosen.typical if place is not None], dtype=int)
    kept = np.union1d(chosen.evidence.places, typical)
    evidence = replace(chosen.evidence, places=np.searchsorted(kept, chosen.evidence.places))
    places = [None if place is None else int(np.searchsorted(kept, place)) for place in chosen.typical]
    records = chosen.records.iloc[kept].reset_index(drop=True)
    return replace(group, chosen=ChosenClustering(records, chosen.profiles, places, evidence=evidence))
