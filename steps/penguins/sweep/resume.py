"""A sweep that continues stale ones: their complete groups move under it, and their incomplete groups are ended.

A group is complete only if its run, the runs of all its values, its table and its models are.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.cli.signals import raise_if_interrupted
from penguins.resume.recovery import FINISHED, end_stale_run
from penguins.sweep.algorithm import Algorithm
from penguins.sweep.context import SweepContext
from penguins.sweep.log_runs import SWEEP, TABLE
from penguins.sweep.results import LoggedGroup, ResultRow, parse_table
from penguins.text import format_number
from penguins.tracking.addresses import local_folder
from penguins.tracking.duplicates import delete_models
from penguins.tracking.store import child_runs, search_runs

LONGEST_PARAMETER = 6000  # MLflow cuts longer ones


@dataclass
class _GroupRuns:
    """The run of a group that a stale sweep logged, and its children."""

    run: Run
    children: list[Run] = field(default_factory=list)


def recover_groups(context: SweepContext, stale: Sequence[Run]) -> list[LoggedGroup]:
    """Move every complete group of the stale sweeps under this one, and end the incomplete groups and the sweeps."""
    client = MlflowClient(context.tracking_uri)
    recovered: dict[str, LoggedGroup] = {}
    for runs in _group_runs(context.experiment_id, {run.info.run_id for run in stale}):
        raise_if_interrupted()
        found = _complete_group(client, context, runs)
        if found and found.name not in recovered:
            client.set_tag(runs.run.info.run_id, MLFLOW_PARENT_RUN_ID, context.sweep_id)
            recovered[found.name] = found
        else:
            _end_group(client, context.experiment_id, runs)
    # This sweep logs a model of all groups itself.
    delete_models(client, context.experiment_id, [run.info.run_id for run in stale])
    for run in stale:
        end_stale_run(run)
    return list(recovered.values())


def finished_groups(sweep: Run, algorithm: Algorithm) -> list[LoggedGroup]:
    """Return the groups of a finished sweep, which stay where they are; with runs=none, they have no runs."""
    rows: dict[str, list[ResultRow]] = {}
    for row in parse_table(_table_text(sweep), algorithm):
        rows.setdefault(row.group, []).append(row)
    runs = {_group_name(run, algorithm): run.info.run_id for run in child_runs(sweep.info.run_id, sweep.info.experiment_id)}
    return [_logged_group(runs.get(name, ""), of_group) for name, of_group in rows.items() if name in runs or not runs]


def _logged_group(run_id: str, rows: Sequence[ResultRow]) -> LoggedGroup:
    return LoggedGroup(rows[0].key, run_id, rows[0].n_records, rows)


def end_late_groups(context: SweepContext, stale: Sequence[Run]) -> None:
    """End the groups that workers of a stale sweep have logged after it was claimed."""
    client = MlflowClient(context.tracking_uri)
    for runs in _group_runs(context.experiment_id, {run.info.run_id for run in stale}):
        _end_group(client, context.experiment_id, runs)


def _group_runs(experiment_id: str, stale: Collection[str]) -> Iterator[_GroupRuns]:
    """Yield the groups under the stale sweeps, whichever sweep logged them."""
    groups: dict[str, _GroupRuns] = {}
    children = defaultdict[str, list[Run]](list)
    for sweep_id in sorted(stale):
        for run in search_runs(experiment_id, f"tags.{SWEEP} = '{sweep_id}'"):
            parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID, "")
            if parent in stale:
                groups[run.info.run_id] = _GroupRuns(run)
            else:
                children[parent].append(run)
    for run_id, runs in groups.items():
        runs.children = children[run_id]
        yield runs


def _complete_group(client: MlflowClient, context: SweepContext, runs: _GroupRuns) -> LoggedGroup | None:
    """Return the group as it was logged if all of it is there, else None."""
    run, settings = runs.run, context.settings
    if run.info.status != FINISHED or "group" not in run.data.params:
        return None
    try:
        rows = parse_table(_table_text(run), settings.of_algorithm)
    except (MlflowException, OSError, ValueError):
        return None
    found = [row.params for row in rows]
    if settings.values is not None and found != settings.values:
        return None
    fixed = settings.of_algorithm.fixed
    if {tuple(params[name] for name in fixed) for params in found} != {tuple(one.values()) for one in settings.fixed_values}:
        return None
    if settings.has_child_runs:
        finished = [child.data.params for child in runs.children if child.info.status == FINISHED]
        wanted = [tuple(map(format_number, params.values())) for params in found]
        if Counter(tuple(of_child.get(name) for name in found[0]) for of_child in finished) != Counter(wanted):
            return None
    best = next((position for position, row in enumerate(rows) if row.best), None)
    to_log = settings.models_to_log(found, rows[0].n_records, best)
    if {position for position, row in enumerate(rows) if row.model_path} != to_log:
        return None
    group = _logged_group(run.info.run_id, rows)
    if not all(_is_complete_model(client, row.model_path) for row in rows if row.model_path):
        return None
    return group


def _group_name(run: Run, algorithm: Algorithm) -> str:
    """Return the group of a run; from its table where the parameter may not hold the name as it is."""
    name = run.data.params.get("group", "")
    is_changed = len(name) >= LONGEST_PARAMETER or "␀" in name
    return parse_table(_table_text(run), algorithm)[0].group if is_changed else name


def _table_text(run: Run) -> str:
    uri = f"{run.info.artifact_uri}/{TABLE}"
    with TemporaryDirectory() as folder:
        path = local_folder(uri) or mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        with open(path, encoding="utf-8", newline="") as file:  # a group's name may hold a carriage return
            return file.read()


def _is_complete_model(client: MlflowClient, uri: str) -> bool:
    """Tell whether the model is ready and its files have the total size that its MLmodel states."""
    try:
        model = client.get_logged_model(uri.removeprefix("models:/"))
        if model.status != LoggedModelStatus.READY:
            return False
        files = client.list_logged_model_artifacts(model.model_id)
        sizes = {file.path.rsplit("/")[-1]: file.file_size or 0 for file in files}
        description = Model.load(local_folder(model.artifact_location) or uri)
    except (MlflowException, OSError):
        return False
    # MLflow writes the second file where it has loaded the model.
    others = sum(sizes.get(name, 0) for name in (MLMODEL_FILE_NAME, REGISTERED_MODEL_META_FILE_NAME))
    return bool(sum(sizes.values()) - others == description.model_size_bytes)


def _end_group(client: MlflowClient, experiment_id: str, runs: _GroupRuns) -> None:
    """End the runs of an incomplete group as KILLED, except those that FAILED, and delete its models: it is made anew."""
    everything = [*runs.children, runs.run]
    delete_models(client, experiment_id, [run.info.run_id for run in everything])
    for run in everything:
        if run.info.status in ("RUNNING", "SCHEDULED", FINISHED):
            client.set_terminated(run.info.run_id, "KILLED")


def delete_duplicates(context: SweepContext, accepted: Collection[str]) -> None:
    """Delete the runs of groups that are not `accepted` (their runs' ids), runs without an end, and unfinished models.

    They come from a worker's task that Spark repeated, or from a request that was repeated because its answer was lost.
    """
    client = MlflowClient(context.tracking_uri)
    duplicates, others = list[str](), list[str]()
    for run in search_runs(context.experiment_id, f"tags.{SWEEP} = '{context.sweep_id}'"):
        parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID)
        group = run.info.run_id if parent == context.sweep_id else parent
        is_duplicate = group not in accepted or run.info.status == "RUNNING"
        (duplicates if is_duplicate else others).append(run.info.run_id)
    delete_models(client, context.experiment_id, duplicates)
    for run_id in duplicates:
        client.delete_run(run_id)
    delete_models(client, context.experiment_id, others, LoggedModelStatus.PENDING)
