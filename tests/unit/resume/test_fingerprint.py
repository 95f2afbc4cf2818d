"""The fingerprint's digests: of the code that a step runs, and of what files and folders hold."""

import ast
import hashlib
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penguins.project import PROJECT
from penguins.resume import fingerprint
from penguins.resume.fingerprint import (
    Fingerprint,
    code_digest,
    content_digest,
    fingerprint_from_texts,
    imported_files,
)

# A project in small: `a_step` runs each module of the package that does not say otherwise.
FILES = {
    "requirements.txt": "numpy==1\n",
    "requirements.lock": "numpy==1\n",
    "README.md": "A project.\n",
    "steps/a_step.py": (
        "import penguins.whole\nfrom penguins.direct import f\nfrom penguins.package import member\n"
        "def g():\n    from penguins.lazy import h\n"
    ),
    "steps/another_step.py": "import penguins.elsewhere\n",
    "steps/penguins/__init__.py": "",
    "steps/penguins/whole.py": "x = 1\n",
    "steps/penguins/direct.py": "import numpy\nfrom penguins.through import f\nfrom penguins.plots.style import g\n",
    "steps/penguins/through.py": "from penguins.direct import f\n",  # a circle
    "steps/penguins/lazy.py": "def h():\n    if True:\n        import penguins.lazier\n",
    "steps/penguins/lazier.py": "x = 1\n",
    "steps/penguins/package/__init__.py": "",
    "steps/penguins/package/member.py": "x = 1\n",
    "steps/penguins/package/other.py": "x = 1\n",
    "steps/penguins/elsewhere.py": "x = 1\n",
    "steps/penguins/plots/__init__.py": "x = 1\n",
    "steps/penguins/plots/style.py": "x = 1\n",
}
COUNT = [
    "requirements.txt", "requirements.lock", "steps/a_step.py", "steps/penguins/__init__.py", "steps/penguins/whole.py",
    "steps/penguins/direct.py", "steps/penguins/through.py", "steps/penguins/lazy.py", "steps/penguins/lazier.py",
    "steps/penguins/package/__init__.py", "steps/penguins/package/member.py",
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("penguins.resume.fingerprint.PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_the_code_is_the_pins_the_script_and_the_modules_that_it_imports(project: Path, name: str) -> None:
    before = code_digest("a_step")
    with (project / name).open("a") as file:
        file.write("# changed\n")
    assert (code_digest("a_step") != before) == (name in COUNT)


def test_a_file_that_the_step_does_not_import_may_be_added_or_removed(project: Path) -> None:
    before = code_digest("a_step")
    (project / "steps/penguins/new.py").write_text("x = 1\n")
    (project / "steps/penguins/elsewhere.py").unlink()
    assert code_digest("a_step") == before


def test_two_modules_that_are_swapped_are_other_code(project: Path) -> None:
    before = code_digest("a_step")
    one, other = project / "steps/penguins/lazier.py", project / "steps/penguins/package/__init__.py"
    one.write_text(FILES["steps/penguins/package/__init__.py"])
    other.write_text(FILES["steps/penguins/lazier.py"])
    assert code_digest("a_step") != before


def test_the_folder_of_the_project_does_not_count(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest("a_step")
    moved = project.with_name("moved")
    shutil.move(project, moved)
    monkeypatch.setattr("penguins.resume.fingerprint.PROJECT", moved)
    assert code_digest("a_step") == before


def test_two_steps_have_different_code(project: Path) -> None:
    assert code_digest("a_step") != code_digest("another_step")


@pytest.mark.parametrize(
    ("script", "included", "left_out"),
    [
        (
            "dbscan_sweep",
            "clustering/s_dbw sweep/fit data/spark_table cli/parameters __init__",
            "plots/__init__ plots/values cli/config preprocessing",
        ),
        (
            "ridge_search",
            "preprocessing data/load tracking/run",
            "plots/__init__ plots/curves clustering/dbscan sweep/fit spark/session",
        ),
        ("main", "cli/config resume/recovery", "clustering/dbscan plots/__init__ preprocessing"),
    ],
)
def test_this_projects_own_steps_are_followed_into_the_package(script: str, included: str, left_out: str) -> None:
    files = set(imported_files(PROJECT / "steps", f"{script}.py"))
    assert {name for name in files if "/" not in name} == {f"{script}.py"}
    assert {f"penguins/{name}.py" for name in included.split()} <= files
    assert not {f"penguins/{name}.py" for name in left_out.split()} & files


def test_no_import_is_relative_since_the_digest_would_not_follow_it() -> None:
    for path in (PROJECT / "steps").rglob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.ImportFrom)]
        assert not [node.module for node in imports if node.level], path


def add(folder: Path) -> None:
    (folder / "new").write_text("")


def change(folder: Path) -> None:
    (folder / "a/x.bin").write_bytes(b"1 changed")


def rename(folder: Path) -> None:
    (folder / "a/x.bin").rename(folder / "a/z.bin")


def move(folder: Path) -> None:
    (folder / "a/x.bin").rename(folder / "x.bin")


def swap(folder: Path) -> None:
    (folder / "a/x.bin").write_bytes(b"22")
    (folder / "y.bin").write_bytes(b"1")


def remove(folder: Path) -> None:
    (folder / "y.bin").unlink()


def touch(folder: Path) -> None:
    os.utime(folder / "y.bin", (0, 0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "t/a").mkdir(parents=True)
    (tmp_path / "t/a/x.bin").write_bytes(b"1")
    (tmp_path / "t/y.bin").write_bytes(b"22")
    return tmp_path / "t"


@pytest.mark.parametrize("alter", [add, change, rename, move, swap, remove])
def test_a_folder_counts_by_the_names_and_contents_in_it(folder: Path, alter: Callable[[Path], None]) -> None:
    before = content_digest(folder)
    alter(folder)
    assert content_digest(folder) != before


def test_neither_times_nor_the_place_of_a_folder_count(folder: Path) -> None:
    before = content_digest(folder)
    touch(folder)
    assert content_digest(folder) == before
    assert content_digest(folder.rename(folder.with_name("moved"))) == before


def test_files_with_the_same_content_have_the_same_digest(folder: Path) -> None:
    assert content_digest(folder / "y.bin") != content_digest(folder / "a/x.bin")
    (folder / "a/x.bin").write_bytes(b"22")
    assert content_digest(folder / "y.bin") == content_digest(folder / "a/x.bin")


def test_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content_digest(tmp_path / "nowhere")


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(32 << 20)
    tracemalloc.start()
    try:
        content_digest(tmp_path / "large")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_that_a_large_table_is_read_is_said_once_before_it_takes_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "LARGE_BYTES", 1 << 20)
    (tmp_path / "small.csv").write_text("a\n1\n")
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(1 << 27)
    said = []
    for path in (tmp_path / "small.csv", tmp_path / "large.csv", tmp_path / "large.csv", tmp_path):
        content_digest(path)
        said.append(capsys.readouterr().out)
    assert said == ["", "large.csv: all of its 0.1 GiB are read, first for its fingerprint\n", "", ""]


def test_a_file_is_read_again_only_if_its_size_or_its_time_has_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    digest = hashlib.file_digest

    def count_reads(file: Any, make: Any) -> Any:
        reads.append(file.name)
        return digest(file, make)

    monkeypatch.setattr(hashlib, "file_digest", count_reads)
    path = folder / "y.bin"
    first = content_digest(path)
    assert content_digest(path) == first
    assert len(reads) == 1
    os.utime(path, ns=(0, 0))
    assert content_digest(path) == first
    assert len(reads) == 2
    path.write_bytes(b"333")
    os.utime(path, ns=(0, 0))
    assert content_digest(path) != first
    assert len(reads) == 3


def test_a_configuration_counts_by_its_content_and_else_by_its_name(project: Path) -> None:
    def key(config: object) -> str:
        return fingerprint_from_texts("a_step", {"config": str(config), "data": "t.csv"}, "data").key

    one, copy, other = (project / name for name in ("one.yaml", "copy.yaml", "other.yaml"))
    one.write_text("a: 1")
    copy.write_text("a: 1")
    other.write_text("a: 2")
    assert key(one) == key(copy)
    assert len({key(one), key(other), key(""), key("nowhere.yaml"), key(project)}) == 5


def test_a_run_shows_its_fingerprint_in_two_tags_of_this_project() -> None:
    this = Fingerprint("a_step", {"eps": "0.5,0.9"}, "data", "code")
    assert this.tags() == {"penguins.fingerprint": this.key, "penguins.step": "a_step"}
    others = [
        replace(this, step="other"),
        replace(this, parameters={}),
        replace(this, data="other"),
        replace(this, code="other"),
    ]
    assert len({one.key for one in [this, *others]}) == 5


@pytest.mark.parametrize(
    ("digests", "parameters", "expected"),
    [
        ({}, {}, []),
        ({}, {"eps": "0.1"}, ["eps (0.1 before, 0.5,0.9 now)"]),
        ({}, {"eps": "0.1", "min_samples": "4"}, ["eps (0.1 before, 0.5,0.9 now)", "min_samples (4 before, 3 now)"]),
        ({}, {"eps": None}, ["eps (none before, 0.5,0.9 now)"]),
        ({"data": "other"}, {}, ["the data"]),
        ({"code": "other"}, {}, ["the code"]),
        (
            {"code": "other", "data": "other"},
            {"eps": "1"},
            ["eps (1 before, 0.5,0.9 now)", "the data", "the code"],
        ),
    ],
)
def test_differences_are_named(digests: dict[str, Any], parameters: dict[str, str | None], expected: list[str]) -> None:
    this = Fingerprint("a_step", {"eps": "0.5,0.9", "min_samples": "3"}, "data", "code")
    logged = {name: text for name, text in (this.parameters | parameters).items() if text is not None}
    assert this.differences(replace(this, **digests).tags(), logged) == expected


def test_where_only_the_columns_of_auto_differ_that_is_named() -> None:
    texts = {"group_by": "auto", "eps": "1"}
    this, other = (fingerprint_from_texts("dbscan_sweep", texts | {"data": data}, "digest") for data in ("penguins", "own.csv"))
    assert this.differences(other.tags(), texts | {"data": "own.csv"}) == ["the columns that auto stands for"]
    assert other.differences(this.tags(), texts | {"data": "penguins"}) == ["the columns that auto stands for"]
    assert this.differences(this.tags(), texts | {"data": "penguins"}) == []


def test_a_configuration_file_is_compared_by_its_content(tmp_path: Path) -> None:
    for name, text in (("one.yaml", "a: {}"), ("same.yaml", "a: {}"), ("other.yaml", "b: {}")):
        (tmp_path / name).write_text(text)
    one = {"config": str(tmp_path / "one.yaml")}
    this = fingerprint_from_texts("main", one, "digest")
    for name, expected in (("same.yaml", []), ("other.yaml", ["the configuration file"])):
        assert this.differences(this.tags(), {"config": str(tmp_path / name)}) == expected
    (tmp_path / "one.yaml").write_text("c: {}")
    changed = fingerprint_from_texts("main", one, "digest")
    assert changed.differences(this.tags(), one) == ["the content of the configuration file"]


def test_a_new_signature_is_neither_another_fingerprint_nor_a_difference() -> None:
    def texts(output: str) -> dict[str, str]:
        return {"data": "penguins", "output": output, "eps": "0.5"}

    before, now = (f"https://h/t?X-Amz-Date={day}&X-Amz-Signature=5ecret{day}" for day in (1, 2))
    fingerprint = fingerprint_from_texts("dbscan_sweep", texts(now), "the data")
    assert fingerprint.key == fingerprint_from_texts("dbscan_sweep", texts(before), "the data").key
    assert "5ecret" not in str(fingerprint)
    other = fingerprint.differences({}, texts("https://me:5ecret@elsewhere/t"))
    assert other[0] == "output (https://***@elsewhere/t before, https://h/t?*** now)"
    assert not any(one.startswith("output") for one in fingerprint.differences({}, texts(before)))
