"""A store that does not keep what "one effect" rests on is named and work waits; one without lifecycle rules serves."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from app.objectstore import probe
from app.objectstore.s3 import S3Options, open_s3
from app.objectstore.s3_listing import walk
from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import SeaweedFS
from tests.servers.fetch import REPOSITORY
from tests.servers.s3_liar import LyingS3
from tests.servers.versitygw import VersityGateway
from tests.support.archive_types import OSV, YAML_TYPE, submission, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.objects import SCHEMAS, TRIED, versions_in
from tests.support.records import read_topic
from tests.unit.objectstore.uploads import upload_to

REFERENCES = ["a", "b", "c"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
LIFECYCLE = "jeap.processarchive.objectstorage.lifecycle-enabled"


pytestmark = pytest.mark.timeout(900)
"""Seconds; on a new machine the gateway is compiled first, which took 276 s on a slow one."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[VersityGateway]:
    with running(VersityGateway()) as server:
        yield server


@pytest.mark.parametrize(
    ("drops", "named"),
    [
        (["if-none-match"], "does not honour If-None-Match"),
        (["if-match"], "does not honour If-Match"),
        (["x-amz-checksum-sha256"], "does not check x-amz-checksum-sha256"),
        (["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"], "with a lock in mode COMPLIANCE"),
    ],
)
def test_a_proxy_that_drops_a_header_is_found_out_and_work_begins_when_it_does_no_more(
    make_archive: MakeArchive, s3: SeaweedFS, drops: list[str], named: str
) -> None:
    job_id = uuid4()
    with LyingS3(s3) as liar:
        liar.drops = frozenset(drops)
        archive = make_archive(s3=liar)
        service = archive.service()
        try:
            service.start_listening()
            service.wait("named", lambda: named in service.problem("objectstore"))
            assert f"bucket {archive.bucket}" in service.problem("objectstore")
            service.wait("the rest is well", lambda: service.ready()[1]["problems"].keys() == {"objectstore"})
            assert service.ready()[0] == 503
            service.submit(job_id, unversioned(*REFERENCES))
            service.wait("published", lambda: len(read_topic(archive.kafka, archive.commands)) == len(REFERENCES))
            body = submission(OSV, unversioned(*REFERENCES))
            said = service.api("POST", "/api/preflight", content=body, headers=YAML_TYPE).json()
            assert named in said["buckets"][0]["problem"]
            assert not said["ok"]
            assert archive.task_states(job_id) == {"open": len(REFERENCES)}
            assert versions_in(s3, archive.bucket) == versions_in(s3, archive.bucket, SCHEMAS) == []
            liar.drops = frozenset()
            assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
            assert service.ready() == (200, {"status": "ready", "problems": {}})
        finally:
            service.close()
    assert len(versions_in(s3, archive.bucket)) == len(REFERENCES)


def test_a_store_without_lifecycle_rules_is_named_and_serves_without_them(
    make_archive: MakeArchive, gateway: VersityGateway
) -> None:
    archive, job_id = make_archive(s3=gateway), uuid4()
    service = archive.service()
    try:
        service.start_listening()
        service.wait("named", lambda: "lifecycle" in service.problem("objectstore"))
        assert f"set {LIFECYCLE} to false" in service.problem("objectstore")
    finally:
        service.close()
    archive.configure({LIFECYCLE: False})
    with archive.service() as service:
        service.submit(job_id, unversioned(*REFERENCES))
        assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
        again = uuid4()
        service.submit(again, unversioned(*REFERENCES, "d"))
        assert_all_succeeded(service.wait_completed(again), [*REFERENCES, "d"])
    versions = {(version.key, version.version_id) for version in versions_in(gateway, archive.bucket)}
    assert len(versions) == len({key for key, _ in versions}) == len(REFERENCES) + 1
    for key, version_id in versions:
        head = gateway.client().head_object(Bucket=archive.bucket, Key=key, VersionId=version_id)
        assert head["ObjectLockMode"] == "COMPLIANCE"  # its GET does not say it
    command = [sys.executable, "-m", "app", "verify", "--config", str(archive.config)]
    verified = subprocess.run(command, cwd=archive.directory, env=ENVIRONMENT, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"buckets: {len(versions) + 1} versions: {len(versions)} known, 0 unknown" in verified.stdout


@pytest.fixture(params=["seaweedfs", "versitygw"])
def either(request: pytest.FixtureRequest) -> SeaweedFS | VersityGateway:
    found: SeaweedFS | VersityGateway = request.getfixturevalue("s3" if request.param == "seaweedfs" else "gateway")
    return found


@pytest.mark.parametrize("locks", [True, False])
async def test_processes_that_start_at_once_find_no_lies_and_leave_nothing(
    either: SeaweedFS | VersityGateway, locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "LOCK", timedelta(seconds=3))
    bucket = either.create_bucket(f"b-{uuid4().hex[:12]}")
    options = replace(options_of(either), object_lock_enabled=locks)
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_s3(options)) for _ in range(8)]
        await asyncio.gather(*(store.prepare([bucket], []) for store in stores))
        async with asyncio.timeout(30):
            while either.client().list_object_versions(Bucket=bucket).get("Versions"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    assert not either.client().list_object_versions(Bucket=bucket).get("DeleteMarkers")


async def test_a_gateway_that_begins_pages_with_what_it_listed_is_listed_once(gateway: VersityGateway) -> None:
    bucket, put = gateway.create_bucket(f"b-{uuid4().hex[:12]}"), set()
    async with open_s3(options_of(gateway)) as store:
        for number in range(20):
            stored = await store.put(upload_to(bucket, f"PSF/OsvRecord/ab/{number:064x}/v0"))
            again = replace(upload_to(bucket, stored.key), if_match=stored.etag)
            put |= {(version.key, version.version_id) for version in (stored, await store.put(again))}
        client = await store._connection.client()
        for limit in (2, 3, 7):
            pages = [page async for page in walk(client, bucket, None, limit=limit)]
            found = [(each.key, each.version_id) for page in pages for each in page if not each.key.startswith(TRIED)]
            assert sorted(found) == sorted(put)


def options_of(store: SeaweedFS | VersityGateway) -> S3Options:
    return S3Options(store.url, store.region, store.access_key, store.secret_key, lifecycle_enabled=False)
