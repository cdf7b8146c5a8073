"""Reads and writes JSON with numbers as they are written: values of metadata keep all their digits."""

import json
import re
from collections.abc import Callable
from typing import Any

_PLAIN_DIGITS = 18
"""Digits of whole numbers that are read as numbers; longer ones are only shown, so they stay text."""

_CONTROL = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What JSON allows in a text and a terminal or a reader of lines would obey."""


class Exact(str):
    """A number by its digits."""

    __slots__ = ()


def _whole(text: str) -> int | Exact:
    return int(text) if len(text) <= _PLAIN_DIGITS else Exact(text)


def read_json(text: str, objects: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """`objects` makes each object. Raises ValueError."""
    try:
        return json.loads(text, parse_float=Exact, parse_int=_whole, parse_constant=Exact, object_hook=objects)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def json_text(value: Any, indent: int | None = None, level: int = 0) -> str:
    """As `json.dumps` would, but for exact numbers; all on one line without `indent`."""
    if isinstance(value, Exact):
        return str(value)
    if isinstance(value, dict):
        colon = ":" if indent is None else ": "
        items = [f"{_quoted(str(key))}{colon}{json_text(each, indent, level + 1)}" for key, each in value.items()]
        return _wrapped("{", items, "}", indent, level)
    if isinstance(value, list | tuple):
        return _wrapped("[", [json_text(each, indent, level + 1) for each in value], "]", indent, level)
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _wrapped(begin: str, items: list[str], end: str, indent: int | None, level: int) -> str:
    if indent is None or not items:
        return begin + ",".join(items) + end
    inner, outer = "\n" + " " * indent * (level + 1), "\n" + " " * indent * level
    return begin + inner + ("," + inner).join(items) + outer + end


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*(?:[ .][A-Za-z0-9_/-]+)*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}


def yaml_text(value: Any, level: int = 0) -> str:
    """Block YAML whose texts any reader takes for texts; lines end with a line break."""
    pad = "  " * level
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{_scalar(str(key))}:{_below(each, level)}" for key, each in value.items())
    if isinstance(value, list | tuple) and value:
        return "".join(f"{pad}- {yaml_text(each, level + 1).lstrip(' ')}" for each in value)
    return f"{pad}{_scalar(value)}\n"


def _below(value: Any, level: int) -> str:
    if isinstance(value, dict | list | tuple) and value:
        return "\n" + yaml_text(value, level + 1)
    return f" {_scalar(value)}\n"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and not isinstance(value, Exact):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    return json_text(value)
