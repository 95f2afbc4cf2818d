"""The project's files agree: MLproject, README, the environments and the scripts declare the same things."""

import dataclasses
import re
from importlib.metadata import distribution, distributions
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import SEED_ROWS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from test_options import STEPS

from common.options import PROJECT

MLPROJECT = yaml.safe_load((PROJECT / "MLproject").read_text())
README = (PROJECT / "README.md").read_text()


def declared() -> dict[str, dict[str, str]]:
    return {
        module.NAME: {
            field.name: field.metadata["default"]
            for field in dataclasses.fields(module.Parameters)
            if field.name != "experiment"
        }
        for module in STEPS
    }


def test_mlproject_has_every_step_with_its_parameters_and_defaults() -> None:
    written = {
        name: {parameter: str(spec["default"]) for parameter, spec in entry["parameters"].items()}
        for name, entry in MLPROJECT["entry_points"].items()
    }
    assert written == declared()


def test_every_step_is_a_file_of_its_name() -> None:
    files = {path.stem for path in (PROJECT / "steps").glob("*.py")}
    assert files == set(MLPROJECT["entry_points"])


def test_every_command_hands_every_parameter_to_the_step_of_its_name() -> None:
    for name, entry in MLPROJECT["entry_points"].items():
        expected = " ".join(f"--{parameter}={{{parameter}}}" for parameter in entry["parameters"])
        assert entry["command"] == f"python steps/{name}.py {expected}"


def test_the_readme_table_is_that_of_the_declarations() -> None:
    rows = README.split("<!-- parameters -->")[1].split("<!-- /parameters -->")[0].splitlines()[3:]
    written: dict[str, dict[str, str]] = {name: {} for name in declared()}
    meanings = {(f.name, f.metadata["default"]): f.metadata["help"] for m in STEPS for f in dataclasses.fields(m.Parameters)}
    for row in rows:
        parameter, default, steps, meaning = (cell.strip() for cell in row.strip("|").split(" |"))
        name, value = parameter.strip("`"), default.strip("`")
        assert meaning == meanings[name, value]
        for step in written if steps == "all" else re.findall(r"`(\w+)`", steps):
            assert name not in written[step]
            written[step][name] = value
    assert written == declared()


def test_the_readme_names_every_entry_point() -> None:
    table = README.split("## What runs")[1].split("##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(MLPROJECT["entry_points"])


def requirements(name: str) -> dict[str, list[Requirement]]:
    """The requirements of a file by the name of the package; of the lock, a package may have one for each Python."""
    found: dict[str, list[Requirement]] = {}
    for line in (PROJECT / name).read_text().splitlines():
        if line and not line.startswith(("#", "-")):
            pin = Requirement(line)
            found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def locked() -> dict[str, str]:
    """The versions that the lock has for this Python on this system."""
    return {
        name: str(pin.specifier).removeprefix("==")
        for name, pins in requirements("requirements.lock").items()
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def test_conda_installs_the_same_pins_and_java() -> None:
    *others, pip = yaml.safe_load((PROJECT / "conda.yaml").read_text())["dependencies"]
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    assert pip == {"pip": [line for line in lines if line and not line.startswith("#")]}
    assert "openjdk=17" in others
    python = yaml.safe_load((PROJECT / "python_env.yaml").read_text())["python"]
    assert f"python={python}" in others


def test_python_env_reads_the_one_place_of_the_pins() -> None:
    declared_environment = yaml.safe_load((PROJECT / "python_env.yaml").read_text())
    assert declared_environment["dependencies"] == ["-r requirements.txt"]
    assert declared_environment["build_dependencies"] == [f"pip=={locked()['pip']}"]


def test_the_lock_holds_for_every_way_to_install() -> None:
    assert "-c requirements.lock" in (PROJECT / "requirements.txt").read_text().splitlines()
    assert "-r requirements.txt" in (PROJECT / "requirements-dev.txt").read_text().splitlines()
    assert "bash .ci/lock" in README


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_direct_pin_is_exact_and_that_of_the_lock(name: str) -> None:
    pins = requirements(name)
    assert {package: [str(pin.specifier) for pin in found] for package, found in pins.items()} == {
        package: [f"=={locked()[package]}"] for package in pins
    }


def test_the_lowest_versions_are_of_the_same_packages_and_no_higher() -> None:
    lowest, pins = requirements("requirements-lowest.txt"), requirements("requirements.txt")
    assert set(lowest) == set(pins) - {"uv"}
    for name, [pin] in lowest.items():
        [newest] = pins[name]
        assert Version(str(pin.specifier).removeprefix("==")) <= Version(str(newest.specifier).removeprefix("=="))
        assert pin.extras == newest.extras
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    assert any(step.get("run") == "bash .ci/lowest" for step in workflow["jobs"]["lowest"]["steps"])


def test_every_pin_of_the_lock_is_exact_and_names_no_host() -> None:
    for pins in requirements("requirements.lock").values():
        for pin in pins:
            assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), pin
            assert pin.url is None
    assert "://" not in (PROJECT / "requirements.lock").read_text()


def test_what_is_installed_here_is_what_the_lock_pins() -> None:
    installed = {canonicalize_name(package.name): package.version for package in distributions()}
    others = {"pip", "setuptools", "wheel"}  # those of the Python that made the environment
    assert {name: installed[name] for name in installed.keys() - others} == {
        name: version for name, version in locked().items() if name not in others
    }


def test_the_ci_script_runs_the_readmes_test_command() -> None:
    command = README.split("Test it:")[1].split("```sh\n")[1].split("\n")[0]
    assert command.endswith("python -m pytest")
    assert "README.md" in (PROJECT / ".ci" / "run").read_text()
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    assert any(step.get("run") == "bash .ci/run" for step in steps)
    assert workflow["jobs"]["check"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


@pytest.mark.parametrize("layer", ["common", "clustering"])
def test_imports_only_go_down(layer: str) -> None:
    above = {"common": {*MLPROJECT["entry_points"], "clustering"}, "clustering": set(MLPROJECT["entry_points"])}[layer]
    for path in (PROJECT / "steps" / layer).glob("*.py"):
        imported = set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE))
        assert not imported & above, path


def test_of_the_clustering_only_what_records_knows_mlflow_and_none_knows_spark() -> None:
    modules = set((PROJECT / "steps" / "clustering").glob("*.py"))
    pure = {path for path in modules if path.stem not in ("ledger", "resume", "saved_models")}
    assert len(pure) > 5
    for path in pure:
        assert not re.findall(r"^\s*(?:from|import) (mlflow|pyspark|common)\b", path.read_text(), re.MULTILINE), path
    for path in modules:
        assert not re.findall(r"^\s*(?:from|import) pyspark\b", path.read_text(), re.MULTILINE)


def test_no_step_imports_a_step_or_asks_for_its_file() -> None:
    for name in MLPROJECT["entry_points"]:
        text = (PROJECT / "steps" / f"{name}.py").read_text()
        assert not set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)) & set(MLPROJECT["entry_points"])
        assert "__file__" not in text


def test_the_bundled_penguins_are_those_of_their_package_in_the_order_of_seaborn() -> None:
    [source] = [path for path in distribution("palmerpenguins").files or [] if path.name == "penguins.csv"]
    expected = pd.read_csv(Path(str(source.locate()))).drop(columns="year")
    expected["sex"] = expected["sex"].str.upper()
    expected = expected.sort_values("species", kind="stable").reset_index(drop=True)
    bundled = pd.read_csv(SEED_ROWS)
    assert bundled.shape == (344, 7)
    assert len(bundled.dropna()) == 333
    pd.testing.assert_frame_equal(bundled, expected)
