"""The project's files agree: MLproject, README, the environments and the scripts declare the same things."""

import importlib.util
import re
import tomllib
from importlib.metadata import distribution, distributions
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from step_modules import STEPS
from stores import SEED_ROWS

from penguins.cli.parameters import declared_parameters
from penguins.cli.read_options import DETECT, ReadRule
from penguins.cli.steps import declared_steps
from penguins.project import PROJECT

MLPROJECT = yaml.safe_load((PROJECT / "MLproject").read_text())
README = (PROJECT / "README.md").read_text()
TABLE = (PROJECT / "docs" / "parameters.md").read_text()


def declarations() -> dict[str, dict[str, str]]:
    """Return the defaults of the parameters that each step declares."""
    return {
        module.NAME: {name: one.text for name, one in declared_parameters(module.Parameters).items() if name != "experiment"}
        for module in STEPS
    }


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", PROJECT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_files_are_those_of_the_declarations(generator: ModuleType) -> None:
    assert generator.stale_files() == {}


@pytest.mark.parametrize(
    ("name", "line"), [("MLproject", "seed: {type: float, default: 0}"), ("pyproject.toml", "kmeans_sweep")]
)
def test_a_file_that_differs_from_the_declarations_is_written_anew(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    for file in generator.generated_files():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text((PROJECT / file).read_text())
    monkeypatch.setattr(generator, "PROJECT", tmp_path)
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace(line, "stale"))
    assert generator.stale_files() == {name: text}


def test_a_file_without_its_marker_is_refused(generator: ModuleType) -> None:
    with pytest.raises(ValueError, match="the marker 'generated: steps' occurs 0 times"):
        generator.replace_part("no marker\n", "steps", "x")


def test_every_script_declares_itself_under_the_name_of_its_file() -> None:
    assert {module.NAME: module.STEP for module in STEPS} == declared_steps()


def test_mlproject_has_every_step_with_its_parameters_and_defaults() -> None:
    written = {
        name: {parameter: str(spec.get("default", "")) for parameter, spec in entry["parameters"].items()}
        for name, entry in MLPROJECT["entry_points"].items()
    }
    assert written == declarations()


def test_every_step_is_a_file_of_its_name() -> None:
    files = {path.stem for path in (PROJECT / "steps").glob("*.py")}
    assert files == set(MLPROJECT["entry_points"])


def test_every_command_passes_every_parameter_to_the_step_of_its_name() -> None:
    for name, entry in MLPROJECT["entry_points"].items():
        expected = " ".join(f"--{parameter}={{{parameter}}}" for parameter in entry["parameters"])
        assert entry["command"] == f"python steps/{name}.py {expected}"


def test_the_table_of_parameters_is_that_of_the_declarations() -> None:
    rows = TABLE.split("<!-- generated: parameters -->")[1].split("<!-- end of generated -->")[0].splitlines()[3:]
    written: dict[str, dict[str, str]] = {name: {} for name in declarations()}
    for row in rows:
        parameter, default, steps, _ = (cell.strip() for cell in row.strip("|").split(" |"))
        name, value = parameter.strip("`"), default.strip("`").removeprefix("required")
        for step in written if steps == "all" else re.findall(r"`(\w+)`", steps):
            assert name not in written[step]
            written[step][name] = value
    assert written == declarations()


def test_the_readme_names_every_entry_point() -> None:
    table = README.split("## What runs")[1].split("##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(MLPROJECT["entry_points"])


def requirements(name: str) -> dict[str, list[Requirement]]:
    """Return the requirements in a file by package; in the lock, a package may have one for each Python."""
    found: dict[str, list[Requirement]] = {}
    for line in (PROJECT / name).read_text().splitlines():
        if line and not line.startswith(("#", "-")):
            pin = Requirement(line)
            found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def locked_versions() -> dict[str, str]:
    """Return the versions that the lock has for this Python on this system."""
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


def test_python_env_takes_its_pins_from_requirements_txt() -> None:
    declared_environment = yaml.safe_load((PROJECT / "python_env.yaml").read_text())
    assert declared_environment["dependencies"] == ["-r requirements.txt"]
    assert declared_environment["build_dependencies"] == [f"pip=={locked_versions()['pip']}"]


def test_every_way_to_install_uses_the_lock() -> None:
    assert "-c requirements.lock" in (PROJECT / "requirements.txt").read_text().splitlines()
    assert "-r requirements.txt" in (PROJECT / "requirements-dev.txt").read_text().splitlines()
    assert "bash .ci/lock" in (PROJECT / "docs" / "environments.md").read_text()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_direct_pin_is_exact_and_that_of_the_lock(name: str) -> None:
    pins = requirements(name)
    assert {package: [str(pin.specifier) for pin in found] for package, found in pins.items()} == {
        package: [f"=={locked_versions()[package]}"] for package in pins
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


def hashed_requirements() -> dict[str, list[tuple[Requirement, list[str]]]]:
    """Return the requirements in requirements-hashed.txt by package, each with its hashes."""
    found: dict[str, list[tuple[Requirement, list[str]]]] = {}
    text = (PROJECT / "requirements-hashed.txt").read_text().replace("\\\n", "")
    for line in text.splitlines():
        if not line.startswith("#"):
            pin, *hashes = line.split(" --hash=")
            requirement = Requirement(pin.strip())
            found.setdefault(canonicalize_name(requirement.name), []).append((requirement, [one.strip() for one in hashes]))
    return found


def test_the_hashed_versions_are_those_of_the_lock_for_the_same_systems() -> None:
    locked, hashed = requirements("requirements.lock"), hashed_requirements()
    assert set(requirements("requirements.txt")) <= set(hashed)
    for name, pins in hashed.items():
        assert [(str(pin.specifier), pin.marker) for pin, _ in pins] == [
            (str(pin.specifier), pin.marker) for pin in locked[name]
        ]


def test_every_hashed_version_has_a_hash_and_names_no_host() -> None:
    for pins in hashed_requirements().values():
        for pin, hashes in pins:
            assert pin.url is None
            assert hashes, pin
            for one in hashes:
                assert re.fullmatch(r"sha256:[0-9a-f]{64}", one), pin
    assert "://" not in (PROJECT / "requirements-hashed.txt").read_text()


def test_the_hashed_versions_are_complete() -> None:
    """As pip would say at its installation, for this Python on this system."""
    hashed = {
        name for name, pins in hashed_requirements().items() for pin, _ in pins if pin.marker is None or pin.marker.evaluate()
    }
    extras = {name: extra for name, [pin] in requirements("requirements.txt").items() for extra in pin.extras}
    for name in hashed:
        for text in distribution(name).requires or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extras.get(name, "")}):
                assert canonicalize_name(needed.name) in hashed, f"{name} needs {text}"


def test_the_hashed_versions_are_written_with_the_lock_and_checked_for_vulnerabilities() -> None:
    assert "requirements-hashed.txt" in (PROJECT / ".ci" / "lock").read_text()
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    commands = [step.get("run", "") for step in workflow["jobs"]["audit"]["steps"]]
    assert "pip-audit --require-hashes --disable-pip -r requirements-hashed.txt" in commands


def test_the_installed_versions_are_those_of_the_lock() -> None:
    installed = {canonicalize_name(package.name): package.version for package in distributions()}
    others = {"pip", "setuptools", "wheel"}  # those of the Python that made the environment
    assert {name: installed[name] for name in installed.keys() - others} == {
        name: version for name, version in locked_versions().items() if name not in others
    }


def test_the_ci_script_runs_the_readmes_test_command() -> None:
    command = README.split("Test it:")[1].split("```sh\n")[1].split("\n")[0]
    assert command.endswith(" python -m pytest -n 2 --dist loadfile tests/unit tests/steps")
    assert "README.md" in (PROJECT / ".ci" / "run").read_text()
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    assert any(step.get("run") == "bash .ci/run" for step in steps)
    assert workflow["jobs"]["check"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_the_contracts_on_imports_are_part_of_the_ci_script() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert {contract["type"] for contract in contracts} == {"layers", "forbidden", "acyclic_siblings"}
    assert re.search(r"^[^#\n]*\.venv/bin/lint-imports\b", (PROJECT / ".ci" / "run").read_text(), re.MULTILINE)


def test_no_step_imports_a_step_or_uses_its_file() -> None:
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


def test_no_document_holds_a_placeholder() -> None:
    for path in DOCUMENTS:
        assert not re.search(r"@[A-Z]+@", path.read_text()), path


DOCUMENTS = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("benchmarks/*.md")]


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a document, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_link_between_the_documents_leads_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8")):
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_the_list_of_documents_has_them_all() -> None:
    linked = set(re.findall(r"\]\(([\w.-]+)\)", (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert linked == {path.name for kind in ("*.md", "*.py") for path in (PROJECT / "docs").glob(kind)} - {"README.md"}


def test_the_pictures_of_the_documents_are_small_and_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    for path in (PROJECT / "docs" / "pictures").iterdir():
        assert path.stat().st_size < 300_000, path
        assert f"pictures/{path.name})" in text


@pytest.mark.parametrize("path", [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_what_the_documents_pass_as_read_is_accepted(path: Path) -> None:
    for text in re.findall(r"read=(\{.*?\})'", path.read_text(encoding="utf-8")):
        assert ReadRule().parse(text) != DETECT
