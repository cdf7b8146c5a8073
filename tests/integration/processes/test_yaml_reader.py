"""Large bodies: read in a process of their own, and what happens when that goes wrong."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import fields

import pytest

from app.api.submission import reader as yaml_reader
from app.api.submission.body import Parsed, parse_submission
from app.api.submission.reader import ReadingFailed, YamlReader

HEAD = b"message: M\ntopic: t\nconfig-id: c\nnum-of-retry: 2\nname: decrees\narchiveDataReferences:\n"
"""With all keys that there are."""

BODY = HEAD + b"".join(b"- {id: DOC-%d, version: 1}\n" % number for number in range(3000))
ENDLESS = "import time; time.sleep(100)"


@pytest.fixture
async def reader() -> AsyncIterator[YamlReader]:
    reader = YamlReader(inline=1000)
    yield reader
    await reader.close()


async def test_a_large_body_is_read_as_a_small_one(reader: YamlReader) -> None:
    read = await reader.read(bytearray(BODY), 5000)
    assert read == parse_submission(BODY, 5000)
    nothing = Parsed()
    left_out = [each.name for each in fields(Parsed) if getattr(read, each.name) == getattr(nothing, each.name)]
    assert left_out == ["mistakes", "too_many", "warnings"]


async def test_a_small_body_with_a_colon_within_brackets_is_read(reader: YamlReader) -> None:
    body = b"{message: M, topic: t-m, archiveDataReferences: [{id: urn:a:b}, {id: http://x/y?z}]}"
    read = await reader.read(bytearray(body), 10)
    assert [each.id for each in read.references] == ["urn:a:b", "http://x/y?z"]
    assert read == parse_submission(body, 10)


async def test_mistakes_and_limits_of_a_large_body_come_back(reader: YamlReader) -> None:
    assert (await reader.read(bytearray(BODY), 2999)).too_many
    assert (await reader.read(bytearray(BODY + b"- id: DOC-1\n  version: 1\n"), 5000)).mistakes[0].line == 3007


async def test_warnings_of_a_large_body_come_back_to_who_asks(reader: YamlReader) -> None:
    body = BODY + b'- id: "DOC-1 "\n  version: 1\n'
    asked = await reader.read(bytearray(body), 5000, warn=True)
    assert asked == parse_submission(body, 5000, warn=True)
    assert [warning.line for warning in asked.warnings] == [3007, 3007]
    assert (await reader.read(bytearray(body), 5000)).warnings == ()


async def test_several_large_bodies_are_read_side_by_side(reader: YamlReader) -> None:
    results = await asyncio.gather(*(reader.read(bytearray(BODY), 5000) for _ in range(4)))
    assert [len(parsed.references) for parsed in results] == [3000] * 4


@pytest.mark.parametrize(
    "death",
    [
        f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})",
        f"import os, sys; sys.stdin.buffer.read(); os.kill(os.getpid(), {int(signal.SIGSEGV)})",
        "raise MemoryError",
        "",
    ],
)
async def test_a_process_that_dies_is_an_error_and_the_next_body_is_read(
    reader: YamlReader, monkeypatch: pytest.MonkeyPatch, death: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(yaml_reader, "_WORKER", death)
        with pytest.raises(ReadingFailed):
            await reader.read(bytearray(BODY), 5000)
    assert len((await reader.read(bytearray(BODY), 5000)).references) == 3000


async def test_a_body_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "_WORKER", ENDLESS)
    parsed = await YamlReader(inline=0, timeout=0.3).read(bytearray(BODY), 5000)
    assert [mistake.message for mistake in parsed.mistakes] == [
        "reading took longer than 0.3 s; split the job, and leave out what is not needed"
    ]


async def test_closing_ends_what_is_being_read(reader: YamlReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "_WORKER", ENDLESS)
    reading = [asyncio.create_task(reader.read(bytearray(BODY), 5000)) for _ in range(3)]
    await asyncio.sleep(0.3)
    await reader.close()
    results = await asyncio.gather(*reading, return_exceptions=True)
    assert [type(result) for result in results] == [ReadingFailed] * 3


async def test_a_request_that_goes_away_leaves_no_process(reader: YamlReader, monkeypatch: pytest.MonkeyPatch) -> None:
    started: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
    start = asyncio.create_subprocess_exec

    async def noting(*arguments: str, **options: object) -> asyncio.subprocess.Process:
        process = await start(*arguments, **options)  # type: ignore[arg-type]
        started.put_nowait(process)
        return process

    monkeypatch.setattr(yaml_reader, "_WORKER", ENDLESS)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    reading = asyncio.create_task(reader.read(bytearray(BODY), 5000))
    process = await started.get()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_the_process_does_not_get_the_secrets_of_the_environment(
    reader: YamlReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEAP_SECRET", "s3cret")
    check = "import os; assert 'JEAP_SECRET' not in os.environ; " + yaml_reader._WORKER
    monkeypatch.setattr(yaml_reader, "_WORKER", check)
    assert len((await reader.read(bytearray(BODY), 5000)).references) == 3000


async def test_the_body_is_let_go_when_the_process_has_it(reader: YamlReader) -> None:
    body = bytearray(BODY)
    await reader.read(body, 5000)
    assert not body


async def test_an_answer_that_is_none_is_an_error(reader: YamlReader, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = "import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write(bytes(3) + bytes([9]) + b'not JSON.')"
    monkeypatch.setattr(yaml_reader, "_WORKER", worker)
    with pytest.raises(ReadingFailed):
        await reader.read(bytearray(BODY), 5000)
