"""What a store does not keep is found before the first put into a bucket, named, and tried again now and then."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from app.domain.errors import Unavailable
from app.objectstore import ObjectRejected
from app.objectstore.promises import LONGEST_PAUSE, Promises
from app.objectstore.s3 import S3ObjectStore
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_put import HotPut
from tests.unit.objectstore.fake_promises import CHECKSUM, MODE, UNTIL
from tests.unit.objectstore.fake_s3 import FakeS3, options_of
from tests.unit.objectstore.test_lifecycle import Bucket
from tests.unit.objectstore.uploads import upload_to

LIES = [
    ({"if-none-match"}, "does not honour If-None-Match"),
    ({"if-match"}, "does not honour If-Match"),
    ({CHECKSUM}, "does not check x-amz-checksum-sha256"),
    ({MODE, UNTIL}, "put with a lock in mode COMPLIANCE does not show it"),
    ({MODE}, "put with a lock in mode COMPLIANCE does not show it"),
]
lies = pytest.mark.parametrize(("ignored", "named"), LIES)


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def promises(fake: FakeS3, clock: Clock) -> AsyncIterator[Promises]:
    """Whoever sleeps, the clock of the store goes on meanwhile."""

    async def sleep(seconds: float) -> None:
        fake.promises.ahead += timedelta(seconds=seconds)

    connection = S3Connection(options_of(fake))
    opened = Promises(connection, HotPut(connection), clock, sleep)
    yield opened
    await opened.close()
    await connection.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)


async def test_a_store_that_keeps_everything_is_tried_once_for_each_bucket(fake: FakeS3, store: S3ObjectStore) -> None:
    for key in ("a", "b"):
        await store.put(upload_to("b-1", key))
    tried = len(fake.promises.requests)
    assert fake.promises.made == 1
    assert [request.path for request in fake.requests] == ["/b-1/a", "/b-1/b"]
    await store.put(upload_to("b-2"))
    assert len(fake.promises.requests) == 2 * tried


@lies
async def test_nothing_is_put_where_a_promise_is_not_kept(
    fake: FakeS3, store: S3ObjectStore, ignored: set[str], named: str
) -> None:
    fake.promises.ignores = ignored
    for _ in range(2):
        with pytest.raises(Unavailable, match=f"bucket b-1: .*{named}") as caught:
            await store.put(upload_to("b-1"))
        assert caught.value.component == "objectstore"
        assert ";" not in caught.value.reason.partition(named)[0]  # nothing else is blamed
    assert fake.requests == []


async def test_everything_that_is_not_kept_is_named_at_once(fake: FakeS3, promises: Promises) -> None:
    fake.promises.ignores = {"if-none-match", "if-match", CHECKSUM, MODE, UNTIL}
    with pytest.raises(Unavailable) as caught:
        await promises.need("b-1")
    assert all(named in caught.value.reason for _, named in LIES)


async def test_without_locks_none_is_asked_for_and_none_is_missed(fake: FakeS3) -> None:
    fake.promises.ignores = {MODE, UNTIL}
    connection = S3Connection(options_of(fake, object_lock_enabled=False))
    promises = Promises(connection, HotPut(connection))
    await promises.need("b-1")
    await until(lambda: not fake.promises.versions())
    assert not any(MODE in request.headers for request in fake.promises.requests)
    await promises.close()
    await connection.close()


async def test_what_was_made_is_deleted_when_its_lock_has_ended(fake: FakeS3, promises: Promises) -> None:
    await promises.need("b-1")
    assert fake.promises.made == 1
    await until(lambda: not fake.promises.versions())


@lies
async def test_what_a_lying_store_accepted_is_deleted_too(
    fake: FakeS3, promises: Promises, ignored: set[str], named: str
) -> None:
    fake.promises.ignores = ignored
    with pytest.raises(Unavailable):
        await promises.need("b-1")
    assert fake.promises.made <= 2
    await until(lambda: not fake.promises.versions())


async def test_an_object_that_may_not_be_deleted_stays_and_nothing_is_said(fake: FakeS3, promises: Promises) -> None:
    fake.promises.may_delete = False
    await promises.need("b-1")
    await until(lambda: fake.promises.requests[-1].method == "DELETE")
    assert len(fake.promises.versions()) == 1


async def test_a_lying_store_is_tried_again_less_and_less_and_used_when_it_lies_no_more(
    fake: FakeS3, promises: Promises, clock: Clock
) -> None:
    fake.promises.ignores = {"if-none-match"}
    tries = []
    for _ in range(200):
        puts = fake.promises.puts()
        with pytest.raises(Unavailable):
            await promises.need("b-1")
        if fake.promises.puts() > puts:
            tries.append(clock.now)
            await until(lambda: not fake.promises.versions())
        clock.now += 1
    assert [later - earlier for earlier, later in pairwise(tries)] == [2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]
    fake.promises.ignores = set()
    with pytest.raises(Unavailable):
        await promises.need("b-1")
    clock.now += LONGEST_PAUSE
    await promises.need("b-1")
    promises.refuse_broken("b-1")
    assert promises.are_kept("b-1")


async def test_an_outage_is_no_broken_promise_and_the_next_who_asks_tries_again(
    fake: FakeS3, promises: Promises
) -> None:
    fake.promises.refuses, fake.promises.refusal = "PUT", (503, "SlowDown")
    with pytest.raises(Unavailable, match="the store asks for fewer requests"):
        await promises.need("b-1")
    promises.refuse_broken("b-1")
    fake.promises.refuses = ""
    await promises.need("b-1")


async def test_a_refusal_without_a_body_is_asked_for_its_reason(fake: FakeS3, promises: Promises) -> None:
    fake.promises.refuses, fake.promises.refusal = "HEAD GET", (403, "SignatureDoesNotMatch")
    with pytest.raises(Unavailable, match=r"SignatureDoesNotMatch.*check objectstorage.connection.access-key"):
        await promises.need("b-1")


async def test_a_refusal_names_the_object_that_was_put(fake: FakeS3, promises: Promises) -> None:
    fake.promises.refuses = "PUT"
    with pytest.raises(Unavailable, match=r"b-1: HTTP 403 AccessDenied.*object archive-data-schema/pas-store-probe"):
        await promises.need("b-1")


async def test_all_who_wait_share_one_try_and_one_who_gives_up_does_not_end_it(
    fake: FakeS3, promises: Promises
) -> None:
    fake.promises.ignores = {"if-match"}
    first = asyncio.create_task(promises.need("b-1"))
    others = [asyncio.create_task(promises.need("b-1")) for _ in range(20)]
    await until(lambda: bool(fake.promises.requests))
    first.cancel()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, Unavailable) for result in results[1:])
    assert fake.promises.made == 2


async def test_an_object_that_no_store_takes_is_refused_without_a_try(fake: FakeS3, store: S3ObjectStore) -> None:
    with pytest.raises(ObjectRejected):
        await store.put(upload_to("b-1", "../x"))
    assert fake.promises.requests == []


async def test_a_bucket_is_tried_when_it_is_prepared(fake: FakeS3, store: S3ObjectStore) -> None:
    bucket = Bucket(fake)
    fake.promises.ignores = {"if-none-match"}
    with pytest.raises(Unavailable, match="does not honour If-None-Match"):
        await store.prepare(["b-1"], [])
    assert bucket.puts == []


async def test_preflight_says_what_was_found_and_tries_nothing(fake: FakeS3, store: S3ObjectStore) -> None:
    Bucket(fake)
    await store.examine("b-1")
    assert fake.promises.requests == []
    fake.promises.ignores = {"if-none-match"}
    with pytest.raises(Unavailable):
        await store.put(upload_to("b-1"))
    tried = len(fake.promises.requests)
    with pytest.raises(Unavailable, match="does not honour If-None-Match"):
        await store.examine("b-1")
    assert len(fake.promises.requests) == tried
