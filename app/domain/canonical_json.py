"""Canonical JSON (RFC 8785): one text for each value, so that a hash of the text is a hash of the value.

Floating point numbers are refused: nothing that is hashed here has them.
"""

from typing import Any

import orjson

MOST = 2**53 - 1
"""Larger whole numbers are not the same for every reader of JSON (RFC 7493)."""


def canonical(value: Any) -> bytes:
    """The canonical text in UTF-8 of texts, whole numbers, booleans, None, lists and mappings.

    Raises TypeError for other values, ValueError for numbers beyond `MOST` and for half characters.
    """
    ordered = _ordered(value)
    try:
        return orjson.dumps(ordered)
    except orjson.JSONEncodeError as error:  # half a surrogate pair
        raise ValueError(str(error)) from error


def _ordered(value: Any) -> Any:
    """The same with the keys of mappings in the order of their UTF-16 units."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if abs(value) > MOST:
            raise ValueError(f"{value} is no number that every reader of JSON keeps")
        return value
    if isinstance(value, list | tuple):
        return [_ordered(each) for each in value]
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=_units)}
    raise TypeError(f"{type(value).__name__} has no canonical form here")


def _units(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")
