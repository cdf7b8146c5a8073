"""The rules for the id and the version of a reference, the same for a submitted job and for a message."""

import re

MAX_ID = 512
"""Code points of a reference id (contract, section 3)."""
MAX_VERSION = 2_147_483_647

BLANK = "is blank"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def id_fault(value: str) -> str | None:
    """What is wrong with the id of a reference, without the id, or None. White space around an id belongs to it."""
    if value.isprintable() and len(value) <= MAX_ID and value.strip() and value != "." and value != "..":
        return None
    if value in (".", ".."):
        return "cannot be an id: it would change the path of the source's address"
    return text_fault(value, MAX_ID)


def text_fault(value: str, longest: int) -> str | None:
    """What is wrong with a text that is kept and sent, without the text, or None."""
    if not value.strip():
        return BLANK
    if len(value) > longest:
        return f"has {len(value)} characters, at most {longest} are allowed"
    if control := _CONTROL.search(value):
        return f"contains the control character U+{ord(control.group()):04X}; leave it out"
    if _SURROGATE.search(value):
        return "contains half of a surrogate pair, which has no UTF-8"
    return None
