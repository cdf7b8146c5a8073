"""Artifacts of real jobs on real servers: found by their metadata, read back from S3, as tables."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest
import yaml

from tests.integration.conftest import MakeArchive
from tests.servers import Oidc
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import DECREE, OSV, decree, decree_rule, unversioned
from tests.support.service import Service

Get = Callable[..., httpx.Response]

PATHS = {
    OSV.name: {"osv_id": "id", "aliases": "aliases[*]", "nothing": "no.such.thing"},
    DECREE.name: {"customer_id": "customer.id", "version": "version", "issued": "issued"},
}


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive, source: Source) -> Archive:
    """Objects can be deleted: without object lock."""
    made = make_archive(settings={"jeap.processarchive.objectstorage.object-lock-enabled": False})
    file = made.directory / "archive-types.yml"
    configured = yaml.safe_load(file.read_text())
    for each in configured["archiveTypes"]:
        paths = PATHS[each["messageType"]]
        each["metadata_extraction_paths"] = [{"key": key, "path": path} for key, path in paths.items()]
    file.write_text(yaml.safe_dump(configured))
    return made


@pytest.fixture(scope="module")
def service(archive: Archive, source: Source) -> Iterator[Service]:
    """Has archived three advisories and two versions of two decrees."""
    for number in ("D-1", "D-2"):
        source.script(**decree_rule(number, decree(number, 1)))
    with archive.service() as started:
        advisories, decrees = uuid4(), uuid4()
        started.submit(advisories, unversioned("A-1", "A-2", "A-3"))
        started.submit(decrees, [(number, version) for number in ("D-1", "D-2") for version in (1, 2)], DECREE)
        for job in (advisories, decrees):
            assert started.wait_completed(job)["job-result"] == "succeeded"
        yield started


@pytest.fixture(scope="module")
def get(service: Service, oidc: Oidc) -> Get:
    """Asks below `/api/artifacts`, as somebody who may read artifacts and nothing else."""
    token = oidc.token("pas-reader", claims={"userroles": ["psf_@artifact_#read"]})
    return lambda path, **headers: service.api("GET", f"/api/artifacts{path}", token=token, headers=headers)


def found(get: Get, query: str) -> list[tuple[str, int | None]]:
    answer = get(f"?{query}")
    assert answer.status_code == 200, answer.text
    return sorted((each["referenceId"], each["version"]) for each in answer.json()["items"])


def test_artifacts_are_found_by_what_was_extracted_when_they_were_archived(get: Get) -> None:
    decrees = [("D-1", 1), ("D-1", 2), ("D-2", 1), ("D-2", 2)]
    assert found(get, "metadata.customer_id=4711") == decrees
    assert found(get, "metadata.issued[gt]=2024-10-03&metadata.version[lt]=1.5&referenceId=D-1") == decrees[:2]
    assert found(get, "metadata.customer_id[ne]=4711") == []
    assert found(get, "metadata.nothing[isnull]=true&messageType=OsvRecordPublishedEvent") == [
        ("A-1", None),
        ("A-2", None),
        ("A-3", None),
    ]


def test_content_is_what_the_source_served(get: Get) -> None:
    [artifact] = get("?referenceId=D-2&version=2").json()["items"]
    answer = get(f"/{artifact['id']}/content")
    assert answer.content == decree("D-2", 1)
    assert (answer.headers["content-type"], answer.headers["content-length"]) == ("avro/binary", str(artifact["size"]))


def test_tables_hold_all_artifacts(get: Get) -> None:
    table = get("?limit=2", Accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(table.content.decode(), newline=""), strict=True))
    assert len(rows) == 7
    assert {row["metadata.customer_id"] for row in rows} == {"", "4711"}
    lines = get("?format=ndjson&limit=2").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [int(row["id"]) for row in rows]


def test_an_object_whose_hash_is_another_breaks_off(get: Get, service: Service, archive: Archive) -> None:
    [artifact] = get("?referenceId=A-1").json()["items"]
    [row] = archive.query(
        "UPDATE artifact SET hash = overlay(hash placing '0000' from 1) WHERE id = $1 RETURNING id", artifact["id"]
    )
    with pytest.raises(httpx.RemoteProtocolError):
        get(f"/{row['id']}/content")
    [said] = [line for line in service.logged() if line["logger"] == "app.metadata.content"]
    assert (said["level"], "SHA-256 differs" in said["message"]) == ("ERROR", True)


def test_an_object_that_was_deleted_is_gone(get: Get, archive: Archive) -> None:
    [artifact] = get("?referenceId=A-2").json()["items"]
    where = {"Bucket": artifact["bucket"], "Key": artifact["key"], "VersionId": artifact["versionId"]}
    archive.s3.client().delete_object(**where)
    answer = get(f"/{artifact['id']}/content")
    assert (answer.status_code, answer.headers["content-type"]) == (410, "application/problem+json")


def test_the_document_of_the_api_has_it(service: Service) -> None:
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    assert {"/api/artifacts", "/api/artifacts/columns", "/api/artifacts/{artifact_id}/content"} <= set(paths)
