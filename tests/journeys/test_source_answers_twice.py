"""A source that gives each answer a second time: what is archived for a reference is the document of that reference."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest

from tests.servers.source import Source
from tests.support.archive_types import OSV, unversioned
from tests.support.embedded import Embedded
from tests.unit.sources.server import ARCHIVE, Request, answer, serving

REFERENCES = [f"PSF-2026-{number}" for number in range(40)]


@contextmanager
def answering_twice(seconds: float) -> Iterator[str]:
    """The address of a source whose documents say which reference they are of; each comes again after `seconds`."""
    started, address = threading.Event(), ""
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        document = {"id": request.target.rpartition("/")[2], "modified": "2026-01-01T00:00:00Z"}
        reply = answer(200, ARCHIVE, json.dumps(document).encode())
        writer.write(reply)
        loop.call_later(seconds, writer.write, reply)

    async def serve() -> None:
        nonlocal address
        async with serving(respond) as server:
            address = server.url
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    started.wait(10)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


class At:
    """As much of a `Source` as the embedded service is told."""

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.mark.parametrize("seconds", [0.005, 0.05])
def test_no_document_of_another_reference_is_archived(tmp_path: Path, seconds: float) -> None:
    job_id = uuid4()
    with answering_twice(seconds) as url:
        embedded = Embedded(tmp_path, cast(Source, At(url)), {"jeap.processarchive.backfill.concurrency": 4})
        with embedded.service() as service:
            service.submit(job_id, unversioned(*REFERENCES))
            report = service.wait_completed(job_id)
            assert [each for each in report["archiveDataReferences"] if each["state"] != "succeeded"] == []
            for reference in REFERENCES:
                query = f"/api/artifacts?messageType={OSV.name}&referenceId={reference}"
                (artifact,) = service.api("GET", query).json()["items"]
                content = service.api("GET", f"/api/artifacts/{artifact['id']}/content").json()
                assert content["id"] == reference
            warnings = [line for line in service.logged() if line.get("level") == "WARNING"]
    told = [line["message"] for line in warnings if "no request had asked for" in line["message"]]
    assert len(told) == 1
    assert told[0].startswith(f"source {url} ")
