"""No secret of a URL stays in a text, and everything else does."""

import time

import pytest

from penguins.redaction import redact
from penguins.text import one_line, print_lines, quote

SIGNED = "https://bucket.s3.amazonaws.com/a/t.csv?X-Amz-Credential=AKIA%2F1&X-Amz-Date=1&X-Amz-Signature=5ecret"
SECRETS = {
    "a signature of S3": (SIGNED, "https://bucket.s3.amazonaws.com/a/t.csv?***"),
    "a session of S3": ("https://h/t.csv?versionId=3&X-Amz-Security-Token=5ecret", "https://h/t.csv?***"),
    "a signature of Azure": (
        "https://a.blob.core.windows.net/c/t.csv?sv=1&se=2&sig=5ecret%3D",
        "https://a.blob.core.windows.net/c/t.csv?***",
    ),
    "a signature of Google": ("https://h/b/o?GoogleAccessId=me&Expires=1&Signature=5ecret%2F", "https://h/b/o?***"),
    "a new signature of Google": ("https://h/o?X-Goog-Signature=5ecret", "https://h/o?***"),
    "a token": ("https://h/t.csv?v=2&token=5ecret&w=3", "https://h/t.csv?v=2&token=***&w=3"),
    "a private token": ("https://h/t.csv?PRIVATE_TOKEN=5ecret", "https://h/t.csv?PRIVATE_TOKEN=***"),
    "a token with a quote and an ampersand": ("https://h/t.csv?token=5'ecret&5ecret", "https://h/t.csv?token=***"),
    "an access key": ("https://h/t.csv?access_key=5ecret", "https://h/t.csv?access_key=***"),
    "a token after a hash": ("https://h/t.csv#access_token=5ecret", "https://h/t.csv#access_token=***"),
    "name and password": ("http://me:5ecret@host:5000/x", "http://***@host:5000/x"),
    "a name as a token": ("https://5ecret@github.com/a/b.git", "https://***@github.com/a/b.git"),
    "a password alone": ("redis://:5ecret@host", "redis://***@host"),
    "a database": (
        "postgresql+psycopg2://me:5ecret@host/db?sslpassword=5ecret",
        "postgresql+psycopg2://***@host/db?sslpassword=***",
    ),
    "a password with signs": ("mysql://me:5@ecret@host/db", "mysql://***@host/db"),
    "keys with a slash": ("s3://AKIA1:5/ecret+@bucket/t.csv", "s3://***@bucket/t.csv"),
    "ODBC": ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D5ecret", "mssql+pyodbc:///?odbc_connect=***"),
    "JDBC": ("jdbc:sqlserver://h:1433;database=d;password=5ecret;x=1", "jdbc:sqlserver://h:1433;database=d;password=***;x=1"),
    "Spark Connect": ("sc://h:15002/;user_id=me;token=5ecret;x=1", "sc://h:15002/;user_id=me;token=***;x=1"),
    "a message with the path alone": (
        "HTTPConnectionPool(host='h', port=80): Max retries exceeded with url: /t.csv?sig=5ecret (Caused by X('no'))",
        "HTTPConnectionPool(host='h', port=80): Max retries exceeded with url: /t.csv?*** (Caused by X('no'))",
    ),
    "a quoted URL": ("Got 'https://h/t.csv?token=5ecret': 404", "Got 'https://h/t.csv?token=***': 404"),
    "JSON": ('{"url": "https://me:5ecret@h/t.csv?sig=5ecret"}', '{"url": "https://***@h/t.csv?***"}'),
    "two URLs": ("http://a:5ecret@b and http://c:5ecret@d", "http://***@b and http://***@d"),
}
HARMLESS = [
    "token=1.csv",
    "data/token=1/part.parquet",
    "/data/a;token=1.csv",
    "/data/a&token=1.csv",
    "R&token=1",
    "which token?token=1",
    "https://h/t.csv?n_tokens=5&author=me&keyword=b&version=2",
    "http://127.0.0.1:5000/a@b.csv",
    "http://[::1]:5000/a@b.csv",
    "abfss://container@account.dfs.core.windows.net/t.csv",
    "ssh://git@host/x",
    "spark://host:7077",
    "sc://host:15002/;user_id=me",
    "runs:/0123/t.csv",
    '{"uri":"sc://host:15002","mail":"a@b"}',
    "see http://host and write to a@b.c",
    "KR, 2024-01",
]


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_is_replaced_and_host_and_path_stay(case: str) -> None:
    text, expected = SECRETS[case]
    assert redact(text) == expected
    assert redact(expected) == expected


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_urls_that_were_signed_at_different_times_become_the_same_text() -> None:
    assert redact(SIGNED) == redact(SIGNED.replace("Date=1", "Date=2").replace("5ecret", "0ther"))


@pytest.mark.parametrize("piece", ["a", "/a", "://", "://a:", "http://", "/?", ";token=", "://;", "/?&token=", "@"])
def test_a_long_text_takes_no_time(piece: str) -> None:
    begun = time.process_time()
    redact(piece * 100_000 + "/")
    assert time.process_time() - begun < 10


def test_no_message_quote_or_printed_line_holds_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    for text, _ in SECRETS.values():
        long = f"{text} {'x' * 200}"
        print_lines(text)
        for said in (one_line(ValueError(text)), quote(text), quote(long), quote([text]), capsys.readouterr().out):
            assert "ecret" not in said


def test_a_secret_that_is_longer_than_a_quote_is_not_cut_before_it_is_replaced() -> None:
    assert quote(f"https://me:{'5ecret' * 50}@host/t.csv") == "'https://***@host/t.csv'"
