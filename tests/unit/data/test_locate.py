"""Where a table lies: what is fetched, what is refused, and what identifies it."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from input_tables import (
    GOOD_CSV,
    Recipe,
    closed_socket,
    empty_folder,
    file,
    folder_with,
    folder_with_a_pipe,
    link,
    path,
    path_through_a_file,
    pipe,
)
from website import website

from penguins.data.load import load_table
from penguins.data.locate import (
    BUNDLED_FILE,
    TABLE_NAME,
    absolute_data_path,
    data_digest,
    fetch_table,
    require_exists,
    table_digest,
    table_name,
    uri_scheme,
)
from penguins.errors import InputError
from penguins.resume import fingerprint

NOT_THERE = "The 'data' parameter must name a file that is there. Got "
NO_TABLE = "The 'data' parameter must name a file, or a folder of Parquet files alone. Got "
NOT_FETCHED = "The 'data' parameter must name a table that can be fetched. Got "
CASES: dict[str, tuple[Recipe, str]] = {
    "a relative path": (path("elsewhere/x.csv"), NOT_THERE + "'elsewhere/x.csv' (looked for in {here}; give an absolute path"),
    "an absolute path": (path("/elsewhere/x.csv"), NOT_THERE + "'/elsewhere/x.csv'."),
    "nearly the bundled table": (path("penguin.csv"), NOT_THERE + "'penguin.csv'"),
    "nearly its name": (path("penguin"), "Did you mean 'penguins'?"),
    "a dangling link": (link("link.csv", "nowhere.csv"), NOT_THERE + "'link.csv'"),
    "a link to itself": (link("loop.csv", "loop.csv"), NOT_THERE + "'loop.csv'"),
    "a path through a file": (path_through_a_file, NOT_THERE + "'x.csv/y'"),
    "a name that is too long": (path("x" * 300 + ".csv"), "File name too long"),
    "an unknown user": (path("~nobody-here/x.csv"), NOT_THERE + "'~nobody-here/x.csv'"),
    "a pipe": (pipe("t.csv"), NO_TABLE + "'t.csv', which is neither"),
    "a pipe called Parquet": (pipe("t.parquet"), NO_TABLE + "'t.parquet', which is neither"),
    "a socket": (closed_socket, NO_TABLE + "'s', which is neither"),
    "a device": (path("/dev/zero"), NO_TABLE + "'/dev/zero', which is neither"),
    "the root": (path("/"), NO_TABLE + "'/', which holds "),
    "an empty folder": (empty_folder, NO_TABLE + "'nothing', which holds no file."),
    "a folder of other files": (folder_with("notes.txt"), NO_TABLE + "'folder', which holds 'notes.txt'"),
    "a folder with a pipe": (folder_with_a_pipe, NO_TABLE + "'folder', which holds 'b.parquet'"),
    "a model": (folder_with("MLmodel"), NO_TABLE + "'folder', which is a model of MLflow."),
}
URIS = {
    "nobody at that port": ("http://127.0.0.1:1/x.csv", NOT_FETCHED + "'http://127.0.0.1:1/x.csv'"),
    "no address": ("http://[x/y.csv", NOT_FETCHED + "'http://[x/y.csv'"),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", [*CASES, *URIS])
def test_what_is_no_table_is_refused(case: str) -> None:
    make, rule = CASES[case] if case in CASES else (path(URIS[case][0]), URIS[case][1])
    with pytest.raises(InputError) as refusal:
        fetch_table(make())
    assert rule.format(here=os.getcwd()) in str(refusal.value)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("case", CASES)
def test_a_path_without_a_table_is_refused_before_anything_is_fetched(case: str) -> None:
    make, rule = CASES[case]
    data = make()
    if TABLE_NAME.fullmatch(data) and not os.path.exists(data):  # it may be a table of Spark's catalogue
        require_exists(data)
    else:
        with pytest.raises(InputError) as refusal:
            require_exists(data)
        assert rule.format(here=os.getcwd()) in str(refusal.value)


def test_what_this_machine_cannot_see_is_left_to_the_step() -> None:
    for data in ("penguins", "runs:/abc/x.csv", "s3://bucket/x.csv", "table", "catalogue.schema.table"):
        require_exists(data)
    with pytest.raises(InputError, match="that can be fetched"):
        require_exists("http://[x")


def test_files_and_folders_of_parquet_are_found() -> None:
    assert fetch_table(file(GOOD_CSV)()) == Path("t.csv")
    assert fetch_table(folder_with("_SUCCESS", ".part.crc")()) == Path("folder")
    require_exists("t.csv")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a website with the files of the working directory."""
    with website(tmp_path) as served:
        yield served


def test_a_table_on_the_web_is_downloaded_with_the_endings_that_say_how_to_read_it(address: str) -> None:
    file(gzip.compress(GOOD_CSV.encode()), "t.csv.gz")()
    with ZipFile("t.csv.zip", "w") as archive:
        archive.writestr("t.csv", GOOD_CSV)
    for name in ("t.csv.gz", "t.csv.gz?version=2", "t.csv.zip"):
        assert len(load_table(f"{address}/{name}", {"size": "features"}).frame) == 60


def test_a_large_download_is_announced(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fingerprint, "LARGE_BYTES", 1 << 20)
    with Path(file("a\n1\n", "large.csv")()).open("r+b") as sparse:
        sparse.truncate(1 << 27)
    fetch_table(f"{address}/large.csv")
    assert capsys.readouterr().out == "large.csv: all of its 0.1 GiB are downloaded\n"


def test_a_page_that_does_not_exist_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"that can be fetched.*404"):
        fetch_table(f"{address}/nowhere.csv")


def test_a_digest_is_of_the_content_and_empty_where_it_cannot_be_read() -> None:
    digest = table_digest(file("a\n1\n", "x.csv")())
    assert digest == table_digest(file("a\n1\n", "y.csv")()) == table_digest(str(Path("x.csv").absolute()))
    assert digest != table_digest(file("a\n2\n", "z.csv")())
    assert table_digest(folder_with()())
    assert table_digest("penguins") == table_digest(str(BUNDLED_FILE))
    for data in ("nope.csv", "runs:/abc/x.csv", "~nobody-here/x.csv", "x" * 300, "\0", "/dev/zero", pipe("p")()):
        assert table_digest(data) == ""


def test_a_path_becomes_absolute_and_everything_else_stays() -> None:
    file(GOOD_CSV)()
    assert absolute_data_path("t.csv") == str(Path("t.csv").resolve())
    Path("penguins").mkdir()
    for data in ("penguins", "nope.csv", "runs:/abc/x.csv", "catalogue.schema.table", "~nobody-here/x.csv", "\0"):
        assert absolute_data_path(data) == data


def test_a_table_that_cannot_be_read_from_here_counts_by_its_name_without_secrets() -> None:
    assert data_digest("penguins") == table_digest("penguins")
    assert data_digest("https://h/t.csv?X-Amz-Date=1&X-Amz-Signature=5ecret") == "https://h/t.csv?***"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("http://host/?token=5ecret", "?token=***"),
        ("a/b.csv", "b.csv"),
        ("runs:/abc/b.csv", "b.csv"),
        ("http://host/b.csv?c=d", "b.csv"),
        ("a/b/", "b"),
        ("/", "table"),
    ],
)
def test_a_table_is_called_after_the_last_part_of_its_path(data: str, name: str) -> None:
    assert table_name(data) == name


@pytest.mark.parametrize(
    ("data", "scheme"), [("runs:/abc/x.csv", "runs"), ("a/b.csv", ""), ("C:\\x.csv", "c"), ("penguins", "")]
)
def test_the_scheme_of_a_uri(data: str, scheme: str) -> None:
    assert uri_scheme(data) == scheme
