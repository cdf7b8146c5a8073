"""Large documents of the types of the repository: the event loop goes on, a worker is replaced, the budget holds."""

import asyncio
import json
import multiprocessing

from app.catalog.lanes import LARGE_DOCUMENT
from app.catalog.registry import Registry
from tests.unit.catalog.test_registry import OSV, ROOT, real
from tests.unit.metadata.test_extract import PATHS, document, extractor, stored

__all__ = ["real"]


def large_document() -> bytes:
    document = json.loads((ROOT / "examples/source/documents/PSF-2007-1.json").read_bytes())
    document["affected"] *= 40_000
    return json.dumps(document).encode()


async def test_large_documents_do_not_keep_the_event_loop_waiting(real: Registry) -> None:
    good, content_type = large_document(), "application/json"
    assert len(good) > 4 * 1024**2
    await real.check_async(good, content_type, OSV)  # starts the worker
    checks = asyncio.gather(
        real.check_async(good, content_type, OSV),
        real.check_async(good.replace(b"ranges", b"rangse", 1), content_type, OSV),
        real.check_async(b"[" + b"1," * LARGE_DOCUMENT + b"1]", content_type, OSV),
        return_exceptions=True,
    )
    turns = 0
    while not checks.done():
        await asyncio.sleep(0.001)
        turns += 1
    results = await checks
    assert results[0] is None
    assert [str(each).partition(": ")[2] for each in results[2:]] == ["$: must be object"]
    assert turns > 20  # in this process it would be one for each document


async def test_a_worker_that_is_killed_is_replaced(real: Registry) -> None:
    good = large_document()
    await real.check_async(good, "application/json", OSV)
    (worker,) = multiprocessing.active_children()
    worker.kill()
    await real.check_async(good, "application/json", OSV)


async def test_large_documents_are_read_one_at_a_time_in_the_worker_process(real: Registry) -> None:
    content = document(6_000_000)
    assert len(content) > LARGE_DOCUMENT
    reader, objects = extractor(content, real, 64_000_000)
    await reader.read(stored(content), PATHS)
    found = await asyncio.gather(*(reader.read(stored(content), PATHS) for _ in range(4)))
    assert all(len(each["items"].value) == len(json.loads(content)["items"]) for each in found)
    assert objects.most == len(content), "one at a time"
