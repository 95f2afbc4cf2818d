"""Tables for the tests of bad input: a good one, and recipes that write a bad one to the working directory.

A recipe is a function without arguments that returns what the `data` parameter has to be.
"""

import os
import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

Recipe = Callable[[], str]

GOOD_CSV = "kind,size,weight\n" + "".join(f"{kind},{number}.5,{number}\n" for kind in "abc" for number in range(20))


def good_table() -> pd.DataFrame:
    """Return 60 rows of three kinds, each with two random numbers."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {"kind": np.repeat(["a", "b", "c"], 20), "size": random.normal(size=60), "weight": random.normal(size=60)}
    )


def spoiled_table(change: str) -> pd.DataFrame:
    """Return the good table with one thing wrong."""
    table = good_table()
    if change == "text in numbers":
        table["size"] = table["size"].astype(str)
        table.loc[7, "size"] = "7 cm"
    elif change == "dates":
        table["size"] = datetime(2026, 1, 1)
    elif change == "names":
        table["name"] = [f"name {number}" for number in range(60)]
    elif change == "one class":
        table["kind"] = "a"
    elif change == "a class of one":
        table.loc[0, "kind"] = "rare"
    elif change == "infinite":
        table.loc[3, "size"] = np.inf
    elif change == "latitude":
        table.loc[3, "size"] = 91.0
    elif change == "longitude":
        table.loc[3, "weight"] = -181.0
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
    elif change:
        raise ValueError(change)
    return table


def path(data: str) -> Recipe:
    return lambda: data


def file(content: str | bytes, name: str = "t.csv") -> Recipe:
    def write() -> str:
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


def parquet_file(table: pd.DataFrame) -> Recipe:
    def write() -> str:
        table.to_parquet("t.parquet")
        return "t.parquet"

    return write


def parquet_with(**columns: Any) -> Recipe:
    """Write the good table as Parquet, with these columns added or replaced."""

    def write() -> str:
        table = pa.Table.from_pandas(good_table())
        for name, values in columns.items():
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, values) if place >= 0 else table.append_column(name, values)
        parquet.write_table(table, "t.parquet")
        return "t.parquet"

    return write


def parquet_with_a_column_twice() -> str:
    table = pa.Table.from_pandas(good_table())
    parquet.write_table(table.append_column("size", table.column("size")), "t.parquet")
    return "t.parquet"


def link(name: str, target: str) -> Recipe:
    def make() -> str:
        Path(name).symlink_to(target)
        return name

    return make


def path_through_a_file() -> str:
    Path("x.csv").write_text(GOOD_CSV)
    return "x.csv/y"


def pipe(name: str) -> Recipe:
    def make() -> str:
        os.mkfifo(name)
        return name

    return make


def closed_socket() -> str:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s")
    return "s"


def empty_folder() -> str:
    Path("nothing").mkdir()
    return "nothing"


def folder_with(*names: str) -> Recipe:
    """Make a folder with the good table as Parquet and text files of these names."""

    def make() -> str:
        Path("folder").mkdir()
        good_table().to_parquet("folder/a.parquet")
        for name in names:
            Path("folder", name).write_text("text")
        return "folder"

    return make


def folder_with_a_pipe() -> str:
    folder_with()()
    os.mkfifo("folder/b.parquet")
    return "folder"


def lake_folder(marker: str) -> Recipe:
    """Make a folder with the good table as Parquet, in its partition `data/day=1`, and the file `marker` of a lake's format."""

    def make() -> str:
        Path("sites/data/day=1").mkdir(parents=True)
        good_table().to_parquet("sites/data/day=1/a.parquet")
        Path("sites", marker).parent.mkdir(exist_ok=True)
        Path("sites", marker).write_text("{}")
        return "sites"

    return make
