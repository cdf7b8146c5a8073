"""Canonical JSON is that of RFC 8785."""

import pytest

from app.domain.canonical_json import MOST, canonical


def test_keys_are_in_the_order_of_their_utf16_units() -> None:
    value = {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}
    expected = '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"😀":5,"\ufb33":3}'  # the example of RFC 8785, 3.2.3
    assert canonical(value).decode() == expected


def test_only_what_must_be_is_escaped() -> None:
    assert canonical('€$\x0f\nA\'B"\\\\"/\x7f\u2028') == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f\u2028"'.encode()
    assert canonical("\b\t\f\r\x00\x1f") == b'"\\b\\t\\f\\r\\u0000\\u001f"'


def test_values_are_written_without_blanks() -> None:
    assert canonical({"b": [None, True, {"z": -1, "a": "x"}], "a": ()}) == b'{"a":[],"b":[null,true,{"a":"x","z":-1}]}'


@pytest.mark.parametrize("value", [0.5, b"x", {1: "x"}, {"a": [object()]}])
def test_what_has_no_canonical_form_here_is_refused(value: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        canonical(value)


@pytest.mark.parametrize("value", [MOST + 1, -MOST - 1, "\ud800"])
def test_what_not_every_reader_keeps_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"number that every reader|surrogates"):
        canonical(value)
