"""YAML without the traps of YAML: every value is the text as it is written, and what would be dropped or expanded is refused.

YAML's own loaders read 010 as 8, 1:30 as 90 and NO as false, keep the last of two entries of a name, and expand aliases.
"""

from typing import Any

import yaml

from penguins.text import quote

# PyYAML reads some 20,000 names and values in a second. No command line holds as many.
MOST_NODES = 20_000
NULLS = ("~", "null", "Null", "NULL")
PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class _Loader(yaml.BaseLoader):
    n_nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            alias = self.get_event()  # type: ignore[no-untyped-call]  # as all of this loader
            raise ValueError(f"it has the alias {quote(f'*{alias.anchor}')}: write out what that stands for")
        self.n_nodes += 1
        if self.n_nodes > MOST_NODES:
            raise ValueError(f"it has more than {MOST_NODES} names and values")
        node: Any = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in NULLS:
            raise ValueError(f"it has {node.value}, which stands for nothing: leave the name out, or put the text into quotes")
        if node.tag not in PLAIN_TAGS:
            raise ValueError(f"it has the tag {quote(node.tag)}: write values without a tag")
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        found = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError("it has a list or a mapping as a name")
            if key.value in found:
                raise ValueError(f"it has {quote(key.value)} more than once")
            found.add(key.value)
        return dict(super().construct_mapping(node, deep))


def load_yaml(text: str) -> Any:
    """Return what `text` holds: mappings, lists and texts. A number, true or a date is the text as it is written.

    Raises ValueError, yaml.YAMLError or RecursionError where it is not YAML, or holds an alias, a tag, a null, a repeated name
    or more than `MOST_NODES` names and values.
    """
    return yaml.load(text, _Loader)  # noqa: S506  # it makes texts, lists and dictionaries only
