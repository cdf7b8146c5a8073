"""From a checked document to an artifact: bucket, key, user metadata, and what does not fit."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.archiver.describe import RESERVED, Target, describe
from app.domain.archive_types import ArchiveDataType, SchemaFile, SchemaName
from app.domain.artifacts import ArchiveTask, Artifact, Document
from app.domain.errors import PermanentFailure
from app.domain.identity import hash_of_text
from app.domain.jobs import Reference, TaskId

JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")
SCHEMA = SchemaName("PEER", "JsonDoc", 1)
TYPE = ArchiveDataType(SCHEMA, "ch.admin.bit.peer.JsonDoc", 2, SchemaFile(b"{}", "schema.json", "0" * 64))


def described(
    reference: Reference,
    *,
    metadata: tuple[tuple[str, str], ...] = (),
    target: Target | None = None,
    bucket: str | None = None,
    prefix: str | None = None,
) -> Artifact:
    task = ArchiveTask(
        id=TaskId(JOB, 0),
        reference=reference,
        message="M",
        config_id=None,
        job_started=datetime(2026, 11, 22, 23, 59, tzinfo=UTC),
        attempts=0,
        max_attempts=4,
        command_id="x",
        trace_id="1" * 32,
    )
    document = Document(b"{}", "application/json", SCHEMA, metadata, bucket, prefix)
    return describe(document, task, TYPE, target or Target("archive"), "schema-version-id")


def test_the_key_is_that_of_the_reference_id_hash_the_java_service_makes() -> None:
    h = "688d4f6714f81e96e68b6958a75278733f4ea0e12dc1573629edee3e0e310ff0"
    assert described(Reference("doc-A2", 3)).key == f"PEER/JsonDoc/68/{h}/v3"
    assert described(Reference("doc-A2")).key == f"PEER/JsonDoc/68/{h}/v0"


def test_user_metadata_say_what_it_is_percent_encoded() -> None:
    artifact = described(Reference("ä/ö ?&=+%", 1), metadata=(("foo-bar", "Zürich 100%"),))
    assert artifact.user_metadata == {
        "content-type": "application/json",
        "system": "PEER",
        "schema": "JsonDoc",
        "schema-version": "1",
        "reference-id": "%C3%A4%2F%C3%B6%20%3F%26%3D%2B%25",
        "version": "1",
        "job-id": str(JOB),
        "hash": hashlib.sha256(b"{}").hexdigest(),
        "schema-file-key": "archive-data-schema/PEER_JsonDoc_1.schema.json",
        "schema-file-version-id": "schema-version-id",
        "foo-bar": "Z%C3%BCrich%20100%25",
    }


def test_a_very_long_id_is_left_out_in_favour_of_its_hash() -> None:
    long = "ä" * 171  # 1,026 bytes when encoded
    told = described(Reference(long)).user_metadata
    assert "reference-id" not in told
    assert told["reference-id-hash"] == hash_of_text(long, TYPE.reference_id_type)
    assert "reference-id" in described(Reference("a" * 1024)).user_metadata


def test_custom_metadata_that_do_not_fit_fail_the_task() -> None:
    with pytest.raises(
        PermanentFailure, match=r"^Failed storing artifact: the custom metadata does not fit: \d+ bytes"
    ):
        described(Reference("a"), metadata=(("note", "x" * 2000),))


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_custom_metadata_cannot_take_the_place_of_the_archives_own(name: str) -> None:
    with pytest.raises(PermanentFailure, match="kept for the archive itself"):
        described(Reference("a"), metadata=((name, "x"),))


@pytest.mark.parametrize(
    ("mode", "prefix"), [("NONE", ""), ("DAY", "20261122/"), ("MONTH", "202611/"), ("YEAR", "2026/")]
)
def test_the_prefix_is_of_the_day_on_which_the_job_started(mode: str, prefix: str) -> None:
    assert described(Reference("a"), target=Target("archive", mode)).key.startswith(f"{prefix}PEER/")


def test_a_source_gets_the_bucket_and_prefix_it_asks_for_where_they_are_allowed() -> None:
    target = Target("archive", "DAY", frozenset({"other"}), frozenset({"pre/fix"}))
    artifact = described(Reference("a"), target=target, bucket="other", prefix="pre/fix/")
    assert artifact.bucket == "other"
    assert artifact.key.startswith("pre/fix/PEER/")
    assert target.buckets == ("archive", "other")


@pytest.mark.parametrize(
    ("bucket", "prefix", "named"),
    [
        ("other", None, 'Bucket names a bucket not allowed: "other"'),
        (None, "pre", 'Prefix names a prefix not allowed: "pre"'),
        (None, "../x", 'Prefix names a prefix not allowed: "../x"'),
        (None, "", 'Prefix names a prefix not allowed: ""'),
        ("x" * 101, None, f'Bucket names a bucket not allowed: "{"x" * 100}…"'),
        ("a\u202eb\u00a0", None, 'Bucket names a bucket not allowed: "a?b?"'),
    ],
)
def test_what_is_not_allowed_fails_the_task_and_is_named(bucket: str | None, prefix: str | None, named: str) -> None:
    with pytest.raises(PermanentFailure) as failure:
        described(Reference("a"), bucket=bucket, prefix=prefix)
    assert failure.value.message == f"Failed reading artifact from source service: header Archive-Storage-{named}"
