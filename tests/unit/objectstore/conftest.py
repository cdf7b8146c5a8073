"""A store on an S3 that answers as a test says."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from app.objectstore import probe
from app.objectstore.s3 import S3ObjectStore, open_s3
from tests.unit.objectstore.fake_s3 import FakeS3, options_of


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PAUSE", 0.0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeS3]:
    fake = FakeS3()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def store(fake: FakeS3) -> AsyncIterator[S3ObjectStore]:
    async with open_s3(options_of(fake)) as opened:
        yield opened
