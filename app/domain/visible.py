"""Texts as people see them: a service, a source or a file may have written what nobody sees."""

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""What a terminal obeys instead of showing it, what has no width, what turns the direction of the text around it."""


def visible(text: str, *, breaks: bool = False) -> str:
    """The text with such characters as escapes. With `breaks` line breaks and tabs stay."""
    text = _UNSEEN.sub(lambda found: _escape(found[0]), text)
    return text if breaks else text.replace("\n", "\\n").replace("\t", "\\t")


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
