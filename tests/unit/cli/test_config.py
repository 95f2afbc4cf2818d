"""The configuration file of `main`: what is read, and what is refused before any step starts."""

import os
from pathlib import Path

import pytest
import yaml

from penguins.cli.config import read_config
from penguins.errors import InputError
from penguins.project import PROJECT

RULE = "The 'config' parameter must be a YAML file that maps steps to their parameters. Got "


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def entries() -> dict[str, dict[str, object]]:
    """The parameters of each step, as MLproject declares them."""
    declared = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    return {step: entry["parameters"] for step, entry in declared.items() if step != "main"}


def test_without_a_file_nothing_is_configured(entries: dict[str, dict[str, object]]) -> None:
    assert read_config("", entries) == {}


def test_values_are_read_as_texts(entries: dict[str, dict[str, object]]) -> None:
    Path("config.yaml").write_text(
        "ridge_search: {cv: 3, alphas: [0.1, 1], features: [size, 'a,b'], target: weight}\ndbscan_sweep: {resume: true}\n"
        "hdbscan_sweep: {group_by: [country, month]}\n"
        'kmeans_sweep: {read: {sep: ";", na_values: ["?", -200]}}\n'
        'logistic_regression: {target: kind, read: ""}\n'
    )
    assert read_config("config.yaml", entries) == {
        "ridge_search": {"cv": "3", "alphas": "0.1,1", "features": '["size", "a,b"]', "target": "weight"},
        "dbscan_sweep": {"resume": "true"},
        "hdbscan_sweep": {"group_by": "country,month"},
        "kmeans_sweep": {"read": '{"sep": ";", "na_values": ["?", "-200"]}'},
        "logistic_regression": {"target": "kind", "read": ""},
    }


AS_WRITTEN = [
    "NO",
    "yes",
    "on",
    "off",
    "010",
    "1:30",
    "2024-01-01",
    "1_000",
    "0x1F",
    ".inf",
    "True",
    "1.50",
    "1e3",
]


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_a_value_is_the_text_as_it_is_written(entries: dict[str, dict[str, object]], text: str) -> None:
    Path("config.yaml").write_text(f"ridge_search: {{target: {text}, features: [{text}, a]}}\n")
    assert read_config("config.yaml", entries)["ridge_search"] == {"target": text, "features": f"{text},a"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "No such file"),
        ("ridge_search: {target: {a: b}}\n", "with {'a': 'b'} for 'target' of ridge_search: write a single value or a list"),
        ('ridge_search: {target: a, read: {sep: ";", sep: ","}}\n', "it has 'sep' more than once"),
        ("{", "while parsing"),
        ("", "which holds something else"),
        ("null", "it has null, which stands for nothing"),
        ("ridge_search: {target: a, register: ~}\n", "it has ~, which stands for nothing: leave the name out"),
        ("ridge_search", "which holds something else"),
        ("ridge_search:\n", "which holds something else"),
        ("ridge_search: []\n", "which holds something else"),
        ("ridge_search: 1\n", "which holds something else"),
        ("- a\n- b\n", "which holds something else"),
        ("1: {}\n", "with the unknown step '1'"),
        ("main: {}\n", "with the unknown step 'main'"),
        ("ridge_serach: {}\n", "with the unknown step 'ridge_serach'. Did you mean 'ridge_search'?"),
        ("ridge_search: {alpha: 1}\n", "with 'alpha', which ridge_search does not take. Did you mean 'alphas'?"),
        ("ridge_search: {cv: {a: 1}}\n", "with {'a': '1'} for 'cv' of ridge_search"),
        ("ridge_search: {alphas: [[1]]}\n", "with [['1']] for 'alphas' of ridge_search"),
        ("ridge_search: {target: a, read: {sep: {a: b}}}\n", "for 'read' of ridge_search: write a single value"),
        ("ridge_search: {cv: !!int 010}\n", "it has the tag 'tag:yaml.org,2002:int': write values without a tag"),
        ("ridge_search: {features: &a [x], target: *a}\n", "it has the alias '*a': write out what that stands for"),
        (f"a: &a {list('x' * 9)}\n" + "".join(f"{n}: &{n} [*a, *a]\n" for n in "bcdefg"), "it has the alias '*a'"),
        ("".join(f"step{number}: {{}}\n" for number in range(60_000)), "it has more than 20000 names and values"),
        ("#" * 2_000_000, "it has 2000000 bytes, and may have 1048576"),
        ("ridge_search: {cv: 2, cv: 3}\n", "it has 'cv' more than once"),
        ("ridge_search: {}\nridge_search: {}\n", "it has 'ridge_search' more than once"),
        ("ridge_search: !!python/object/apply:os.system ['touch x']\n", "it has the tag"),
        ("a: &a [x]\nb: *c\n", "it has the alias '*c'"),
        ("[" * 3000, ""),
        ("? [a]\n: 1\n", "it has a list or a mapping as a name"),
        ("\0", "unacceptable character"),
        ("\udcff", "can't decode"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused(entries: dict[str, dict[str, object]], text: str | None, rule: str) -> None:
    if text is not None:
        Path("config.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as refusal:
        read_config("config.yaml", entries)
    assert str(refusal.value).startswith(RULE)
    assert rule in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not Path("x").exists()


@pytest.mark.parametrize("config", ["pipe", "folder", "x/y", "~nobody-here/c.yaml", "x" * 300, "/dev/zero"])
def test_what_is_no_file_is_refused(entries: dict[str, dict[str, object]], config: str) -> None:
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("x").write_text("")
    with pytest.raises(InputError) as refusal:
        read_config(config, entries)
    assert str(refusal.value).startswith(RULE)


@pytest.mark.parametrize(
    ("step", "name", "value", "rule"),
    [
        ("dbscan_sweep", "eps", "[0.5, -1]", "auto, auto:N with N in"),
        ("dbscan_sweep", "min_coverage", "2", "a float in [0, 1]"),
        ("dbscan_sweep", "features", "''", "a list without"),
        ("logistic_regression", "test_size", "2", "a float in (0, 1)"),
        ("logistic_regression", "target", '"\\0"', "text without a null character"),
        ("ridge_search", "seed", "some", "an integer in"),
        ("ridge_search", "cv", "1", "an integer in"),
        ("ridge_search", "cv", "", "an integer in"),
        ("ridge_search", "cv", "010", "an integer in"),
        ("ridge_search", "cv", "1:30", "an integer in"),
        ("ridge_search", "cv", "0x" + "f" * 6000, "an integer in"),
        ("ridge_search", "cv", "1" * 6000, "an integer in"),
        ("spark_logistic_regression", "max_iter", "[1, 2]", "an integer in"),
        ("dbscan_sweep", "read", "{sep: }", "a mapping with names of pandas.read_csv"),
        ("dbscan_sweep", "read", "{skiprows: 2020-01-31}", "a mapping with names of pandas.read_csv"),
        ("dbscan_sweep", "read", "{skiprows: 010}", "a mapping with names of pandas.read_csv"),
    ],
)
def test_a_value_that_breaks_the_rule_of_its_step_is_refused(
    entries: dict[str, dict[str, object]], step: str, name: str, value: str, rule: str
) -> None:
    Path("config.yaml").write_text(f"{step}: {{{name}: {value}}}\n")
    with pytest.raises(InputError) as refusal:
        read_config("config.yaml", entries)
    assert str(refusal.value).startswith(f"The {name!r} parameter must be {rule}")
    assert str(refusal.value).endswith(f" It stands in 'config.yaml' for {step}.")
