"""Predictions are written whole or not at all, and nothing but earlier predictions is ever replaced."""

from pathlib import Path

import mlflow
import pandas as pd
import pytest
from stores import Store

from penguins.data.output import Output, find_output, upload
from penguins.errors import InputError, WorkError
from penguins.scoring import output as module
from penguins.scoring.output import write_result

OLD, NEW = pd.DataFrame({"cluster": [1]}), pd.DataFrame({"cluster": [2, 3]})


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("", "artifact", ""),
        ("s3://bucket/birds/", "uri", "s3://bucket/birds/r1"),
        ("abfss://c@account.host/birds", "uri", "abfss://c@account.host/birds/r1"),
        ("main.birds.clusters", "table", "main.birds.clusters"),
    ],
)
def test_what_the_parameter_names(text: str, kind: str, address: str) -> None:
    found = find_output(text, "t.csv", "r1")
    assert (found.kind, found.address) == (kind, address)


@pytest.mark.parametrize("text", ["out", "./main.birds.clusters", "v1.2.parquet"])
def test_a_path_is_a_folder_and_so_is_its_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    expected = Output("folder", str(tmp_path / text))
    assert find_output(text, "t.csv", "r1") == expected
    assert find_output((tmp_path / text).as_uri(), "t.csv", "r1") == expected


def test_a_table_that_is_read_is_not_written() -> None:
    with pytest.raises(InputError, match=r"Got 'a\.b\.c', the table that is read"):
        find_output("a.b.c", "a.b.c", "r1")


def test_a_folder_is_replaced_by_the_next_result(tmp_path: Path) -> None:
    place = Output("folder", str(tmp_path / "deep" / "out"))
    for result in (OLD, NEW):
        assert find_output(place.address, "t.csv", "r1") == place
        write_result(result, place)
        pd.testing.assert_frame_equal(pd.read_parquet(place.address), result)
        assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


@pytest.mark.parametrize("moment", ["while it is written", "while it is put in place"])
def test_an_earlier_result_stays_where_the_new_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    place = Output("folder", str(tmp_path / "out"))
    write_result(OLD, place)
    if moment == "while it is written":
        monkeypatch.setattr(module, "SUCCESS", "no/such/folder")
    else:
        rename = Path.rename
        monkeypatch.setattr(Path, "rename", lambda self, to: rename(self, to / "x" if self.name.endswith(".new") else to))
    with pytest.raises(WorkError, match="The predictions could not be written to '"):
        write_result(NEW, place)
    pd.testing.assert_frame_equal(pd.read_parquet(place.address), OLD)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("others", [{"a.txt": "mine"}, {"part-00000.parquet": "x"}, {"_SUCCESS": "", "p.parquet": "x"}])
def test_a_folder_with_anything_else_is_refused(tmp_path: Path, others: dict[str, str]) -> None:
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="a folder that holds something else than earlier predictions"):
        find_output(str(tmp_path), "t.csv", "r1")


def test_the_file_that_says_that_all_is_there_is_uploaded_last(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("_SUCCESS", "part-00000.parquet", "part-00001.parquet"):
        (folder / name).write_text(name)
    upload(folder, (tmp_path / "there").as_uri())
    written = sorted((tmp_path / "there").iterdir(), key=lambda path: path.stat().st_ctime_ns)
    assert [path.name for path in written] == ["part-00000.parquet", "part-00001.parquet", "_SUCCESS"]


def test_many_rows_are_an_artifact_of_several_files(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penguins.tracking.artifacts.ROWS_IN_FILE", 2)
    rows = pd.DataFrame({"row": range(5)})
    with mlflow.start_run() as run:
        write_result(rows, Output("artifact"))
    folder = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="predictions.parquet")
    assert len(list(Path(folder).iterdir())) == 3
    pd.testing.assert_frame_equal(pd.read_parquet(folder), rows)
