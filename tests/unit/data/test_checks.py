"""What is asked of the columns and rows of a table before anything is fitted."""

import math
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from input_tables import good_table, parquet_file, spoiled_table

from penguins.data.checks import (
    LARGEST,
    columns_in_use,
    refuse_identifiers,
    require_both_sides,
    require_categories,
    require_classes,
    require_columns,
    require_finite,
    require_memory,
    require_numbers,
    require_other_names,
    require_rows,
    require_single_columns,
    require_split,
    require_variety,
)
from penguins.data.load import load_table
from penguins.data.table import Table
from penguins.errors import InputError

NAMES = ["kind", "size", "weight"]
KINDS = {"a": 20, "b": 20, "c": 20}
RULES: dict[str, tuple[Callable[[], object], str]] = {
    "a feature that is mistyped": (
        lambda: require_columns({"size": "features", "wieght": "features"}, NAMES),
        "The 'features' parameter must name columns of the table. Got 'wieght', which it does not have. Did you mean 'weight'?",
    ),
    "a target in capitals": (
        lambda: require_columns({"Kind": "target"}, NAMES),
        "The 'target' parameter must name columns of the table. Got 'Kind', which it does not have. Did you mean 'kind'?",
    ),
    "a group that is mistyped": (lambda: require_columns({"knd": "group_by"}, NAMES), "Did you mean 'kind'?"),
    "a blank before a name": (lambda: require_columns({" size": "features"}, NAMES), "Got ' size', which it does not have"),
    "a blank after a name": (
        lambda: require_columns({"kind ": "target"}, NAMES),
        "Got 'kind ', which it does not have. Did you mean 'kind'?",
    ),
    "a name unlike all others": (
        lambda: require_columns({"x": "target"}, NAMES),
        "which it does not have. It has kind, size, weight.",
    ),
    "one among very many columns": (lambda: require_columns({"x": "target"}, ["y" * 99] * 99), "y…."),
    "the target among the features": (
        lambda: columns_in_use(features=["size", "kind"], target="kind"),
        "The 'target' parameter must not name a column of the 'features' parameter. Got 'kind' in both.",
    ),
    "the groups among the features": (
        lambda: columns_in_use(features=["size", "kind"], group_by="kind"),
        "The 'group_by' parameter must not name a column of the 'features' parameter. Got 'kind' in both.",
    ),
    "a column twice": (
        lambda: require_single_columns({"size": "features"}, ["size", "kind", "size"], "t.csv"),
        "The 'features' parameter must name columns that the table has once. Got 'size', which 't.csv' has 2 times: rename",
    ),
    "names of people as a feature": (
        lambda: refuse_identifiers({"kind": 3, "name": 80}, 100, "features"),
        "The 'features' parameter must name columns of numbers or of categories. Got 'name', which has 80 different values in "
        "100 rows, as names and free text do: leave it out.",
    ),
    "the name of a result": (
        lambda: require_other_names({"size": "features", "eps": "group_by"}, ["eps", "silhouette"]),
        "The 'group_by' parameter must not name a column that has the name of a result. Got 'eps': rename it in the table.",
    ),
    "one class": (
        lambda: require_classes({"a": 60}, "kind"),
        "The 'target' parameter must name a column with two classes or more, each with two rows or more. "
        "Got 'kind', which has only 'a' in 60 complete rows.",
    ),
    "a class of one row": (
        lambda: require_classes({"a": 19, "b": 20, "c": 20, "rare": 1}, "kind"),
        "Got 'kind', in which 'rare' has one row of 60.",
    ),
    "too few rows held out": (
        lambda: require_split(KINDS, 0.01),
        "The 'test_size' parameter must leave a row of each of the 3 classes on both sides. "
        "Got 0.01, which holds out 1 of 60 rows.",
    ),
    "too many rows held out": (
        lambda: require_split(KINDS, 0.99),
        "must leave a row of each of the 3 classes on both sides. Got 0.99, which holds out 60 of 60 rows.",
    ),
    "a class that is not held out": (
        lambda: require_both_sides(Counter(a=26, b=26, c=2), Counter(a=3, b=3), 0.1),
        "must leave a row of each class on both sides. Got 0.1, with which none of the 2 rows of 'c' is held out: "
        "try a larger one, another seed or more rows.",
    ),
    "a class that is only held out": (
        lambda: require_both_sides(Counter(a=26, b=26), Counter(a=3, b=3, c=2), 0.1),
        "Got 0.1, with which none of the 2 rows of 'c' is trained on",
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_names_and_counts_that_break_a_rule_are_refused(case: str) -> None:
    check, rule = RULES[case]
    with pytest.raises(InputError) as refusal:
        check()
    assert rule in str(refusal.value)


TABLE_RULES: dict[str, tuple[str, Callable[[Table], None], str]] = {
    "text among numbers": (
        "",
        lambda table: require_numbers(table, "features", ["weight", "kind"]),
        "The 'features' parameter must name columns of numbers. Got 'kind', which holds text, for example 'a'.",
    ),
    "text as a target": (
        "",
        lambda table: require_numbers(table, "target", ["kind"]),
        "The 'target' parameter must name columns of numbers. Got 'kind', which holds text, for example 'a'.",
    ),
    "numbers written as text": (
        "numbers as text",
        lambda table: require_numbers(table, "target", ["weight"]),
        "Got 'weight', which holds text, for example '1'.",
    ),
    "an infinite feature": (
        "infinite",
        lambda table: require_finite(table, "features", ["weight", "size"]),
        "The 'features' parameter must name columns of finite numbers. Got 'size', which is infinite in 1 of 60 rows "
        "(a number beyond 1e+150 counts as infinite).",
    ),
    "an infinite target": (
        "infinite target",
        lambda table: require_finite(table, "target", ["weight"]),
        "The 'target' parameter must name columns of finite numbers. Got 'weight', which is infinite in 1 of 60 rows",
    ),
    "numbers too large to square": (
        "too large to square",
        lambda table: require_finite(table, "features", ["size", "kind"]),
        "which is infinite in 60 of 60 rows",
    ),
    "a target that is constant": (
        "constant",
        lambda table: require_variety(table, "weight"),
        "The 'target' parameter must name a column of numbers that differ. Got 'weight', which is 3 in all 60 rows.",
    ),
    "fewer rows than folds": (
        "few rows",
        lambda table: require_rows(table, "cv", 6),
        "The 'cv' parameter must not be greater than the number of complete rows, 5. Got 6 instead.",
    ),
}


def load(change: str) -> Table:
    return load_table(parquet_file(spoiled_table(change))(), {"kind": "target", "size": "features", "weight": "features"})


@pytest.mark.parametrize("case", TABLE_RULES)
def test_a_table_that_breaks_a_rule_is_refused(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    change, check, rule = TABLE_RULES[case]
    with pytest.raises(InputError) as refusal:
        check(load(change))
    assert rule in str(refusal.value)


def test_a_good_table_passes_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = load("")
    columns = columns_in_use(features=["size", "weight"], target="kind")
    assert columns == {"size": "features", "weight": "features", "kind": "target"}
    require_columns(columns, list(good_table().columns))
    require_single_columns(columns, [*NAMES, "other", "other"], "t.csv")
    require_other_names(columns, ["prediction"])
    require_numbers(table, "features", ["size", "weight"])
    require_finite(table, "features", NAMES)
    require_categories(table, "features", NAMES)
    require_variety(table, "size")
    require_rows(table, "cv", 60)
    require_classes(KINDS, "kind")
    require_split(KINDS, 0.05)
    require_both_sides(Counter(a=1, b=1), Counter(a=1, b=1), 0.5)


def test_categories_are_printed_with_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    refuse_identifiers({"few rows": 9, "kind": 3, "plane": 79}, 100, "features")
    refuse_identifiers({"one for each of nine rows": 9}, 9, "features")
    refuse_identifiers({}, 100, "features")
    assert capsys.readouterr().out == (
        "categories: few rows (9), kind (3), plane (79)\ncategories: one for each of nine rows (9)\n"
    )


# The rows, the categories of each column, the number of other features and of classes; a part of the refusal, or none.
SHAPES: list[tuple[int, dict[str, int], int, int, str]] = [
    (260_000, {"plane": 200_000}, 1, 1, ""),
    (260_000, {"plane": 200_000}, 1, 2, ""),
    (10_000, {}, 4, 5_000, ""),
    (1_000_000, {"plane": 4_000}, 4, 3, ""),
    (260_000, {"month": 12, "plane": 200_000}, 1, 100, "Got 'plane', which has 200000 categories: with 100 classes of 'kind' "
     "the fit would take 6.3 GiB, and may take 4. Leave it out."),
    (10**8, {"plane": 2 * 10**7}, 1, 1, "which has 20000000 categories: the fit would take 7.5 GiB, and"),
    (40_000, {"month": 12}, 4, 20_000, "'kind', which has 20000: the fit would take 12.0 GiB, and may take 4. Group"),
    (0, {}, 9, 10_000_000, "Got 'kind', which has 10000000: the fit"),
]  # fmt: skip


@pytest.mark.parametrize(("n_rows", "n_distinct", "n_numbers", "n_classes", "rule"), SHAPES)
def test_a_fit_is_refused_whose_arrays_would_take_more_than_four_gibibytes(
    n_rows: int, n_distinct: dict[str, int], n_numbers: int, n_classes: int, rule: str
) -> None:
    with pytest.raises(InputError) if rule else nullcontext() as refusal:
        require_memory(n_rows, n_distinct, n_numbers, "kind", n_classes, "Leave it out")
    assert rule in (str(refusal.value) if refusal else "")


def test_the_largest_number_that_is_finite_has_a_finite_variance() -> None:
    assert math.isfinite(LARGEST**2 * 1e6)
