"""What a process shows a tracking server: the driver's own, and that of a worker of Spark only while it logs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

USERNAME, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"


def of_this_process() -> dict[str, str]:
    """What this process shows, as the variables of an environment in which MLflow looks for it."""
    from mlflow.utils.credentials import read_mlflow_creds

    found = read_mlflow_creds()
    shown = {USERNAME: found.username, PASSWORD: found.password} | {name: os.environ.get(name) for name in (TOKEN, INSECURE)}
    return {name: value for name, value in shown.items() if value}


@contextmanager
def showing(shown: Mapping[str, str]) -> Iterator[None]:
    """Within the block, what another process shows is shown by this one; a worker may work for others afterwards."""
    before = {name: os.environ.get(name) for name in shown}
    os.environ.update(shown)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
