"""Live topics of the embedded service: files that are read as they grow, from where they were read before."""

import asyncio
import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from app.broker import Bounds, Partition, Record
from app.broker.embedded import EmbeddedBroker
from app.broker.topic_tail import TopicTail

DOCS = Partition("docs", 0)


class FromFirst:
    """Begins with the first record, or behind the last one."""

    def __init__(self, *, latest: bool = False) -> None:
        self.latest = latest
        self.missed: list[str] = []

    async def of(self, topic: str, wanted: Collection[int], bounds: Mapping[int, Bounds]) -> Mapping[int, int]:
        return {number: bounds[number].end if self.latest else bounds[number].first for number in wanted}

    async def missing(self, topic: str) -> None:
        self.missed.append(topic)


class Topic:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "topics" / "docs.jsonl"
        self.file.parent.mkdir()

    def write(self, *lines: str, end: str = "\n") -> None:
        with self.file.open("a") as out:
            out.write("\n".join(lines) + end)

    def tail(self, *, latest: bool = False, topics: tuple[str, ...] = ("docs",)) -> TopicTail:
        return TopicTail(self.directory, topics, "pas-live", FromFirst(latest=latest))


@pytest.fixture
def topic(tmp_path: Path) -> Topic:
    return Topic(tmp_path)


async def polled(tail: TopicTail, most: int = 100) -> list[Record]:
    return list(await tail.poll(0, most))


async def values(tail: TopicTail) -> list[bytes | None]:
    return [record.value for record in await polled(tail)]


async def test_lines_are_messages_with_or_without_key_and_headers(topic: Topic) -> None:
    topic.write(
        '{"type": {"name": "A"}}', '{"key": "k", "headers": {"h": ["1", {"base64": "//8="}]}, "value": {"b": 1}}'
    )
    first, second = await polled(topic.tail())
    assert (first.offset, first.value, first.key, first.headers) == (0, b'{"type": {"name": "A"}}', None, ())
    assert (second.offset, second.value, second.key) == (1, b'{"b":1}', b"k")
    assert second.headers == (("h", b"1"), ("h", b"\xff\xff"))
    assert second.timestamp is not None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('{"value": null}', None),
        ('{"value": {"base64": "AAEC"}}', b"\0\1\2"),
        ('{"value": {"base64": "!"}}', b'{"base64":"!"}'),
        ('{"value": {"n": 12345678901234567890.123456789}}', b'{"n":12345678901234567890.123456789}'),
        ('{"value": "text"}', b'"text"'),
        ('{"value": 1, "other": 2}', b'{"value": 1, "other": 2}'),
        ("not json", b"not json"),
        ('{"key": {"processId": "p"}, "headers": 7, "value": []}', b"[]"),
    ],
)
async def test_what_a_line_stands_for(topic: Topic, line: str, value: bytes | None) -> None:
    topic.write(line)
    assert await values(topic.tail()) == [value]


async def test_a_line_counts_once_it_is_whole(topic: Topic) -> None:
    tail = topic.tail()
    topic.write('{"a": 1}', '{"b":', end="")
    assert await values(tail) == [b'{"a": 1}']
    topic.write(" 2}")
    assert await values(tail) == [b'{"b": 2}']


async def test_lines_longer_than_a_block_are_read_whole(topic: Topic) -> None:
    long = json.dumps({"a": "x" * 3_000_000})
    topic.write(long, '{"b": 1}')
    tail = topic.tail()
    assert [*await values(tail), *await values(tail)] == [long.encode(), b'{"b": 1}']


async def test_a_poll_waits_for_a_line(topic: Topic) -> None:
    tail = topic.tail()
    waiting = asyncio.create_task(tail.poll(20, 10))
    await asyncio.sleep(0)
    topic.write('{"a": 1}')
    assert [record.value for record in await waiting] == [b'{"a": 1}']


async def test_what_was_committed_is_not_read_again(topic: Topic) -> None:
    topic.write(*(f'{{"n": {number}}}' for number in range(5)))
    first = topic.tail()
    assert len(await polled(first, 3)) == 3
    assert first.lag() == {"docs": 3}
    await first.commit({DOCS: 2})
    await first.stop()
    again = topic.tail(latest=True)
    assert await values(again) == [b'{"n": 2}', b'{"n": 3}', b'{"n": 4}']
    await again.commit({DOCS: 5})
    topic.write('{"n": 5}')
    assert await values(topic.tail()) == [b'{"n": 5}']


async def test_a_topic_that_is_there_begins_where_it_is_told_to(topic: Topic) -> None:
    topic.write('{"n": 0}', '{"n": 1}')
    tail = topic.tail(latest=True)
    assert await values(tail) == []
    topic.write('{"n": 2}')
    assert [(record.offset, record.value) for record in await polled(tail)] == [(2, b'{"n": 2}')]
    assert await values(topic.tail()) == [b'{"n": 2}'], "its beginning was kept before the first message was taken"


async def test_a_topic_that_appears_later_is_read_from_its_first_line(topic: Topic) -> None:
    beginnings = FromFirst(latest=True)
    tail = TopicTail(topic.directory, ["docs"], "pas-live", beginnings)
    assert await values(tail) == []
    assert beginnings.missed == ["docs"]
    topic.write('{"n": 0}')
    assert await values(tail) == [b'{"n": 0}']


async def test_a_file_that_became_shorter_is_read_from_its_beginning(topic: Topic) -> None:
    topic.write('{"n": 0}', '{"n": 1}')
    tail = topic.tail()
    assert len(await polled(tail)) == 2
    await tail.commit({DOCS: 2})
    topic.file.write_text('{"m": 0}\n')
    assert [(record.offset, record.value) for record in await polled(tail)] == [(0, b'{"m": 0}')]
    await tail.commit({DOCS: 1})
    topic.write('{"m": 1}')
    assert await values(topic.tail()) == [b'{"m": 1}']


async def test_blank_lines_are_no_messages(topic: Topic) -> None:
    topic.write("", '{"n": 0}', "  ", '{"n": 1}')
    assert [(record.offset, record.value) for record in await polled(topic.tail())] == [
        (1, b'{"n": 0}'),
        (3, b'{"n": 1}'),
    ]


async def test_a_paused_topic_waits_and_others_do_not(topic: Topic) -> None:
    topic.write('{"n": 0}')
    (topic.directory / "topics" / "others.jsonl").write_text('{"o": 0}\n')
    tail = topic.tail(topics=("docs", "others"))
    await tail.start(lambda _: asyncio.sleep(0))
    assert len(await polled(tail)) == 2
    topic.write('{"n": 1}')
    tail.pause([DOCS])
    assert await values(tail) == []
    tail.resume([DOCS])
    assert await values(tail) == [b'{"n": 1}']
    assert tail.assigned() == {DOCS, Partition("others", 0)}


async def test_the_embedded_broker_reads_what_it_wrote_itself(tmp_path: Path) -> None:
    from app.broker import Message

    broker = EmbeddedBroker(tmp_path, {"commands"})
    await broker.start()
    consumer = broker.consumer(["docs"], "pas-live", FromFirst())
    sent = Message("docs", b'{"processId":"p"}', b"\x00\x00\x00\x00\x01abc", [("traceparent", b"t"), ("raw", b"\xff")])
    sent = replace(sent, headers=[*sent.headers, ("null", None), ("both", b""), ("both", None)])
    await broker.send(sent)
    (found,) = await consumer.poll(0, 10)
    assert (found.key, found.value, found.headers) == (sent.key, sent.value, tuple(sent.headers))
    assert (
        base64.b64decode(json.loads((tmp_path / "topics" / "docs.jsonl").read_text())["value"]["base64"]) == sent.value
    )
    await broker.close()
