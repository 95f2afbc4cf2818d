"""The modules of all steps, in alphabetical order. Importing them imports MLflow and Spark."""

from importlib import import_module
from types import ModuleType

from penguins.project import PROJECT

STEPS: list[ModuleType] = [import_module(path.stem) for path in sorted((PROJECT / "steps").glob("*.py"))]
BY_NAME = {module.NAME: module for module in STEPS}
