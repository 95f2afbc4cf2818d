"""The `output` parameter: find the folder, the URI or the table of a catalogue, and write there, whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from penguins.cli.combinations import is_catalog_table
from penguins.data.locate import PARQUET
from penguins.errors import InputError, WorkError
from penguins.text import one_line, quote

NAME = "predictions.parquet"
# Spark writes this file last, too: a folder that has it is whole. Only a folder with our text in it is ever replaced.
SUCCESS, WRITTEN_HERE = "_SUCCESS", "predictions of the entry point score\n"
# The schemes under which only Spark knows a store, and MLflow's for the same one.
OF_SPARK = {"s3a": "s3", "s3n": "s3", "abfs": "abfss"}
READ_ONLY = ("http", "https", "runs", "models")
Place = Literal["artifact", "folder", "uri", "table"]


def is_predictions(path: Path) -> bool:
    """Tell whether a folder holds predictions, and nothing else."""
    others = [file for file in path.iterdir() if file.name != SUCCESS and not file.name.endswith(PARQUET)]
    return is_marked(path / SUCCESS, WRITTEN_HERE) and not others


def is_marked(file: Path, text: str) -> bool:
    """Tell whether `file` has this text, by which the project knows what it has written."""
    return file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text


@dataclass(frozen=True)
class Content:
    """What is written: what people call it, how its tables are named in a catalogue, and whether a folder holds such a one."""

    what: str
    table: str
    suffixes: tuple[str, ...]
    is_earlier: Callable[[Path], bool]


PREDICTIONS = Content("predictions", "a table as catalog.schema.table", ("",), is_predictions)


@dataclass(frozen=True)
class Output:
    """Where results go. The `address` is the path of a folder, a URI or the name of a table, and empty for an artifact."""

    kind: Place
    address: str = ""

    @property
    def where(self) -> str:
        """The place as people read it."""
        return self.address or NAME


def find_output(output: str, data: str, run_id: str, content: Content = PREDICTIONS) -> Output:
    """Return the place that the parameter `output` names for `content`; under a URI each run has a folder of its own.

    Raises InputError where nothing can be written there, or something that is no earlier result lies there.
    """
    if not output:
        return Output("artifact")
    if is_catalog_table(output):
        if data in [output + suffix for suffix in content.suffixes]:
            raise _refusal(output, content, "the table that is read")
        return Output("table", output)
    try:
        scheme = urlparse(output).scheme
        if len(scheme) < 2 or scheme == "file":  # one letter is a Windows drive
            path = Path(local_file_uri_to_path(output) if scheme == "file" else output).expanduser().absolute()
            _require_replaceable(path, output, data, content)
            return Output("folder", str(path))
        if scheme in READ_ONLY:
            raise _refusal(output, content, "a URI that is only read")
    except InputError:
        raise
    except ValueError as error:
        raise _refusal(output, content, f"no URI: {one_line(error)[:300]}") from error
    return Output("uri", f"{output.rstrip('/')}/{run_id}")


def require_uploads(output: Output, content: Content = PREDICTIONS) -> None:
    """Raise InputError where MLflow, which is to upload to a URI, does not know its scheme or lacks a package for it."""
    if output.kind == "uri":
        try:
            get_artifact_repository(_mlflow_uri(output.address)).list_artifacts()
        except (ImportError, MlflowException) as error:
            raise _refusal(output.address, content, f"to which MLflow cannot upload: {one_line(error)[:300]}") from error
        except Exception:  # noqa: BLE001  # of a store that lets this user write, and not list
            return


@contextmanager
def report_errors(output: Output, what: str = PREDICTIONS.what) -> Iterator[None]:
    """Raise WorkError, which names the place, where the block fails to write `what`."""
    try:
        yield
    except (InputError, WorkError):
        raise
    except Exception as error:  # each kind of store raises its own errors
        why = f"{type(error).__name__}: {one_line(error)[:300]}"
        raise WorkError(f"The {what} could not be written to {quote(output.where)}: {why}") from error


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


def _require_replaceable(path: Path, output: str, data: str, content: Content) -> None:
    """Raise InputError unless a folder can be made at `path`, or an earlier result lies there."""
    here, table = path.resolve(), Path(data.removeprefix("file://")).expanduser().resolve()
    if table.exists() and (here == table or here in table.parents or table in here.parents):
        raise _refusal(output, content, "where the table lies that is read")
    if path.is_dir() and any(path.iterdir()) and not content.is_earlier(path):
        raise _refusal(output, content, f"a folder that holds something else than earlier {content.what}")
    if path.exists() and not path.is_dir():
        raise _refusal(output, content, "a file")
    parent = next(parent for parent in path.parents if parent.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _refusal(output, content, "where this user may not write")


def _refusal(output: str, content: Content, what: str) -> InputError:
    return InputError(
        f"The 'output' parameter must name a new folder, a folder of earlier {content.what}, a URI, or with Spark "
        f"{content.table}. Got {quote(output)}, {what}."
    )
