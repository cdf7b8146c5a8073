"""Lifecycle rules on an S3 that does what real ones may do now and then."""

import logging
import re

import pytest
from aiohttp import web

from app.domain.archive_types import ArchiveDataType, SchemaFile, SchemaName
from app.domain.errors import Unavailable
from app.objectstore import lifecycle
from app.objectstore.s3 import S3ObjectStore, open_s3
from tests.unit.objectstore.fake_s3 import FakeS3, options_of

TYPE = ArchiveDataType(SchemaName("PSF", "OsvRecord", 1), "id", 90, SchemaFile(b"{}", "schema.json", ""))
FOREIGN = (
    "<Rule><ID>cold</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
    "<Tag><Key>l</Key><Value>w</Value></Tag></And></Filter><Status>Enabled</Status>"
    "<Transition><Date>2031-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>"
    "<NoncurrentVersionTransition><NoncurrentDays>3</NoncurrentDays><StorageClass>GLACIER</StorageClass>"
    "<NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionTransition></Rule>"
    "<Rule><ID>old</ID><Prefix>logs/</Prefix><Status>Disabled</Status>"
    "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>"
)


class Bucket:
    """A bucket with versions and lock whose lifecycle configuration is `rules`; `stale` reads see the old ones."""

    def __init__(self, fake: FakeS3, rules: str = "") -> None:
        self.rules, self.before, self.stale, self.forget = rules, rules, 0, ""
        self.puts: list[web.Request] = []
        self.minimum_size: str | None = None
        self._bodies = fake.bodies
        fake.answer = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        query = request.query_string
        if request.method == "PUT":
            self.puts.append(request)
            body = self._bodies[-1].decode()
            rules = re.sub(r"^.*?<LifecycleConfiguration[^>]*>|</LifecycleConfiguration>$", "", body)
            self.before, self.rules = self.rules, rules.replace(self.forget, "") if self.forget else rules
            return web.Response()
        text = {
            "versioning": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            "object-lock": (
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
            ),
        }.get(query)
        if query != "lifecycle":
            return web.Response(text=text)
        rules = self.rules
        if self.puts and self.stale > 0:
            self.stale -= 1
            rules = self.before
        if not rules:
            return web.Response(status=404, text="<Error><Code>NoSuchLifecycleConfiguration</Code></Error>")
        name = "x-amz-transition-default-minimum-object-size"
        headers = {} if self.minimum_size is None else {name: self.minimum_size}
        return web.Response(text=f"<LifecycleConfiguration>{rules}</LifecycleConfiguration>", headers=headers)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "READ_BACK_PAUSES", (0.0, 0.01, 0.01))


async def test_a_bucket_without_rules_gets_them(fake: FakeS3, store: S3ObjectStore) -> None:
    bucket = Bucket(fake)
    await store.prepare(["b-1"], [TYPE, TYPE])
    assert bucket.rules.count("<Rule>") == 1
    await store.prepare(["b-1"], [TYPE])
    assert len(bucket.puts) == 1


async def test_rules_and_setting_of_others_are_carried_over(fake: FakeS3, store: S3ObjectStore) -> None:
    bucket = Bucket(fake, FOREIGN)
    bucket.minimum_size = "varies_by_storage_class"
    await store.prepare(["b-1"], [TYPE])
    elements = re.findall(r"<\w+>[^<]*", FOREIGN)
    rules = bucket.rules.replace("+00:00", "Z")
    for element in elements:
        assert element in rules
    assert bucket.puts[0].headers["x-amz-transition-default-minimum-object-size"] == "varies_by_storage_class"
    assert "PSF_OsvRecord_90_90" in rules


async def test_rules_that_appear_late_are_waited_for(fake: FakeS3, store: S3ObjectStore) -> None:
    bucket = Bucket(fake, FOREIGN)
    bucket.stale = 2
    await store.prepare(["b-1"], [TYPE])
    assert len(bucket.puts) == 1


@pytest.mark.parametrize("lost", ["<Prefix>logs/</Prefix>", "<NewerNoncurrentVersions>2</NewerNoncurrentVersions>"])
async def test_a_store_that_loses_a_part_is_found_out(fake: FakeS3, store: S3ObjectStore, lost: str) -> None:
    Bucket(fake, FOREIGN).forget = lost
    with pytest.raises(Unavailable, match=r"bucket b-1: lifecycle rules read back differ.*: (cold|old)"):
        await store.prepare(["b-1"], [TYPE])


async def test_what_could_not_be_carried_over_is_left_alone(fake: FakeS3, store: S3ObjectStore) -> None:
    bucket = Bucket(fake, FOREIGN.replace("<Rule>", "<Rule><DelMarkerExpiration><Days>3</Days></DelMarkerExpiration>"))
    with pytest.raises(Unavailable, match=r"DelMarkerExpiration.*add these rules by hand: PSF_OsvRecord_90_90"):
        await store.prepare(["b-1"], [TYPE])
    assert bucket.puts == []


async def test_a_rule_that_somebody_changed_stays_with_a_warning(
    fake: FakeS3, store: S3ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket(fake)
    await store.prepare(["b-1"], [TYPE])
    bucket.rules = bucket.rules.replace("Enabled", "Disabled")
    with caplog.at_level(logging.WARNING):
        await store.prepare(["b-1"], [TYPE])
    assert len(bucket.puts) == 1
    assert "left as it is" in caplog.text


async def test_where_lifecycle_rules_are_switched_off_none_are_read_or_written(fake: FakeS3) -> None:
    bucket = Bucket(fake)
    async with open_s3(options_of(fake, lifecycle_enabled=False)) as store:
        await store.prepare(["b-1"], [TYPE])
    assert bucket.puts == []
    assert fake.requests
    assert "lifecycle" not in {request.query_string for request in fake.requests}


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    ("status", "code"), [(501, "NotImplemented"), (501, ""), (405, "MethodNotAllowed"), (403, "AccessDenied")]
)
async def test_a_store_without_lifecycle_rules_is_named_with_the_way_out(
    fake: FakeS3, store: S3ObjectStore, status: int, code: str, method: str
) -> None:
    bucket = Bucket(fake)

    async def answer(request: web.Request) -> web.Response:
        if request.query_string == "lifecycle" and request.method == method:
            return web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>" if code else "")
        return await bucket.answer(request)

    fake.answer = answer
    way_out = "set jeap.processarchive.objectstorage.lifecycle-enabled to false"
    with pytest.raises(Unavailable, match=f"bucket b-1: HTTP {status}.*lifecycle rules.*{way_out}"):
        await store.prepare(["b-1"], [TYPE])
