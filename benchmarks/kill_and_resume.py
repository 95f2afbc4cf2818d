"""Kills a sweep again and again at random moments, resumes it until it ends, and counts what was lost, doubled or left open.

Each round has a store of its own, an SQLite file or, with `--server`, a tracking server. There a sweep is begun and killed,
then resumed with `resume=true` and killed again, until one gets to its end or has been killed often enough. Then its tree and
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
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import comparison
import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run

from common import tracking

PROJECT = Path(__file__).parents[1]
STEP = PROJECT / "steps" / "dbscan_sweep.py"
EXPERIMENT = "penguins"
KILLS_IN_ROUND = 4
IDS = ("model_path",)


@dataclass
class Count:
    """What the kills did."""

    kills: int = 0
    resumes: int = 0
    lost: int = 0
    doubled: int = 0
    left_running: int = 0
    remade: int = 0
    remarks: list[str] = field(default_factory=list)

    def note(self, kind: str, number: int, what: str) -> None:
        """Adds `number` of a kind of harm, and says what it was."""
        if number:
            setattr(self, kind, getattr(self, kind) + number)
            self.remarks.append(f"{kind}: {what}")


@dataclass(frozen=True)
class Store:
    """A tracking store, and a folder for what the sweeps on it print."""

    folder: Path
    uri: str


def in_file(folder: Path) -> Store:
    """A store in a file of a new folder."""
    folder.mkdir()
    return Store(folder, f"sqlite:///{folder}/mlflow.db")


def start(store: Store, parameters: list[str], through_mlflow: bool) -> subprocess.Popen[bytes]:
    """Starts a sweep on a store, as a script or through `mlflow run`, as the leader of a process group of its own."""
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": store.uri,
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""),
    }
    if through_mlflow:
        given = [part for parameter in parameters for part in ("-P", parameter)]
        command = ["mlflow", "run", str(PROJECT), "-e", "dbscan_sweep", "--env-manager", "local"]
        command += ["--experiment-name", EXPERIMENT, *given]
    else:
        command = [sys.executable, str(STEP), *[f"--{parameter}" for parameter in parameters]]
    with open(store.folder / "output.txt", "ab") as output:
        return subprocess.Popen(
            command, cwd=store.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def killed(process: subprocess.Popen[bytes], after: float) -> bool:
    """Whether the process group was killed, `after` seconds from now, before it came to its end."""
    try:
        process.wait(timeout=after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def rows_of(run: Run) -> list[dict[str, Any]]:
    """The table of a sweep without what differs from one to the next: the ids of the models."""
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/results.csv")
    return [
        {name: bool(value) if name in IDS else value for name, value in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]


def finished_groups(store: Store) -> set[str]:
    """The ids of the groups' runs that are finished, when a sweep has just been killed."""
    client = MlflowClient(store.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return set()
    found = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED' and params.group != ''")
    return {run.info.run_id for run in found if "eps" not in run.data.params}


def inspect(store: Store, expected: list[dict[str, Any]], count: Count) -> None:
    """Compares what the store holds with what one sweep that nobody disturbed leaves."""
    mlflow.set_tracking_uri(store.uri)
    client = MlflowClient(store.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    runs = {run.info.run_id: run for run in tracking.search(experiment, "")}
    running = [run.info.run_name for run in runs.values() if run.info.status == "RUNNING"]
    count.note("left_running", len(running), f"{store.folder}: {running}")

    finished = [run for run in runs.values() if run.info.status == "FINISHED"]
    sweeps = [run for run in finished if run.data.tags.get("mlflow.parentRunId") is None]
    if len(sweeps) != 1:
        count.note("lost" if not sweeps else "doubled", 1, f"{store.folder}: {len(sweeps)} sweeps are finished")
        return
    [sweep] = sweeps
    names = Counter(run.info.run_name for run in finished if run is not sweep)
    wanted = Counter(f"{row['island']}-eps{float(row['eps']):g}" for row in expected) + Counter(
        {row["island"] for row in expected}
    )
    count.note("lost", sum((wanted - names).values()), f"{store.folder}: {wanted - names}")
    count.note("doubled", sum((names - wanted).values()), f"{store.folder}: {names - wanted}")
    groups = {run.info.run_id for run in finished if run.data.tags.get("mlflow.parentRunId") == sweep.info.run_id}
    elsewhere = [
        run.info.run_name
        for run in finished
        if run is not sweep and run.info.run_id not in groups and run.data.tags.get("mlflow.parentRunId") not in groups
    ]
    count.note("lost", len(elsewhere), f"{store.folder}: not under the sweep: {elsewhere}")

    rows = rows_of(sweep)
    count.note("lost", sum(row not in rows for row in expected), f"{store.folder}: rows of results.csv are not there")
    count.note("doubled", max(0, len(rows) - len(expected)), f"{store.folder}: {len(rows)} rows")
    inspect_models(client, experiment, runs, count, store)


def inspect_models(client: MlflowClient, experiment: str, runs: dict[str, Run], count: Count, store: Store) -> None:
    """Looks for models without their run, and for finished runs of an eps without their model."""
    models = []
    token = None
    while token != "":
        page = client.search_logged_models([experiment], max_results=100, page_token=token)
        models += page
        token = page.token or ""
    sources = Counter(model.source_run_id for model in models)
    astray = [
        model.model_id
        for model in models
        if model.status != LoggedModelStatus.READY or runs[model.source_run_id].info.status != "FINISHED"
    ]
    count.note("doubled", len(astray), f"{store.folder}: models without a finished run: {astray}")
    children = {run.info.run_id for run in runs.values() if run.info.status == "FINISHED" and "eps" in run.data.params}
    children = {run_id for run_id in children if "group" in runs[run_id].data.params}
    count.note("lost", sum(not sources[run_id] for run_id in children), f"{store.folder}: runs without a model")


def main() -> int:
    """Kills, resumes, counts and prints; the exit code is 1 where any harm was done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--server", action="store_true", help="on a tracking server, rather than an SQLite file")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    chance, count = random.Random(given.seed), Count()  # noqa: S311  # moments, not secrets
    with tempfile.TemporaryDirectory() as folder:
        # The first one finds nothing of Python and Spark in memory yet: the moments of its kills would come too late.
        for name in ("cold", "undisturbed"):
            undisturbed = in_file(Path(folder, name))
            begun = time.monotonic()
            if start(undisturbed, [], through_mlflow=False).wait():
                raise RuntimeError((undisturbed.folder / "output.txt").read_text())
            whole = time.monotonic() - begun
        mlflow.set_tracking_uri(undisturbed.uri)
        experiment = MlflowClient().get_experiment_by_name(EXPERIMENT).experiment_id
        [sweep] = [run for run in tracking.search(experiment, "") if run.info.run_name == "dbscan_sweep"]
        expected = rows_of(sweep)
        number = 0
        while count.kills < given.kills:
            number += 1
            store = in_file(Path(folder, f"round-{number}"))
            served = Path(folder, f"server-{number}")
            served.mkdir()
            with comparison.server(served) if given.server else nullcontext(store.uri) as uri:
                store = Store(store.folder, uri)
                one_round(store, whole, min(KILLS_IN_ROUND, given.kills - count.kills), chance, count)
                inspect(store, expected, count)
            print(f"round {number}: {count.kills} kills, {len(count.remarks)} remarks", file=sys.stderr, flush=True)
    if given.json:
        print(json.dumps({"benchmark": "kill_and_resume", "undisturbed_s": whole, **asdict(count)}, indent=2))
    else:
        print(f"kills {count.kills}, resumes {count.resumes}")
        print(f"lost {count.lost}, doubled {count.doubled}, left running {count.left_running}, made again {count.remade}")
        print(*count.remarks, sep="\n")
    return int(bool(count.remarks))


def wait_for_last_words() -> None:
    """Until what is to be said of a run after `mlflow run` has been said: a run that had nothing to do is deleted then."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(part.endswith("afterword.py") for part in process.cmdline()):
                process.wait(timeout=60)


def one_round(store: Store, whole: float, kills: int, chance: random.Random, count: Count) -> None:
    """Begins a sweep on the store, kills it and those that resume it, and lets the last one come to its end."""
    parameters, through_mlflow = list[str](), chance.random() < 0.5
    if through_mlflow:
        # MLflow's command makes the store before any of ours runs, and leaves a broken one where it is killed just then.
        MlflowClient(store.uri).search_experiments()
    whole_groups = set[str]()
    for _ in range(kills):
        longest = whole * (1.4 if through_mlflow else 1.1)
        process = start(store, parameters, through_mlflow)
        if not killed(process, chance.uniform(0.2, 1) * longest):
            break
        count.kills += 1
        count.resumes += 1
        whole_groups |= finished_groups(store)
        parameters = ["resume=true"]
    else:
        process = start(store, parameters, through_mlflow)
    if code := process.wait():
        count.note(
            "lost", 1, f"{store.folder}: the last resume ended with {code}: {(store.folder / 'output.txt').read_text()[-2000:]}"
        )
    wait_for_last_words()
    count.note("remade", len(whole_groups - finished_groups(store)), f"{store.folder}: finished groups were made again")


if __name__ == "__main__":
    sys.exit(main())
