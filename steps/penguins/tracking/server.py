"""The connection to a tracking server: the variables that decide it, and answers that are acknowledged at once."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from penguins.errors import InputError
from penguins.text import quote

# Set to false, it leaves connections as urllib3 opens them: see `acknowledge_at_once`.
QUICK_ACK = "PENGUINS_QUICK_ACK"
USERNAME, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
# The variables in which MLflow's client looks for secrets: those of the tracking server, and those of a store of artifacts that
# it reaches by itself, or of a server that checks the keys of AWS. Other programs have their own use for the latter.
TRACKING_SECRETS = (USERNAME, PASSWORD, TOKEN, "DATABRICKS_TOKEN", "DATABRICKS_PASSWORD", "DATABRICKS_CLIENT_SECRET")
CLOUD_SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_SAS_TOKEN",
)
SECRETS = (*TRACKING_SECRETS, *CLOUD_SECRETS)
# Those that name a file, of certificates or keys.
FILES = (
    *("MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "DATABRICKS_CONFIG_FILE"),
)
# All else that decides which server MLflow's client reaches, as whom, in which workspace, and how patiently. The name of a
# profile is not among them: it belongs to a file of the driver's user.
CONNECTION_SETTINGS = (
    *FILES,
    QUICK_ACK,
    "MLFLOW_WORKSPACE",
    "MLFLOW_ENABLE_WORKSPACES",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_HTTP_REQUEST_TIMEOUT",
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("DATABRICKS_HOST", "DATABRICKS_CLIENT_ID", "DATABRICKS_USERNAME", "DATABRICKS_AUTH_TYPE", "DATABRICKS_WORKSPACE_ID"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ROLE_ARN"),
    *("MLFLOW_S3_ENDPOINT_URL", "MLFLOW_S3_IGNORE_TLS", "MLFLOW_S3_UPLOAD_EXTRA_ARGS", "MLFLOW_S3_EXPECTED_BUCKET_OWNER"),
    *("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION"),
    *("AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
    *("MLFLOW_KERBEROS_TICKET_CACHE", "MLFLOW_KERBEROS_USER"),
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT",
)
# Only Linux has this option. It holds for the next packets only, hence for one answer.
QUICKACK = getattr(socket, "TCP_QUICKACK", 0)


def connection_variables() -> dict[str, str]:
    """Return the environment variables that a worker needs to reach the store as this process does.

    A file is named by its path, and counts where the worker's machine has it, too. A name and a password in MLflow's file of
    credentials count as set in the environment.
    """
    from mlflow.utils.credentials import read_mlflow_creds

    found = read_mlflow_creds()
    names = (*SECRETS, *CONNECTION_SETTINGS)
    variables = {name: os.environ.get(name) for name in names} | {USERNAME: found.username, PASSWORD: found.password}
    return {name: value for name, value in variables.items() if value}


@contextmanager
def set_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the driver's environment variables for the block only, because a worker may serve others afterwards.

    A variable that names a file which this machine does not have stays as it is: the machine may have another one.
    A secret that is set to nothing here, so that nobody sees the driver's, is unset: some libraries only ask whether it exists.
    """
    variables = {name: value for name, value in variables.items() if name not in FILES or os.path.exists(value)}
    blank = [name for name in SECRETS if os.environ.get(name) == ""]
    before = {name: os.environ.get(name) for name in (*variables, *blank)}
    for name in blank:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def acknowledge_at_once() -> None:
    """Make every connection that this process opens through urllib3 from now on acknowledge each answer at once.

    An `mlflow server` with several workers sends the head and the body of an answer as two packets, the second one only when
    the first is acknowledged. Linux delays that by up to 40 ms, which would be most of a request's time on a fast network.
    `PENGUINS_QUICK_ACK=false` switches this off. Raises InputError at any other value than true or false.
    """
    if not _is_quick():
        return
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.response import HTTPResponse

    class QuickHTTPConnection(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            _acknowledge(self.sock)
            return super().getresponse()

    class QuickHTTPSConnection(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override]
            _acknowledge(self.sock)
            return super().getresponse()

    HTTPConnectionPool.ConnectionCls = QuickHTTPConnection
    HTTPSConnectionPool.ConnectionCls = QuickHTTPSConnection


def _is_quick() -> bool:
    text = os.environ.get(QUICK_ACK) or "true"
    if text.lower() not in ("true", "false"):
        raise InputError(f"The environment variable {QUICK_ACK} must be true or false. Got {quote(text)} instead.")
    return text.lower() == "true"


def _acknowledge(connection: Any) -> None:
    if QUICKACK and connection is not None:
        with suppress(OSError):  # of a broken connection, which the read reports
            connection.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
