"""Parameters that mean something to a shell are texts like any other to a real `mlflow run`."""

from pathlib import Path

from servers import mlflow_run
from stores import Store

from penguins.project import PROJECT


def files() -> set[Path]:
    """Return the files of the project, without the folders of the tools."""
    return {path for path in PROJECT.iterdir() if not path.name.startswith(".")}


def test_hostile_parameters_reach_no_shell(store: Store, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    before = files()
    value = '$(touch x);`touch x`\n\'; touch x; "touch x" & | > x'
    done = mlflow_run(
        str(PROJECT), "-e", "logistic_regression", "-P", f"target={value}", "-P", "features=$(touch x),`touch x`,';touch x;'",
        "-P", 'data=t.csv"; touch x; "', "--env-manager", "local", "--experiment-name", "penguins",
        folder=work, MLFLOW_TRACKING_URI=store.uri,
    )  # fmt: skip
    assert done.returncode == 1
    assert """Got 't.csv"; touch x; "'""" in store.only("logistic_regression").data.tags["error"]
    assert list(work.iterdir()) == []
    assert files() == before
    assert not (PROJECT / "x").exists()
