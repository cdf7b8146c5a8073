"""The main job on real servers: every property of every object, read back with boto3."""

import base64
import hashlib
from collections import Counter
from datetime import timedelta
from urllib.parse import quote

import pytest
from blake3 import blake3

from tests.integration.main_job import WITH_METADATA, Done, MainJob
from tests.servers.source_rules import Documents
from tests.support.archive_types import REGISTRY, Reference, decree
from tests.support.objects import Stored, Version

TYPES = {
    "osv": ("PSF", "OsvRecord", "org.python.advisory.OsvRecord", 90, "application/json", "schema.json"),
    "decree": ("DEMO", "DecreeDocument", "org.example.decree.DecreeDocument", 365, "avro/binary", "avsc"),
}


class Kind:
    """A job with what its archive type says; `object_of` its objects by reference."""

    def __init__(self, name: str, job: Done) -> None:
        self.job = job
        self.system, self.schema, self.id_type, self.days, self.content_type, self.extension = TYPES[name]

    @property
    def schema_key(self) -> str:
        return f"archive-data-schema/{self.system}_{self.schema}_1.{self.extension}"

    @property
    def policy(self) -> str:
        return f"{self.system}_{self.schema}_{self.days}_{self.days}"

    def id_hash(self, reference: Reference) -> str:
        return blake3((reference[0] + self.id_type).encode()).hexdigest()

    def key(self, reference: Reference) -> str:
        h = self.id_hash(reference)
        return f"{self.system}/{self.schema}/{h[:2]}/{h}/v{reference[1] or 0}"

    def objects(self) -> list[tuple[Reference, Version, Stored]]:
        by_key = {version.key: (version, stored) for version, stored in self.job.objects}
        return [(reference, *by_key[self.key(reference)]) for reference in self.job.succeeded()]


@pytest.fixture(params=["osv", "decree"])
def kind(request: pytest.FixtureRequest, main_job: MainJob) -> Kind:
    return Kind(request.param, getattr(main_job, request.param))


def test_each_reference_has_one_version_of_one_object_under_the_key_that_follows_from_its_id(kind: Kind) -> None:
    keys = Counter(version.key for version, _ in kind.job.objects)
    assert keys == Counter(kind.key(reference) for reference in kind.job.succeeded())
    assert set(keys.values()) == {1}
    assert all(version.version_id and version.is_latest for version, _ in kind.job.objects)


def test_the_content_is_what_the_source_served_byte_for_byte(kind: Kind) -> None:
    for (identifier, version), _, stored in kind.objects():
        if version is None:
            assert stored.content == Documents().of(identifier, None)
        else:
            assert stored.content == decree(identifier.removesuffix(" ä"), 1)
    types = {reference: stored.content_type for reference, _, stored in kind.objects()}
    assert types == dict.fromkeys(kind.job.succeeded(), kind.content_type)


def test_user_metadata_says_where_the_content_comes_from(main_job: MainJob, kind: Kind) -> None:
    (schema_version,) = [version.version_id for version, _ in main_job.schemas if version.key == kind.schema_key]
    for reference, _, stored in kind.objects():
        identifier, version = reference
        encoded = quote(identifier, safe="")
        expected = {
            "content-type": kind.content_type,
            "system": kind.system,
            "schema": kind.schema,
            "schema-version": "1",
            "job-id": str(kind.job.job_id),
            "hash": hashlib.sha256(stored.content).hexdigest(),
            "schema-file-key": kind.schema_key,
            "schema-file-version-id": schema_version,
        }
        if len(encoded) <= 1024:
            expected["reference-id"] = encoded
        else:
            expected["reference-id-hash"] = kind.id_hash(reference)
        if version is not None:
            expected["version"] = str(version)
        if identifier == WITH_METADATA:
            # SeaweedFS keeps no empty values
            expected |= {"customer": "Zo%C3%AB%20%26%20S%C3%B6hne%2F4711", "kind": "a"}
        assert stored.metadata == expected


def test_ids_in_metadata_are_percent_encoded_utf8(main_job: MainJob) -> None:
    said = {stored.metadata.get("reference-id") for _, stored in main_job.osv.objects}
    assert {"%C3%A4%2F%C3%B6%20%3F%26%3D%2B%25", "%F0%9F%98%80", "%252e%252e", "007"} <= said


def test_the_store_checked_the_content_against_its_sha256(kind: Kind) -> None:
    for _, _, stored in kind.objects():
        assert stored.sha256 is not None
        assert base64.b64decode(stored.sha256) == hashlib.sha256(stored.content).digest()


def test_each_object_is_locked_for_the_retention_of_its_type(kind: Kind) -> None:
    for _, _, stored in kind.objects():
        assert stored.lock_mode == "COMPLIANCE"
        assert stored.locked_until is not None
        retention = stored.locked_until - stored.last_modified
        assert abs(retention - timedelta(days=kind.days)) < timedelta(seconds=30)


def test_each_object_carries_the_tag_of_its_lifecycle_rule(main_job: MainJob, kind: Kind) -> None:
    for _, _, stored in kind.objects():
        assert stored.tags == {"ArchiveTypeLifecyclePolicy": kind.policy}
    (rule,) = [rule for rule in main_job.lifecycle_rules if rule["ID"] == kind.policy]
    assert rule["Status"] == "Enabled"
    assert rule["Filter"] == {"Tag": {"Key": "ArchiveTypeLifecyclePolicy", "Value": kind.policy}}
    assert rule["Expiration"]["Days"] == kind.days
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == kind.days


def test_there_is_one_lifecycle_rule_for_each_archive_type(main_job: MainJob) -> None:
    assert sorted(rule["ID"] for rule in main_job.lifecycle_rules) == [
        "DEMO_DecreeDocument_365_365",
        "PSF_OsvRecord_90_90",
    ]


def test_each_schema_lies_beside_the_data_once(main_job: MainJob) -> None:
    content = {version.key: stored.content for version, stored in main_job.schemas}
    assert len(main_job.schemas) == len(content)
    assert content == {
        "archive-data-schema/PSF_OsvRecord_1.schema.json": schema_file("psf/osvrecord/OsvRecord_v1.schema.json"),
        "archive-data-schema/DEMO_DecreeDocument_1.avsc": schema_file("demo/decreedocument/DecreeDocument_v1.avsc"),
    }


def schema_file(path: str) -> bytes:
    return (REGISTRY / path).read_bytes()
