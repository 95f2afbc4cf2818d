"""A step's MLflow run: opened, named and given its parameters once, and ended with the truth about how it went."""

import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from common.options import InputError, WorkError, as_texts, one_line, quoted, say

os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow import MlflowClient
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.dataset import Dataset
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Param, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.models.model import ModelInfo
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from common import connections, dataset, lease, processes, work
from common.work import Work

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# `main` starts its steps in threads, where MLflow knows no active run: it hands its own id down in this variable.
PARENT = "PENGUINS_PARENT_RUN_ID"
DEFAULT_EXPERIMENT = "penguins"
EXAMPLE_ROWS = 5
LONGEST_TAG = 5000
PAGE = 1000
SQLITE = "sqlite:///"
# How MLflow calls an answer of a server that ended in the middle, and how long to wait before the next question.
BROKEN_OFF, PAUSES_S = "Connection broken", (1.0, 5.0)
# How SQLite and PostgreSQL, and MySQL and SQL Server, call a second row with the same key.
DUPLICATE = ("unique constraint", "duplicate")
ALLOW_PICKLE = "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
SERVERS = ("http", "https", "databricks", "postgresql", "mysql", "mssql")


class _Expected(logging.Filter):
    """Lets pass what a reader can act on: a model without `predict` is meant to have no python_function flavour."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "Not logging python_function flavor" not in record.getMessage()


def quiet() -> None:
    """Keeps MLflow's news of its own housekeeping out of a step's output; its warnings stay.

    What a store or the way to it did not do is left out too: it is tried again, or said in one line by whoever ends for it.
    """
    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in (
        "mlflow.tracking.fluent",
        "mlflow.sklearn.utils",
        "mlflow.spark",
        "mlflow.projects",
        "alembic",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.sklearn").addFilter(_Expected())


@contextmanager
def step_run(entry_point: str, parameters: Any) -> Iterator[Run]:
    """The run of one step: the one that `mlflow run` has opened, or a new one, with every parameter logged.

    It ends FINISHED; FAILED with the reason as its tag `error` where the body raises; KILLED where it is interrupted. While it
    is open, it says which process works on it, and that it is alive.
    """
    quiet()
    connections.acknowledge_at_once()
    require_store_of_run()
    make_store()
    client = MlflowClient()
    tags = lease.tags() | _work_known_already(entry_point, parameters)
    if os.environ.get("MLFLOW_RUN_ID"):
        run = mlflow.start_run(tags=tags)
    else:
        run = mlflow.start_run(experiment_id=experiment_id(parameters.experiment), run_name=entry_point, tags=tags)
    run_id = run.info.run_id
    try:
        _take_place(client, run, entry_point)
        logged = client.get_run(run_id).data.params
        missing = [Param(key, value) for key, value in as_texts(parameters).items() if key not in logged]
        client.log_batch(run_id, params=missing)
        with lease.held(run_id):
            yield run
        mlflow.end_run("FINISHED")
    except BaseException as error:
        _end_badly(client, run_id, error)
        raise


def _work_known_already(entry_point: str, parameters: Any) -> dict[str, str]:
    """What the run is to do, where that can be said before its table is read: as its own, or as what it wants to take up."""
    step, found = {work.STEP: entry_point}, dataset.digest(parameters.data)
    if not found:
        return step
    this = work.of(entry_point, parameters, found)
    return step | ({work.WANTED: this.key} if getattr(parameters, "resume", False) else this.tags())


def _end_badly(client: MlflowClient, run_id: str, error: BaseException) -> None:
    """Ends the run with the reason, where the store takes that; one that is away has had its time already."""
    status = status_after(error)
    hasten(error)
    with suppress(MlflowException, OSError):
        try:
            client.set_tag(run_id, "error", reason(error))
            client.set_terminated(run_id, status)
        finally:
            mlflow.end_run(status)  # for MLflow itself to know that none is active


class _Patient:
    """A client that asks again where an answer broke off on its way, which MLflow's own does not."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            for pause in PAUSES_S:
                try:
                    return method(*arguments, **named)
                except MlflowException as error:
                    if BROKEN_OFF not in str(error):
                        raise
                    time.sleep(pause)
            return method(*arguments, **named)

        return ask


def client(uri: str) -> MlflowClient:
    """A client of the store at `uri`. What it asks for twice, for want of an answer, may have been done twice."""
    return cast(MlflowClient, _Patient(MlflowClient(uri))) if is_server(uri) else MlflowClient(uri)


def status_after(error: BaseException) -> str:
    """What becomes of a run that `error` ends: KILLED where somebody ended it, else FAILED."""
    return "KILLED" if isinstance(error, KeyboardInterrupt) or processes.was_told_to_end() else "FAILED"


def require_store_of_run() -> None:
    """Raises InputError where `mlflow run` keeps this process's run in a store that it finds from its own folder only.

    From here on that store is the one that is talked to, so that the run itself can say so.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    uri, here = str(mlflow.get_tracking_uri()), absolute_uri()
    if not run_id or uri == here:
        return
    there = absolute_uri(processes.folder_above())
    if there == here or _holds(here, run_id) or not _holds(there, run_id):
        return
    mlflow.set_tracking_uri(there)
    why = (
        "The tracking store must be named by an absolute URI where the project does not run in the folder in which it was "
        f"called. Got {quoted(uri)}, and this step runs in {os.getcwd()}: set MLFLOW_TRACKING_URI to {there}."
    )
    MlflowClient().set_tag(run_id, "error", why)
    raise InputError(why)


def _holds(uri: str, run_id: str) -> bool:
    """Whether the store in a file of this machine is there and holds the run."""
    if not Path(uri.removeprefix(SQLITE).removeprefix("file://")).exists():
        return False
    with suppress(MlflowException):
        return bool(MlflowClient(uri).get_run(run_id))
    return False


def make_store() -> None:
    """Makes the store in one piece if it is an SQLite file that is not there: MLflow, killed at that, leaves a broken one.

    Of several processes that come first at the same time, one makes it.
    """
    uri = absolute_uri()
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or "?" in uri or path.exists() or not path.parent.is_dir():
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        MlflowClient(f"{SQLITE}{part}").search_experiments(max_results=1)
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        part.unlink(missing_ok=True)


def hasten(error: BaseException) -> None:
    """From here on, if it is the store or an interruption that ends the work, a store that is away is not waited for long."""
    if isinstance(error, KeyboardInterrupt | MlflowException | OSError) or processes.was_told_to_end():
        os.environ[RETRIES] = "2"


def log_work(work: Work) -> None:
    """Says on the active run what it is to do, for a later one to see that it has the same to do."""
    mlflow.set_tags(work.tags())


def experiment_id(name: str) -> str:
    """The id of the experiment called `name`, created if need be; without a name, of the environment's or the default one."""
    if not name and os.environ.get("MLFLOW_EXPERIMENT_ID") and not os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
    client = MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(name).experiment_id)


def _take_place(client: MlflowClient, run: Run, entry_point: str) -> None:
    """Puts `run` under the parent that was handed down, and names it after its entry point unless somebody named it."""
    if os.environ.get(PARENT):
        place_under(client, run.info.run_id, os.environ[PARENT])
    if _is_generated(run.info.run_name):
        client.set_tag(run.info.run_id, MLFLOW_RUN_NAME, entry_point)


def place_under(client: MlflowClient, run_id: str, parent_id: str) -> None:
    """Makes the run a child of the other, unless it is one of somebody's already."""
    if run_id != parent_id and MLFLOW_PARENT_RUN_ID not in client.get_run(run_id).data.tags:
        client.set_tag(run_id, MLFLOW_PARENT_RUN_ID, parent_id)


def _is_generated(name: str) -> bool:
    # MLflow has no public way to tell; without its lists of words, a user's own `my-run-1` would pass for a generated name.
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in name_utils._GENERATOR_PREDICATES and noun in name_utils._GENERATOR_NOUNS and number.isdigit()


def note_failure(run_id: str, entry_point: str, why: str) -> None:
    """Writes why it failed on a run that `mlflow run` has opened; MLflow itself then ends it FAILED."""
    with suppress(InputError):
        require_store_of_run()
    client = MlflowClient()
    _take_place(client, client.get_run(run_id), entry_point)
    client.set_tag(run_id, "error", why[:LONGEST_TAG])


def reason(error: BaseException) -> str:
    """Why it failed, on one line, with the kind of error where the text alone would not tell."""
    text = one_line(error)
    if processes.was_told_to_end():
        return str(processes.interruption())
    if isinstance(error, KeyboardInterrupt):
        return text or "interrupted"
    named = text if isinstance(error, InputError | WorkError) else f"{type(error).__name__}: {text}"
    return named[:LONGEST_TAG]


def log_table_used(table: dataset.Table, target: str | None = None) -> None:
    """Logs the rows that the active run works on as its dataset, and how many were left out for a missing value."""
    log_rows(table.frame, table.source, table.name, target)
    mlflow.log_metrics({"n_rows": len(table.frame), "n_rows_left_out": table.left_out})


def log_rows(frame: "pd.DataFrame", source: str, name: str, target: str | None = None) -> None:
    """Logs `frame`, which came from `source`, as a dataset of the active run."""
    with warnings.catch_warnings():
        # MLflow 3.17 registers its source of local files twice, and warns of the two on each use.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted in multiple ways")
        rows = mlflow.data.from_pandas(frame, source=source, name=name, targets=target)
    _log_input(rows)


def _log_input(rows: Dataset) -> None:
    """Logs a dataset of the active run, again where another process has logged the same one in between.

    Stores look whether they have it and then write it: of two that come first, one is refused, and finds it there afterwards.
    """
    try:
        mlflow.log_input(rows, context="training")
    except MlflowException as error:
        if not any(sign in str(error).lower() for sign in DUPLICATE):
            raise
        mlflow.log_input(rows, context="training")


def log_figure(figure: "Figure", name: str) -> None:
    """Logs a picture to the active run; where no font of the machine has a sign, a box stands for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mlflow.log_figure(figure, name)


def log_source_used(source: str, rows: int, left_out: int) -> None:
    """Logs a table that is read where it lies, too large perhaps to be looked at here, as the active run's dataset."""
    tags = {"mlflow.source.name": source}
    _log_input(MetaDataset(CodeDatasetSource(tags), name=source))
    mlflow.log_metrics({"n_rows": rows, "n_rows_left_out": left_out})


def children(parent_id: str, experiment_id: str) -> list[Run]:
    """The runs directly under `parent_id`, in the order in which they were opened."""
    return list(search(experiment_id, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'"))


def search(experiment_id: str, where: str) -> Iterator[Run]:
    """The runs of an experiment that a filter of MLflow's chooses, in the order in which they were opened, page by page.

    What changes whether the filter chooses a run must wait until all have been seen.
    """
    client, token = MlflowClient(), None
    while token != "":
        page = client.search_runs(
            [experiment_id], where, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token or ""


def log_sklearn_model(model: Any, name: str, example: "pd.DataFrame") -> ModelInfo:
    """Logs a fitted pipeline that takes raw rows like `example`, in skops, to the active run."""
    rows = example.head(EXAMPLE_ROWS)
    return mlflow.sklearn.log_model(
        model,
        name=name,
        serialization_format="skops",
        signature=signature(rows, model.predict(rows)),
        input_example=rows,
        pip_requirements=requirements("mlflow", "scikit-learn", "skops", "pandas", "numpy"),
    )


def load_sklearn_model(uri: str) -> Any:
    """Loads a model of scikit-learn that is stored in skops, and so runs no code.

    MLflow's own loading believes a model that says of itself which types are to be trusted, and where it is told to forbid
    pickle forbids skops too. Raises InputError at any other model, which is left to MLflow where the user allows it.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    flavor = Model.load(str(folder)).flavors.get("sklearn", {})
    if os.environ.get(ALLOW_PICKLE, "").lower() in ("true", "1"):
        return mlflow.sklearn.load_model(str(folder))
    why = f"is stored in {flavor.get('serialization_format', 'pickle')}"
    if flavor.get("serialization_format") == "skops":
        try:
            return skops.io.load(folder / flavor["pickled_model"], trusted=[])
        except (UntrustedTypesFoundException, TypeError) as error:
            why = f"holds more than skops trusts ({one_line(error)[:300]})"
    raise InputError(
        f"The model must be stored in skops, since others may run any code when they are loaded. Got {quoted(uri)}, which "
        f"{why}: if you trust where it comes from, set {ALLOW_PICKLE} to true."
    )


def signature(rows: "pd.DataFrame", predictions: Any = None) -> ModelSignature:
    """The schema of a model that takes `rows` and gives `predictions`."""
    return infer_signature(rows, predictions)


def requirements(*packages: str) -> list[str]:
    """What a model needs to be loaded: the versions that are installed here, which MLflow else infers in 13 s a model."""
    return [f"{package}=={_installed(package)}" for package in packages]


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # Databricks's own pyspark, whose version may end in what no registry has
        return re.split(r"\.dev|\+", import_module(package).__version__)[0]


def print_figures(entry_point: str, run: Run, figures: dict[str, float]) -> None:
    """Prints a step's figures and its run, a line each."""
    say(entry_point, *[f"  {name}: {value:.4g}" for name, value in figures.items()], f"  run: {run.info.run_id}")


def progress(total: int, what: str) -> Any:
    """A progress bar on a terminal, silence in a pipe."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="group", disable=not sys.stderr.isatty(), leave=False)


def absolute_uri(folder: str = "") -> str:
    """The tracking store's URI as it reads from any working directory: a worker of Spark has one of its own.

    A relative one starts at `folder`, or at this process's.
    """
    uri = str(mlflow.get_tracking_uri())
    for scheme in (SQLITE, "file://"):
        path = uri.removeprefix(scheme)
        if uri.startswith(scheme) and not os.path.isabs(path):
            return scheme + os.path.abspath(os.path.join(folder, path))
    return uri if "://" in uri or not uri.startswith((".", "/")) else os.path.abspath(os.path.join(folder, uri))


def is_server(uri: str) -> bool:
    """Whether the store at `uri` is a server, which other machines reach and which takes several requests at a time."""
    return re.split(r"[:+]", uri, maxsplit=1)[0] in SERVERS


def now_ms() -> int:
    """The time as MLflow writes it, in milliseconds since 1970."""
    return int(time.time() * 1000)
