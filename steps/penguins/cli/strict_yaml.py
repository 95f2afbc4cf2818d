"""YAML without the traps of YAML: a name that occurs twice is refused, where YAML's own loader drops the first entry."""

from typing import Any

import yaml

from penguins.text import quote


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"it has {quote(twice[0])} more than once")
        return dict(super().construct_mapping(node, deep))


def load_yaml(text: str) -> Any:
    """Return what `text` holds. Raises ValueError, yaml.YAMLError or RecursionError where it is not YAML."""
    return yaml.load(text, _Loader)  # noqa: S506  # a safe loader
