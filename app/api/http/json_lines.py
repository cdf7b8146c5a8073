"""JSON that stays on its line: what ends a line for many clients, and not for JSON, goes out as an escape."""

_ENDS = (
    ("\x85".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""Lines end there for `str.splitlines` of Python, for JavaScript before 2019, for logs and editors. All other ends of
lines are control characters, which JSON never has raw."""


def on_one_line(json: bytes) -> bytes:
    """The same JSON, in UTF-8 and without blanks around its values. Only texts can hold what is replaced, so that no
    number changes; whoever reads it gets the same values."""
    for raw, escaped in _ENDS:
        json = json.replace(raw, escaped)
    return json
