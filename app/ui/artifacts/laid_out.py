"""JSON laid out for people: lines and blanks only, so that no number and no text is changed."""

import json
import re
from collections.abc import Iterator

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

INDENT = "  "


def laid_out(text: str) -> str | None:
    """The document with an item on each line; None where the text is not JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return "".join(_pieces(_TOKEN.findall(text)))


def _pieces(tokens: list[str]) -> Iterator[str]:
    depth = 0
    for part, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if part in "{[":
            depth += 1
            empty = following in ("}", "]")
            yield part if empty else f"{part}\n{INDENT * depth}"
            if empty:
                depth -= 1
        elif part == ",":
            yield f",\n{INDENT * depth}"
        elif part == ":":
            yield ": "
        else:
            yield part
        if following in ("}", "]") and part not in "{[":
            depth -= 1
            yield f"\n{INDENT * depth}"
