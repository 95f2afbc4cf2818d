"""The folder through which models pass to and from a Connect server."""

import tempfile
from pathlib import Path

import pytest

from penguins.errors import InputError
from penguins.spark.ml_models import SHARED, shared_folder
from penguins.spark.target import REMOTE, SparkTarget

NONE, TEMPORARY, NAMED, REFUSED = "", "temporary", "named", "refused"


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("local[2]", {}, NONE),
        ("spark://host:7077", {SHARED: NAMED}, NONE),
        ("active", {}, NONE),
        ("active", {"SPARK_REMOTE": "sc://host", "DATABRICKS_RUNTIME_VERSION": "18.0"}, NONE),
        ("connect-local[2]", {SHARED: NAMED}, TEMPORARY),
        ("sc://127.0.0.1:15002", {}, TEMPORARY),
        ("sc://127.0.0.1:15002", {SHARED: NAMED}, NAMED),
        ("sc://host", {SHARED: NAMED}, NAMED),
        ("active", {"SPARK_REMOTE": "sc://host", SHARED: NAMED}, NAMED),
        ("sc://host", {}, REFUSED),
        ("active", {"SPARK_REMOTE": "sc://host"}, REFUSED),
        ("sc://127.0.0.1:15002", {SHARED: "/nowhere"}, REFUSED),
    ],
)
def test_the_folder_is_one_that_the_server_sees_too_or_the_spark_parameter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variables: dict[str, str], expected: str
) -> None:
    for name in (SHARED, *REMOTE):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, f"file://{tmp_path}" if value == NAMED else value)
    target = SparkTarget(text)
    if expected == REFUSED:
        with pytest.raises(InputError, match=f"^The 'spark' parameter must .* Got '{text}'.*set {SHARED} to a folder"):
            shared_folder(target)
    else:
        assert shared_folder(target) == {NONE: "", TEMPORARY: tempfile.gettempdir(), NAMED: str(tmp_path)}[expected]
