"""The sweep: for each group of the data, DBSCAN over a list of eps values, since each group wants its own.

Asks of the table a column of groups (`group_by`) and columns of numbers (`features`). Spark clusters group by group, each in
its own scaled space. Logs a run for each group and under it one for each eps, with the indices and the fitted model; on the
sweep's own run the table of all results (`results.csv`, `results.json`) and the picture of the indices (`metrics_by_eps.png`).
"""

import sys
from dataclasses import dataclass, replace

from common import options, spark

NAME = "dbscan_sweep"


@dataclass(frozen=True)
class Parameters:
    """DBSCAN over a list of eps values, for each group of the data."""

    data: str = options.data()
    group_by: str = options.parameter("island", options.COLUMN, "the column of groups")
    features: tuple[str, ...] = options.parameter(
        "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g",
        options.COLUMNS,
        "the columns of numbers to cluster by",
    )
    eps: tuple[float, ...] = options.eps()
    min_samples: int = options.min_samples()
    select_by: str = options.parameter(
        "s-dbw",
        options.Choice(("s-dbw", "davies-bouldin", "silhouette", "calinski-harabasz")),
        "index that chooses a group's best eps: s-dbw and davies-bouldin the lowest, the others the highest",
    )
    min_coverage: float = options.parameter(
        "0.5",
        options.Real(0, 1, closed=True),
        "least share of a group's records that the best eps must keep, in [0, 1]",
    )
    runs: str = options.parameter("all", options.Choice(("all", "groups")), "all, or groups: no run for each eps")
    models: str = options.parameter("all", options.Choice(("all", "best", "none")), "which models to log: all, best or none")
    log_from: str = options.parameter(
        "driver",
        options.Choice(("driver", "executors")),
        "where runs are logged: driver, or executors (inside the workers)",
    )
    resume: bool = options.resume()
    seed: int = options.seed()
    spark: str = options.spark()
    experiment: str = options.experiment()


if __name__ == "__main__":
    spark.begin(options.check(NAME, Parameters).spark)

import pickle
import tempfile
from collections.abc import Collection, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.databricks_utils import is_in_databricks_serverless_runtime
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import clustering
import common
from clustering import ledger, metrics, resume, sweep
from clustering.ledger import COLUMNS, Logged, Place, Row
from clustering.sweep import Group
from common import (
    connections,
    credentials,
    dataset,
    plots,
    processes,
    spark_groups,
    spark_table,
    takeover,
    tracking,
    work,
)

GROUP, ORDER, PAYLOAD = "group", "order", "payload"
LONGEST_TABLE = 200
# Groups whose results are collected together, each slice at the cost of one look at the table; and groups logged at the same
# time to a server.
FEWEST_GROUPS_IN_SLICE, MOST_SLICES = 32, 64
GROUPS_IN_FLIGHT = 2
# What may travel for one group, and about what for a slice: the driver's JVM has 1 GiB by default, and no result may be larger.
LARGEST_PAYLOAD = 256 << 20
SLICE_PAYLOAD = 128 << 20
BYTES_PER_NUMBER, BYTES_OF_OUTCOME = 8, 1_000
PANELS = {
    metrics.SILHOUETTE: "silhouette (highest is best)",
    metrics.CALINSKI_HARABASZ: "Calinski-Harabasz (highest is best)",
    metrics.DAVIES_BOULDIN: "Davies-Bouldin (lowest is best)",
    metrics.S_DBW: "S_Dbw (lowest is best)",
    metrics.N_CLUSTERS: "clusters",
    metrics.N_CLUSTERED_RECORDS: "records in clusters",
}

Received = dict[str, list[tuple[Any, ...]]]


def cluster(records: pd.DataFrame, parameters: Parameters) -> Group:
    """Clusters one group of the frame that `by_group` makes, or says why it cannot be clustered."""
    name = str(records[GROUP].iloc[0])
    ordered = records.sort_values(ORDER) if ORDER in records else records.sort_values(list(records.columns))
    X = pd.DataFrame({feature: ordered[f"feature_{i}"] for i, feature in enumerate(parameters.features)})
    try:
        found = sweep.sweep(X, parameters.eps, parameters.min_samples, parameters.seed)
    except Exception as error:  # noqa: BLE001  # whatever it is, it fails this group and takes no other along
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        return Group(name, len(X), [], None, failure=kind + options.one_line(error))
    best = sweep.best(found.outcomes, len(X), parameters.select_by, parameters.min_coverage)
    best_eps = best.eps if best else None
    models = parameters.models if parameters.runs == "all" else "none"
    fitted = {
        outcome.eps: found.model(index)
        for index, outcome in enumerate(found.outcomes)
        if models == "all" or (models == "best" and outcome.eps == best_eps)
    }
    return Group(name, len(X), found.outcomes, best_eps, models=fitted)


def cluster_in_worker(records: pd.DataFrame, parameters: Parameters) -> pd.DataFrame:
    """A group's outcomes for the driver to log: a row for each eps, so that no row has to carry more than one model."""
    processes.give_way()
    group = cluster(records, parameters)
    payloads: list[tuple[Any, ...]] = [
        (group.n_records, group.best_eps, "", (o.eps, o.metrics, o.reason, o.estimated), group.models.get(o.eps))
        for o in group.outcomes
    ]
    return _sent(group, payloads or [(group.n_records, None, group.failure, None, None)])


def log_in_worker(records: pd.DataFrame, parameters: Parameters, place: Place) -> pd.DataFrame:
    """Logs a group's runs from within the worker; only the rows of the table and the best eps go to the driver."""
    tracking.quiet()
    connections.acknowledge_at_once()
    mlflow.set_tracking_uri(place.tracking_uri)
    group = cluster(records, parameters)
    with credentials.showing(place.credentials):
        try:
            logged, failure = ledger.record(place, group), ""
        except ledger.GroupError as error:
            logged, failure = error.logged, str(error)
    return _sent(group, [(group.n_records, group.best_eps, failure, logged.run_id, logged.rows)])


def _sent(group: Group, payloads: list[tuple[Any, ...]]) -> pd.DataFrame:
    # Plain pickle and plain types: the worker cannot import this project's modules, and the driver needs no more.
    pickled = [pickle.dumps(payload) for payload in payloads]
    size = sum(map(len, pickled))
    if size > LARGEST_PAYLOAD:
        why = (
            f"its fitted models take {size >> 20} MiB, more than Spark carries to the driver for one group "
            f"({LARGEST_PAYLOAD >> 20} MiB): run with log_from=executors, or with models=best or none"
        )
        pickled = [pickle.dumps((group.n_records, None, why, None, None))]
    # A list of names: of a single one, pandas would cut the null characters at its end.
    return pd.DataFrame({GROUP: [group.name] * len(pickled), PAYLOAD: pickled})


def by_group(table: spark_table.SparkTable, parameters: Parameters) -> DataFrame:
    """The table under names that Spark cannot misread: `group`, `feature_0` …, and `order` where the rows have one."""
    chosen = [F.col(spark_table.column(parameters.group_by)).alias(GROUP)]
    chosen += [F.col(spark_table.column(name)).alias(f"feature_{i}") for i, name in enumerate(parameters.features)]
    if table.order:
        chosen.append(F.col(spark_table.column(table.order)).alias(ORDER))
    return table.frame.select(*chosen)


def slices(n_groups: int, records: int, parameters: Parameters, at_once: int) -> int:
    """In how many slices to collect `n_groups` with some `records` each.

    `at_once` or more groups in each slice, but no more models than the driver can take.
    """
    models = {"all": len(parameters.eps), "best": 1, "none": 0}[parameters.models]
    if parameters.runs == "groups" or parameters.log_from == "executors":
        models = 0
    of_record = BYTES_PER_NUMBER * (2 + len(parameters.features))  # its label, its index, and itself, where it is a core
    of_group = len(parameters.eps) * BYTES_OF_OUTCOME + models * of_record * records
    in_slice = max(FEWEST_GROUPS_IN_SLICE, at_once, n_groups // MOST_SLICES)
    return -(-n_groups // max(1, min(in_slice, SLICE_PAYLOAD // of_group)))


def without(frame: DataFrame, groups: Collection[str]) -> DataFrame:
    """The frame without the records of these groups."""
    if not groups:
        return frame
    names = frame.sparkSession.createDataFrame([(name,) for name in sorted(groups)], f"{GROUP} string")
    return frame.join(F.broadcast(names), GROUP, "left_anti")


def run_in_spark(frame: DataFrame, n_slices: int, parameters: Parameters, place: Place) -> Generator[Received, None, None]:
    """What the workers send back, by group, some groups at a time. Raises WorkError where Spark fails."""
    if parameters.log_from == "executors":
        place = replace(place, credentials=credentials.of_this_process())
        work_on = partial(log_in_worker, parameters=parameters, place=place)
    else:
        work_on = partial(cluster_in_worker, parameters=parameters)

    def in_worker(records: pd.DataFrame) -> pd.DataFrame:
        return work_on(records)

    schema, modules = f"{GROUP} string, {PAYLOAD} binary", [common, clustering, sys.modules[__name__]]
    with closing(
        spark_groups.results(frame, GROUP, in_worker, schema, n_slices, f"sweep-{place.sweep_id}", modules)
    ) as batches:
        for rows in batches:
            yield _received(rows)


def _received(rows: list[Any]) -> Received:
    received: Received = {}
    for name, payload in rows:
        received.setdefault(name, []).append(pickle.loads(payload))  # noqa: S301  # from this sweep's own workers
    return {name: received[name] for name in sorted(received, key=sorting_key)}


def sorting_key(name: str) -> tuple[int, float, str]:
    """Groups that are numbers in the order of numbers, then the others in the order of the alphabet."""
    return (0, float(name), name) if options.REAL.fullmatch(name) else (1, 0.0, name)


def record(batches: Iterator[Received], n_groups: int, parameters: Parameters, place: Place, recorded: "Recorded") -> None:
    """Logs every group's runs as they come, or takes note of those that workers have logged, and gathers the table."""
    groups_at_once = GROUPS_IN_FLIGHT if place.in_flight > 1 else 1
    with tracking.progress(n_groups, "sweep") as bar:
        for received in batches:
            if parameters.log_from == "executors":
                for name, payloads in received.items():
                    note_logged_by_worker(name, payloads, recorded)
                    bar.update()
            elif groups_at_once == 1:
                for name, payloads in received.items():
                    log_on_driver(name, payloads, recorded, place)
                    bar.update()
            else:
                log = partial(log_on_driver, recorded=recorded, place=place)
                with ThreadPoolExecutor(groups_at_once) as pool:
                    for _ in pool.map(log, received, received.values()):
                        bar.update()


def log_on_driver(name: str, payloads: list[tuple[Any, ...]], recorded: "Recorded", place: Place) -> None:
    """Logs one group's runs; one that could not be computed takes no other along.

    Raises WorkError where the store does not take them.
    """
    n_records, best_eps, failure, *_ = payloads[0]
    found = [(sweep.Outcome(*outcome), model) for *_, outcome, model in payloads if outcome is not None]
    found.sort(key=lambda pair: pair[0].eps)
    models = {outcome.eps: model for outcome, model in found if model is not None}
    group = Group(name, n_records, [outcome for outcome, _ in found], best_eps, failure, models)
    try:
        recorded.add(name, best_eps, ledger.record(place, group))
    except ledger.GroupError as error:
        recorded.fail(name, best_eps, error.logged, str(error))
    except (MlflowException, OSError) as error:
        raise options.WorkError(
            f"The runs of {options.quoted(name)} could not be logged: {tracking.reason(error)[: options.LONGEST_REASON]}. "
            "What was logged before is kept: the same command with -P resume=true does the rest."
        ) from error


def note_logged_by_worker(name: str, payloads: list[tuple[Any, ...]], recorded: "Recorded") -> None:
    """Takes note of a group that a worker has logged."""
    (_, best_eps, failure, run_id, rows), *_ = payloads
    if failure:
        recorded.fail(name, best_eps, Logged(run_id, rows), failure)
    else:
        recorded.add(name, best_eps, Logged(run_id, rows))


class Recorded:
    """What the sweep has so far: the rows of its table, each group's best eps, and the groups that failed."""

    def __init__(self, eps_values: Sequence[float]) -> None:
        self.eps_values = eps_values
        self.rows: list[Row] = []
        self.best: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        self.run_ids: set[str] = set()

    @property
    def groups(self) -> set[str]:
        return {row[0] for row in self.rows}

    @property
    def n_groups(self) -> int:
        return len(self.rows) // len(self.eps_values)

    def add(self, group: str, best_eps: float | None, logged: Logged) -> None:
        self.rows += logged.rows
        self.run_ids.add(logged.run_id)
        if best_eps is not None:
            self.best[group] = best_eps

    def fail(self, group: str, best_eps: float | None, logged: Logged, why: str) -> None:
        rows = logged.rows or ledger.rows_of_failure(group, self.eps_values, why)
        self.add(group, best_eps, Logged(logged.run_id, rows))
        self.failures[group] = why

    def table(self, group_by: str) -> pd.DataFrame:
        """A row for each group and eps, sorted by both."""
        counts = {metrics.N_CLUSTERS: "Int64", metrics.N_CLUSTERED_RECORDS: "Int64"}
        rows = sorted(self.rows, key=lambda row: (sorting_key(row[0]), row[1]))
        frame = pd.DataFrame(rows, columns=[GROUP, *COLUMNS]).astype(counts | dict.fromkeys(metrics.INDICES, "float64"))
        return frame.rename(columns={GROUP: group_by})


def take_up(place: Place, parameters: Parameters, table: spark_table.SparkTable, recorded: Recorded) -> list[Run]:
    """Says on the run what its work is and, to resume it, adds what dead sweeps have finished of it to `recorded`.

    Returns the dead sweeps, which this one has taken over.
    """
    this = work.of(NAME, parameters, table.digest)
    if not parameters.resume:
        tracking.log_work(this)
        return []
    dead = takeover.dead_runs(place.experiment_id, this, place.sweep_id)
    whole = resume.take_over(place, dead, resume.Wanted(parameters.eps, parameters.models))
    for name, group in whole.items():
        recorded.add(name, group.best_eps, group.logged)
    takeover.close_those_that_only_began(place.experiment_id, this, place.sweep_id, parameters)
    if dead:
        ids = ", ".join(run.info.run_id for run in dead)
        options.say(f"resume: {len(whole)} of {table.n_names} groups are taken over, finished, from {ids}")
    else:
        options.say(f"resume: starts afresh: {takeover.why_afresh(place.experiment_id, this)}")
    return dead


def tidy(place: Place, parameters: Parameters, dead: Sequence[Run], recorded: Recorded) -> None:
    """Leaves one run for each group and eps, whatever was repeated by workers or on the way to a server."""
    if place.in_flight > 1 or parameters.log_from == "executors":
        resume.drop_strays(place, recorded.run_ids)
    resume.put_away_latecomers(place, dead)


def log_results(table: pd.DataFrame, recorded: Recorded, group_by: str) -> None:
    """Logs the table as a file and as MLflow's own, and the picture of the indices."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "results.csv")
        table.to_csv(path, index=False, lineterminator=ledger.line_end([group_by, *recorded.groups]))
        mlflow.log_artifact(str(path))
    mlflow.log_table(table, "results.json")
    tracking.log_figure(plots.metrics_by_eps(table, group_by, PANELS, recorded.best), "metrics_by_eps.png")


def print_results(run: Run, table: pd.DataFrame, recorded: Recorded, group_by: str) -> None:
    """Prints the table, if it is one to be read, the best eps of each group and the run."""
    shown = table.drop(columns="model_path")
    best = shown[shown["eps"] == shown[group_by].map(recorded.best)]
    lines = [_as_text(shown), ""] if len(shown) <= LONGEST_TABLE else []
    lines += [f"best eps of {len(best)} of {shown[group_by].nunique()} groups:"]
    lines += [_as_text(best.drop(columns="reason").head(LONGEST_TABLE))] if len(best) else []
    options.say(*lines, f"run: {run.info.run_id}")


def _as_text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format="{:.4g}".format, na_rep="")


def require_shared_store(parameters: Parameters, session: SparkSession) -> None:
    """Raises InputError where workers are to log to a store that they cannot reach."""
    uri = tracking.absolute_uri()
    if parameters.log_from == "driver":
        return
    if is_in_databricks_serverless_runtime():
        raise options.InputError(
            "The 'log_from' parameter must be driver on serverless compute, whose workers reach no network. "
            "Got 'executors' instead."
        )
    if tracking.is_server(uri):
        return
    master = session.conf.get("spark.master", "") if parameters.spark == "active" else parameters.spark
    if not str(master).startswith(("local", "connect-local")):
        raise options.InputError(
            f"The 'log_from' parameter must be driver where the workers cannot reach the tracking store. Got 'executors' with "
            f"Spark at {options.quoted(master)} and the store {options.quoted(uri)}, a file of this machine: set "
            "MLFLOW_TRACKING_URI to a tracking server's."
        )


def show_again(done: Run, parameters: Parameters) -> None:
    """Prints what a finished sweep has found."""
    options.say(f"resume: the run {done.info.run_id} has finished this work: nothing is left to do")
    recorded = Recorded(parameters.eps)
    for name, group in resume.groups_of(done).items():
        recorded.add(name, group.best_eps, group.logged)
    print_results(done, recorded.table(parameters.group_by), recorded, parameters.group_by)


def cluster_and_log(run: Run, table: spark_table.SparkTable, parameters: Parameters, at_once: int) -> None:
    """Clusters every group, some `at_once`, that no sweep which is resumed has finished; logs the runs and the results.

    Raises WorkError where a group failed, once the others are complete.
    """
    place = ledger.place(run.info.run_id, parameters.group_by, parameters.min_samples, children=parameters.runs == "all")
    recorded = Recorded(parameters.eps)
    dead = take_up(place, parameters, table, recorded)
    if n_left := table.n_names - recorded.n_groups:
        n_slices = slices(n_left, table.rows // table.n_names, parameters, at_once)
        left = without(by_group(table, parameters), recorded.groups)
        with closing(run_in_spark(left, n_slices, parameters, place)) as batches:
            record(batches, n_left, parameters, place, recorded)
    tidy(place, parameters, dead, recorded)

    mlflow.log_metrics({"n_groups": recorded.n_groups, "groups_with_best_eps": len(recorded.best)})
    results = recorded.table(parameters.group_by)
    log_results(results, recorded, parameters.group_by)
    print_results(run, results, recorded, parameters.group_by)
    if recorded.failures:
        name, why = next(iter(recorded.failures.items()))
        raise options.WorkError(
            f"{len(recorded.failures)} of {recorded.n_groups} groups failed, {options.quoted(name)} for one: {why}. "
            "Their runs and rows say why; the other groups are complete."
        )


def main(parameters: Parameters) -> None:
    """Clusters, chooses and logs in an MLflow run."""
    group_by, features = parameters.group_by, parameters.features
    with tracking.step_run(NAME, parameters) as run, ledger.closed_at_the_end(run), ExitStack() as stack:
        columns = dataset.used(features=features, group_by=group_by)
        dataset.require_other_names({group_by: "group_by"}, COLUMNS)
        session = stack.enter_context(spark.session(parameters.spark))
        require_shared_store(parameters, session)
        table = spark_table.load(session, parameters.data, columns, group_by, ordered=True)
        spark_table.require_numbers(table, "features", features)
        this = work.of(NAME, parameters, table.digest)
        done = takeover.finished(run.info.experiment_id, this) if parameters.resume else None
        if done:
            takeover.close_those_that_only_began(run.info.experiment_id, this, run.info.run_id, parameters)
            show_again(done, parameters)
        else:
            cluster_and_log(run, table, parameters, spark.tasks_at_once(session))
    if done:
        takeover.discard(run)


if __name__ == "__main__":
    options.script(NAME, main, Parameters)
