"""JSON on one line: characters that end a line for many clients, though not in JSON, are escaped."""

_ENDS = (
    ("\x85".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""Lines end there for `str.splitlines` of Python, for JavaScript before 2019, for logs and editors. All other ends of
lines are control characters, which JSON never has raw."""


def on_one_line(json: bytes) -> bytes:
    """The same JSON, in UTF-8 and without blanks around its values.

    Only texts can hold the escaped characters, so no number changes, and a reader gets the same values.
    """
    for raw, escaped in _ENDS:
        json = json.replace(raw, escaped)
    return json
