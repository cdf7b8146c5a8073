"""The composition root in the embedded mode: what it builds fits together, archives a document, and closes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from app.domain.errors import StartRefused, Unavailable
from app.domain.jobs import JobResult, TaskState
from app.messaging import consumer
from app.process.wiring import open_service, open_stored
from app.settings.load import load_settings
from app.settings.model import Settings
from tests.support.core import DORA, JSON_SCHEMA, submission
from tests.unit.sources.server import document, serving

SETTINGS = """
jeap.processarchive.backfill: {enabled: true, topic: commands, system-name: psf, service-name: pas}
jeap.processarchive.archivedartifact: {event-topic: events, system-name: PSF, system-id: psf}
"""
DESCRIPTOR = """
{"archiveType": "OsvRecord", "system": "PSF", "referenceIdType": "org.example.Doc", "expirationDays": 90,
 "versions": [{"version": 1, "schema": "OsvRecord.schema.json"}]}
"""


def settings(directory: Path, source: str) -> Settings:
    (directory / "data").mkdir()
    (directory / "application.yml").write_text(SETTINGS)
    types = directory / "types.json"
    uri = f"{source}/docs/{{id}}"
    types.write_text(f'{{"archiveTypes": [{{"messageType": "DocCreated", "topic": "docs", "uri": "{uri}"}}]}}')
    registry = directory / "registry" / "psf" / "osvrecord"
    registry.mkdir(parents=True)
    (registry / "OsvRecord.json").write_text(DESCRIPTOR)
    (registry / "OsvRecord.schema.json").write_bytes(JSON_SCHEMA)
    named = {
        "JEAP_PROCESSARCHIVE_CONFIGURATION_LOCATION": str(types),
        "JEAP_PROCESSARCHIVE_REGISTRY_LOCATION": str(directory / "registry"),
    }
    return load_settings(directory / "application.yml", named, embedded=directory / "data")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0.005)


async def test_an_embedded_service_archives_a_document_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "POLL_TIMEOUT", 0.01)
    async with serving(document(b'{"title": "found"}')) as source:
        with_all = settings(tmp_path, source.url)
        async with open_service(with_all, migrate=True) as service:
            stop, job_id = asyncio.Event(), uuid4()
            running = asyncio.ensure_future(service.run(stop))
            with pytest.raises(Unavailable, match="is being prepared"):
                await service.edge.reports.find(job_id)
            await until(lambda: service.readiness.ready)
            await service.edge.submissions.submit(job_id, submission("doc"), DORA)
            await until(lambda: (tmp_path / "data" / "topics" / "events.jsonl").exists())
            while (await service.edge.job_control.view(job_id)).job.open:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
            pages = [page async for page in service.edge.reports.pages(job_id)]
            assert [(each.state, each.message) for page in pages for each in page] == [(TaskState.SUCCEEDED, None)]
            assert (await service.edge.job_control.view(job_id)).job.result is JobResult.SUCCEEDED
            stop.set()
            await running
        assert len((tmp_path / "data" / "topics" / "events.jsonl").read_text().splitlines()) == 1
        async with open_stored(with_all) as stored:
            assert (stored.buckets, stored.systems) == (("archive",), ("PSF/OsvRecord",))
            assert await stored.objects.head("archive", "archive-data-schema/PSF_OsvRecord_1.schema.json")


async def test_a_database_that_was_never_migrated_is_refused(tmp_path: Path) -> None:
    never = settings(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(StartRefused, match="run `pas migrate`, or start with --migrate"):
        async with open_service(never, migrate=False):
            pass
    with pytest.raises(StartRefused, match="is older"):
        async with open_stored(never):
            pass


async def test_nothing_stored_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="holds no database: nothing was archived there"):
        async with open_stored(settings(tmp_path, "http://127.0.0.1:9")):
            pass
