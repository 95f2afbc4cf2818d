"""The command line: what is read, what is refused, and in which words."""

import dataclasses
import os
import subprocess
import sys
import time
from types import ModuleType

import dbscan_sweep
import logistic_regression
import main
import pytest
import ridge_search
import spark_logistic_regression

from common import options
from common.options import PROJECT, InputError

STEPS = [main, logistic_regression, ridge_search, spark_logistic_regression, dbscan_sweep]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1,0.2,0.5", (0.1, 0.2, 0.5)),
        ("[0.1, 0.2, 0.5]", (0.1, 0.2, 0.5)),
        ("1e-3", (0.001,)),
        (" .5 , 2 ", (0.5, 2.0)),
    ],
)
def test_a_list_of_floats_is_read_in_each_way_of_writing_it(text: str, value: tuple[float, ...]) -> None:
    assert options.read(dbscan_sweep.Parameters, {"eps": text}).eps == value


def test_a_column_with_a_comma_in_its_name_fits_into_a_json_list() -> None:
    assert options.ListOf(options.COLUMN).parse('["bill, in mm", "sex"]') == ("bill, in mm", "sex")


@pytest.mark.parametrize(
    "text", ["-1,0.5", "0.5,-1", "0", "nan", "inf", "0.1,0.1", "0.1,0.10", "", ",", "0.1,,2", "1_0", "[]", "a"]
)
def test_eps_that_are_not_positive_numbers_without_repetition_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^The 'eps' parameter must be a list without repetition.* a float in \(0, inf\)"):
        options.read(dbscan_sweep.Parameters, {"eps": text})


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("seed", "1.5", "an integer in [0, 4294967295]"),
        ("seed", "-1", "an integer in [0, 4294967295]"),
        ("seed", "05", "an integer in [0, 4294967295]"),
        ("seed", "9" * 5000, "an integer in [0, 4294967295]"),
        ("min_samples", "0", "an integer in [1, 2147483647]"),
        ("min_coverage", "1.1", "a float in [0, 1]"),
        ("models", "some", "one of all, best, none"),
        ("runs", "", "one of all, groups"),
        ("resume", "maybe", "true or false"),
        ("features", "a,a", "a list without repetition"),
        ("group_by", " ", "the name of a column"),
        ("data", "", "penguins, or the path or URI of a table"),
        ("spark", "local[0]", "a master such as local[*]"),
        ("spark", "laptop", "a master such as local[*]"),
        ("spark", "local[*]; rm -rf x", "a master such as local[*]"),
    ],
)
def test_a_refusal_names_the_parameter_the_rule_and_the_value(name: str, text: str, rule: str) -> None:
    with pytest.raises(InputError) as refused:
        options.read(dbscan_sweep.Parameters, {name: text})
    message = str(refused.value)
    assert message.startswith(f"The '{name}' parameter must be {rule}")
    assert message.endswith(f"Got {options.quoted(text)} instead.")
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("text", ["local", "local[*]", "local[4]", "local[2,3]", "local-cluster[2,1,1024]", "connect-local[2]"])
@pytest.mark.parametrize("more", ["", "spark://h:7077", "sc://h:15002", "active", "yarn", "k8s://https://h"])
def test_every_place_where_spark_may_run_is_taken(text: str, more: str) -> None:
    assert options.read(dbscan_sweep.Parameters, {"spark": more or text}).spark == (more or text)


@pytest.mark.parametrize("argv", [["--eps", "-1,0.5"], ["--eps=-1,0.5"]])
def test_a_value_that_begins_with_a_dash_is_a_value(argv: list[str]) -> None:
    assert options.given(dbscan_sweep.Parameters, argv) == {"eps": "-1,0.5"}


@pytest.mark.parametrize(
    ("argv", "hint"), [(["--epz", "1"], "eps"), (["--Features=a"], "features"), (["--minsamples=2"], "min_samples")]
)
def test_an_unknown_parameter_is_told_its_nearest_name(argv: list[str], hint: str) -> None:
    with pytest.raises(InputError, match=f"is not known. Did you mean '{hint}'"):
        options.given(dbscan_sweep.Parameters, argv)


@pytest.mark.parametrize("module", STEPS)
def test_parameters_as_text_are_read_back_the_same(module: ModuleType) -> None:
    texts = options.as_texts(module.Parameters())
    assert options.read(module.Parameters, texts) == module.Parameters()
    assert texts == {f.name: f.metadata["default"] for f in dataclasses.fields(module.Parameters) if f.name != "experiment"}


@pytest.mark.parametrize("module", STEPS)
def test_help_and_a_bad_parameter_answer_before_anything_heavy_is_imported(module: ModuleType) -> None:
    script = PROJECT / "steps" / f"{module.NAME}.py"
    code = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    print('exit', end.code)\n"
        "print('heavy', sorted({'mlflow', 'pandas', 'numpy', 'sklearn', 'pyspark', 'yaml'} & set(sys.modules)))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_RUN_ID"}
    for argument, answer in (("--help", "exit 0"), ("--seed=x", "exit 2")):
        done = subprocess.run(
            [sys.executable, "-c", code, str(script), argument], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.endswith(f"{answer}\nheavy []\n"), done.stdout + done.stderr
        assert done.stderr.count("\n") == (1 if argument == "--seed=x" else 0)


def test_a_script_exits_where_its_step_failed_and_returns_where_it_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(parameters: ridge_search.Parameters) -> None:
        if parameters.seed:
            raise options.WorkError("no")

    for argument, code in (("--seed=0", None), ("--seed=1", options.FAILED_WORK), ("--seed=x", options.WRONG_INPUT)):
        monkeypatch.setattr(sys, "argv", ["ridge_search.py", argument])
        ended = None
        try:
            options.script("ridge_search", step, ridge_search.Parameters)
        except SystemExit as error:
            ended = error.code
        assert ended == code


def test_a_bad_parameter_is_said_within_two_seconds_of_the_start() -> None:
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(PROJECT / "steps" / "dbscan_sweep.py"), "--eps=0.5,-1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - start < 2
    assert done.returncode == 2
    assert done.stderr.startswith("error: The 'eps' parameter must be a list without repetition")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1.0, "1"),
        (True, "true"),
        ((0.5, 1.0), "0.5,1"),
        (["a", "b"], "a,b"),
        (["a,b", "c"], '["a,b", "c"]'),
        (3, "3"),
    ],
)
def test_values_are_written_at_their_shortest(value: object, text: str) -> None:
    assert options.as_text(value) == text
