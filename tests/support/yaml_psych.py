"""What Ruby takes a plain scalar for: the rules of ScalarScanner in Psych 3 to 5, written down from its source."""

import re

_ALPHA = r"(?:[^\W\d_]|[_\s!@#$%^&*(){}<>|/\\~;=])"
_TEXT = re.compile(rf"^[^0-9.:-]?{_ALPHA}+|\n", re.MULTILINE)
_OTHERS = [
    re.compile(pattern, re.ASCII | re.MULTILINE)
    for pattern in (
        r"^-?\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|\s+)\d{1,2}:\d\d:\d\d(?:\.\d*)?(?:\s*(?:Z|[-+]\d{1,2}:?(?:\d\d)?))?$",
        r"^\d{4}-(?:1[012]|0\d|\d)-(?:[12]\d|3[01]|0\d|\d)$",
        r"(?i)^\+?\.inf$",
        r"(?i)^-\.inf$",
        r"(?i)^\.nan$",
        r"^:.",  # a symbol
        r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9]){1,2}$",
        r"^[-+]?[0-9][0-9_]*(:[0-5]?[0-9]){1,2}\.[0-9_]*$",
        r"^(?:[-+]?([0-9][0-9_,]*)?\.[0-9]*([eE][-+]?[0-9]+)?)$",
        r"^[-+]?[0-9][0-9_,]*[eE][-+]?[0-9]+$",  # psych 3
        r"^[-+]?0b[0-1_,]+$",
        r"^[-+]?0[0-7_,]+$",
        r"^[-+]?(?:0|[1-9][0-9_,]*)$",  # psych 3; since 4 a comma or underscore needs a digit behind it
        r"^[-+]?0x[0-9a-fA-F_,]+$",
    )
]


def is_text_for_ruby(plain: str) -> bool:
    """Whether Ruby takes the plain scalar for this very text."""
    if _TEXT.search(plain):
        return len(plain) > 5 or not re.fullmatch(r"~|null|yes|true|on|no|false|off", plain, re.IGNORECASE)
    return bool(plain) and not any(each.search(plain) for each in _OTHERS)
