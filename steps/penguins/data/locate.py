"""Find the table that the `data` parameter names, and fetch it to this machine."""

import os
import re
from pathlib import Path
from urllib.parse import urlparse

from penguins.data.archives import ArchiveError, open_decompressed
from penguins.data.file_kinds import ARCHIVE_NAMES, PARQUET_NAMES, START_BYTES, describe_kind, is_parquet_file
from penguins.data.lake import find_lake_table, lake_table_at
from penguins.errors import InputError
from penguins.project import PROJECT
from penguins.redaction import redact
from penguins.resume.fingerprint import announce_large, content_digest
from penguins.temporary import temporary_folder
from penguins.text import one_line, quote, suggestion

BUNDLED = "penguins"
BUNDLED_FILE = PROJECT / "data" / "penguins.csv"
PARQUET = PARQUET_NAMES
# A text that may name a table of Spark's catalogue rather than a file.
TABLE_NAME = re.compile(r"(?!.*\.(csv|parquet|pq|gz)$)\w+(\.\w+){0,2}")
# This machine fetches tables with these schemes. Those with any other are Spark's to read.
FETCHED_SCHEMES = ("runs", "models", "mlflow-artifacts", "http", "https")
# Spark writes files whose names begin like this beside the files of a table.
HIDDEN = ("_", ".")
TIMEOUT_S = 30
BLOCK_BYTES = 1 << 20


def fetch_table(data: str) -> Path:
    """Return the path of the file or folder that `data` names; download it first where `data` is a URI.

    Raises InputError where it does not exist, cannot be fetched, or is neither CSV nor Parquet, or is a table of a data lake.
    """
    scheme = uri_scheme(data)
    if len(scheme) < 2:  # one letter is a Windows drive
        path = _local_path(data)
    elif scheme in ("http", "https") and "/mlflow-artifacts/" not in data:
        path = _download_from_web(data)
    else:
        path = _download_artifact(data)
    _require_kind(path, data)
    return path


def require_exists(data: str) -> None:
    """Raise InputError where `data` is a path at which no table lies. URIs and names of catalogue tables pass unchecked."""
    is_path = len(uri_scheme(data)) < 2 and (not TABLE_NAME.fullmatch(data) or os.path.exists(data))
    if data != BUNDLED and is_path:
        _require_kind(_local_path(data), data)


def uri_scheme(data: str) -> str:
    """Return the scheme of `data`, or an empty text where it is no URI. Raises InputError at a malformed URI."""
    try:
        return urlparse(data).scheme
    except ValueError as error:
        raise _fetch_error(data, error) from error


def is_read_here(data: str) -> bool:
    """Tell whether this machine reads `data`, rather than Spark as a table of its catalogue or at a URI."""
    scheme = uri_scheme(data)
    if len(scheme) > 1:
        return scheme in FETCHED_SCHEMES
    return data == BUNDLED or os.path.exists(data) or not TABLE_NAME.fullmatch(data)


def require_read_here(data: str) -> None:
    """Raise InputError where only Spark reads `data`: of a step without Spark."""
    if not is_read_here(data):
        kind = "at a URI" if uri_scheme(data) else f"no file in {os.getcwd()}, but may be a table of a catalogue"
        raise InputError(
            f"The 'spark' parameter must name a Spark where only Spark can read the table. Got none with data={quote(data)}, "
            f"which is {kind}: give spark=local[*], for example, or the path of a file or folder on this machine."
        )


def table_digest(data: str) -> str:
    """Return a digest of the content of `data`, or an empty text where this machine cannot read it as a path."""
    if data == BUNDLED:
        return content_digest(BUNDLED_FILE)
    try:
        path = Path(data).expanduser()
        _require_kind(path, data)
        return content_digest(path)
    except (OSError, RuntimeError, ValueError):
        return ""


def data_digest(data: str) -> str:
    """Return the digest of a table; one that cannot be read from here counts by its name, without secrets."""
    return table_digest(data) or redact(data)


def absolute_data_path(data: str) -> str:
    """Return `data` as an absolute path if it is the path of something that exists, else unchanged."""
    try:
        path = Path(data).expanduser()
        return str(path.resolve()) if data != BUNDLED and path.exists() else data
    except (OSError, RuntimeError, ValueError):
        return data


def table_name(data: str) -> str:
    """Return the last part of the path or URI `data`."""
    return Path(urlparse(data).path.rstrip("/") or redact(data)).name or "table"


def _local_path(data: str) -> Path:
    rule = "The 'data' parameter must name a file that is there."
    try:
        path = Path(data).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # the name is too long, the user unknown, or the folder unreadable
        raise InputError(f"{rule} Got {quote(data)}: {one_line(error)[:200]}") from error
    if not exists:
        place = "" if path.is_absolute() else f" (looked for in {os.getcwd()}; give an absolute path if it is elsewhere)"
        raise InputError(f"{rule} Got {quote(data)}{place}.{suggestion(data, [BUNDLED])}")
    return path


def _download_artifact(uri: str) -> Path:
    from penguins.tracking.artifacts import fetch_artifact  # imports MLflow

    try:
        return Path(fetch_artifact(uri))
    except Exception as error:  # each kind of store raises its own errors
        raise _fetch_error(uri, error) from error


def _download_from_web(url: str) -> Path:
    """Download the file at `url`. MLflow would fetch it from artifact servers only."""
    import requests

    endings = [ending for ending in Path(urlparse(url).path).suffixes if ending in (*PARQUET, *ARCHIVE_NAMES)]
    path = Path(temporary_folder(), "".join(["table", *endings]))
    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_S) as answer, path.open("wb") as file:
            answer.raise_for_status()
            announce_large(table_name(url), int(answer.headers.get("Content-Length", 0)), "are downloaded")
            for block in answer.iter_content(BLOCK_BYTES):
                file.write(block)
    except (OSError, ValueError) as error:  # each error of requests is one of these
        raise _fetch_error(url, error) from error
    return path


def _fetch_error(data: str, error: Exception) -> InputError:
    why = one_line(error)[:300]
    return InputError(f"The 'data' parameter must name a table that can be fetched. Got {quote(data)}: {why}")


def _require_kind(path: Path, data: str) -> None:
    """Raise InputError unless `path` is a file that may be a table, or a folder of Parquet files only.

    Reading anything else, such as a pipe, might never end.
    """
    rule = f"The 'data' parameter must name a file, or a folder of Parquet files alone. Got {quote(data)}, which"
    if path.is_file():
        _require_table_file(path, data)
        if is_parquet_file(path):
            _require_no_lake_table(path, rule)
        return
    if not path.is_dir():
        raise InputError(f"{rule} is neither: write its content to a file first.")
    if (path / "MLmodel").exists():
        raise InputError(f"{rule} is a model of MLflow.")
    _require_no_lake_table(path, rule)
    n_files = 0
    for folder, folders, files in os.walk(path):
        inner = lake_table_at(Path(folder))
        if inner is not None:
            raise InputError(f"{rule} holds {inner.format.name}, {inner.advice()}")
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        for name in sorted(name for name in files if not name.startswith(HIDDEN)):
            n_files += 1
            if not name.endswith(PARQUET) or not Path(folder, name).is_file():
                raise InputError(f"{rule} holds {quote(name)}.")
    if not n_files:
        raise InputError(f"{rule} holds no file.")


def _require_table_file(path: Path, data: str) -> None:
    """Raise InputError where a file begins as no CSV or Parquet does, or is an archive that cannot be read."""
    rule = f"The 'data' parameter must name a readable CSV or Parquet table. Got {quote(data)}"
    try:
        with open_decompressed(path) as file:
            kind = describe_kind(path, file.read(START_BYTES))
    except (ArchiveError, OSError) as error:
        raise InputError(f"{rule}: {one_line(error)}") from error
    if kind:
        raise InputError(f"{rule}, which {kind}.")


def _require_no_lake_table(path: Path, rule: str) -> None:
    table = find_lake_table(path)
    if table is not None:
        is_in = "is" if table.root == path.resolve() else "lies in"
        raise InputError(f"{rule} {is_in} {table.format.name}, {table.advice()}")
