"""Worker processes: one for large documents, one for costly ones, each with one thing to do and a deadline."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.catalog import large
from app.catalog.lanes import LARGE_DOCUMENT, Lane
from app.catalog.large import LargeDocuments
from app.catalog.registry import Registry, load_registry, registry_of
from app.domain.archive_types import ArchiveDataType, SchemaName
from app.domain.errors import PermanentFailure
from app.domain.paths import parse_path
from tests.unit.catalog.test_registry import DESCRIPTOR, write
from tests.unit.catalog.test_schema_cost import COSTLY, chain

JSON = "application/json"
LARGE = b"[" + b"1," * LARGE_DOCUMENT + b"1]"
ENDLESS = (b'{"k":' * 34 + b'"x"' + b"}" * 34, b'{"k":' * 34 + b"1" + b"}" * 34)
"""Valid and not: 2^34 ways, for which jsonschema-rs takes some hours."""


def names(name: str) -> SchemaName:
    return SchemaName("Sys", name, 1)


def files(**schemas: Any) -> dict[str, Any]:
    found = {}
    for name, schema in schemas.items():
        versions = [{"version": 1, "schema": f"{name}.schema.json"}]
        found[f"sys/{name.lower()}/{name}.json"] = {**DESCRIPTOR, "archiveType": name, "versions": versions}
        found[f"sys/{name.lower()}/{name}.schema.json"] = schema
    return found


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    root = tmp_path_factory.mktemp("types")
    return load_registry(
        write(
            root,
            files(
                Plain={"type": "array"},
                Powers=chain(34, "allOf", {"type": "string"}),
                Choices=chain(34, "anyOf", {"type": "string"}),
                Sums=COSTLY["the sum or product of the issue"],
                Long=chain(150, "$ref", {"type": "object", "properties": {"n": {"$ref": "#"}}}, levels=1),
                Exact={"items": {"maximum": 1}, "uniqueItems": True},
            ),
        )
    )


@pytest.fixture
async def registry(types: Registry) -> AsyncIterator[Registry]:
    made = replace(types, large=LargeDocuments(partial(registry_of, types.types()), deadline=1))
    yield made
    made.close()


async def message(registry: Registry, document: bytes, name: str) -> str:
    with pytest.raises(PermanentFailure) as caught:
        await registry.check_async(document, JSON, names(name))
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "document"), [("Powers", ENDLESS[0]), ("Choices", ENDLESS[1])], ids=["valid", "not valid"]
)
async def test_a_check_that_does_not_end_is_ended_and_the_next_document_is_checked(
    registry: Registry, name: str, document: bytes
) -> None:
    said = (
        f"Archive data cannot be checked with schema Sys/{name} version 1: checking the document takes longer than 1s"
    )
    assert await message(registry, document, name) == said
    await registry.check_async(b'{"k":{}}', JSON, names(name))
    assert await message(registry, b'"x"', "Sums") == (
        "Archive data does not match schema Sys/Sums version 1: $: must match exactly one of the alternatives (oneOf)"
    )


async def test_large_documents_do_not_queue_behind_costly_ones(registry: Registry) -> None:
    await registry.check_async(LARGE, JSON, names("Plain"))
    ended: list[str] = []

    async def one(name: str, document: bytes) -> None:
        try:
            await registry.check_async(document, JSON, names(name))
        except PermanentFailure:
            ended.append("costly")
        else:
            ended.append("large")

    await asyncio.gather(*(one("Powers", ENDLESS[0]) for _ in range(2)), *(one("Plain", LARGE) for _ in range(3)))
    assert ended == ["large"] * 3 + ["costly"] * 2, "and no deadline counts from before its own start"


async def test_the_event_loop_goes_on_meanwhile(registry: Registry) -> None:
    check = asyncio.create_task(message(registry, ENDLESS[0], "Powers"))
    turns = 0
    while not check.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 20


async def test_deep_documents_and_long_chains_of_references_need_no_more_stack_than_there_is(
    registry: Registry,
) -> None:
    deepest = b'{"n":' * 1_000 + b"{}" + b"}" * 1_000
    await registry.check_async(deepest, JSON, names("Long"))
    wrong = b'{"n":' * 100 + b"7" + b"}" * 100
    assert (await message(registry, wrong, "Long")).endswith("…: must be object")


async def test_the_worker_compares_numbers_as_exactly(registry: Registry) -> None:
    many = ",".join(f"0.9999999999999999{number:04}" for number in range(3_000))
    await registry.check_async(f"[{many}]".encode(), JSON, names("Exact"))
    assert (await message(registry, f"[{many},1.00000000000000000001]".encode(), "Exact")).endswith(
        "$[3000]: must be at most 1"
    )


async def test_a_worker_that_is_killed_twice_fails_its_document_only(types: Registry) -> None:
    documents = LargeDocuments(partial(registry_of, types.types()))
    registry = replace(types, large=documents)
    check = asyncio.create_task(message(registry, ENDLESS[0], "Powers"))
    line = documents._lanes[Lane.COSTLY]
    killed: list[Any] = []
    while not check.done():
        if line._worker is not None and line._worker not in killed:
            killed.append(line._worker)
            killed[-1]._process.kill()
        await asyncio.sleep(0.01)
    assert len(killed) == 2
    assert (await check).endswith("version 1: checking the document ended the process that does it")
    await registry.check_async(b'{"k":{}}', JSON, names("Powers"))
    registry.close()


class Broken:
    """A registry that cannot be made in a worker."""

    def __call__(self) -> Registry:
        raise LookupError("no such module")


async def test_a_worker_that_does_not_start_says_why_once_and_large_documents_are_checked_all_the_same(
    types: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry = replace(types, large=LargeDocuments(Broken()))
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            await registry.check_async(LARGE, JSON, names("Plain"))
            assert (await message(registry, LARGE.replace(b"[", b'{"a":[').replace(b"]", b"]}"), "Plain")).endswith(
                "$: must be array"
            )
    (line,) = caplog.messages
    assert line == (
        "the process that checks large documents does not start, it is tried again in 30 s: "
        "RuntimeError: LookupError: no such module"
    )
    registry.close()


async def test_a_costly_document_waits_for_a_worker(types: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "PAUSE", 0.1)
    monkeypatch.setattr("app.catalog.registry.PAUSE", 0.1)
    made: Any = Broken()
    documents = LargeDocuments(made)
    registry = replace(types, large=documents)
    check = asyncio.create_task(registry.check_async(b"7", JSON, names("Sums")))
    await asyncio.sleep(1)
    assert not check.done()
    documents._lanes[Lane.COSTLY]._make = partial(registry_of, types.types())
    await check
    registry.close()


async def test_a_type_that_cannot_be_built_in_the_worker_harms_no_other(
    types: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry = replace(types, large=LargeDocuments(partial(_without_sums, types.types())))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert "the process that does it cannot use the schema" in await message(registry, b"7", "Sums")
            await registry.check_async(b'{"k":{}}', JSON, names("Powers"))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "the process that checks documents cannot use schema Sys/Sums version 1: ValueError: "
    )
    registry.close()


def _without_sums(types: tuple[ArchiveDataType, ...]) -> Registry:
    broken = b'{"$ref": "https://example.org/nowhere"}'
    return registry_of(
        tuple(
            replace(each, file=replace(each.file, content=broken)) if each.schema == names("Sums") else each
            for each in types
        )
    )


async def test_metadata_of_large_documents_is_read_there_too(registry: Registry) -> None:
    paths = (("first", parse_path("[0]")),)
    document = json.dumps([4711, *[0] * LARGE_DOCUMENT]).encode()
    found = await registry.metadata_async(document, JSON, names("Plain"), paths, checked=True)
    assert found["first"].value == 4711


async def test_avro_has_time_in_proportion_to_its_size(types: Registry, tmp_path: Path) -> None:
    """Each byte is a value: 1.5 MiB take longer than the deadline here, which is for what has no such proportion."""
    fields = [{"name": "v", "type": {"type": "array", "items": "boolean"}}]
    avro = {"type": "record", "name": "Flags", "fields": fields}
    descriptor = {**DESCRIPTOR, "archiveType": "Flags", "versions": [{"version": 1, "schema": "Flags.avsc"}]}
    loaded = load_registry(write(tmp_path, {"sys/flags/Flags.json": descriptor, "sys/flags/Flags.avsc": avro}))
    registry = replace(loaded, large=LargeDocuments(partial(registry_of, loaded.types()), deadline=0.01))
    block = b"\x80\x80\x02" + bytes(16_384)
    await registry.check_async(block * 96 + b"\0", "avro/binary", names("Flags"))
    registry.close()
