"""Where a person looks at a run: the addresses of its pages, the command that serves them, and the commands that come next."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote as encode
from urllib.parse import urlsplit

from mlflow.entities import Run
from mlflow.utils.databricks_utils import get_databricks_host_creds, get_workspace_url, is_databricks_uri
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE
from mlflow.utils.workspace_context import get_request_workspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

from penguins.redaction import redact
from penguins.tracking.notes import Markdown, link
from penguins.tracking.store import SQLITE, absolute_tracking_uri

UI_PORT = 5000


def run_page(run: Run) -> str:
    """Return the address of the page of a run, without secrets: on the tracking server, or on the one of `ui_command`."""
    return _page(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}")


def artifact_page(run: Run, path: str) -> str:
    """Return the address of the page that shows the artifact at `path` of a run, without secrets."""
    return _page(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{encode(path)}")


def model_page(run: Run, uri: str) -> str:
    """Return the address of the page of the logged model `uri`, models:/m-…, of a run."""
    return _page(f"experiments/{run.info.experiment_id}/models/{uri.rpartition('/')[2]}")


def run_link(text: object, experiment_id: str, run_id: str) -> Markdown:
    """Return `text` as a Markdown link from one page of the store to that of a run."""
    page = _page(f"experiments/{experiment_id}/runs/{run_id}")
    return link(text, f"#{page.partition('#')[2]}" if "#" in page else page)


def _page(place: str) -> str:
    uri = absolute_tracking_uri()
    if is_databricks_uri(uri):
        host = get_workspace_url() or get_databricks_host_creds(uri).host
        return f"{_without_login(str(host))}/ml/{place}"
    site = _without_login(uri) if _is_web(uri) else f"http://127.0.0.1:{UI_PORT}"
    workspace = (get_request_workspace() if _is_web(uri) else None) or DEFAULT_WORKSPACE_NAME
    query = "" if workspace == DEFAULT_WORKSPACE_NAME else f"?workspace={encode(workspace, safe='')}"
    return f"{site}/#/{place}{query}"


def _is_web(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _without_login(url: str) -> str:
    """Return a URL without user, password, query and fragment, which may be secret."""
    parts = urlsplit(url)
    return redact(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")


def local_file(run: Run, path: str) -> str | None:
    """Return the file:// URI of the artifact at `path` of a run if it is a file of this machine."""
    folder = local_folder(str(run.info.artifact_uri))
    file = Path(folder, path)
    return file.absolute().as_uri() if folder and file.is_file() else None


def local_folder(uri: str) -> str:
    """Return the folder of this machine that an artifact's URI names, or an empty text where it is elsewhere."""
    return str(local_file_uri_to_path(uri)) if urlsplit(uri).scheme in ("", "file") else ""


def ui_command() -> str:
    """Return the command that serves the pages of this process's store, or an empty text where a server does that already.

    The URI of a database may hold a password: the command takes it from the environment.
    """
    uri = absolute_tracking_uri()
    if _is_web(uri) or is_databricks_uri(uri):
        return ""
    is_file = uri.startswith((SQLITE, "file:")) or "://" not in uri
    store = shell_quote(uri) if is_file else '"$MLFLOW_TRACKING_URI"'
    return f"mlflow ui --backend-store-uri {store} --port {UI_PORT}"


@dataclass(frozen=True)
class NextStep:
    """An entry point that one may want to run next, with its parameters as texts."""

    entry_point: str
    parameters: Mapping[str, str]


def project_command(step: NextStep, experiment_id: str, tags: Mapping[str, str], folder: str = ".") -> str:
    """Return the command that runs a step of this project in an experiment, without secrets.

    The project is the URL from which MLflow ran it, according to the `tags` of a run, or else `folder`, for example `.` in its
    own folder.
    """
    source, commit = tags.get(MLFLOW_SOURCE_NAME, ""), tags.get(MLFLOW_GIT_COMMIT)
    # Of a folder that is a clone, MLflow logs a file:// URL.
    is_remote = tags.get(MLFLOW_SOURCE_TYPE) == "PROJECT" and not os.path.isabs(source) and not source.startswith("file:")
    project = [source, *(["-v", commit] if commit else [])] if is_remote else [folder]
    words = ["mlflow", "run", *project, *([] if step.entry_point == "main" else ["-e", step.entry_point])]
    words += ["--env-manager", "local", "--experiment-id", experiment_id]
    for name, text in step.parameters.items():
        words += ["-P", f"{name}={text}"]
    return " ".join(shell_quote(redact(word)) for word in words)


def shell_quote(text: str) -> str:
    """Quote a word for a shell, on one line."""
    if text.isprintable():
        return shlex.quote(text)
    signs = [sign if sign.isprintable() and sign not in "'\\" else f"\\U{ord(sign):08x}" for sign in text]
    return f"$'{''.join(signs)}'"
