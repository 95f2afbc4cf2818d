"""Bad input, step by step: one line on standard error, exit code 2, the run FAILED with the line as its tag `error`."""

import dataclasses
import gzip
import os
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import dbscan_sweep
import logistic_regression
import main
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import ridge_search
import spark_logistic_regression
from conftest import Steps, Store
from pyarrow import parquet
from pyspark.sql import SparkSession
from sklearn.linear_model import Ridge
from test_options import STEPS

from common import options

CLASSIFIERS = [logistic_regression, spark_logistic_regression]
WORKERS = [logistic_regression, ridge_search, spark_logistic_regression, dbscan_sweep]
ON_SPARK = [spark_logistic_regression, dbscan_sweep]

# Which column plays the target, or the groups, of each step in the table of `good`.
ROLES: dict[ModuleType, dict[str, Any]] = {
    logistic_regression: {"target": "kind", "features": "size,weight"},
    ridge_search: {"target": "weight", "features": "size,kind", "alphas": "1", "cv": 2},
    spark_logistic_regression: {"target": "kind", "features": "size,weight", "max_iter": 2},
    dbscan_sweep: {"group_by": "kind", "features": "size,weight", "eps": "0.5", "models": "none"},
}


def good() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"kind": np.repeat(["a", "b", "c"], 20), "size": random.normal(size=60), "weight": random.normal(size=60)}
    )


def refused(store: Store, capfd: pytest.CaptureFixture[str], module: ModuleType) -> str:
    """The one line that was said, once it is clear that it is one line and stands on the FAILED run too."""
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    run = store.only(module.NAME)
    assert run.info.status == "FAILED"
    assert said == f"error: {run.data.tags['error']}\n"
    return said


NEVER = ["\0", "\udcff"]  # in no text that a store takes
BAD_TEXTS: dict[type, list[str]] = {
    options.Integer: [
        "",
        " ",
        "some",
        "1.5",
        "-1",
        "05",
        "1e3",
        "0x10",
        "٣",
        "inf",
        "1,2",
        "1_0",
        "None",
        str(2**63),
        "9" * 5000,
    ],
    options.Real: ["", " ", "half", "nan", "inf", "-0.5", "1.5", "1e999", "0,5", "50%", "0.2_0", "٠.5", "[0.2]", "1/5"],
    options.Choice: ["", " ", "All", "some", "all,none", "'all'"],
    options.Flag: ["", " ", "yes", "1", "maybe", "None"],
}
BAD_LISTS: dict[type, list[str]] = {
    options.Real: [
        "", " ", ",", "[]", "{}", "a", "0", "-1", "nan", "inf", "0.1,0.1", "0.1,0.10", "0.1,,2", "0.1;0.2", "[0.1", "[[0.1]]",
        "[null]", "[true]", "[0.1, 0.1]", '[{"a": 1}]', "1e-999", "1e999", "[NaN]", f"[1{'0' * 5000}]", "[" * 9999 + "]" * 9999,
    ],
    options.Text: ["", " ", ",", "[]", "a,a", "a,,b", '["a", "a"]', '[""]', '["\\ud800"]', "[" * 9999 + "]" * 9999, *NEVER],
    options.Choice: ["", "al", "all,all", "main", "[]", "ridge_search,", "Ridge_search", "[[]]"],
}  # fmt: skip
SPARKS = ["laptop", "local[0]", "local[-1]", "local[*", "local[*]; rm -rf x", "$(touch x)", "spark:/h", "http://h", "local [2]"]


def bad_parameters() -> list[tuple[ModuleType, str, str]]:
    """Every parameter of every step with each kind of value that breaks its rule."""
    cases = []
    for module in STEPS:
        for field in dataclasses.fields(module.Parameters):
            rule = field.metadata["rule"]
            if isinstance(rule, options.ListOf):
                texts = BAD_LISTS[type(rule.item)]
            elif isinstance(rule, options.Text):
                may_be_empty = field.name in ("config", "experiment")
                texts = NEVER + ([] if may_be_empty else ["", " "]) + (SPARKS if field.name == "spark" else [])
                texts = texts + (["x" * 257] if field.name == "experiment" else [])
            else:
                texts = BAD_TEXTS[type(rule)]
            cases += [(module, field.name, text) for text in texts]
    return cases


def test_there_are_many_kinds_of_bad_parameters() -> None:
    assert len(bad_parameters()) > 400


@pytest.mark.parametrize("module", STEPS)
def test_each_parameter_that_breaks_its_rule_is_answered_in_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    for _, name, text in [case for case in bad_parameters() if case[0] is module]:
        code = options.run(module.NAME, module.main, module.Parameters, [f"--{name}={text}"])
        said = capfd.readouterr().err
        rule = next(field.metadata["rule"] for field in dataclasses.fields(module.Parameters) if field.name == name)
        assert code == 2, (name, text[:99])
        assert said == f"error: The {name!r} parameter must be {rule.phrase}. Got {options.quoted(text)} instead.\n"
        assert said.isprintable() or said.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("argv", "answer"),
    [
        (["--eps"], "error: The command line could not be read: argument --eps: expected one argument.\n"),
        (["--epz=1"], "error: The 'epz' parameter is not known. Did you mean 'eps'?\n"),
        (["penguins"], "error: The 'penguins' parameter is not known.\n"),
        (["--\x1b[2J=1"], "error: The '\\x1b[2J' parameter is not known.\n"),
        (["--"], "error: The '' parameter is not known.\n"),
        ([""], "error: The '' parameter is not known.\n"),
    ],
)
def test_a_command_line_that_cannot_be_read(capfd: pytest.CaptureFixture[str], argv: list[str], answer: str) -> None:
    assert options.run(dbscan_sweep.NAME, dbscan_sweep.main, dbscan_sweep.Parameters, argv) == 2
    assert capfd.readouterr().err == answer


def broken_files(folder: Path) -> dict[str, tuple[str, str]]:
    """Tables that cannot be read: what `data` names, and what the line says of it."""
    (folder / "empty.csv").write_bytes(b"")
    (folder / "latin.csv").write_bytes("kind,größe\nä,1\n".encode("latin-1"))
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 20)
    (folder / "ragged.csv").write_text("kind,size,weight\na,1,2\nb,1,2,3,4,5\n")
    (folder / "header.csv").write_text("kind,size,weight\n")
    (folder / "twice.csv").write_text("kind,size,size,weight\na,1,2,3\n")
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "text.parquet").write_text("kind,size,weight\na,1,2\n")
    (folder / "nothing").mkdir()
    missing = good()
    missing["size"] = np.nan
    missing.to_csv(folder / "missing.csv", index=False)
    return {
        "not there": ("elsewhere/x.csv", "must name a file that is there. Got 'elsewhere/x.csv'"),
        "not there, absolute": ("/elsewhere/x.csv", "must name a file that is there. Got '/elsewhere/x.csv'"),
        "nearly bundled": ("penguin.csv", "must name a file that is there. Got 'penguin.csv'"),
        "no such run": ("runs:/0123456789abcdef0123456789abcdef/x.csv", "must name a table that can be fetched"),
        "unknown scheme": ("nowhere://x/y.csv", "Got 'nowhere://x/y.csv'"),
        "empty": ("empty.csv", "must name a readable CSV or Parquet table. Got 'empty.csv'"),
        "wrong encoding": ("latin.csv", "must name a readable CSV or Parquet table. Got 'latin.csv'"),
        "binary": ("binary.csv", "must name a readable CSV or Parquet table. Got 'binary.csv'"),
        "ragged": ("ragged.csv", "must name a readable CSV or Parquet table. Got 'ragged.csv'"),
        "no rows": ("header.csv", "must name a table with rows that miss no value"),
        "a column twice": ("twice.csv", "whose columns have distinct names. Got 'twice.csv', which has 'size' more than once"),
        "empty Parquet": ("empty.parquet", "must name a readable CSV or Parquet table"),
        "text as Parquet": ("text.parquet", "must name a readable CSV or Parquet table"),
        "empty folder": ("nothing", "must name a"),
        "every value missing": ("missing.csv", "which has 60 rows and none that is complete"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "not there", "not there, absolute", "nearly bundled", "no such run", "unknown scheme", "empty", "wrong encoding",
        "binary", "ragged", "no rows", "a column twice", "empty Parquet", "text as Parquet", "empty folder",
        "every value missing",
    ],
)  # fmt: skip
@pytest.mark.parametrize("module", WORKERS)
def test_a_table_that_cannot_be_used(
    store: Store,
    step: Steps,
    session: SparkSession,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    module: ModuleType,
    case: str,
) -> None:
    data, rule = broken_files(tmp_path)[case]
    assert step(module, data=data, **ROLES[module]) == 2
    said = refused(store, capfd, module)
    assert said.startswith("error: The 'data' parameter must name")
    assert rule in said


GOOD = "kind,size,weight\n" + "".join(f"{kind},{number}.5,{number}\n" for kind in "abc" for number in range(20))


def written(text: str | bytes, name: str = "t.csv") -> Callable[[], str]:
    """Writes a file of one's own and says how `data` names it."""

    def write() -> str:
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    return write


def columns(**more: Any) -> Callable[[], str]:
    """Writes the good table as Parquet, with other columns, or columns of another kind."""

    def write() -> str:
        table = pa.Table.from_pandas(good())
        for name, values in more.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, values) if place >= 0 else table.append_column(name, values)
        parquet.write_table(table, "t.parquet")
        return "t.parquet"

    return write


def pipe(name: str) -> Callable[[], str]:
    def make() -> str:
        os.mkfifo(name)
        return name

    return make


def closed_socket() -> str:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s")
    return "s"


def dangling() -> str:
    Path("link.csv").symlink_to("nowhere.csv")
    return "link.csv"


def loop() -> str:
    Path("loop.csv").symlink_to("loop.csv")
    return "loop.csv"


def through_a_file() -> str:
    Path("x.csv").write_text(GOOD)
    return "x.csv/y"


def folder_with(*names: str) -> Callable[[], str]:
    def make() -> str:
        Path("folder").mkdir()
        good().to_parquet("folder/a.parquet")
        for name in names:
            Path("folder", name).write_text("text")
        return "folder"

    return make


def folder_with_pipe() -> str:
    folder_with()()
    os.mkfifo("folder/b.parquet")
    return "folder"


def model_of_a_run() -> str:
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(Ridge().fit([[0.0], [1.0]], [0, 1]), name="model", pip_requirements=[])
    [output] = mlflow.get_run(run.info.run_id).outputs.model_outputs
    return f"models:/{output.model_id}"


def picture_of_a_run() -> str:
    with mlflow.start_run() as run:
        mlflow.log_text("\x89PNG\0\0", "picture.png")
    return f"runs:/{run.info.run_id}/picture.png"


def twice() -> str:
    table = pa.Table.from_pandas(good())
    parquet.write_table(table.append_column("size", table.column("size")), "t.parquet")
    return "t.parquet"


def always(data: str) -> Callable[[], str]:
    return lambda: data


TEXT = "a readable CSV or Parquet table. Got 't.csv': "
FOLDER = "must name a file, or a folder of Parquet files alone. Got "
FETCHED = "must name a table that can be fetched. Got "
DATA_CASES: dict[str, tuple[Callable[[], str], str]] = {
    "a dangling link": (dangling, "must name a file that is there. Got 'link.csv'"),
    "a link to itself": (loop, "must name a file that is there. Got 'loop.csv'"),
    "a path through a file": (through_a_file, "must name a file that is there. Got 'x.csv/y'"),
    "a name too long": (always("x" * 300 + ".csv"), "File name too long"),
    "a user that is not": (always("~nobody-here/x.csv"), "must name a file that is there. Got '~nobody-here/x.csv'"),
    "a pipe": (pipe("t.csv"), FOLDER + "'t.csv', which is neither"),
    "a pipe called Parquet": (pipe("t.parquet"), FOLDER + "'t.parquet', which is neither"),
    "a socket": (closed_socket, FOLDER + "'s', which is neither"),
    "a device": (always("/dev/zero"), FOLDER + "'/dev/zero', which is neither"),
    "the root": (always("/"), FOLDER + "'/', which holds "),
    "a folder of other files": (folder_with("notes.txt"), FOLDER + "'folder', which holds 'notes.txt'"),
    "a folder with a pipe": (folder_with_pipe, FOLDER + "'folder', which holds 'b.parquet'"),
    "a folder with broken Parquet": (folder_with("b.parquet"), "a readable CSV or Parquet table. Got 'folder'"),
    "a model": (model_of_a_run, "which is a model of MLflow"),
    "a picture of a run": (picture_of_a_run, "it holds null bytes"),
    "a folder of a run": (always("runs:/"), FETCHED + "'runs:/'"),
    "a model that is not there": (always("models:/m-0123456789abcdef0123456789abcdef"), FETCHED),
    "nobody at that port": (always("http://127.0.0.1:1/x.csv"), FETCHED + "'http://127.0.0.1:1/x.csv'"),
    "no address": (always("http://[x/y.csv"), FETCHED + "'http://[x/y.csv'"),
    "a zip that is none": (written(GOOD, "t.zip"), "a readable CSV or Parquet table. Got 't.zip'"),
    "a gzip that is none": (written(GOOD, "t.csv.gz"), "a readable CSV or Parquet table. Got 't.csv.gz'"),
    "a gzip cut off": (written(gzip.compress(GOOD.encode())[:-9], "t.csv.gz"), "Got 't.csv.gz'"),
    "an xz that is none": (written(GOOD, "t.csv.xz"), "a readable CSV or Parquet table. Got 't.csv.xz'"),
    "UTF-16": (written(GOOD.encode("utf-16")), TEXT + "it holds null bytes, as UTF-16 and binary files do"),
    "UTF-16 without its mark": (written(GOOD.encode("utf-16-le")), TEXT + "it holds null bytes"),
    "a null byte": (written(GOOD.replace("b,3", "b\0,3")), TEXT + "it holds null bytes"),
    "Latin-1 in a field": (written(GOOD.replace("b,3", "ü,3").encode("latin-1")), TEXT + "'utf-8' codec"),
    "a quote that does not end": (written(GOOD.replace("b,3", '"b,3')), TEXT + "Error tokenizing data"),
    "one long row": (written(GOOD.replace("b,3", "b,b,3")), TEXT + "Error tokenizing data"),
    "all rows longer than the header": (
        written("\n".join(f"{place},{row}" if place else row for place, row in enumerate(GOOD.split())) + "\n"),
        TEXT + "its rows have more fields than its header, which has 3",
    ),
    "only line breaks": (written("\n\n\n"), TEXT),
    "only a mark of its order": (written(b"\xef\xbb\xbf"), TEXT),
    "semicolons": (written(GOOD.replace(",", ";")), "which it does not have. It has kind;size;weight"),
    "no header": (written(GOOD.split("\n", 1)[1]), "which it does not have"),
    "one column": (written("kind\na\nb\n"), "which it does not have. It has kind"),
    "a column in capitals": (written(GOOD.replace("kind", "Kind")), "'kind', which it does not have. Did you mean 'Kind'?"),
    "blanks around a name": (written(GOOD.replace("size", " size ")), "'size', which it does not have. Did you mean ' size '?"),
    "two columns without a name": (written(GOOD.replace("kind,size,weight", ",,kind")), "which it does not have"),
    "signs that steer a terminal": (written(GOOD.replace("size", "\x1b[2J\u202e")), "It has kind, \\x1b[2J\\u202e, weight"),
    "a column twice, of Parquet": (twice, "columns have distinct names. Got 't.parquet', which has 'size' more than once"),
    "text among numbers": (
        written(GOOD.replace("b,3.5,3", "b,7 cm,3")),
        "Got 'size', which holds numbers, but in 1 of 60 rows text, for example '7 cm': mend them, or leave them empty",
    ),
    "question marks": (written(GOOD.replace(",3.5,", ",?,")), "numbers, but in 3 of 60 rows text, for example '?'"),
    "numbers with underscores": (written(GOOD.replace("b,3.5,3", "b,3_5,3")), "in 1 of 60 rows text, for example '3_5'"),
    "lists": (columns(size=pa.array([[1.0]] * 60)), "must name columns of numbers or text. Got 'size', which holds list<"),
    "structures": (columns(size=pa.array([{"a": 1}] * 60)), "Got 'size', which holds struct<a: int64>"),
    "bytes": (columns(size=pa.array([b"a"] * 60)), "Got 'size', which holds binary"),
    "days": (columns(size=pa.array([datetime(2026, 1, 1).date()] * 60)), "Got 'size', which holds object"),
    "durations": (columns(size=pa.array([5] * 60, pa.duration("s"))), "Got 'size', which holds timedelta64"),
    "a column of nothing": (columns(size=pa.nulls(60)), "which has 60 rows and none that is complete"),
    "no rows": (lambda: good().head(0).to_parquet("t.parquet") or "t.parquet", "which has 0 rows and none that is complete"),
    "no columns": (lambda: pd.DataFrame().to_parquet("t.parquet") or "t.parquet", "which it does not have"),
    "lists of names": (columns(kind=pa.array([["a"]] * 60)), "of numbers or text. Got 'kind', which holds list<"),
    "bytes of names": (columns(kind=pa.array([b"a"] * 60)), "Got 'kind', which holds binary"),
    "all names missing": (columns(kind=pa.nulls(60, pa.string())), "which has 60 rows and none that is complete"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA_CASES)
@pytest.mark.parametrize("module", [logistic_regression, dbscan_sweep])
def test_data_that_are_no_table_or_not_the_one_that_was_meant(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str], module: ModuleType, case: str
) -> None:
    make, rule = DATA_CASES[case]
    data = make()
    capfd.readouterr()
    assert step(module, **(ROLES[module] | {"data": data})) == 2
    assert rule in refused(store, capfd, module)


WHERE_IT_LIES: dict[str, tuple[Callable[[], str], str]] = {
    "not there": (always("nope.csv"), "must name a table that Spark can read. Got 'file:"),
    "no Parquet": (written(GOOD, "t.parquet"), "must name a table that Spark can read. Got 'file:"),
    "an empty file": (written(""), "which it does not have"),
    "another column": (written(GOOD.replace("size", "sized")), "Did you mean 'sized'?"),
    "text among numbers": (written(GOOD.replace("b,3.5,3", "b,7 cm,3")), "which holds text, for example '7 cm'"),
    "a column twice": (written(GOOD.replace("weight", "size")), "which it does not have"),
    "longer rows": (written(GOOD.replace("b,3.5,3", "b,3.5,3,4")), "must name a table that Spark can read. Got 'file:"),
    "lists": (columns(size=pa.array([[1.0]] * 60)), "Got 'size', which holds array<double>"),
    "a pipe": (pipe("p"), "must name a table that Spark can read. Got 'file:"),
}


@pytest.mark.parametrize("case", WHERE_IT_LIES)
def test_data_that_spark_reads_where_they_lie(
    store: Store, step: Steps, session: SparkSession, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    make, rule = WHERE_IT_LIES[case]
    data = Path(make()).absolute().as_uri()
    assert step(dbscan_sweep, **(ROLES[dbscan_sweep] | {"data": data})) == 2
    assert rule in refused(store, capfd, dbscan_sweep)


@pytest.mark.parametrize(
    "data",
    ["elsewhere/x.csv", "penguin.csv", "pipe.csv", "/", "/dev/zero", "~nobody-here/x.csv", "x" * 300 + ".csv", "http://[x"],
)
def test_main_starts_no_step_on_data_that_are_not_there(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], data: str
) -> None:
    os.mkfifo("pipe.csv")
    assert step(main, data=data) == 2
    assert refused(store, capfd, main).startswith("error: The 'data' parameter must name a")
    assert len(store.runs()) == 1


def spoiled(change: str) -> pd.DataFrame:
    """The good table with one thing wrong."""
    table = good()
    if change == "text in numbers":
        table["size"] = table["size"].astype(str)
        table.loc[7, "size"] = "7 cm"
    elif change == "dates":
        table["size"] = datetime(2026, 1, 1)  # a table's dates have no zone
    elif change == "one class":
        table["kind"] = "a"
    elif change == "a class of one":
        table.loc[0, "kind"] = "rare"
    elif change == "infinite":
        table.loc[3, "size"] = np.inf
    elif change == "few rows":
        table = table.iloc[[0, 1, 20, 21, 40]]
    elif change == "a rare class":
        table["kind"] = ["a"] * 29 + ["b"] * 29 + ["c"] * 2
    elif change == "constant":
        table["weight"] = 3.0
    elif change == "too large to square":
        table["size"] = table["size"] * 1e200
    elif change == "infinite target":
        table.loc[3, "weight"] = -np.inf
    elif change == "numbers as text":
        table["weight"] = "1"
    elif change == "yes and no":
        table["weight"] = table["weight"] > 0
    elif change == "results":
        table = table.rename(columns={"kind": "eps", "size": "prediction"})
    return table


@pytest.mark.parametrize(
    ("module", "change", "parameters", "rule"),
    [
        *[
            (m, "", {"features": "size,wieght"}, "The 'features' parameter must name columns of the table. Got 'wieght'")
            for m in WORKERS
        ],
        *[(m, "", {"features": "size,wieght"}, "Did you mean 'weight'?") for m in WORKERS],
        *[
            (m, "", {"target": "Kind"}, "The 'target' parameter must name columns of the table. Got 'Kind'")
            for m in CLASSIFIERS
        ],
        (dbscan_sweep, "", {"group_by": "knd"}, "Did you mean 'kind'?"),
        *[
            (m, "", {"features": "size,kind"}, "must not name a column of the 'features' parameter. Got 'kind' in both")
            for m in CLASSIFIERS
        ],
        (dbscan_sweep, "", {"features": "size,kind"}, "The 'group_by' parameter must not name a column of the 'features'"),
        (dbscan_sweep, "", {"group_by": "weight", "features": "size,kind"}, "Got 'kind', which holds text, for example 'a'"),
        (dbscan_sweep, "text in numbers", {}, "Got 'size', which holds text, for example '7 cm'"),
        (
            ridge_search,
            "",
            {"target": "kind", "features": "size"},
            "The 'target' parameter must name columns of numbers. Got 'kind'",
        ),
        *[(m, "dates", {}, "must name columns of numbers or text. Got 'size', which holds") for m in WORKERS],
        *[
            (m, "one class", {}, "two classes or more, each with two rows or more. Got 'kind', which has only 'a'")
            for m in CLASSIFIERS
        ],
        *[(m, "a class of one", {}, "Got 'kind', in which 'rare' has one row of 60") for m in CLASSIFIERS],
        (
            logistic_regression,
            "infinite",
            {},
            "must name columns of finite numbers. Got 'size', which is infinite in 1 of 60 rows",
        ),
        (ridge_search, "infinite", {}, "must name columns of finite numbers. Got 'size', which is infinite in 1 of 60 rows"),
        (
            spark_logistic_regression,
            "infinite",
            {},
            "must name columns of finite numbers. Got 'size', which is infinite in 1 of 60",
        ),
        (logistic_regression, "", {"test_size": 0.01}, "must leave a row of each of the 3 classes on both sides. Got 0.01"),
        (logistic_regression, "", {"test_size": 0.99}, "must leave a row of each of the 3 classes on both sides. Got 0.99"),
        (spark_logistic_regression, "", {"test_size": 0.01}, "must leave a row of each class on both sides. Got 0.01"),
        (
            ridge_search,
            "few rows",
            {"cv": 10},
            "The 'cv' parameter must not be greater than the number of complete rows, 5. Got 10",
        ),
        (
            logistic_regression,
            "a rare class",
            {"test_size": 0.1},
            "must leave a row of each class on both sides. Got 0.1, with which none of the 2 rows of 'c' is held out",
        ),
        (ridge_search, "constant", {}, "of numbers that differ. Got 'weight', which is 3 in all 60 rows"),
        *[
            (m, "too large to square", {}, "which is infinite in 60 of 60 rows, where beyond 1e+150 counts as such")
            for m in WORKERS[:3]
        ],
        (ridge_search, "infinite target", {}, "The 'target' parameter must name columns of finite numbers. Got 'weight'"),
        (ridge_search, "numbers as text", {}, "Got 'weight', which holds text, for example '1'"),
        (dbscan_sweep, "numbers as text", {}, "Got 'weight', which holds text"),
        (ridge_search, "yes and no", {}, "Got 'weight', which holds text, for example 'False'"),
        (dbscan_sweep, "yes and no", {}, "Got 'weight', which holds text"),
        (dbscan_sweep, "dates", {"group_by": "weight", "features": "size"}, "must name columns of numbers or text. Got 'size'"),
        (
            ridge_search,
            "dates",
            {"target": "size", "features": "weight"},
            "The 'target' parameter must name columns of numbers",
        ),
        (ridge_search, "", {"target": "size"}, "The 'target' parameter must not name a column of the 'features' parameter"),
        (
            ridge_search,
            "few rows",
            {"cv": 6},
            "The 'cv' parameter must not be greater than the number of complete rows, 5. Got 6",
        ),
        (dbscan_sweep, "results", {"group_by": "eps", "features": "weight"}, "that is called as a result is. Got 'eps'"),
        (
            spark_logistic_regression,
            "results",
            {"target": "eps", "features": "prediction"},
            "that is called as a result is. Got 'prediction'",
        ),
        *[(m, "", {"features": '[" size"]'}, "Got ' size', which it does not have") for m in WORKERS],
        *[(m, "", {"target": "kind "}, "Got 'kind ', which it does not have. Did you mean 'kind'?") for m in CLASSIFIERS],
    ],
)
def test_a_table_that_does_not_fit_the_parameters(
    store: Store,
    step: Steps,
    session: SparkSession,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    module: ModuleType,
    change: str,
    parameters: dict[str, Any],
    rule: str,
) -> None:
    spoiled(change).to_parquet(tmp_path / "t.parquet")
    assert step(module, **(ROLES[module] | {"data": "t.parquet"} | parameters)) == 2
    assert rule in refused(store, capfd, module)


@pytest.mark.parametrize("module", STEPS)
def test_a_bad_parameter_is_noted_on_the_run_that_mlflow_opened(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    experiment = store.client.get_experiment_by_name("penguins").experiment_id
    run_id = store.client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert step(module, seed="some") == 2
    said = capfd.readouterr().err
    run = store.client.get_run(run_id)
    assert said == f"error: {run.data.tags['error']}\n"
    assert said == "error: The 'seed' parameter must be an integer in [0, 4294967295]. Got 'some' instead.\n"
    assert run.info.run_name == module.NAME


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "No such file"),
        ("{", "while parsing"),
        ("", "which holds something else"),
        ("null", "which holds something else"),
        ("ridge_search", "which holds something else"),
        ("ridge_search:\n", "which holds something else"),
        ("ridge_search: []\n", "which holds something else"),
        ("1: {}\n", "with the unknown step 1"),
        ("main: {}\n", "with the unknown step 'main'"),
        ("ridge_search: {cv: }\n", "with None for 'cv' of ridge_search: write a text, a number, true, false, or a list"),
        ("ridge_search: {cv: {a: 1}}\n", "with {'a': 1} for 'cv' of ridge_search"),
        ("ridge_search: {alphas: [[1]]}\n", "with [[1]] for 'alphas' of ridge_search"),
        ("ridge_search: {target: 2026-01-01}\n", "with datetime.date(2026, 1, 1) for 'target' of ridge_search"),
        ("ridge_search: {target: 2026-13-45}\n", "month must be in 1..12"),
        ("ridge_search: {cv: 2, cv: 3}\n", "it has 'cv' more than once"),
        ("ridge_search: {}\nridge_search: {}\n", "it has 'ridge_search' more than once"),
        ("ridge_search: !!python/object/apply:os.system ['touch x']\n", "could not determine a constructor"),
        ("a: &a [x]\nb: *c\n", "found undefined alias"),
        ("[" * 9999, ""),
        ("? [a]\n: 1\n", ""),
        ("\0", "unacceptable character"),
        ("\udcff", "can't decode"),
        ("- a\n- b\n", "which holds something else"),
        ("ridge_search: 1\n", "which holds something else"),
        ("ridge_serach: {}\n", "with the unknown step 'ridge_serach'. Did you mean 'ridge_search'?"),
        ("ridge_search: {alpha: 1}\n", "with 'alpha', which ridge_search does not take. Did you mean 'alphas'?"),
    ],
)
def test_a_configuration_that_cannot_be_followed(
    store: Store, step: Steps, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str | None, rule: str
) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_bytes(text.encode(errors="surrogateescape"))
    assert step(main, config="config.yaml") == 2
    assert not Path("x").exists()
    said = refused(store, capfd, main)
    assert said.startswith("error: The 'config' parameter must be a YAML file that maps steps to their parameters.")
    assert rule in said


@pytest.mark.parametrize(
    ("of", "name", "value", "rule"),
    [
        ("dbscan_sweep", "eps", "[0.5, -1]", "a list without"),
        ("dbscan_sweep", "min_coverage", "2", "a float in [0, 1]"),
        ("dbscan_sweep", "features", "''", "a list without"),
        ("logistic_regression", "test_size", "2", "a float in (0, 1)"),
        ("logistic_regression", "target", '"\\0"', "the name of a column"),
        ("ridge_search", "seed", "some", "an integer in"),
        ("ridge_search", "cv", "1", "an integer in"),
        ("spark_logistic_regression", "max_iter", "[1, 2]", "an integer in"),
    ],
)
def test_a_configuration_with_a_value_that_breaks_its_rule(
    store: Store, step: Steps, tmp_path: Path, capfd: pytest.CaptureFixture[str], of: str, name: str, value: str, rule: str
) -> None:
    (tmp_path / "config.yaml").write_text(f"{of}: {{{name}: {value}}}\n")
    assert step(main, config="config.yaml") == 2
    said = refused(store, capfd, main)
    assert said.startswith(f"error: The {name!r} parameter must be {rule}")
    assert said.endswith(f"It stands in 'config.yaml' for {of}.\n")


@pytest.mark.parametrize("config", ["pipe", "folder", "x/y", "~nobody-here/c.yaml", "x" * 300, "/dev/zero"])
def test_a_configuration_that_is_no_file(store: Store, step: Steps, capfd: pytest.CaptureFixture[str], config: str) -> None:
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("x").write_text("")
    assert step(main, config=config) == 2
    assert refused(store, capfd, main).startswith("error: The 'config' parameter must be a YAML file")
