"""A reader that takes YAML 1.2 at its word: the core schema of the specification (10.3.2), and nothing else."""

import re
from typing import Any

import yaml


class CoreLoader(yaml.SafeLoader):
    """PyYAML's parser with the rules of YAML 1.2 for plain scalars."""


CoreLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _int(loader: CoreLoader, node: Any) -> int:
    text = node.value
    return int(text[2:], {"o": 8, "x": 16}[text[1]]) if text[1:2] in ("o", "x") else int(text)


CoreLoader.add_constructor("tag:yaml.org,2002:int", _int)


def read_core(text: str | bytes) -> Any:
    return yaml.load(text, CoreLoader)
