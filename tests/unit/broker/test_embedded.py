"""The embedded broker: own topics come back through a consumer, others stand in files line by line."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.broker import Broker, Consumer, Message, MessageRejected, Partition
from app.broker.embedded import EmbeddedBroker
from app.domain.errors import Unavailable

OWN = Partition("commands", 0)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker: Broker = EmbeddedBroker(tmp_path, {"commands"})
    await broker.start()
    yield broker
    await broker.close()


async def never(partitions: Sequence[Partition]) -> None:
    raise AssertionError


async def started(broker: Broker, group: str = "pas") -> Consumer:
    consumer = broker.consumer(["commands"], group)
    await consumer.start(never)
    return consumer


def lines(tmp_path: Path, topic: str) -> list[Any]:
    return [json.loads(line) for line in (tmp_path / "topics" / f"{topic}.jsonl").read_text().splitlines()]


async def send(broker: Broker, *values: bytes) -> None:
    for value in values:
        await broker.send(Message("commands", b"k", value, [("h", b"1")]))


class TestOwnTopics:
    async def test_what_is_sent_is_polled_in_order(self, broker: Broker) -> None:
        consumer = await started(broker)
        await send(broker, b"a", b"b", b"c")
        first = await consumer.poll(1, 2)
        second = await consumer.poll(1, 2)
        assert [(r.partition, r.offset, r.key, r.value, r.headers) for r in first] == [
            (OWN, 0, b"k", b"a", (("h", b"1"),)),
            (OWN, 1, b"k", b"b", (("h", b"1"),)),
        ]
        assert [r.value for r in second] == [b"c"]
        assert consumer.assigned() == {OWN}

    async def test_poll_waits_for_a_record(self, broker: Broker) -> None:
        consumer = await started(broker)
        polled = asyncio.create_task(consumer.poll(5, 10))
        await asyncio.sleep(0.01)
        await send(broker, b"a")
        assert [r.value for r in await asyncio.wait_for(polled, 1)] == [b"a"]
        assert await consumer.poll(0.01, 10) == []

    async def test_a_paused_partition_gives_nothing_until_it_is_resumed(self, broker: Broker) -> None:
        consumer = await started(broker)
        await send(broker, b"a")
        consumer.pause([OWN, Partition("gone", 3)])
        assert await consumer.poll(0.01, 10) == []
        consumer.resume([OWN])
        assert [r.value for r in await consumer.poll(1, 10)] == [b"a"]

    async def test_the_next_consumer_begins_at_the_committed_offset(self, broker: Broker) -> None:
        consumer = await started(broker)
        await send(broker, b"a", b"b", b"c")
        await consumer.poll(1, 10)
        assert await consumer.commit({OWN: 2, Partition("gone", 0): 7})
        await consumer.stop()
        assert consumer.assigned() == frozenset()
        assert not await consumer.commit({OWN: 3}), "who has left the group commits nothing"
        await send(broker, b"d")
        assert [(r.offset, r.value) for r in await (await started(broker)).poll(1, 10)] == [(2, b"c"), (3, b"d")]

    async def test_own_topics_leave_no_file(self, broker: Broker, tmp_path: Path) -> None:
        await send(broker, b"a")
        assert not (tmp_path / "topics" / "commands.jsonl").exists()


class TestFiles:
    async def test_a_line_has_key_headers_and_value(self, broker: Broker, tmp_path: Path) -> None:
        headers: list[tuple[str, bytes | None]] = [("twice", b"1"), ("twice", b"2"), ("twice", b"3")]
        headers += [("traceparent", b"00-x"), ("null", None), ("both", b""), ("both", None)]
        await broker.send(Message("events", b'{"processId":"j"}', b'{"a": [1,\n"\xc3\xa4"]}', headers))
        assert lines(tmp_path, "events") == [
            {
                "key": {"processId": "j"},
                "headers": {"traceparent": "00-x", "twice": ["1", "2", "3"], "null": None, "both": ["", None]},
                "value": {"a": [1, "ä"]},
            }
        ]

    async def test_a_line_is_one_for_every_reader(self, broker: Broker, tmp_path: Path) -> None:
        value = '{"a": "x\u2028\u2029\x85"}'
        await broker.send(Message("events", "\u2028".encode(), value.encode(), []))
        [line] = (tmp_path / "topics" / "events.jsonl").read_text().splitlines()
        assert json.loads(line) == {"key": "\u2028", "headers": {}, "value": json.loads(value)}

    @pytest.mark.parametrize(
        ("key", "value", "shown"),
        [
            (b"0123", b"not json", ("0123", {"base64": "bm90IGpzb24="})),
            (b"\xff", b"\xff", ({"base64": "/w=="}, {"base64": "/w=="})),
            (None, None, (None, None)),
            (b"", b"", ("", {"base64": ""})),
            (b"{broken", b"0", ("{broken", 0)),
            (b"1", b"null", ("1", None)),
        ],
    )
    async def test_bytes_are_shown_as_what_they_are(
        self, broker: Broker, tmp_path: Path, key: bytes | None, value: bytes | None, shown: tuple[Any, Any]
    ) -> None:
        await broker.send(Message("commands-dlq", key, value))
        (line,) = lines(tmp_path, "commands-dlq")
        assert (line["key"], line["value"]) == shown

    async def test_deeply_nested_json_does_not_break_the_line(self, broker: Broker, tmp_path: Path) -> None:
        await broker.send(Message("dlq", None, b"[" * 500 + b"]" * 500))
        assert "base64" in lines(tmp_path, "dlq")[0]["value"]

    async def test_many_senders_share_a_sync(
        self, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await broker.send(Message("events", None, b"0"))
        syncs: list[int] = []
        fsync = os.fsync

        def counted(file: int) -> None:
            syncs.append(file)
            fsync(file)

        monkeypatch.setattr(os, "fsync", counted)
        await asyncio.gather(*(broker.send(Message("events", None, b"%d" % n)) for n in range(500)))
        assert [line["value"] for line in lines(tmp_path, "events")] == [0, *range(500)]
        assert 1 <= len(syncs) <= 3

    @pytest.mark.parametrize("torn", [b'{"key":nu', b"x" * 200_000, b""])
    async def test_a_torn_line_is_cut_off_at_the_start(self, tmp_path: Path, torn: bytes) -> None:
        path = tmp_path / "topics" / "events.jsonl"
        path.parent.mkdir()
        path.write_bytes(b'{"n":1}\n{"n":2}\n' + torn)
        (tmp_path / "topics" / "only-torn.jsonl").write_bytes(torn)
        broker = EmbeddedBroker(tmp_path, ())
        await broker.start()
        assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'
        assert (tmp_path / "topics" / "only-torn.jsonl").read_bytes() == b""
        await broker.send(Message("events", None, b"3"))
        assert lines(tmp_path, "events")[-1]["value"] == 3

    async def test_a_full_disk_is_an_outage_and_leaves_no_half_line(
        self, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await broker.send(Message("events", None, b"1"))
        pwrite = os.pwrite

        def full(file: int, data: bytes, offset: int) -> int:
            if len(data) < 30:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return pwrite(file, data[:20], offset)

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(Unavailable, match="No space left") as raised:
            await broker.send(Message("events", None, b"2"))
        assert raised.value.component == "broker"
        monkeypatch.undo()
        await broker.send(Message("events", None, b"3"))
        assert [line["value"] for line in lines(tmp_path, "events")] == [1, 3]

    async def test_a_directory_that_cannot_be_made_is_an_outage(self, tmp_path: Path) -> None:
        (tmp_path / "topics").write_text("in the way")
        with pytest.raises(Unavailable, match="topic files cannot be written"):
            await EmbeddedBroker(tmp_path, ()).start()

    @pytest.mark.parametrize("topic", ["../up", "a/b", "", ".", "..", "ä", "a\0", "x" * 241])
    async def test_a_name_that_is_no_topic_is_refused(self, broker: Broker, topic: str) -> None:
        with pytest.raises(MessageRejected, match="not a topic name"):
            await broker.send(Message(topic, None, b"1"))

    async def test_no_topic_is_ever_missing(self, broker: Broker) -> None:
        assert await broker.missing_topics(["events", "commands"]) == []
