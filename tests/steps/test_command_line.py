"""The steps' own parameters and scripts: their rules, their defaults, and a refusal before anything heavy is imported."""

import subprocess
import sys
import time
from types import ModuleType

import dbscan_sweep
import pytest
from servers import environment
from step_modules import BY_NAME, STEPS
from stores import Steps, Store

from penguins.cli.parameters import declared_parameters, parse_parameters, to_texts
from penguins.cli.script import step_refusal
from penguins.errors import WRONG_INPUT, InputError
from penguins.project import PROJECT


def script(name: str) -> str:
    return str(PROJECT / "steps" / f"{name}.py")


@pytest.mark.parametrize(
    ("step", "name", "text", "rule"),
    [
        ("main", "steps", "ridge", "a list without repetition, as in a,b or [a, b], each one of all, "),
        ("main", "env_manager", "docker", "one of local, uv, virtualenv, conda"),
        ("main", "test_size", "1", "a float in (0, 1)"),
        ("logistic_regression", "encoding", "dummy", "one of onehot, ordinal"),
        ("logistic_regression", "target", "", "the name of a column"),
        ("ridge_search", "cv", "1", "an integer in [2, 10000]"),
        ("ridge_search", "alphas", "0", "a list without repetition, as in a,b or [a, b], each a float in (0, inf)"),
        ("spark_logistic_regression", "max_iter", "0", "an integer in [1, 100000]"),
        ("dbscan_sweep", "min_coverage", "1.1", "a float in [0, 1]"),
        ("dbscan_sweep", "models", "some", "one of all, best, none"),
        ("dbscan_sweep", "runs", "", "one of auto, all, groups, none"),
        ("dbscan_sweep", "log_from", "workers", "one of driver, executors"),
        ("dbscan_sweep", "select_by", "s_dbw", "one of stability, dbcv, silhouette, calinski-harabasz, davies-bouldin, s-dbw"),
        ("dbscan_sweep", "features", "a,a", "a list without repetition"),
    ],
)
def test_a_step_refuses_a_value_that_breaks_the_rule_of_its_parameter(step: str, name: str, text: str, rule: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_parameters(BY_NAME[step].Parameters, {name: text})
    assert str(refused.value).startswith(f"The '{name}' parameter must be {rule}")


@pytest.mark.parametrize("module", STEPS)
def test_the_defaults_of_a_step_are_written_as_declared_and_read_back_the_same(module: ModuleType) -> None:
    declared = declared_parameters(module.Parameters).values()
    required = {one.name: "0123456789abcdef" for one in declared if one.is_required}
    texts = to_texts(module.Parameters(**required))
    assert parse_parameters(module.Parameters, texts) == module.Parameters(**required)
    assert texts == {one.name: one.text for one in declared if one.name != "experiment"} | required


@pytest.mark.parametrize(("argument", "code", "lines"), [("--help", 0, 0), ("--seed=x", 2, 1)])
@pytest.mark.parametrize("module", STEPS)
def test_help_and_a_refusal_come_before_any_heavy_import(module: ModuleType, argument: str, code: int, lines: int) -> None:
    program = (
        "import runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    print('exit', end.code)\n"
        "print('heavy', sorted({'mlflow', 'pandas', 'numpy', 'sklearn', 'pyspark', 'yaml'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, script(module.NAME), argument]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.endswith(f"exit {code}\nheavy []\n"), done.stdout + done.stderr
    assert done.stderr.count("\n") == lines


@pytest.mark.parametrize("step", ["main", "dbscan_sweep"])
def test_a_bad_parameter_is_refused_in_under_half_a_second(step: str) -> None:
    seconds: list[float] = []
    while len(seconds) < 10 and min(seconds, default=1.0) >= 0.5:  # the machine may be busy
        start = time.monotonic()
        command = [sys.executable, script(step), "--eps=0.5,-1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
        seconds.append(time.monotonic() - start)
        assert done.returncode == WRONG_INPUT
        assert done.stderr.startswith(
            "error: The 'eps' parameter must be auto, auto:N with N in [2, 200], or a list without repetition"
        )
        assert done.stderr.count("\n") == 1
    assert min(seconds) < 0.5


def test_a_refusal_is_recorded_on_the_run_that_mlflow_run_has_opened(
    store: Store, step: Steps, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = store.client.create_run(store.client.get_experiment_by_name("penguins").experiment_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    assert step(dbscan_sweep, seed="x") == WRONG_INPUT
    [run] = store.runs()
    why = "The 'seed' parameter must be an integer in [0, 4294967295]. Got 'x' instead."
    assert run.data.tags["error"] == why
    assert run.info.run_name == "dbscan_sweep"
    assert capfd.readouterr().err == f"error: {why}\n"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"cv": "1"}, "The 'cv' parameter must be an integer in [2, 10000]. Got '1' instead."),
        ({"cv": "2", "seed": "1"}, ""),
        ({"target": "\0"}, "The 'target' parameter must be text without a null character. Got '\\x00' instead."),
        ({"target": "x" * 119_990}, ""),
    ],
)
def test_a_step_can_be_asked_whether_it_would_refuse_parameters(texts: dict[str, str], expected: str) -> None:
    assert step_refusal("ridge_search", texts) == expected


@pytest.mark.parametrize(
    "texts",
    [
        {"target": "x" * 120_000, "cv": "2"},
        {"target": "x" * 70_000, "features": "y" * 60_000},
        {"target": "'" * 30_000},  # five signs each in the quotes of the shell
        {"target": "ü" * 60_000},
    ],
)
def test_parameters_that_are_too_long_for_the_command_of_a_step_are_refused(texts: dict[str, str]) -> None:
    rule = r"^The 'target' parameter must be short enough for a command line: .* 120000 bytes together\. Got 1[0-9]{5} for"
    with pytest.raises(InputError, match=rule):
        step_refusal("ridge_search", texts)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--check"], 0, ""),
        (["--check", "--cv=2", "--target", "weight"], 0, ""),
        (["--cv", "1", "--check"], 2, "error: The 'cv' parameter must be an integer in [2, 10000]. Got '1' instead.\n"),
        (["--check", "--data=cars.csv"], 2, "error: The 'target' parameter must name the column to predict in a table of your "
         "own. Got 'auto' instead, which is for the penguins: give, for example, target=price for 'cars.csv'.\n"),
    ],
)  # fmt: skip
def test_a_script_can_only_check_its_parameters_and_then_records_nothing(
    store: Store, arguments: list[str], code: int, line: str
) -> None:
    opened = store.client.create_run(store.client.get_experiment_by_name("penguins").experiment_id)
    variables = environment(MLFLOW_RUN_ID=opened.info.run_id, MLFLOW_TRACKING_URI=store.uri)
    command = [sys.executable, script("ridge_search"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line)
    [run] = store.runs()
    assert run.info.status == "RUNNING"
    assert "error" not in run.data.tags
