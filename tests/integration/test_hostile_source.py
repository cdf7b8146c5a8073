"""A source is not trusted: whatever it answers, its task fails with a clear message or is stored correctly encoded."""

import base64
import gzip
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.objects import Stored, read_version, versions_in
from tests.support.service import Service

READ = "Failed reading artifact from source service"
STORE = "Failed storing artifact"
NO_LENGTH = f"{READ}: the Content-Length of the answer is not a number"
TWO_LENGTHS = f"{READ}: the answer has more than one Content-Length"
LARGE_HEAD = f"{READ}: the headers of the answer are larger than 64 KiB"
BAD_HEADER = f"{READ}: the answer has a header that is not valid"
NO_BUCKET = f"{READ}: header Archive-Storage-Bucket names a bucket not allowed: "
NO_PREFIX = f"{READ}: header Archive-Storage-Prefix names a prefix not allowed: "
LIMIT = "256KiB"
TOO_LARGE = f"{READ}: the document is larger than 262144 bytes"


def on_the_wire(text: str) -> str:
    """A header in UTF-8, for a source that writes latin-1."""
    return text.encode().decode("latin-1")


def packed(encoding: str, content: bytes) -> dict[str, Any]:
    return {"headers": {"Content-Encoding": encoding}, "body_base64": base64.b64encode(content).decode()}


def osv(inner: str) -> dict[str, Any]:
    return {"body": f'{{"id": "PSF-1", "modified": "2026-01-01T00:00:00Z", "database_specific": {inner}}}'}


BOMB = gzip.compress(b"\0" * (128 * 1024 * 1024))

FAILS: dict[str, tuple[dict[str, Any], str]] = {
    "bomb": (packed("gzip", BOMB), TOO_LARGE),
    "bomb in a bomb": (packed("gzip, gzip", gzip.compress(BOMB)), f"{READ}: "),
    "unknown packing": (packed("br", b"x"), f"{READ}: "),
    "broken packing": (packed("gzip", BOMB[:1000]), f"{READ}: "),
    "endless": ({"endless": True}, TOO_LARGE),
    "announces too much": ({"headers": {"Content-Length": "999999999999"}}, TOO_LARGE),
    "announces nonsense": ({"headers": {"Content-Length": "-1"}}, NO_LENGTH),
    "two lengths": (
        {"headers": {"Content-Length": "2\r\nContent-Length: 3"}},
        f"{READ}: the answer has more than one Content-Length",
    ),
    "a header in a header": (
        {"headers": {"Archive-Metadata-Note": "a\r\nArchive-Storage-Bucket: not-allowed"}},
        NO_BUCKET,
    ),
    "a header twice": (
        {"headers": {"Archive-Metadata-Note": "a\r\nArchive-Data-System: DEMO"}},
        f"{READ}: header Archive-Data-System is there more than once, with different values",
    ),
    "NUL in a header": ({"headers": {"Archive-Metadata-Note": "a\0b"}}, BAD_HEADER),
    "control in a header": (
        {"headers": {"Archive-Metadata-Note": "a\x1bb"}},
        f"{READ}: header Archive-Metadata-note contains control characters",
    ),
    "large head": (
        {"headers": {"Archive-Metadata-Note": "a" * 100_000}},
        f"{READ}: the headers of the answer are larger than 64 KiB",
    ),
    "many headers": (
        {"headers": {f"Archive-Metadata-Note-{number}": "a" * 20 for number in range(80)}},
        f"{STORE}: the custom metadata does not fit: ",
    ),
    "name of other letters": ({"headers": {on_the_wire("Archive-Metadata-Größe"): "1"}}, BAD_HEADER),
    "long name": ({"headers": {f"Archive-Metadata-{'a' * 3000}": "1"}}, f"{STORE}: the custom metadata does not fit: "),
    "value that grows": (
        {"headers": {"Archive-Metadata-Note": on_the_wire("ü" * 400)}},
        f"{STORE}: the custom metadata does not fit: ",
    ),
    "reserved": (
        {"headers": {"archive-metadata-HASH": "0" * 64}},
        f"{STORE}: the custom metadata name hash is kept for the archive itself",
    ),
    "other bucket": ({"headers": {"Archive-Storage-Bucket": "elsewhere"}}, NO_BUCKET),
    "bucket and more": ({"headers": {"Archive-Storage-Bucket": "BUCKET-b/../elsewhere"}}, NO_BUCKET),
    "prefix above": ({"headers": {"Archive-Storage-Prefix": "../"}}, NO_PREFIX),
    "prefix out of the allowed": ({"headers": {"Archive-Storage-Prefix": "allowed/here/../../other"}}, NO_PREFIX),
    "prefix that ends above": ({"headers": {"Archive-Storage-Prefix": "allowed/here/.."}}, NO_PREFIX),
    "prefix from the root": ({"headers": {"Archive-Storage-Prefix": "/allowed/here"}}, NO_PREFIX),
    "prefix that begins alike": ({"headers": {"Archive-Storage-Prefix": "allowed/hereafter"}}, NO_PREFIX),
    "prefix encoded": ({"headers": {"Archive-Storage-Prefix": "allowed/here%2F.."}}, NO_PREFIX),
    "system above": (
        {"headers": {"Archive-Data-System": "../PSF"}},
        "Unknown archive data schema ../PSF/OsvRecord version 1; there are PSF/OsvRecord, DEMO/DecreeDocument",
    ),
    "long system": (
        {"headers": {"Archive-Data-System": "P" * 300}},
        f"{READ}: header Archive-Data-System is longer than 255 characters",
    ),
    "brackets": ({"body": "[" * 100_000}, "Archive data does not match schema PSF/OsvRecord version 1: "),
    "deep": (osv("[" * 20_000 + "]" * 20_000), "Archive data does not match schema PSF/OsvRecord version 1: "),
    "UTF-16": (
        {"body_base64": base64.b64encode('{"id": "PSF-1"}'.encode("utf-16")).decode()},
        "Archive data does not match schema PSF/OsvRecord version 1: ",
    ),
}
"""Id of a reference → how its source answers, and the message or, where it ends with a blank, its beginning."""

STORED: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "other letters": ({"Archive-Metadata-City": on_the_wire("Zürich 😀")}, {"city": "Zürich 😀"}),
    "latin-1": ({"Archive-Metadata-City": "Z\xfcrich"}, {"city": "Zürich"}),
    "percent": ({"Archive-Metadata-Note": "100%25 \t+\"',;=?"}, {"note": "100%25 \t+\"',;=?"}),
    "several of one name": ({"Archive-Metadata-A": "1\r\nARCHIVE-METADATA-a: 2"}, {"a": "1, 2"}),
    "marks in a name": ({"Archive-Metadata-a.b_c~d": "1"}, {"a.b_c~d": "1"}),
    "all marks in a name": ({"Archive-Metadata-a!#$%&'*+^|`b": "1"}, {"a!#$%&'*+^|`b": "1"}),
    "empty": ({"Archive-Metadata-Note": ""}, {"note": ""}),
}
"""Id of a reference → headers of its source, and the metadata that they are."""


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    made = make_archive()
    made.configure(
        {
            "jeap.processarchive.backfill.retry-backoff": "10ms",
            "jeap.processarchive.http.max-response-size": LIMIT,
            "jeap.processarchive.objectstorage.storage.allowed-prefixes": ["allowed/here"],
        }
    )
    return made


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


def outcomes(service: Service, *references: str, **more: Any) -> dict[str, dict[str, Any]]:
    """The entries of the report by id, when the job is completed."""
    job_id = uuid4()
    service.submit(job_id, unversioned(*references), **more)
    return {each["id"]: each for each in service.wait_completed(job_id)["archiveDataReferences"]}


def test_what_must_not_be_archived_fails_with_a_clear_message(
    service: Service, archive: Archive, source: Source
) -> None:
    source.clear()
    for reference, (rule, _) in FAILS.items():
        source.script(match=reference, **rule)
    found = outcomes(service, *FAILS, num_of_retry=0)
    wrong = {}
    for reference, (_, message) in FAILS.items():
        said = found[reference].get("error", {}).get("message", "")
        if not (said.startswith(message) if message.endswith(" ") else said == message):
            wrong[reference] = found[reference]
        assert len(said) <= 1000
        assert said.isprintable()
    assert wrong == {}
    assert versions_in(archive.s3, archive.bucket) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_to_another_host(service: Service, source: Source, status: int) -> None:
    source.clear()
    with Source() as other:
        source.script(match="moved", status=status, location=f"{other.url}/docs/moved")
        assert outcomes(service, "moved")["moved"]["error"]["message"] == f"{READ}: HTTP {status}"
        assert other.requests == []


def test_what_may_be_archived_is_stored_with_its_metadata_percent_encoded(
    service: Service, archive: Archive, source: Source
) -> None:
    source.clear()
    for reference, (headers, _) in STORED.items():
        source.script(match=reference, headers=headers)
    found = outcomes(service, *STORED)
    assert {each["state"] for each in found.values()} == {"succeeded"}, found
    stored: dict[str, Stored] = {}
    for version in versions_in(archive.s3, archive.bucket):
        read = read_version(archive.s3, archive.bucket, version.key, version.version_id)
        stored[read.metadata["reference-id"]] = read
    for reference, (_, metadata) in STORED.items():
        read = stored[quote(reference, safe="")]
        for name, value in metadata.items():
            assert read.metadata.get(name, "") == quote(value, safe=""), reference  # an empty value may be left out


def test_documents_at_the_edge_of_what_readers_take_are_archived_or_named(service: Service, source: Source) -> None:
    source.clear()
    source.script(match="number", **osv("1" * 100_000))
    source.script(match="exponent", **osv("1e999999"))
    source.script(match="surrogate", **osv('"\\ud800"'))
    source.script(match="nested", **osv("[" * 100 + "]" * 100))
    for reference, entry in outcomes(service, "number", "exponent", "surrogate", "nested").items():
        assert entry["state"] == "succeeded" or entry["error"]["message"].startswith("Archive data does not match"), (
            reference,
            entry,
        )
    assert outcomes(service, "good")["good"]["state"] == "succeeded"
