"""The configuration file of `main`: YAML that maps steps to their parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from penguins.cli.environment import text_from_environment
from penguins.cli.rules import to_text
from penguins.cli.script import step_refusal
from penguins.cli.strict_yaml import load_yaml
from penguins.errors import InputError
from penguins.text import LONGEST_REASON, one_line, quote, suggestion

RULE = "The 'config' parameter must be a YAML file that maps steps to their parameters."

# The only parameter that is a mapping.
READ = "read"
# More than the command lines of all steps hold together.
MOST_BYTES = 1 << 20

# The entry points of MLproject: step, then its parameters by name.
Entries = Mapping[str, Mapping[str, Any]]


def read_config(path: str, entries: Entries) -> dict[str, dict[str, str]]:
    """Return the parameters by step that the YAML file at `path` gives, as the texts that a command line would hold.

    Raises InputError where the file cannot be read, names a step or a parameter that is not in `entries`, or holds a value
    that the step's own script would refuse.
    """
    if not path:
        return {}
    content = _read_yaml(path)
    for step, values in content.items():
        if step not in entries:
            raise InputError(f"{RULE} Got {quote(path)}, with the unknown step {quote(step)}.{suggestion(step, entries)}")
        for name, value in values.items():
            _require_parameter(path, step, name, value, entries)
    texts = {
        step: {name: text_from_environment(name, to_text(value)) for name, value in values.items()}
        for step, values in content.items()
    }
    for step, values in texts.items():
        if why := step_refusal(step, values):
            raise InputError(f"{why} It stands in {quote(path)} for {step}.")
    return texts


def _read_yaml(path: str) -> dict[str, dict[str, Any]]:
    try:
        file = Path(path).expanduser()
        if file.exists() and not file.is_file():
            raise ValueError("it is not a file")
        if file.exists() and file.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has {file.stat().st_size} bytes, and may have {MOST_BYTES}")
        content = load_yaml(file.read_text(encoding="utf-8"))
    except (OSError, RuntimeError, ValueError, yaml.YAMLError) as error:  # too many brackets are a RecursionError
        raise InputError(f"{RULE} Got {quote(path)}: {one_line(error)[:LONGEST_REASON]}") from error
    if not isinstance(content, dict) or not all(isinstance(values, dict) for values in content.values()):
        raise InputError(f"{RULE} Got {quote(path)}, which holds something else.")
    return content


def _require_parameter(path: str, step: str, name: str, value: Any, entries: Entries) -> None:
    """Raise InputError unless `step` takes a parameter `name` and the value can be written as text."""
    values = list(value.values()) if name == READ and isinstance(value, dict) else [value]
    items = [item for one in values for item in (one if isinstance(one, list) else [one])]
    if not all(isinstance(item, str) for item in items):
        raise InputError(
            f"{RULE} Got {quote(path)}, with {quote(value)} for {quote(name)} of {step}: write a single value or a list."
        )
    if name not in entries[step]:
        hint = suggestion(name, entries[step])
        raise InputError(f"{RULE} Got {quote(path)}, with {quote(name)}, which {step} does not take.{hint}")
