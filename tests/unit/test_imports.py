"""The unit tests start at once: nothing that they import brings MLflow or Spark with it."""

import subprocess
import sys
from pathlib import Path

from penguins.project import PROJECT

UNIT_TESTS = Path(__file__).parent
PROGRAM = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

for number, path in enumerate(sys.argv[1:]):
    spec = spec_from_file_location(f"test_{number}", path)
    sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    heavy = {"mlflow", "pyspark"} & set(sys.modules)
    if heavy:
        sys.exit(f"{path} imports {', '.join(sorted(heavy))}")
"""


def test_no_unit_test_imports_mlflow_or_spark() -> None:
    files = sorted(str(path) for path in UNIT_TESTS.rglob("test_*.py"))
    assert len(files) > 10
    program = f"import sys; sys.path[:0] = {[str(PROJECT / 'steps'), str(PROJECT / 'tests' / 'support')]}\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
