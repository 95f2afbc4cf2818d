"""Write predictions, whole or not at all: as an artifact of the run, to a folder, to a URI, or to a table of a catalogue."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from penguins.cli.parameters import is_catalog_table
from penguins.data.locate import PARQUET
from penguins.errors import InputError, WorkError
from penguins.text import one_line, quote
from penguins.tracking.artifacts import log_parquet, write_parquet_files

NAME = "predictions.parquet"
# Spark writes this file last, too: a folder that has it is whole. Only a folder with our text in it is ever replaced.
SUCCESS, WRITTEN_HERE = "_SUCCESS", "predictions of the entry point score\n"
# The schemes under which only Spark knows a store, and MLflow's for the same one.
OF_SPARK = {"s3a": "s3", "s3n": "s3", "abfs": "abfss"}
READ_ONLY = ("http", "https", "runs", "models")
Place = Literal["artifact", "folder", "uri", "table"]


@dataclass(frozen=True)
class Output:
    """Where predictions go. The `address` is the path of a folder, a URI or the name of a table, and empty for an artifact."""

    kind: Place
    address: str = ""

    @property
    def where(self) -> str:
        """The place as people read it."""
        return self.address or NAME


def find_output(output: str, data: str, run_id: str) -> Output:
    """Return the place that the parameter `output` names; under a URI each run has a folder of its own.

    Raises InputError where nothing can be written there, or something that is no earlier result lies there.
    """
    if not output:
        return Output("artifact")
    if is_catalog_table(output):
        if output == data:
            raise _refusal(output, "the table that is read")
        return Output("table", output)
    try:
        scheme = urlparse(output).scheme
        if len(scheme) < 2 or scheme == "file":  # one letter is a Windows drive
            path = Path(local_file_uri_to_path(output) if scheme == "file" else output).expanduser().absolute()
            _require_replaceable(path, output, data)
            return Output("folder", str(path))
        if scheme in READ_ONLY:
            raise _refusal(output, "a URI that is only read")
    except ValueError as error:
        raise error if isinstance(error, InputError) else _refusal(output, f"no URI: {one_line(error)[:300]}") from error
    return Output("uri", f"{output.rstrip('/')}/{run_id}")


def require_uploads(output: Output) -> None:
    """Raise InputError where MLflow, which is to upload to a URI, does not know its scheme or lacks a package for it."""
    if output.kind == "uri":
        try:
            get_artifact_repository(_mlflow_uri(output.address)).list_artifacts()
        except (ImportError, MlflowException) as error:
            raise _refusal(output.address, f"to which MLflow cannot upload: {one_line(error)[:300]}") from error
        except Exception:  # noqa: BLE001  # of a store that lets this user write, and not list
            return


def write_result(result: pd.DataFrame, output: Output) -> None:
    """Write the predictions to an artifact, a folder or a URI. Raises WorkError where that fails."""
    with report_errors(output), tempfile.TemporaryDirectory() as scratch:
        if output.kind == "artifact":
            log_parquet(result, NAME)
        elif output.kind == "folder":
            replace_folder(Path(output.address), lambda folder: _write_parts(result, folder))
        else:
            _write_parts(result, Path(scratch, "parts"))
            upload(Path(scratch, "parts"), output.address)


@contextmanager
def report_errors(output: Output) -> Iterator[None]:
    """Raise WorkError, which names the place, where the block fails to write."""
    try:
        yield
    except (InputError, WorkError):
        raise
    except Exception as error:  # each kind of store raises its own errors
        why = f"{type(error).__name__}: {one_line(error)[:300]}"
        raise WorkError(f"The predictions could not be written to {quote(output.where)}: {why}") from error


def _write_parts(result: pd.DataFrame, folder: Path) -> None:
    write_parquet_files(result, folder)
    (folder / SUCCESS).write_text(WRITTEN_HERE, encoding="utf-8")


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a new folder beside `folder`, and put it there in place of an earlier result, which stays until then."""
    token = uuid.uuid4().hex[:12]
    new, old = (folder.with_name(f".{folder.name}.{token}.{end}") for end in ("new", "old"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(new)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def upload(folder: Path, address: str) -> None:
    """Upload the files of `folder` to a URI, `_SUCCESS` last."""
    repository = get_artifact_repository(_mlflow_uri(address))
    for path in sorted(folder.iterdir(), key=lambda path: (path.name == SUCCESS, path.name)):
        repository.log_artifact(str(path))


def _mlflow_uri(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{OF_SPARK.get(scheme, scheme)}{separator}{rest}"


def _require_replaceable(path: Path, output: str, data: str) -> None:
    """Raise InputError unless a folder can be made at `path`, or an earlier result lies there."""
    here, table = path.resolve(), Path(data).expanduser().resolve()
    if table.exists() and (here == table or here in table.parents or table in here.parents):
        raise _refusal(output, "where the table lies that is read")
    if path.is_dir() and any(path.iterdir()) and not _is_result(path):
        raise _refusal(output, "a folder that holds something else than earlier predictions")
    if path.exists() and not path.is_dir():
        raise _refusal(output, "a file")
    parent = next(parent for parent in path.parents if parent.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _refusal(output, "where this user may not write")


def _is_result(path: Path) -> bool:
    """Tell whether a folder holds what `write_result` wrote, and nothing else."""
    others = [file for file in path.iterdir() if file.name != SUCCESS and not file.name.endswith(PARQUET)]
    success = path / SUCCESS
    return success.is_file() and success.read_text(encoding="utf-8", errors="replace") == WRITTEN_HERE and not others


def _refusal(output: str, what: str) -> InputError:
    return InputError(
        "The 'output' parameter must name a new folder, a folder of earlier predictions, a URI, or with Spark a table as "
        f"catalog.schema.table. Got {quote(output)}, {what}."
    )
