"""The tracking store: a client that repeats requests, the store's URI, and searches page by page."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from penguins.cli.signals import is_interrupted, parent_folder
from penguins.errors import InputError
from penguins.text import quote

PAGE_SIZE = 1000
SQLITE = "sqlite:///"
# MLflow's message for an answer that ended half-way, and the pauses before the request is repeated.
CONNECTION_BROKEN, PAUSES_S = "Connection broken", (1.0, 5.0)
# The errors of a store that is busy with another process, and the pauses before it is asked again.
BUSY, BUSY_PAUSES_S = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "BAD_REQUEST"), (0.3, 1.0, 2.0)
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
T = TypeVar("T")
SERVERS = ("http", "https", "databricks", "postgresql", "mysql", "mssql")


class _RetryingClient:
    """A client that repeats a request whose answer broke off, which MLflow's own client does not."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            for pause in PAUSES_S:
                try:
                    return method(*arguments, **named)
                except MlflowException as error:
                    if CONNECTION_BROKEN not in str(error):
                        raise
                    time.sleep(pause)
            return method(*arguments, **named)

        return ask


def tracking_client(uri: str) -> MlflowClient:
    """Return a client of the store at `uri`. A request that it repeats may have been carried out twice."""
    return cast(MlflowClient, _RetryingClient(MlflowClient(uri))) if is_server(uri) else MlflowClient(uri)


def require_absolute_store() -> None:
    """Raise InputError where `mlflow run` keeps this process's run in a store that only its own folder can find.

    From then on this process uses that store, so that the run itself can hold the message.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    uri, here = str(mlflow.get_tracking_uri()), absolute_tracking_uri()
    if not run_id or uri == here:
        return
    there = absolute_tracking_uri(parent_folder())
    if there == here or _has_run(here, run_id) or not _has_run(there, run_id):
        return
    mlflow.set_tracking_uri(there)
    why = (
        "The tracking store must be named by an absolute URI where the project does not run in the folder in which it was "
        f"called. Got {quote(uri)}, and this step runs in {os.getcwd()}: set MLFLOW_TRACKING_URI to {there}."
    )
    MlflowClient().set_tag(run_id, "error", why)
    raise InputError(why)


def _has_run(uri: str, run_id: str) -> bool:
    """Tell whether the file store at `uri` exists and holds the run."""
    if not Path(uri.removeprefix(SQLITE).removeprefix("file://")).exists():
        return False
    with suppress(MlflowException):
        return bool(MlflowClient(uri).get_run(run_id))
    return False


def create_sqlite_store() -> None:
    """Create the store in one piece if it is an SQLite file that does not exist yet.

    MLflow, killed while it creates one, leaves a broken file. Of several processes that come at the same time, one creates it.
    """
    uri = absolute_tracking_uri()
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


def shorten_retries(error: BaseException) -> None:
    """Have MLflow give up sooner on a store that is away, if the store or an interruption ended the work."""
    if isinstance(error, KeyboardInterrupt | MlflowException | OSError) or is_interrupted():
        os.environ[RETRIES] = "2"


@contextmanager
def restore_retries() -> Iterator[None]:
    """Restore MLflow's number of retries after the block."""
    before = os.environ.get(RETRIES)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(RETRIES, None)
        else:
            os.environ[RETRIES] = before


def child_runs(parent_id: str, experiment_id: str) -> list[Run]:
    """Return the direct children of a run in the order of their start."""
    return list(search_runs(experiment_id, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_id}'"))


def search_runs(experiment_id: str, where: str) -> Iterator[Run]:
    """Yield the runs of an experiment that match MLflow's filter `where`, in the order of their start, page by page.

    Exhaust it before you change anything that decides whether a run matches.
    """
    client, token = MlflowClient(), None
    while token != "":
        page = client.search_runs(
            [experiment_id], where, max_results=PAGE_SIZE, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token or ""


def absolute_tracking_uri(folder: str = "") -> str:
    """Return the tracking store's URI as `absolute_uri` does."""
    return absolute_uri(str(mlflow.get_tracking_uri()), folder)


def absolute_uri(uri: str, folder: str = "") -> str:
    """Return a store's URI in a form that holds in any working folder, because a Spark worker has its own.

    A relative path starts at `folder`, else at this process's working folder.
    """
    for scheme in (SQLITE, "file://"):
        path = uri.removeprefix(scheme)
        if uri.startswith(scheme) and not os.path.isabs(path):
            return scheme + os.path.abspath(os.path.join(folder, path))
    return uri if "://" in uri or not uri.startswith((".", "/")) else os.path.abspath(os.path.join(folder, uri))


def is_server(uri: str) -> bool:
    """Tell whether the store at `uri` is a server, which other machines reach and which takes parallel requests."""
    return re.split(r"[:+]", uri, maxsplit=1)[0] in SERVERS


def now_ms() -> int:
    """Return the time as MLflow writes it: milliseconds since 1970."""
    return int(time.time() * 1000)


def repeat_if_busy(ask: Callable[[], T]) -> T:
    """Return the answer to `ask`, which may be asked again where the store is busy with the same request of another process."""
    for pause_s in BUSY_PAUSES_S:
        try:
            return ask()
        except MlflowException as error:
            if error.error_code not in BUSY:
                raise
            time.sleep(pause_s)
    return ask()
