"""Failures that differ only in what is particular to a document or a try have one cause, others have two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.causes import NO_MESSAGE, cause_id, cause_of

READ = "Failed reading artifact from source service: "
STORE = "Failed storing artifact: "
OSV = "Archive data does not match schema PSF/OsvRecord version 1: "

CAUSES = [
    (READ + "HTTP 404", READ + "HTTP 404"),
    (READ + "HTTP 503 (4 attempts)", READ + "HTTP 503"),
    (READ + "read timed out after 5s (4 attempts)", READ + "read timed out after 5s"),
    (READ + "read timed out after 5s (1 attempt)", READ + "read timed out after 5s"),
    (READ + "fetch took longer than 30s (11 attempts)", READ + "fetch took longer than 30s"),
    (READ + "connection refused (unreachable for 1h)", READ + "connection refused (unreachable for 1h)"),
    (READ + "the document is larger than 32 MiB", READ + "the document is larger than 32 MiB"),
    (
        READ + "HTTP 401, the token of OAuth client a was refused",
        READ + "HTTP 401, the token of OAuth client a was refused",
    ),
    (
        READ + 'header Archive-Storage-Bucket names a bucket not allowed: "other-7"',
        READ + 'header Archive-Storage-Bucket names a bucket not allowed: "…"',
    ),
    (
        READ + "header Archive-Data-Schema-Version is not an integer from 1: 1.0.7",
        READ + "header Archive-Data-Schema-Version is not an integer from 1",
    ),
    (READ + "header Archive-Data-Schema is missing", READ + "header Archive-Data-Schema is missing"),
    (OSV + "$.affected[0].ranges: must be array", OSV + "$.affected[*].ranges: must be array"),
    (OSV + "$.affected[12].ranges[3]: must be object", OSV + "$.affected[*].ranges[*]: must be object"),
    (OSV + '$.affected[12]["a [1] name"][3]: is long', OSV + '$.affected[*]["a [1] name"][*]: is long'),
    (OSV + "$[7].*: must match the pattern ^[0]$", OSV + "$[*].*: must match the pattern ^[0]$"),
    (OSV + "$: required property 'id' is missing", OSV + "$: required property 'id' is missing"),
    (OSV + '$.kind: must be one of "a", "b"', OSV + '$.kind: must be one of "a", "b"'),
    (OSV + "$.a: must have at most 12 items", OSV + "$.a: must have at most 12 items"),
    (OSV + "not valid JSON (line 3, column 17)", OSV + "not valid JSON (line *, column *)"),
    (OSV + "$: 12 bytes behind the record", OSV + "$: * bytes behind the record"),
    (OSV + "$.a: a number does not fit into 32 bits", OSV + "$.a: a number does not fit into 32 bits"),
    (OSV + "its avsc does not describe content type a/b", OSV + "its avsc does not describe content type a/b"),
    ("Unknown archive data schema PSF/Osv version 2", "Unknown archive data schema PSF/Osv version 2"),
    (
        "Unknown archive type configuration: no archive type is configured for message M",
        "Unknown archive type configuration: no archive type is configured for message M",
    ),
    (
        STORE + "the custom metadata does not fit: 2177 bytes with the archive's own, an object takes 2048",
        STORE + "the custom metadata does not fit: * bytes with the archive's own, an object takes 2048",
    ),
    (
        STORE + "object key has 1030 bytes, 1 to 1024 are possible",
        STORE + "object key has * bytes, 1 to 1024 are possible",
    ),
    (STORE + "metadata name 'a b' cannot stand in a header", STORE + "metadata name '…' cannot stand in a header"),
    (
        "Failed publishing archived artifact event: a message of 2000001 bytes is too large for topic t",
        "Failed publishing archived artifact event: a message of * bytes is too large for topic t",
    ),
    (
        "Failed archiving: internal error KeyError; the log has it under the trace id",
        "Failed archiving: internal error KeyError; the log has it under the trace id",
    ),
    ('cancelled by "Jo" O\'Neil (4 attempts)', 'cancelled by "Jo" O\'Neil (4 attempts)'),
    (None, NO_MESSAGE),
    ("", NO_MESSAGE),
]


@pytest.mark.parametrize(("message", "cause"), CAUSES)
def test_messages_of_the_service_have_their_cause(message: str | None, cause: str) -> None:
    assert cause_of(message) == cause


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (READ + "HTTP 404", READ + "HTTP 410"),
        (OSV + "$.a[0]: must be string", OSV + "$.b[0]: must be string"),
        (OSV + "$: required property 'id' is missing", OSV + "$: required property 'name' is missing"),
        (OSV + "$.a: must be string", OSV.replace("1", "2") + "$.a: must be string"),
        (READ + "HTTP 404", STORE + "HTTP 404"),
    ],
)
def test_what_is_to_be_mended_differently_is_not_one_cause(one: str, other: str) -> None:
    assert cause_of(one) != cause_of(other)
    assert cause_id(cause_of(one)) != cause_id(cause_of(other))


@given(st.one_of(st.text(max_size=1000), st.from_regex(r"(.{0,9}(\[\d\]|\d+ bytes|\"|'|\(4 attempts\)|\$)){1,6}")))
def test_the_cause_of_a_cause_is_itself(message: str) -> None:
    for text in (message, OSV + message):
        cause = cause_of(text)
        assert cause_of(cause) == cause
        assert 0 < len(cause) <= 1000


def test_the_id_of_a_cause_is_the_same_in_every_release() -> None:
    assert cause_id(READ + "HTTP 404") == 6991241037629933805
