"""Results on their way from a Spark worker to the driver: plain data, which run no code when they are read.

Dataclasses are JSON, models are the bytes of their files, records are a table of Arrow. A row of Spark holds one value of a
group, so that it carries one model at most. The first one carries the chosen clustering.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from penguins.errors import WorkError
from penguins.sweep.chosen import CLUSTER, IS_CORE, ChosenClustering
from penguins.sweep.evidence import evidence_from_lists
from penguins.sweep.fit import GroupResult, Outcome, ProposalOfGroup, SweepModel, group_name
from penguins.sweep.nearest import nearest_from_bytes
from penguins.sweep.results import LoggedGroup, ResultRow, key_order
from penguins.text import one_line

# `nearest` belongs to the model; `records` and `router` are parts of the chosen clustering.
SCHEMA = "group string, result string, model binary, nearest binary, records binary, router binary"
BINARY = ("model", "nearest", "records", "router")
# The limit for one group: the driver's JVM has 1 GiB by default, and no result may be larger.
LARGEST_PAYLOAD = 256 << 20


def fitted_group_to_frame(group: GroupResult) -> pd.DataFrame:
    """Return a group as rows of `SCHEMA`, one for each value. A group that is too large is returned as a failure."""
    shared: dict[str, Any] = {
        "key": group.key,
        "n_records": group.n_records,
        "best": group.best,
        "warning": group.warning,
        "failure": group.failure,
        "reason": group.reason,
    }
    shared |= {"example": list(group.example), "median_distance": group.median_distance, "digest": group.digest}
    rows = [_row_of_value(group, shared, place) for place in range(max(1, len(group.outcomes)))]
    sizes = {name: sum(len(row.get(name) or b"") for row in rows) for name in ("result", *BINARY)}
    of_models, of_clusters = sizes["model"] + sizes["nearest"], sizes["records"] + sizes["router"]
    if sum(sizes.values()) > LARGEST_PAYLOAD:
        why = (
            f"its fitted models take {of_models >> 20} MiB and its clusters {of_clusters >> 20} MiB, more than Spark carries "
            f"to the driver for one group ({LARGEST_PAYLOAD >> 20} MiB): run with log_from=executors, or with models=best or "
            "none"
        )
        without = group.chosen.without_clusters() if group.chosen else None
        rows = [_row(shared | {"best": None, "failure": why}, without)]
    return _frame(group.name, rows)


def _row_of_value(group: GroupResult, shared: dict[str, Any], place: int) -> dict[str, Any]:
    """Return the row of the value at `place`. What belongs to the group as a whole is in the first row."""
    result, model = dict(shared), group.models.get(place)
    if group.outcomes:
        result["outcome"] = asdict(group.outcomes[place])
    if place == 0:
        result["proposals"] = [asdict(one) for one in group.proposals]
    if model is None:
        return _row(result, group.chosen if place == 0 else None)
    result["model"] = {"kind": model.kind, "failure": model.failure}
    row = _row(result, group.chosen if place == 0 else None)
    return row | {"model": model.skops, "nearest": model.npz}


def logged_group_to_frame(group: LoggedGroup) -> pd.DataFrame:
    """Return a group that the worker has logged as one row of `SCHEMA`."""
    return _frame(group.name, [logged_group_row(group)])


def logged_group_row(group: LoggedGroup) -> dict[str, Any]:
    """Return the cells of a group's row in `SCHEMA` that `logged_groups_from_rows` reads."""
    return _row(asdict(replace(group, chosen=None)), group.chosen)


def chosen_to_frame(key: Sequence[str], chosen: ChosenClustering) -> pd.DataFrame:
    """Return the chosen clustering of the group with this key as one row of `SCHEMA`."""
    return _frame(group_name(key), [_row({}, chosen)])


def _row(result: dict[str, Any], chosen: ChosenClustering | None) -> dict[str, Any]:
    """Return the cells of a row, whose JSON is `result` and what JSON holds of the chosen clustering."""
    if chosen is None:
        return {"result": json.dumps(result | {"chosen": None})}
    table, sink = pa.Table.from_pandas(chosen.records, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    evidence = chosen.evidence.to_lists() if chosen.evidence else None
    in_json = {"profiles": chosen.profiles, "typical": chosen.typical, "evidence": evidence}
    return {
        "result": json.dumps(result | {"chosen": in_json}),
        "records": sink.getvalue().to_pybytes(),
        "router": chosen.nearest.to_bytes() if chosen.nearest else None,
    }


def _frame(group: str, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    # Lists of names: pandas would cut the null characters at the end of a scalar.
    binary = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in BINARY}
    return pd.DataFrame({"group": [group] * len(rows), "result": [row["result"] for row in rows], **binary})


@contextmanager
def _refuse_other_data() -> Iterator[None]:
    """Raise WorkError where what a worker sent is not what `SCHEMA` and this module say."""
    try:
        yield
    except Exception as error:  # data of others may raise anything, such as RecursionError, zlib.error or MemoryError
        why = f"{type(error).__name__}: {one_line(error)[:300]}"
        raise WorkError(f"A worker of Spark returned no result of a sweep: {why}") from error


def fitted_groups_from_rows(rows: Iterable[Any]) -> list[GroupResult]:
    """Return the groups that `fitted_group_to_frame` made, sorted by key; `rows` are Spark's, in any order.

    Raises WorkError where they hold anything else.
    """
    by_group: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    with _refuse_other_data():
        for row in rows:
            by_group.setdefault(row["group"], []).append((json.loads(row["result"]), row))
        return sorted(map(_fitted_group, by_group.values()), key=lambda group: key_order(group.key))


def chosen_from_rows(rows: Iterable[Any]) -> dict[str, ChosenClustering]:
    """Return the chosen clusterings in `rows`, which are Spark's, by the name of their group.

    Raises WorkError where they hold anything else.
    """
    with _refuse_other_data():
        found = [(row["group"], _chosen(json.loads(row["result"]), row)) for row in rows]
        return {name: chosen for name, chosen in found if chosen}


def _chosen(result: dict[str, Any], row: Any) -> ChosenClustering | None:
    """Return the chosen clustering in a row whose JSON is `result`, if there is one."""
    if not result.get("chosen"):
        return None
    with pa.ipc.open_stream(row["records"]) as stream:
        table = stream.read_all()
    records = table.drop_columns([CLUSTER, IS_CORE]).to_pandas(ignore_metadata=True)
    for name, kind in ((CLUSTER, pd.Int64Dtype()), (IS_CORE, pd.BooleanDtype())):
        records[name] = kind.__from_arrow__(table[name])  # type: ignore[union-attr]  # the stubs lack it
    nearest = nearest_from_bytes(row["router"]) if row["router"] else None
    evidence = result["chosen"].pop("evidence")
    found = evidence_from_lists(**evidence) if evidence else None
    return ChosenClustering(records, **result["chosen"], nearest=nearest, evidence=found)


def _fitted_group(values: list[tuple[dict[str, Any], Any]]) -> GroupResult:
    of_values = ("key", "outcome", "proposals", "chosen", "model")
    shared = {key: value for key, value in values[0][0].items() if key not in of_values}
    found = [(Outcome(**result["outcome"]), result, row) for result, row in values if "outcome" in result]
    found.sort(key=lambda one: tuple(one[0].params.values()))
    proposals = [ProposalOfGroup(**one) for result, _ in values for one in result.get("proposals", ())]
    models = {
        place: SweepModel(skops=bytes(row["model"]), npz=row["nearest"] and bytes(row["nearest"]), **result["model"])
        for place, (_, result, row) in enumerate(found)
        if row["model"] is not None
    }
    outcomes = [outcome for outcome, _, _ in found]
    chosen = next(filter(None, (_chosen(result, row) for result, row in values)), None)
    key = tuple(values[0][0]["key"])
    return GroupResult(key, outcomes=outcomes, proposals=proposals, models=models, chosen=chosen, **shared)


def logged_groups_from_rows(rows: Iterable[Any]) -> list[LoggedGroup]:
    """Return the groups that `logged_group_to_frame` made, sorted by key. Raises WorkError where `rows` hold anything else."""
    with _refuse_other_data():
        found = [(json.loads(row["result"]), row) for row in rows]
        groups = [_logged_group(**result | {"chosen": _chosen(result, row)}) for result, row in found]
        return sorted(groups, key=lambda group: key_order(group.key))


def _logged_group(key: list[str], rows: list[dict[str, Any]], **others: Any) -> LoggedGroup:
    found = [ResultRow(**row | {"key": tuple(row["key"])}) for row in rows]
    return LoggedGroup(tuple(key), rows=found, **others)
