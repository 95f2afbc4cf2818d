"""The installed versions of packages."""

import platform
import re
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

# Those on which results depend.
MAIN_PACKAGES = ("mlflow", "scikit-learn", "pandas", "numpy", "pyspark")


def installed_version(package: str) -> str:
    """Return the version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:  # Databricks's own pyspark, whose version may have a suffix that no registry knows
        return re.split(r"\.dev|\+", import_module(package).__version__)[0]


def main_versions() -> str:
    """Return the versions of Python and of the packages on which results depend, as text."""
    return ", ".join([f"Python {platform.python_version()}", *[f"{name} {installed_version(name)}" for name in MAIN_PACKAGES]])
