"""Kill a sweep again and again at random moments, resume it until it ends, and count what was lost, doubled or left open.

Each round has a store of its own, an SQLite file or, with `--server`, a tracking server. A sweep is begun there and killed,
then resumed with `resume=true` and killed again, until one reaches its end or has been killed often enough. Then its tree and
its table are compared with those of a sweep that nobody disturbed.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import comparison
import mlflow
from comparison import PROJECT
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.resume.recovery import FINISHED_BY, GRACE
from penguins.sweep.log_runs import SWEEP, TABLE
from penguins.tracking.duplicates import logged_models
from penguins.tracking.store import search_runs

STEP = PROJECT / "steps" / "dbscan_sweep.py"
EXPERIMENT = "penguins"
KILLS_IN_ROUND = 4
# A sweep that resumes comes later to the runs that only began.
BEGINNING_GRACE_S = "1"
# Columns of the table that differ from one sweep to the next.
IDS = ("model_path",)

Rows = list[dict[str, Any]]


@dataclass
class Count:
    """The harm that the kills did."""

    kills: int = 0
    resumes: int = 0
    lost: int = 0
    doubled: int = 0
    left_running: int = 0
    remade: int = 0
    remarks: list[str] = field(default_factory=list)

    def add(self, kind: str, number: int, what: str) -> None:
        """Add `number` of a kind of harm, with a remark."""
        if number:
            setattr(self, kind, getattr(self, kind) + number)
            self.remarks.append(f"{kind}: {what}")


@dataclass(frozen=True)
class Store:
    """A tracking store, and a folder for the output of the sweeps on it."""

    folder: Path
    uri: str

    @property
    def client(self) -> MlflowClient:
        """A client of the store, which is from now on the store of this process, too."""
        mlflow.set_tracking_uri(self.uri)
        return MlflowClient(self.uri)

    @property
    def experiment_id(self) -> str:
        """The experiment of the sweeps, or an empty text while it does not exist."""
        found = self.client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id) if found else ""

    def runs(self) -> dict[str, Run]:
        """Return all runs of the experiment by id."""
        return {run.info.run_id: run for run in search_runs(self.experiment_id, "")} if self.experiment_id else {}


def make_file_store(folder: Path) -> Store:
    """Make a new folder for a store in a file."""
    folder.mkdir()
    return Store(folder, f"sqlite:///{folder}/mlflow.db")


def is_finished(run: Run) -> bool:
    """Tell whether a run has finished, and had work to do."""
    return bool(run.info.status == "FINISHED") and FINISHED_BY not in run.data.tags


def is_group(run: Run) -> bool:
    """Tell whether a run is that of a group: in a sweep, and of no eps."""
    return SWEEP in run.data.tags and "eps" not in run.data.params


def parent_id(run: Run) -> str:
    """Return the id of the run above, or an empty text."""
    return str(run.data.tags.get(MLFLOW_PARENT_RUN_ID, ""))


def start(store: Store, parameters: list[str], through_mlflow: bool) -> subprocess.Popen[bytes]:
    """Start a sweep on a store, as a script or through `mlflow run`, as the leader of a process group of its own."""
    if through_mlflow:
        given = [part for parameter in parameters for part in ("-P", parameter)]
        command = ["mlflow", "run", str(PROJECT), "-e", "dbscan_sweep", "--env-manager", "local"]
        command += ["--experiment-name", EXPERIMENT, *given]
    else:
        command = [sys.executable, str(STEP), *[f"--{parameter}" for parameter in parameters]]
    variables = comparison.environment(MLFLOW_TRACKING_URI=store.uri, **{GRACE: BEGINNING_GRACE_S})
    with open(store.folder / "output.txt", "ab") as output:
        return subprocess.Popen(command, cwd=store.folder, env=variables, stdout=output, stderr=output, start_new_session=True)


def kill(process: subprocess.Popen[bytes], after: float) -> bool:
    """Kill the process group `after` seconds from now, and tell whether it was still at work."""
    try:
        process.wait(timeout=after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def table_rows(sweep: Run) -> Rows:
    """Return the table of a sweep; of the ids of models only whether one is there."""
    text = mlflow.artifacts.load_text(f"{sweep.info.artifact_uri}/{TABLE}")
    return [
        {name: bool(value) if name in IDS else value for name, value in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]


def finished_groups(store: Store) -> set[str]:
    """Return the ids of the groups' runs that are finished."""
    return {run_id for run_id, run in store.runs().items() if is_finished(run) and is_group(run)}


def inspect(store: Store, expected: Rows, count: Count) -> None:
    """Compare the content of the store with what a sweep leaves that nobody disturbed."""
    runs = store.runs()
    running = [run.info.run_name for run in runs.values() if run.info.status == "RUNNING"]
    count.add("left_running", len(running), f"{store.folder}: {running}")
    finished = {run_id: run for run_id, run in runs.items() if is_finished(run)}
    sweeps = [run for run in finished.values() if not parent_id(run)]
    if len(sweeps) != 1:
        count.add("doubled" if sweeps else "lost", 1, f"{store.folder}: {len(sweeps)} sweeps are finished")
        return
    inspect_tree(sweeps[0], finished, expected, count, store)
    inspect_models(runs, count, store)
    rows = table_rows(sweeps[0])
    count.add("lost", sum(row not in rows for row in expected), f"{store.folder}: rows of {TABLE} are not there")
    count.add("doubled", max(0, len(rows) - len(expected)), f"{store.folder}: {len(rows)} rows")


def inspect_tree(sweep: Run, finished: dict[str, Run], expected: Rows, count: Count, store: Store) -> None:
    """Count groups and eps whose finished run is missing, there twice, or not under the sweep."""
    below = [run for run in finished.values() if run is not sweep]
    names = Counter(run.info.run_name for run in below)
    wanted = Counter({row["island"] for row in expected})
    wanted += Counter(f"{row['island']}-eps{float(row['eps']):g}" for row in expected)
    count.add("lost", sum((wanted - names).values()), f"{store.folder}: {wanted - names}")
    count.add("doubled", sum((names - wanted).values()), f"{store.folder}: {names - wanted}")
    groups = {run.info.run_id for run in below if parent_id(run) == sweep.info.run_id}
    astray = [run.info.run_name for run in below if run.info.run_id not in groups and parent_id(run) not in groups]
    count.add("lost", len(astray), f"{store.folder}: not under the sweep: {astray}")


def inspect_models(runs: dict[str, Run], count: Count, store: Store) -> None:
    """Count models without a finished run, and finished runs of an eps without a model."""
    models = logged_models(store.client, store.experiment_id, "")
    astray = [
        model.model_id
        for model in models
        if model.status != LoggedModelStatus.READY or not is_finished(runs[model.source_run_id])
    ]
    count.add("doubled", len(astray), f"{store.folder}: models without a finished run: {astray}")
    sources = {model.source_run_id for model in models}
    children = {run_id for run_id, run in runs.items() if is_finished(run) and SWEEP in run.data.tags and not is_group(run)}
    count.add("lost", len(children - sources), f"{store.folder}: runs without a model")


def sweep_undisturbed(folder: Path) -> tuple[float, Rows]:
    """Return the seconds and the table of a sweep that nobody disturbs."""
    # At the first one nothing of Python and Spark is in memory yet: its moments for a kill would come too late.
    for name in ("cold", "undisturbed"):
        store = make_file_store(folder / name)
        begun = time.monotonic()
        if start(store, [], through_mlflow=False).wait():
            raise RuntimeError((store.folder / "output.txt").read_text())
        took = time.monotonic() - begun
    [sweep] = [run for run in store.runs().values() if not parent_id(run)]
    return took, table_rows(sweep)


def disturb(store: Store, whole: float, kills: int, chance: random.Random, count: Count) -> None:
    """Begin a sweep on the store, kill it and those that resume it, and let the last one reach its end."""
    parameters, through_mlflow = list[str](), chance.random() < 0.5
    if through_mlflow:
        # MLflow's command makes the store before any code of ours runs, and leaves a broken one where it is killed just then.
        store.client.search_experiments()
    finished_before = set[str]()
    for _ in range(kills):
        longest = whole * (1.4 if through_mlflow else 1.1)
        process = start(store, parameters, through_mlflow)
        if not kill(process, chance.uniform(0.2, 1) * longest):
            break
        count.kills += 1
        count.resumes += 1
        finished_before |= finished_groups(store)
        parameters = ["resume=true"]
    else:
        process = start(store, parameters, through_mlflow)
    if code := process.wait():
        output = (store.folder / "output.txt").read_text()[-2000:]
        count.add("lost", 1, f"{store.folder}: the last resume ended with {code}: {output}")
    count.add("remade", len(finished_before - finished_groups(store)), f"{store.folder}: finished groups were made again")


def kill_and_resume(kills: int, seed: int, on_server: bool, folder: Path) -> tuple[float, Count]:
    """Return the seconds of a sweep that nobody disturbed, and the harm of so many kills."""
    chance, count = random.Random(seed), Count()  # noqa: S311  # moments, not secrets
    whole, expected = sweep_undisturbed(folder)
    number = 0
    while count.kills < kills:
        number += 1
        store = make_file_store(folder / f"round-{number}")
        server_folder = folder / f"server-{number}"
        server_folder.mkdir()
        with comparison.server(server_folder) if on_server else nullcontext(store.uri) as uri:
            store = Store(store.folder, uri)
            disturb(store, whole, min(KILLS_IN_ROUND, kills - count.kills), chance, count)
            inspect(store, expected, count)
        comparison.progress(f"round {number}: {count.kills} kills, {len(count.remarks)} remarks")
    return whole, count


def main() -> int:
    """Kill, resume, count and print; return 1 where any harm was done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server", action="store_true", help="on a tracking server, rather than an SQLite file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole, count = kill_and_resume(given.kills, given.seed, given.server, Path(folder))
    if given.json:
        print(json.dumps({"benchmark": "kill_and_resume", "undisturbed_s": whole, **asdict(count)}, indent=2))
    else:
        print(f"kills {count.kills}, resumes {count.resumes}")
        print(f"lost {count.lost}, doubled {count.doubled}, left running {count.left_running}, made again {count.remade}")
        print(*count.remarks, sep="\n")
    return int(bool(count.remarks))


if __name__ == "__main__":
    sys.exit(main())
