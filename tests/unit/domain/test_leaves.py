"""Leaves: canonical lines, and lines that are none."""

import json
from typing import Any

import pytest

from app.domain.canonical_json import canonical
from app.domain.jobs import TaskState
from app.domain.leaves import Leaf, LeafError, LeafObject, in_utc, leaf_line, read_leaf

STORED = {
    "bucket": "archive",
    "key": "PSF/Doc/ab/abcd/v1",
    "version_id": "v–1",
    "sha256": "0" * 64,
    "size": 4711,
    "retain_until": "2036-05-05T09:26:38.123456+02:00",
    "content_type": "application/json",
}
FULL = leaf_line(3, 'ä"\u2028\x01', 7, "succeeded", None, STORED)


@pytest.mark.parametrize("version", [None, 7])
@pytest.mark.parametrize("message", [None, "Failed: HTTP 404"])
@pytest.mark.parametrize("stored", [None, STORED, {**STORED, "retain_until": None}])
def test_a_line_is_the_canonical_json_of_what_is_there(
    version: int | None, message: str | None, stored: dict[str, Any] | None
) -> None:
    line = leaf_line(3, 'ä"\u2028\x01', version, "failed", message, stored)
    assert line == canonical(json.loads(line))
    leaf = read_leaf(line)
    assert (leaf.position, leaf.id, leaf.version, leaf.state, leaf.message) == (
        3, 'ä"\u2028\x01', version, TaskState.FAILED, message,
    )  # fmt: skip
    assert (leaf.object is None) == (stored is None)


def test_a_leaf_has_its_object() -> None:
    leaf = read_leaf(FULL)
    assert isinstance(leaf, Leaf)
    assert isinstance(leaf.object, LeafObject)
    assert leaf.object.retain_until is not None
    assert leaf.object.retain_until.isoformat() == "2036-05-05T07:26:38.123000+00:00"
    assert (leaf.object.version_id, leaf.object.size) == ("v–1", 4711)


def test_ends_of_locks_are_in_utc_with_milliseconds() -> None:
    assert in_utc("2036-05-05T00:30:00+02:00") == "2036-05-04T22:30:00.000Z"
    assert in_utc("2036-05-05T07:26:38+00:00") == "2036-05-05T07:26:38.000Z"
    assert in_utc("2036-05-05T07:26:38.123999+00:00") == "2036-05-05T07:26:38.123Z"
    assert in_utc("2036-05-05T07:26:38.123+00:00") == "2036-05-05T07:26:38.123Z"
    assert in_utc(in_utc("2036-05-05T00:30:00+02:00")) == "2036-05-04T22:30:00.000Z"


def changed(**values: Any) -> bytes:
    return canonical({name: value for name, value in (json.loads(FULL) | values).items() if value is not ...})


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{",
        FULL + b" ",
        FULL.replace(b":", b": ", 1),
        FULL.replace(b'"bucket":"archive",', b"") + b"",
        json.dumps(json.loads(FULL)).encode(),
        changed(more="x"),
        changed(id=...),
        changed(state="done"),
        changed(state="open "),
        changed(position="3"),
        changed(position=-1),
        changed(position=True),
        changed(version=None),
        changed(size=...),
        changed(retainUntil="2036-05-05"),
        changed(retainUntil="soon"),
        changed(bucket=..., key=..., versionId=..., sha256=..., size=...),
    ],
)
def test_what_is_no_leaf_is_refused(line: bytes) -> None:
    with pytest.raises(LeafError):
        read_leaf(line)
