"""A try of the store beside other processes, after a crash, and with clocks that differ."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import web
from typing_extensions import override

from app.domain.errors import Unavailable
from app.objectstore import PROBE_KEY
from app.objectstore.probe import ABANDONED, NO_IF_NONE_MATCH, TRIES, Probe
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_put import HotPut
from tests.unit.objectstore.fake_promises import CHECKSUM, MODE, UNTIL, FakePromises, error
from tests.unit.objectstore.fake_s3 import FakeS3, options_of

PATH = f"/b-1/{PROBE_KEY}"


@pytest.fixture
async def connection(fake: FakeS3) -> AsyncIterator[S3Connection]:
    opened = S3Connection(options_of(fake))
    yield opened
    await opened.close()


def probe_of(connection: S3Connection) -> Probe:
    return Probe(connection, HotPut(connection), "b-1")


async def tried(connection: S3Connection) -> list[str]:
    return await probe_of(connection).run()


@pytest.mark.parametrize("ahead", [timedelta(hours=-2), timedelta(seconds=-30), timedelta(days=1)])
async def test_the_lock_ends_by_the_clock_of_the_store(
    fake: FakeS3, connection: S3Connection, ahead: timedelta
) -> None:
    fake.promises.ahead = ahead
    assert await tried(connection) == []


async def test_an_object_that_another_process_has_just_made_is_proof(fake: FakeS3, connection: S3Connection) -> None:
    await tried(connection)
    again = probe_of(connection)
    assert await again.run() == []
    assert again.left == []  # the other process deletes it
    assert fake.promises.made == 1


async def test_a_lie_is_found_with_the_object_of_another_process(fake: FakeS3, connection: S3Connection) -> None:
    await tried(connection)
    fake.promises.ignores = {"if-none-match"}
    assert await tried(connection) == [NO_IF_NONE_MATCH]


async def test_what_a_crash_left_behind_is_made_anew(fake: FakeS3, connection: S3Connection) -> None:
    await tried(connection)
    fake.promises.ahead += 2 * ABANDONED
    again = probe_of(connection)
    assert await again.run() == []
    assert [version.version_id for version in fake.promises.versions()] == ["v2"] == [again.left[0].version_id]


async def test_what_cannot_be_deleted_is_proof(fake: FakeS3, connection: S3Connection) -> None:
    await tried(connection)
    fake.promises.ahead += 2 * ABANDONED
    fake.promises.may_delete = False
    assert await tried(connection) == []
    assert fake.promises.made == 1


@pytest.mark.parametrize("mode", [None, "GOVERNANCE"])
async def test_an_object_with_another_lock_than_ours_is_no_proof(
    fake: FakeS3, connection: S3Connection, mode: str | None
) -> None:
    other = options_of(fake, object_lock_enabled=mode is not None, object_lock_mode=mode or "COMPLIANCE")
    without = S3Connection(other)
    assert await tried(without) == []
    await without.close()
    assert await tried(connection) == []
    assert fake.promises.made == 2
    fake.promises.objects.clear()
    fake.promises.ignores = {MODE, UNTIL}
    assert len(await tried(connection)) == 1


class Disturbed(FakePromises):
    """Another process makes and deletes the object between any two requests."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    @override
    def answer(self, request: web.Request, body: bytes) -> web.Response:
        versions = self.objects.setdefault(PATH, [])
        if self.times > 0 and request.path == PATH and versions:
            self.times -= 1
            versions.clear()
        return super().answer(request, body)


@pytest.mark.parametrize("locks", [True, False])
@pytest.mark.parametrize("times", range(1, 5))
async def test_a_process_that_deletes_the_object_meanwhile_makes_no_lie(fake: FakeS3, times: int, locks: bool) -> None:
    fake.promises = Disturbed(times)
    connection = S3Connection(options_of(fake, object_lock_enabled=locks))
    assert await tried(connection) == []
    await connection.close()


async def test_an_object_that_is_never_left_alone_is_named(fake: FakeS3, connection: S3Connection) -> None:
    fake.promises = Disturbed(1000)
    with pytest.raises(Unavailable, match=f"b-1: .*{PROBE_KEY} was changed meanwhile, {TRIES} times in a row"):
        await tried(connection)


class Undecided(FakePromises):
    """A put that is to be refused is answered with 409 once."""

    said = False

    @override
    def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.method == "PUT" and self.made and not self.said:
            self.said = True
            return error(409, "ConditionalRequestConflict")
        return super().answer(request, body)


async def test_a_conflict_is_no_proof_and_tried_again(fake: FakeS3, connection: S3Connection) -> None:
    fake.promises = Undecided()
    fake.promises.ignores = {"if-none-match"}
    assert await tried(connection) == [NO_IF_NONE_MATCH]


async def test_a_failure_of_the_put_with_the_wrong_checksum_is_no_proof(fake: FakeS3, connection: S3Connection) -> None:
    class Fails(FakePromises):
        @override
        def answer(self, request: web.Request, body: bytes) -> web.Response:
            if request.method == "PUT" and request.path.endswith("-checksum"):
                return error(503, "SlowDown")
            return super().answer(request, body)

    fake.promises = Fails()
    with pytest.raises(Unavailable, match="SlowDown"):
        await tried(connection)


async def test_a_wrong_checksum_is_tried_with_the_right_hash_of_the_content(
    fake: FakeS3, connection: S3Connection
) -> None:
    """Else a store that checks the signed hash alone would pass."""
    await tried(connection)
    wrong = next(
        request for request in fake.promises.requests if request.method == "PUT" and "checksum" in request.path
    )
    right = next(request for request in fake.promises.requests if request.method == "PUT" and request.path == PATH)
    assert wrong.headers["x-amz-content-sha256"] == right.headers["x-amz-content-sha256"]
    assert wrong.headers[CHECKSUM] != right.headers[CHECKSUM]


async def test_what_a_wrong_checksum_left_behind_does_not_stand_in_the_way(
    fake: FakeS3, connection: S3Connection
) -> None:
    fake.promises.ignores = {CHECKSUM}
    fake.promises.may_delete = False
    assert len(await tried(connection)) == 1
    assert len(await tried(connection)) == 1
    fake.promises.ignores = set()
    assert await tried(connection) == []
