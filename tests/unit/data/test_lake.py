"""Tables of data lakes are recognised and never read as plain Parquet."""

import shlex
from pathlib import Path

import pytest
from input_tables import file, folder_with, good_table, lake_folder

from penguins.data.lake import find_lake_table, lake_table_at
from penguins.data.load import load_table
from penguins.data.locate import fetch_table, require_exists, table_digest
from penguins.errors import InputError
from penguins.text import PLAIN_PATH

MARKERS = {
    "_delta_log/00000000000000000000.json": ("a Delta table", "pip install deltalake"),
    "metadata/v1.metadata.json": ("an Iceberg table", "pip install pyiceberg"),
    ".hoodie/hoodie.properties": ("a Hudi table", "pip install hudi"),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize(
    ("data", "is_in"),
    [("sites", "is"), ("sites/data", "lies in"), ("sites/data/day=1", "lies in"), ("sites/data/day=1/a.parquet", "lies in")],
)
def test_a_lake_table_and_all_in_it_is_refused_with_the_ways_to_read_it(marker: str, data: str, is_in: str) -> None:
    lake_folder(marker)()
    name, package = MARKERS[marker]
    refused = []
    for check in (fetch_table, require_exists):
        with pytest.raises(InputError) as refusal:
            check(data)
        refused.append(str(refusal.value))
    for text in refused:
        assert f"which {is_in} {name}, whose files also hold rows that it no longer has." in text
        assert "data=catalog.schema.table" in text
        assert package in text
        assert text.isprintable()
    assert table_digest(data) == ""


@pytest.mark.parametrize("marker", MARKERS)
def test_the_command_in_the_refusal_is_python_that_names_the_table(marker: str) -> None:
    lake_folder(marker)()
    table = find_lake_table(Path("sites"))
    assert table is not None
    command = shlex.split(table.advice().split("): ")[-1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "command", "exec")
    assert str(Path("sites").resolve()) in command[2]
    assert ("v1.metadata.json" in command[2]) == ("metadata" in marker)


def test_a_path_that_no_shell_takes_as_it_is_stays_out_of_the_command() -> None:
    table = find_lake_table(Path(lake_folder("_delta_log/0.json")()))
    assert table is not None
    assert "DeltaTable('TABLE')" in table.advice("it's $(here)")
    assert not PLAIN_PATH.fullmatch("a b")


def test_the_newest_metadata_of_an_iceberg_table_are_named() -> None:
    lake_folder("metadata/00009-b.metadata.json")()
    for name in ("00010-a", "00002-c"):
        Path("sites/metadata", f"{name}.metadata.json").write_text("{}")
    table = lake_table_at(Path("sites"))
    assert table is not None
    assert table.newest == "metadata/00010-a.metadata.json"


def test_a_lake_table_in_a_folder_of_parquet_files_is_refused() -> None:
    folder_with("_SUCCESS")()
    Path(lake_folder("_delta_log/0.json")()).rename("folder/inner")
    with pytest.raises(InputError, match=r"Got 'folder', which holds a Delta table, whose files"):
        fetch_table("folder")


def test_a_link_into_a_lake_table_is_refused() -> None:
    lake_folder("_delta_log/0.json")()
    Path("day").symlink_to("sites/data/day=1")
    with pytest.raises(InputError, match=r"Got 'day', which lies in a Delta table"):
        fetch_table("day")


def test_plain_tables_beside_or_in_folders_that_only_look_alike_are_read() -> None:
    lake_folder("metadata/notes.json")()
    Path("others/metadata").mkdir(parents=True)
    Path("others/metadata/v1.metadata.json").write_text("{}")
    good_table().to_parquet("others/plain.parquet")  # no file of an Iceberg table lies there
    Path("sites/_delta_log").mkdir()
    file(good_table().to_csv(index=False), "sites/t.csv")()  # a lake table holds no CSV
    for data in ("others/plain.parquet", "sites/t.csv"):
        assert len(load_table(data, {"size": "features"}).frame) == 60
