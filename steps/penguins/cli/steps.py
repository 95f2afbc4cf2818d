"""What is known of each step without importing it, which takes seconds: read from its script."""

import ast
from dataclasses import dataclass
from functools import cache
from typing import Any

from penguins.project import PROJECT


@dataclass(frozen=True)
class Step:
    """What a script declares of itself as `STEP`, with literal arguments; `declared_steps` reads them from the file.

    `question` and `holds`, in Markdown, are its row in README. `headline` is the metric that `main` shows, `model` the name of
    the model in its run. `main` runs it by default if it is `in_all`, and starts those of the largest `weight` first, so that
    the last to end are short. `recovers` says whether it recovers its own stale runs. Neither `main` nor a job runs a step
    that `runs_alone`, because it has a parameter without a default. One that `needs_spark` is left out where there is none.
    """

    name: str
    question: str
    holds: str
    headline: str = ""
    model: str = ""
    in_all: bool = False
    weight: int = 0
    recovers: bool = False
    runs_alone: bool = False
    needs_spark: bool = False


@cache
def declared_steps() -> dict[str, Step]:
    """Return what the scripts declare by name: `main`, its default steps, its others, then those that run alone."""
    steps = [step for path in (PROJECT / "steps").glob("*.py") if (step := _read_step(path.read_text(encoding="utf-8")))]
    ordered = sorted(steps, key=lambda step: (step.name != "main", step.runs_alone, not step.in_all, step.weight, step.name))
    return {step.name: step for step in ordered}


def _read_step(script: str) -> Step | None:
    """Return the Step that a script assigns to `STEP` at its top level, or None."""
    for node in ast.parse(script).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if "STEP" in map(ast.unparse, targets):
                values = [ast.literal_eval(argument) for argument in node.value.args]
                return Step(*values, **{str(one.arg): ast.literal_eval(one.value) for one in node.value.keywords})
    return None


def entry_points() -> dict[str, dict[str, Any]]:
    """Return the parameters of each entry point as MLproject declares them."""
    import yaml  # not needed to check a command line

    project = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))
    return {name: entry["parameters"] for name, entry in project["entry_points"].items()}
