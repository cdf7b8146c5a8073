"""The capturing groups of a pattern of ECMA-262, and which of them it refers to."""

import re
from collections.abc import Iterator, Mapping

GROUP_START = re.compile(r"\(\?<([^=!>][^>]*)>")
_NUMBERED = re.compile(r"\\([1-9][0-9]*)")
_NAMED = re.compile(r"\\k<([^>]+)>")
_NAME_ESCAPE = re.compile(r"\\u(?:\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{4}))")


def capturing_groups(pattern: str) -> tuple[list[str | None], dict[str, int]]:
    """The name of each capturing group, None for one without; and the numbers, from 1, of those that have names."""
    groups: list[str | None] = []
    for place in _outside_classes(pattern):
        if pattern[place] == "(":
            named = GROUP_START.match(pattern, place)
            if named:
                groups.append(group_name(named[1]))
            elif pattern[place + 1 : place + 2] != "?":
                groups.append(None)
    return groups, {name: number for number, name in reversed([*enumerate(groups, 1)]) if name is not None}


def referred_groups(pattern: str, named: Mapping[str, int]) -> set[int]:
    """The numbers of the groups that are referred to."""
    found: set[int] = set()
    for place in _outside_classes(pattern):
        if number := _NUMBERED.match(pattern, place):
            found.add(int(number[1][:9]))
        elif (name := _NAMED.match(pattern, place)) and group_name(name[1]) in named:
            found.add(named[group_name(name[1])])
    return found


def _outside_classes(pattern: str) -> Iterator[int]:
    """The place of each character outside of classes, and of the backslash of each escape."""
    place, in_class = 0, False
    while place < len(pattern):
        char = pattern[place]
        if char == "[":
            in_class = True
        elif char == "]":
            in_class = False
        elif not in_class:
            yield place
        place += 2 if char == "\\" else 1


def group_name(text: str) -> str:
    """The name of a group, which may be written with escapes."""
    return _NAME_ESCAPE.sub(lambda found: chr(min(int(found[1] or found[2], 16), 0x10FFFF)), text)
