"""The tracking store: its URI, requests that are repeated, and searches page by page."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import ArgumentError

from penguins.cli.signals import is_interrupted
from penguins.errors import InputError
from penguins.text import LONGEST_REASON, one_line, quote

PAGE_SIZE = 1000
SQLITE = "sqlite:///"
# MLflow's message for an answer that ended half-way, and the pauses before the request is repeated.
CONNECTION_BROKEN, PAUSES_S = "Connection broken", (1.0, 5.0)
# The errors of a store that is busy with another process, and the pauses before it is asked again.
BUSY, BUSY_PAUSES_S = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "BAD_REQUEST"), (0.3, 1.0, 2.0)
# The messages for a second row with the same key: of SQLite and PostgreSQL, and of MySQL and SQL Server.
DUPLICATE_KEY = ("unique constraint", "duplicate")
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
T = TypeVar("T")
PACKAGES_OF_DRIVERS = {"MySQLdb": "mysqlclient", "psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary"}
SERVERS = ("http", "https", "databricks", "postgresql", "mysql", "mssql")


def open_client() -> MlflowClient:
    """Return a client of this process's tracking store.

    Raises InputError where MLflow does not know its scheme, or the driver of its database is not installed.
    """
    rule = f"The tracking store must be one that MLflow can open here. Got {quote(str(mlflow.get_tracking_uri()))}"
    try:
        return MlflowClient()
    except ModuleNotFoundError as error:
        package = PACKAGES_OF_DRIVERS.get(str(error.name), error.name)
        raise InputError(
            f"{rule}, whose driver {error.name} is not installed: pip install '{package}', or name an installed driver in the "
            "URI, as in postgresql+psycopg2://…."
        ) from error
    except (ArgumentError, MlflowException) as error:
        if isinstance(error, MlflowException) and error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        raise InputError(f"{rule}: {one_line(error)[:LONGEST_REASON]}") from error


def require_absolute_store() -> None:
    """Raise InputError where a relative URI leads this process past the store in which `mlflow run` opened its run."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    uri, here = str(mlflow.get_tracking_uri()), absolute_tracking_uri()
    if run_id and uri != here and not _has_run(here, run_id):
        raise InputError(
            "The tracking store must be named by an absolute URI where the project does not run in the folder in which "
            f"'mlflow run' was called. Got {quote(uri)}, and {here} does not hold the run {run_id}: set MLFLOW_TRACKING_URI to "
            "an absolute URI."
        )


def _has_run(uri: str, run_id: str) -> bool:
    """Tell whether the file store at `uri` exists and holds the run. MLflow would create a store that does not exist."""
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


def absolute_tracking_uri() -> str:
    """Return the tracking store's URI as `absolute_uri` does."""
    return absolute_uri(str(mlflow.get_tracking_uri()))


def absolute_uri(uri: str) -> str:
    """Return a store's URI in a form that holds in any working folder, because a Spark worker has its own."""
    for scheme in (SQLITE, "file://"):
        path = uri.removeprefix(scheme)
        if uri.startswith(scheme) and not os.path.isabs(path):
            return scheme + os.path.abspath(path)
    return uri if "://" in uri or not uri.startswith((".", "/")) else os.path.abspath(uri)


def is_server(uri: str) -> bool:
    """Tell whether the store at `uri` is a server, which other machines reach and which takes parallel requests."""
    return re.split(r"[:+]", uri, maxsplit=1)[0] in SERVERS


def now_ms() -> int:
    """Return the time as MLflow writes it: milliseconds since 1970."""
    return int(time.time() * 1000)


def repeat_if_busy(ask: Callable[[], T]) -> T:
    """Return the answer to `ask`, which may be asked again where the store is busy with the same request of another process."""
    return _repeat(ask, BUSY_PAUSES_S, lambda error: error.error_code in BUSY)


def repeat_if_broken(ask: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Return the answer to `ask(*arguments, **named)`, which is asked again if the answer of a server ends half-way.

    MLflow's client repeats any other lost request, and not this one. The request may have been carried out twice: only for
    requests that change nothing the second time, or whose duplicates are deleted.
    """
    return _repeat(lambda: ask(*arguments, **named), PAUSES_S, lambda error: CONNECTION_BROKEN in str(error))


def repeat_if_taken(ask: Callable[[], T]) -> T:
    """Return the answer to `ask`, which is asked once more if the store already has what a part of it adds.

    Another process may have added the same at the same moment; or the answer was lost, and MLflow's client asked again.
    """
    return _repeat(ask, (0.0,), is_taken)


def is_taken(error: MlflowException) -> bool:
    """Tell whether a store refuses to add what it already has."""
    return any(message in str(error).lower() for message in DUPLICATE_KEY)


def _repeat(ask: Callable[[], T], pauses_s: Sequence[float], is_passing: Callable[[MlflowException], bool]) -> T:
    """Return the answer to `ask`, asked again after each pause if it fails with an error that `is_passing`."""
    for pause_s in pauses_s:
        try:
            return ask()
        except MlflowException as error:
            if not is_passing(error):
                raise
            time.sleep(pause_s)
    return ask()
