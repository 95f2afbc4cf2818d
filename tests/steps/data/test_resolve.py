"""The columns that a step uses where its parameters are `auto`: those of the penguins, or what another table holds."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import logistic_regression
import mlflow
import pandas as pd
import pytest
import ridge_search
from stores import Steps, Store

from penguins.data.describe import describe_columns
from penguins.data.resolve import resolve_columns
from penguins.errors import InputError

PENGUINS = {"group_by": ("island",), "features": ("bill_length_mm", "body_mass_g")}


@dataclass(frozen=True)
class Parameters:
    """The parameters of a step that name columns."""

    data: str = "penguins"
    group_by: tuple[str, ...] = ("auto",)
    features: tuple[str, ...] = ("auto",)


@pytest.fixture(autouse=True)
def _run(store: Store, tmp_path: Path) -> Iterator[None]:
    pd.DataFrame({"kind": ["a", "b", "a"], "size": [1, 2, 3], "x": [0.5, 1.5, 2.5]}).to_csv("own.csv", index=False)
    with mlflow.start_run():
        yield


@pytest.mark.parametrize(
    ("given", "expected", "tags"),
    [
        ({}, (("island",), PENGUINS["features"]), {"group_by": "island", "features": "bill_length_mm,body_mass_g"}),
        ({"group_by": ("body_mass_g",)}, (("body_mass_g",), ("bill_length_mm",)), {"features": "bill_length_mm"}),
        ({"group_by": ()}, ((), PENGUINS["features"]), {"features": "bill_length_mm,body_mass_g"}),
        ({"group_by": ("sex",), "features": ("x",)}, (("sex",), ("x",)), {}),
        ({"data": "own.csv"}, ((), ("size", "x")), {"group_by": "none", "features": "size,x"}),
        ({"data": "own.csv", "group_by": ("size",)}, (("size",), ("x",)), {"features": "x"}),
        ({"data": "own.csv", "group_by": ()}, ((), ("size", "x")), {"features": "size,x"}),
        ({"data": "own.csv", "features": ("x",)}, ((), ("x",)), {"group_by": "none"}),
    ],
)
def test_auto_becomes_columns_and_is_logged(given: dict[str, str], expected: object, tags: dict[str, str]) -> None:
    asked = dataclasses.replace(Parameters(), **given)  # type: ignore[arg-type]  # texts and lists
    found = resolve_columns(asked, PENGUINS, describe_columns, with_texts=False)
    assert (found.group_by, found.features) == expected
    logged = mlflow.active_run()
    assert logged is not None
    found_tags = mlflow.get_run(logged.info.run_id).data.tags
    assert {key: value for key, value in found_tags.items() if not key.startswith("mlflow.")} == tags


def test_a_table_without_a_column_of_numbers_is_refused() -> None:
    pd.DataFrame({"kind": ["a", "b"]}).to_csv("texts.csv", index=False)
    with pytest.raises(InputError, match="must be auto only for a table with columns of numbers"):
        resolve_columns(Parameters("texts.csv"), PENGUINS, describe_columns, with_texts=False)


def test_a_regression_of_ones_own_table_takes_all_columns_of_numbers_and_of_few_texts(
    store: Store, step: Steps, capfd: pytest.CaptureFixture[str]
) -> None:
    mlflow.end_run()
    rows = [{"kind": "ab"[n % 2], "size": n % 7, "price": n * 1.5 + n % 3, "name": f"n{n}"} for n in range(40)]
    pd.DataFrame(rows).to_csv("own.csv", index=False)
    for module, target in ((ridge_search, "price"), (logistic_regression, "kind")):
        assert step(module, data="own.csv", target=target) == 0
        others = [name for name in ("kind", "size", "price") if name != target]
        assert f"features=auto: {', '.join(others)} (left out: name, a text with too many values)" in capfd.readouterr().out
        run = store.only(module.NAME)
        assert run.data.tags["features"] == ",".join(others)
        assert run.data.params["features"] == "auto"
        assert "target" not in run.data.tags
    assert step(ridge_search, data="own.csv") == 2
    assert capfd.readouterr().err.startswith(
        "error: The 'target' parameter must name the column to predict in a table of your own"
    )
