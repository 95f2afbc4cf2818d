"""The connection to a server: which variables a worker is sent, how long it has them, and the switch of quick answers."""

import inspect
import os
import re
from pathlib import Path

import pytest
from mlflow.utils import credentials

from penguins.errors import InputError
from penguins.tracking.server import (
    CONNECTION_SETTINGS,
    PASSWORD,
    QUICK_ACK,
    SECRETS,
    TOKEN,
    USERNAME,
    acknowledge_at_once,
    connection_variables,
    set_variables,
)


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process without any variable of a connection, whose user has no file of credentials."""
    for name in (*SECRETS, *CONNECTION_SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_worker_is_sent_every_variable_from_which_mlflow_takes_its_credentials() -> None:
    read = set(re.findall(r"MLFLOW_TRACKING_[A-Z0-9_]+", inspect.getsource(credentials.get_default_host_creds)))
    assert {TOKEN, "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"} <= read
    assert read <= {*SECRETS, *CONNECTION_SETTINGS}


def test_a_worker_is_sent_what_is_set_and_nothing_else(no_variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection_variables() == {}
    expected = {
        "MLFLOW_WORKSPACE": "birds",
        "AWS_SECRET_ACCESS_KEY": "a key",
        "REQUESTS_CA_BUNDLE": "/ca.pem",
        TOKEN: "a token",
    }
    for name, value in {**expected, "MLFLOW_RUN_ID": "a run", "MLFLOW_TRACKING_AUTH": "", "OPENAI_API_KEY": "other"}.items():
        monkeypatch.setenv(name, value)
    assert connection_variables() == expected


def test_a_name_and_a_password_in_mlflows_file_are_sent_as_variables(no_variables: None, tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(f"[mlflow]\n{USERNAME.lower()} = ada\n{PASSWORD.lower()} = secret\n")
    assert connection_variables() == {USERNAME: "ada", PASSWORD: "secret"}


def test_a_worker_has_the_variables_in_the_block_alone_and_no_blank_secret(
    no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "of the worker")
    monkeypatch.setenv("SSL_CERT_FILE", "/of/the/worker.pem")
    before = dict(os.environ)
    sent = {PASSWORD: "secret", "MLFLOW_WORKSPACE": "birds", TOKEN: "a token"}
    with set_variables(sent | {"SSL_CERT_FILE": "/of/the/driver.pem", "AWS_CA_BUNDLE": __file__}):
        assert (os.environ["SSL_CERT_FILE"], os.environ["AWS_CA_BUNDLE"]) == ("/of/the/worker.pem", __file__)
        assert (os.environ[PASSWORD], os.environ["MLFLOW_WORKSPACE"], os.environ[TOKEN]) == ("secret", "birds", "a token")
        assert "AZURE_STORAGE_CONNECTION_STRING" not in os.environ
    assert dict(os.environ) == before


def test_an_empty_switch_of_quick_answers_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUICK_ACK, "")
    acknowledge_at_once()


def test_a_switch_of_quick_answers_that_is_neither_on_nor_off_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(QUICK_ACK, "maybe")
    with pytest.raises(InputError, match=r"PENGUINS_QUICK_ACK must be true or false\. Got 'maybe'"):
        acknowledge_at_once()
