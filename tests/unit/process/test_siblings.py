"""The metrics of several processes, over the sockets on which they ask each other."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.process import siblings
from app.process.member import Member
from app.process.siblings import Siblings
from app.telemetry.metrics import PROCESS_UP

TEXT = '# HELP a_total Some.\n# TYPE a_total counter\na_total{b="c"} %d.0\n'


@pytest.fixture
def lifeline() -> Iterator[int]:
    """Of a parent that lives."""
    ours, held = os.pipe()
    yield ours
    os.close(ours)
    os.close(held)


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pas-", dir="/tmp") as path:  # the path of a socket has 100 bytes
        yield Path(path)
    PROCESS_UP.clear()


def make(directory: Path, lifeline: int, count: int) -> list[Siblings]:
    def one(number: int) -> Siblings:
        return Siblings(Member(number, count, 0, lifeline, 0, directory), lambda: (TEXT % number).encode())

    return [one(number) for number in range(1, count + 1)]


def samples(text: bytes, name: str) -> dict[str, float]:
    """The values by process."""
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    return {each.labels["process"]: each.value for each in families[name].samples}


async def test_each_of_them_tells_the_metrics_of_all(directory: Path, lifeline: int) -> None:
    three = make(directory, lifeline, 3)
    async with AsyncExitStack() as stack:
        for each in three:
            await stack.enter_async_context(each.answering())
        for each in three:
            text = await each.metrics()
            assert samples(text, "a") == {"1": 1, "2": 2, "3": 3}
            assert samples(text, "pas_process_up") == {"1": 1, "2": 1, "3": 1}
    assert os.listdir(directory) == []  # noqa: PTH208


async def test_who_asks_at_the_same_time_gets_the_same_answer(directory: Path, lifeline: int) -> None:
    asked: list[int] = []

    def counted() -> bytes:
        asked.append(1)
        return (TEXT % 2).encode()

    first, second = make(directory, lifeline, 2)
    second.own = counted
    async with first.answering(), second.answering():
        leaves = asyncio.create_task(first.metrics())
        others = [asyncio.create_task(first.metrics()) for _ in range(20)]
        await asyncio.sleep(0)
        leaves.cancel()
        answers = await asyncio.gather(*others)
        assert samples(answers[0], "a") == {"1": 1, "2": 2}
        assert set(answers) == {answers[0]}
        assert len(asked) == 1
        await first.metrics()
        assert len(asked) == 2, "the next one is asked anew"


async def test_one_that_is_not_there_is_left_out_and_named(directory: Path, lifeline: int) -> None:
    first, _, third = make(directory, lifeline, 3)
    async with first.answering(), third.answering():
        text = await first.metrics()
    assert samples(text, "a") == {"1": 1, "3": 3}
    assert samples(text, "pas_process_up") == {"1": 1, "2": 0, "3": 1}


async def test_one_that_hangs_or_sends_half_or_too_much_is_left_out_in_time(
    directory: Path, lifeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "PATIENCE", 0.2)
    monkeypatch.setattr(siblings, "LONGEST", 1000)
    first, _, _, _ = make(directory, lifeline, 4)
    end = asyncio.Event()

    async def hangs(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"a_total 1.0\n")
        await end.wait()
        writer.close()

    async def ends(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"a_total 1.0\na_tot")
        writer.close()

    async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"a_total 1.0\n" * 1000 + siblings.END)
        writer.close()

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(first.answering())
        for number, answer in ((2, hangs), (3, ends), (4, floods)):
            server = await asyncio.start_unix_server(answer, str(directory / str(number)))
            stack.callback(server.close)
        text = await asyncio.wait_for(first.metrics(), 5)
        end.set()
    assert samples(text, "a") == {"1": 1}
    assert samples(text, "pas_process_up") == {"1": 1, "2": 0, "3": 0, "4": 0}


async def test_the_socket_of_one_that_was_killed_is_taken_over(directory: Path, lifeline: int) -> None:
    first, second = make(directory, lifeline, 2)
    async with first.answering():
        killed = await asyncio.start_unix_server(lambda _reader, _writer: None, str(directory / "2"))
        killed.close()
        assert (directory / "2").exists()
        assert samples(await first.metrics(), "pas_process_up") == {"1": 1, "2": 0}
        async with second.answering():
            assert samples(await first.metrics(), "pas_process_up") == {"1": 1, "2": 1}


async def test_the_last_one_removes_the_directory_of_a_parent_that_was_killed() -> None:
    lifeline, held = os.pipe()
    os.close(held)
    directory = tempfile.mkdtemp(prefix="pas-", dir="/tmp")
    async with make(Path(directory), lifeline, 2)[0].answering():
        assert os.listdir(directory) == ["1"]  # noqa: PTH208
    assert not os.access(directory, os.F_OK)
    os.close(lifeline)


async def test_one_that_starts_when_the_parent_and_its_directory_have_gone_goes_on_to_its_stop(tmp_path: Path) -> None:
    lifeline, held = os.pipe()
    os.close(held)
    async with make(tmp_path / "gone", lifeline, 2)[0].answering():
        pass
    os.close(lifeline)
