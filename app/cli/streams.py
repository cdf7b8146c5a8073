"""Standard output for data, standard error for everything else; nothing moves when the output is piped."""

import re
import sys

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""What a terminal would obey instead of showing it, or what turns the direction of the text around it."""


def visible(text: str, *, breaks: bool = False) -> str:
    """The text with control characters as escapes; a service, a source or a file may have written it.

    With `breaks` line breaks and tabs stay.
    """
    text = _UNSEEN.sub(lambda found: _escape(found[0]), text)
    return text if breaks else text.replace("\n", "\\n").replace("\t", "\\t")


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(text: str = "") -> None:
    """One line to standard output."""
    sys.stdout.write(visible(text, breaks=True) + "\n")


def tell(text: str = "") -> None:
    """One line to standard error."""
    sys.stdout.flush()
    sys.stderr.write(visible(text, breaks=True) + "\n")
    sys.stderr.flush()
