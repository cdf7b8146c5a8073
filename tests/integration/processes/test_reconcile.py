"""Reconcile with lists that are read in a process of their own: as those that are not, and what happens without it."""

from collections.abc import AsyncIterator

import pytest

from app.api.submission import expected_reader
from app.api.submission.expected_reader import ExpectedReader
from tests.unit.api.reconcile.test_reconcile import (
    LISTS,
    NDJSON,
    YAML,
    ask,
    is_refused,
    lines,
    references_are_answered,
    service,
)

APART = [
    "no json", "too long a line", "no utf-8", "utf-16", "empty", "a column less behind quotes over lines",
    "open quotes", "no yaml", "no list", "half a pair",
]  # fmt: skip
"""Of each form, with a line and without one, and what stands over the end of a line or a piece."""


@pytest.mark.parametrize("form", LISTS)
async def test_each_reference_is_answered_in_its_order(url: str, form: str) -> None:
    await references_are_answered(url, form, ExpectedReader(inline=10))


@pytest.mark.parametrize("case", APART)
async def test_what_cannot_be_read_is_named_with_its_line(url: str, case: str) -> None:
    await is_refused(url, case, ExpectedReader(inline=1))


async def test_a_mistake_at_the_end_of_a_long_list_is_400_too(url: str) -> None:
    body = b"".join(b'{"id":"ref-%d"}\n' % number for number in range(10_000)) + b"oops\n"
    async with service(url) as (client, _):
        answer = await ask(client, body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["line"] == 10_001


async def test_pairs_of_surrogate_escapes_are_the_character(url: str) -> None:
    """As JSON writers write them; also at the end of a piece that libyaml gets."""
    pads = b"".join(b"- id: pad-%05d\n" % number for number in range(4_094))
    body = b"archiveDataReferences:\n" + pads + b'- id: "\\ud83d\\ude00"\n' + b"- id: '\\u0041'\n"
    assert 65_536 - 40 < body.index(b"\\ud83d") < 65_536 + 40
    async with service(url) as (client, _):
        *_, face, plain, _counts = lines(await ask(client, body, YAML))
        assert (face["id"], plain["id"]) == ("😀", "\\u0041")


async def test_more_references_or_bytes_than_allowed_are_refused(url: str) -> None:
    body = b'{"id":"a"}\n' * 11
    async with service(url, ExpectedReader(most=10, inline=20)) as (client, _):
        assert (await ask(client, body)).status_code == 413
    async with service(url, ExpectedReader(inline=20, max_bytes=100)) as (client, _):

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(50):
                yield body

        answer = await client.post("/api/reconcile?message=M", content=pieces(), headers={"Content-Type": NDJSON})
        assert answer.status_code == 413


async def test_beyond_the_memory_rows_go_to_a_file(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_reader, "IN_MEMORY", 100)
    body = b"".join(b'{"id":"ref-%d"}\n' % number for number in range(3_000))
    async with service(url, ExpectedReader(inline=20)) as (client, _):
        assert len(lines(await ask(client, body))) == 3_001


async def test_no_room_for_the_file_is_503(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_reader, "IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    body = b"".join(b'{"id":"ref-%d"}\n' % number for number in range(3_000))
    async with service(url, ExpectedReader(inline=20)) as (client, _):
        assert (await ask(client, body)).status_code == 503


async def test_a_process_that_dies_is_503(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_reader, "_WORKER", "raise SystemExit(3)")
    async with service(url, ExpectedReader(inline=1)) as (client, _):
        answer = await ask(client, b'{"id":"a"}\n' * 3)
        assert answer.status_code == 503


async def test_yaml_that_takes_for_ever_is_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process has seconds of CPU for 2,000 references, not for all of them."""
    forever = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    monkeypatch.setattr(expected_reader, "_WORKER", forever)
    async with service(url, ExpectedReader(inline=1)) as (client, _):
        assert (await ask(client, b"archiveDataReferences: " + b"[" * 1_000, YAML)).status_code == 503
