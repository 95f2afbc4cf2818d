"""Secrets in URLs and downloaded files: neither is left anywhere when a step has ended."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import LONGEST_S, environment, mlflow_run
from stores import SEED_ROWS, Store
from website import website

from penguins.project import PROJECT

LONGEST_TO_END_S = 30
SECRET = "5ecret"  # noqa: S105
SIGNATURE = f"X-Amz-Date=1&X-Amz-Signature={SECRET}"


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the bundled table and of a text that is none, behind a signature."""
    folder = tmp_path_factory.mktemp("website")
    (folder / "birds.csv").write_bytes(SEED_ROWS.read_bytes())
    (folder / "page.csv").write_text("<html><body>no table</body></html>")
    with website(folder, SECRET) as served:
        yield served


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


def run_script(step: str, folder: Path, temporary: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a step as a script, with folders of temporary files of its own for Python and for Java."""
    java = f"-Djava.io.tmpdir={temporary}"
    return subprocess.run(
        [sys.executable, str(PROJECT / "steps" / f"{step}.py"), *options],
        cwd=folder,
        env=environment(TMPDIR=str(temporary), SPARK_SUBMIT_OPTS=java, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )


def files_left(temporary: Path) -> list[Path]:
    """Return the temporary files that are left; a JVM deletes its own just after the step has ended."""
    until = time.monotonic() + LONGEST_TO_END_S
    while (left := list(temporary.iterdir())) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def files_with_secret(folder: Path) -> list[Path]:
    """Return the files under `folder`, the database included, in which the secret stands."""
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("step", "options"),
    [
        ("logistic_regression", ["--target=sex"]),
        ("spark_logistic_regression", ["--target=species", "--features=body_mass_g,flipper_length_mm"]),
        ("dbscan_sweep", ["--group_by=island", "--eps=0.5", "--models=best"]),
        ("main", ["--steps=ridge_search", "--config=config.yaml"]),
    ],
)
def test_a_signed_url_is_read_and_its_signature_and_the_download_are_left_nowhere(
    store: Store, tmp_path: Path, address: str, temporary: Path, step: str, options: list[str]
) -> None:
    (tmp_path / "config.yaml").write_text("ridge_search: {target: body_mass_g}")
    url = f"{address}/birds.csv?{SIGNATURE}"
    done = run_script(step, tmp_path, temporary, f"--data={url}", *options, MLFLOW_TRACKING_URI=store.uri)
    assert done.returncode == 0, done.stderr
    runs = store.runs()
    assert {run.info.status for run in runs} == {"FINISHED"}
    [inputs] = store.only(options[0].partition("=")[2] if step == "main" else step).inputs.dataset_inputs[:1]
    assert f"{address}/birds.csv?***" in inputs.dataset.source
    assert files_with_secret(tmp_path) == []
    assert SECRET not in done.stdout + done.stderr
    assert files_left(temporary) == []


@pytest.mark.parametrize(
    ("page", "options", "said"),
    [
        ("page.csv", [], "is a page of HTML"),
        ("missing.csv", [], "404"),
        ("birds.csv", ["--target=colour"], "'colour'"),
        ("birds.csv", ["--target=sex", "--features=missing"], "'missing'"),
    ],
)
def test_a_failure_says_nothing_of_the_signature_and_leaves_no_download(
    store: Store, tmp_path: Path, address: str, temporary: Path, page: str, options: list[str], said: str
) -> None:
    data = f"--data={address}/{page}?{SIGNATURE}"
    done = run_script(
        "logistic_regression", tmp_path, temporary, data, *(options or ["--target=sex"]), MLFLOW_TRACKING_URI=store.uri
    )
    [line] = done.stderr.splitlines()
    assert (done.returncode, said in line) == (2, True), line
    run = store.only("logistic_regression")
    assert f"error: {run.data.tags['error']}" == line
    assert files_with_secret(tmp_path) == []
    assert SECRET not in done.stdout + done.stderr
    assert files_left(temporary) == []


def test_a_model_that_score_fetches_is_deleted(store: Store, tmp_path: Path, temporary: Path) -> None:
    assert run_script("ridge_search", tmp_path, temporary, "--alphas=1", MLFLOW_TRACKING_URI=store.uri).returncode == 0
    uri = store.model_uri(store.only("ridge_search"))
    for spark in ("none", "local[1]"):
        done = run_script("score", tmp_path, temporary, f"--model_uri={uri}", f"--spark={spark}", MLFLOW_TRACKING_URI=store.uri)
        assert done.returncode == 0, done.stderr
        assert files_left(temporary) == [], spark


def test_mlflow_run_logs_the_name_of_a_variable_in_place_of_what_it_holds(store: Store, tmp_path: Path, address: str) -> None:
    arguments = ["-e", "ridge_search", "--env-manager", "local", "--experiment-name", "penguins"]
    arguments += ["-P", "data=$TABLE_URL", "-P", "target=body_mass_g"]
    url = f"{address}/birds.csv?{SIGNATURE}"
    done = mlflow_run(str(PROJECT), *arguments, folder=tmp_path, MLFLOW_TRACKING_URI=store.uri, TABLE_URL=url)
    assert done.returncode == 0, done.stderr
    assert store.only("ridge_search").data.params["data"] == "'$TABLE_URL'"
    assert files_with_secret(tmp_path) == []
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("uri", "code", "said"),
    [
        ("mysql://me:5ecret@127.0.0.1:1/db", 2, "MySQLdb is not installed: pip install 'mysqlclient'"),
        ("http://me:5ecret@127.0.0.1:1", 1, "failed with exception"),
    ],
)
def test_a_store_that_cannot_be_opened_is_named_without_its_password(
    tmp_path: Path, temporary: Path, uri: str, code: int, said: str
) -> None:
    variables = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = run_script("ridge_search", tmp_path, temporary, **variables)
    [line] = done.stderr.splitlines()
    assert done.returncode == code
    assert line.startswith("error: The tracking store ")
    assert said in line
    assert "://***@127.0.0.1:1" in line
    assert SECRET not in done.stdout + line
