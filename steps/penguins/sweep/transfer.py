"""Results on their way from a Spark worker to the driver: dataclasses as JSON, models and chosen clusterings as bytes.

A row of Spark holds one value of a group, so that it carries one model at most. The first one carries the chosen clustering.
"""

import json
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from penguins.sweep.chosen import ChosenClustering
from penguins.sweep.fit import GroupResult, Outcome, ProposalOfGroup, SweepModel, group_name
from penguins.sweep.nearest import NearestRecords
from penguins.sweep.results import LoggedGroup, ResultRow, key_order

SCHEMA = "group string, result string, model binary, chosen binary"
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
    }
    shared |= {"example": list(group.example), "median_distance": group.median_distance, "digest": group.digest}
    results = [json.dumps(shared | {"outcome": asdict(outcome)}) for outcome in group.outcomes]
    if results and group.proposals:  # once is enough
        results[0] = json.dumps(json.loads(results[0]) | {"proposals": [asdict(one) for one in group.proposals]})
    fitted = [group.models.get(position) for position in range(len(group.outcomes))]
    models = [None if model is None else _model_to_bytes(model) for model in fitted]
    chosen = group.chosen.to_bytes() if group.chosen else None
    of_models, of_clusters = sum(len(model) for model in models if model), len(chosen or b"")
    if sum(map(len, results)) + of_models + of_clusters > LARGEST_PAYLOAD:
        why = (
            f"its fitted models take {of_models >> 20} MiB and its clusters {of_clusters >> 20} MiB, more than Spark carries "
            f"to the driver for one group ({LARGEST_PAYLOAD >> 20} MiB): run with log_from=executors, or with models=best or "
            "none"
        )
        records = group.chosen.without_clusters().to_bytes() if group.chosen else None
        return _frame(group.name, [json.dumps(shared | {"best": None, "failure": why})], [None], records)
    return _frame(group.name, results or [json.dumps(shared)], models or [None], chosen)


def _model_to_bytes(model: SweepModel) -> bytes:
    """Pickle a model as objects of scikit-learn and NumPy alone: pickle cannot name a class that was shipped to a worker."""
    return pickle.dumps((model.pipeline, model.nearest and vars(model.nearest)))


def _model_from_bytes(pickled: bytes) -> SweepModel:
    pipeline, nearest = pickle.loads(pickled)  # noqa: S301  # our workers'
    return SweepModel(pipeline, NearestRecords(**nearest) if nearest else None)


def logged_group_to_frame(group: LoggedGroup) -> pd.DataFrame:
    """Return a group that the worker has logged as one row of `SCHEMA`."""
    result = json.dumps(asdict(replace(group, chosen=None)))
    return _frame(group.name, [result], [None], group.chosen.to_bytes() if group.chosen else None)


def chosen_to_frame(key: Sequence[str], chosen: ChosenClustering) -> pd.DataFrame:
    """Return the chosen clustering of the group with this key as one row of `SCHEMA`."""
    return _frame(group_name(key), ["{}"], [None], chosen.to_bytes())


def _frame(group: str, results: list[str], models: list[bytes | None], chosen: bytes | None = None) -> pd.DataFrame:
    # A list of names: pandas would cut the null characters at the end of a scalar.
    binary = {"model": models, "chosen": [chosen, *[None] * (len(results) - 1)]}
    columns = {name: pd.Series(values, dtype=object) for name, values in binary.items()}
    return pd.DataFrame({"group": [group] * len(results), "result": results, **columns})


def fitted_groups_from_rows(rows: Iterable[Any]) -> list[GroupResult]:
    """Return the groups that `fitted_group_to_frame` made, sorted by key; `rows` are Spark's, in any order."""
    rows = list(rows)
    chosen = chosen_from_rows(rows)
    by_group: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    for row in rows:
        by_group.setdefault(row["group"], []).append((json.loads(row["result"]), row["model"]))
    groups = [_fitted_group(values, chosen.get(name)) for name, values in by_group.items()]
    return sorted(groups, key=lambda group: key_order(group.key))


def chosen_from_rows(rows: Iterable[Any]) -> dict[str, ChosenClustering]:
    """Return the chosen clusterings in `rows`, which are Spark's, by the name of their group."""
    return {row["group"]: ChosenClustering.from_bytes(row["chosen"]) for row in rows if row["chosen"] is not None}


def _fitted_group(values: list[tuple[dict[str, Any], Any]], chosen: ChosenClustering | None) -> GroupResult:
    shared = {key: value for key, value in values[0][0].items() if key not in ("key", "outcome", "proposals")}
    found = [(Outcome(**result["outcome"]), model) for result, model in values if "outcome" in result]
    found.sort(key=lambda pair: tuple(pair[0].params.values()))
    proposals = [ProposalOfGroup(**one) for result, _ in values for one in result.get("proposals", ())]
    models = {position: _model_from_bytes(model) for position, (_, model) in enumerate(found) if model is not None}
    outcomes = [outcome for outcome, _ in found]
    key = tuple(values[0][0]["key"])
    return GroupResult(key, outcomes=outcomes, proposals=proposals, models=models, chosen=chosen, **shared)


def logged_groups_from_rows(rows: Iterable[Any]) -> list[LoggedGroup]:
    """Return the groups that `logged_group_to_frame` made, sorted by key."""
    rows = list(rows)
    chosen = chosen_from_rows(rows)
    groups = [_logged_group(**json.loads(row["result"]) | {"chosen": chosen.get(row["group"])}) for row in rows]
    return sorted(groups, key=lambda group: key_order(group.key))


def _logged_group(key: list[str], rows: list[dict[str, Any]], **others: Any) -> LoggedGroup:
    found = [ResultRow(**row | {"key": tuple(row["key"])}) for row in rows]
    return LoggedGroup(tuple(key), rows=found, **others)
