"""A sweep that takes up another one: what the dead one finished becomes its own, and what it left half done is put away.

A group counts as finished only if its run, its runs of all eps, its table and its models are whole.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from clustering.ledger import SWEEP, TABLE, Logged, Place, Row, local_folder, table_rows
from common import takeover, tracking
from common.options import shortest

MODELS_IN_QUERY = 100
FINISHED = "FINISHED"
LONGEST_PARAMETER = 6000  # where MLflow cuts one


@dataclass(frozen=True)
class Wanted:
    """What a group must have to be whole: a row for each of `eps`, and the models that `models` asks for (all, best, none)."""

    eps: Sequence[float]
    models: str


@dataclass(frozen=True)
class Whole:
    """A finished group: what was logged of it, and its best eps."""

    logged: Logged
    best_eps: float | None


@dataclass
class _Remains:
    """A group of a dead sweep: its run, and the runs of its eps."""

    run: Run
    children: list[Run] = field(default_factory=list)


def take_over(place: Place, dead: Sequence[Run], wanted: Wanted) -> dict[str, Whole]:
    """Moves every whole group of the dead sweeps under this one, and puts away what they left half done."""
    client = tracking.client(place.tracking_uri)
    whole: dict[str, Whole] = {}
    for remains in _remains(place.experiment_id, {run.info.run_id for run in dead}):
        found = _whole(client, place, remains, wanted)
        name = found.logged.rows[0][0] if found else ""  # the table has it whole
        if found and name not in whole:
            client.set_tag(remains.run.info.run_id, MLFLOW_PARENT_RUN_ID, place.sweep_id)
            whole[name] = found
        else:
            _put_away(client, place.experiment_id, remains)
    for run in dead:
        takeover.close(run)
    return whole


def groups_of(done: Run) -> dict[str, Whole]:
    """What a finished sweep has logged of its groups, which stay where they are."""
    rows: dict[str, list[Row]] = {}
    for row in table_rows(_table(done)):
        rows.setdefault(row[0], []).append(row)
    best = {_name(run): run for run in tracking.children(done.info.run_id, done.info.experiment_id)}
    return {
        name: Whole(Logged(best[name].info.run_id, of_group), best[name].data.metrics.get("best_eps"))
        for name, of_group in rows.items()
        if name in best
    }


def put_away_latecomers(place: Place, dead: Sequence[Run]) -> None:
    """Puts away what workers of a dead sweep have logged after it was taken over."""
    client = tracking.client(place.tracking_uri)
    for remains in _remains(place.experiment_id, {run.info.run_id for run in dead}):
        _put_away(client, place.experiment_id, remains)


def _remains(experiment_id: str, dead: Collection[str]) -> Iterator[_Remains]:
    """The groups under the dead sweeps, whichever sweep logged them."""
    groups: dict[str, _Remains] = {}
    children = defaultdict[str, list[Run]](list)
    for sweep in sorted(dead):
        for run in tracking.search(experiment_id, f"tags.{SWEEP} = '{sweep}'"):
            parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID, "")
            if parent in dead:
                groups[run.info.run_id] = _Remains(run)
            else:
                children[parent].append(run)
    for run_id, remains in groups.items():
        remains.children = children[run_id]
        yield remains


def _whole(client: MlflowClient, place: Place, remains: _Remains, wanted: Wanted) -> Whole | None:
    """The group as it was logged, if all of it is there."""
    run = remains.run
    name, best_eps = run.data.params.get("group"), run.data.metrics.get("best_eps")
    if run.info.status != FINISHED or name is None:
        return None
    try:
        rows = table_rows(_table(run))
    except (MlflowException, OSError, ValueError):
        return None
    if [row[1] for row in rows] != sorted(wanted.eps):
        return None
    if place.children:
        done = [child.data.params.get("eps") for child in remains.children if child.info.status == FINISHED]
        if sorted(map(str, done)) != sorted(map(shortest, wanted.eps)):
            return None
    models = wanted.models if place.children else "none"
    asked = {"all": set(wanted.eps), "best": {best_eps} - {None}, "none": set[float]()}
    if {row[1] for row in rows if row[-2]} != asked[models]:
        return None
    if not all(_model_is_whole(client, row[-2]) for row in rows if row[-2]):
        return None
    return Whole(Logged(run.info.run_id, rows), best_eps)


def _name(run: Run) -> str:
    """The group of a run; from its table, if the parameter may not hold it as it is."""
    name = run.data.params.get("group", "")
    changed = len(name) >= LONGEST_PARAMETER or name != name.replace("␀", "")
    return str(table_rows(_table(run))[0][0]) if changed else name


def _table(run: Run) -> str:
    if here := local_folder(run.info.artifact_uri):
        with open(f"{here}/{TABLE}", encoding="utf-8", newline="") as file:
            return file.read()
    return str(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{TABLE}"))


def _model_is_whole(client: MlflowClient, uri: str) -> bool:
    """Whether the model is ready, and its files are all there and as long as they were."""
    try:
        model = client.get_logged_model(uri.removeprefix("models:/"))
        if model.status != LoggedModelStatus.READY:
            return False
        sizes = {file.path.rsplit("/")[-1]: file.file_size or 0 for file in client.list_logged_model_artifacts(model.model_id)}
        described = Model.load(local_folder(model.artifact_location) or uri)
    except (MlflowException, OSError):
        return False
    return bool(sum(sizes.values()) - sizes.get(MLMODEL_FILE_NAME, 0) == described.model_size_bytes)


def _put_away(client: MlflowClient, experiment_id: str, remains: _Remains) -> None:
    """Ends what a dead sweep left of a group as KILLED, but what has FAILED, and deletes its models: they are made anew."""
    runs = [*remains.children, remains.run]
    delete_models(client, experiment_id, [run.info.run_id for run in runs])
    for run in runs:
        if run.info.status in ("RUNNING", "SCHEDULED", FINISHED):
            client.set_terminated(run.info.run_id, "KILLED")


def drop_strays(place: Place, accepted: Collection[str]) -> None:
    """Deletes what is in the sweep twice: the runs of groups that are not `accepted`, runs without end, unfinished models.

    A worker's task that was repeated leaves such runs, and so does a request that was repeated since its answer was lost.
    """
    client = tracking.client(place.tracking_uri)
    strays, kept = list[str](), list[str]()
    for run in tracking.search(place.experiment_id, f"tags.{SWEEP} = '{place.sweep_id}'"):
        parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
        group = run.info.run_id if parent == place.sweep_id else parent
        (strays if group not in accepted or run.info.status == "RUNNING" else kept).append(run.info.run_id)
    delete_models(client, place.experiment_id, strays)
    for run_id in strays:
        client.delete_run(run_id)
    delete_models(client, place.experiment_id, kept, LoggedModelStatus.PENDING)


def delete_models(
    client: MlflowClient, experiment_id: str, run_ids: Sequence[str], status: LoggedModelStatus | None = None
) -> None:
    """Deletes the models that these runs logged, or those of them that have this status."""
    for start in range(0, len(run_ids), MODELS_IN_QUERY):
        chosen = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + MODELS_IN_QUERY])
        for model in logged_models(client, experiment_id, f"source_run_id IN ({chosen})"):
            if status and model.status != status:
                continue
            client.delete_logged_model(model.model_id)


def logged_models(client: MlflowClient, experiment_id: str, where: str) -> list[LoggedModel]:
    """The models of an experiment that a filter of MLflow's chooses."""
    found, token = list[LoggedModel](), None
    while token != "":
        page = client.search_logged_models([experiment_id], where, max_results=MODELS_IN_QUERY, page_token=token)
        found += page
        token = page.token or ""
    return found
