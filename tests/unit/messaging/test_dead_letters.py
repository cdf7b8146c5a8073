"""What can never be handled keeps its bytes and gets a reason; what does not fit is shortened and says so."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from app.broker import Broker, Message, MessageRejected, Partition, Record
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.messaging.dead_letters import KEPT, as_dead_letter, send_dead_letter
from tests.unit.messaging import fakes
from tests.unit.messaging.fakes import until

COUNTED: list[str] = []
"""Where nobody looks what is counted."""

RECORD = Record(Partition("commands", 3), 41, b"key", b"\xff\x00value", [("traceparent", b"00-x")])


class FakeBroker:
    """Answers sends with what it is told, in order, then takes everything."""

    def __init__(self, answers: Sequence[BaseException] = ()) -> None:
        self._answers = answers if isinstance(answers, list) else list(answers)
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        if self._answers:
            raise self._answers.pop(0)
        self.sent.append(message)


async def send(broker: FakeBroker, record: Record) -> Message:
    await send_dead_letter(broker, Readiness(()), record, "not a command", COUNTED.append)  # type: ignore[arg-type]
    [message] = broker.sent
    return message


async def test_a_dead_letter_is_the_record_with_where_it_came_from() -> None:
    message = await send(FakeBroker(), RECORD)
    assert (message.topic, message.key, message.value) == ("commands-dlq", b"key", b"\xff\x00value")
    assert list(message.headers) == [
        ("traceparent", b"00-x"),
        ("dlq-reason", b"not a command"),
        ("dlq-topic", b"commands"),
        ("dlq-partition", b"3"),
        ("dlq-offset", b"41"),
    ]


async def test_a_dead_letter_is_counted_once_it_was_acknowledged() -> None:
    counted: list[str] = []
    broker = FakeBroker([Unavailable("broker", "away"), asyncio.CancelledError()])
    with pytest.raises(asyncio.CancelledError):
        await send_dead_letter(cast("Broker", broker), Readiness(()), RECORD, "not a command", counted.append)
    assert counted == []
    await send_dead_letter(cast("Broker", broker), Readiness(()), RECORD, "not a command", counted.append)
    assert counted == ["commands-dlq"]


@pytest.mark.parametrize(("header", "trace"), [(b"00-x", None), (f"00-{'a' * 32}-{'b' * 16}-01".encode(), "a" * 32)])
async def test_the_log_names_the_trace_of_a_dead_letter(
    header: bytes, trace: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    await send(FakeBroker(), replace(RECORD, headers=[("traceparent", header)]))
    [logged] = caplog.records
    assert vars(logged).get("trace_id") == trace


async def test_a_tombstone_stays_a_tombstone() -> None:
    message = await send(FakeBroker(), Record(Partition("commands", 0), 0, None, None, ()))
    assert (message.key, message.value) == (None, None)


async def test_a_header_without_value_stays_without_value() -> None:
    headers = [("a", None), ("traceparent", None), ("b", b"")]
    message = await send(FakeBroker(), replace(RECORD, headers=headers))
    assert list(message.headers)[:3] == headers


async def test_a_header_without_value_is_no_obstacle_where_a_record_is_shortened() -> None:
    record = replace(RECORD, headers=[("a", None), ("b", b"x" * KEPT), ("c", None)])
    message = await send(FakeBroker([MessageRejected("commands-dlq", "too large")]), record)
    assert list(message.headers)[:2] == [("a", None), ("b", b"x" * (KEPT - 2))]


async def test_an_outage_is_waited_for() -> None:
    message = await send(FakeBroker([Unavailable("broker", "away")]), RECORD)
    assert message.value == RECORD.value


async def test_what_does_not_fit_is_sent_with_its_beginning_and_its_hash() -> None:
    value = bytes(range(256)) * 1000
    record = Record(Partition("commands", 0), 7, b"k" * 100_000, value, [("h", b"x" * 100_000)])
    message = await send(FakeBroker([MessageRejected("commands-dlq", "too large")]), record)
    headers = dict(message.headers)
    assert message.value == value[:KEPT]
    assert message.key == b"k" * KEPT
    assert len(headers["h"] or b"") < KEPT
    assert headers["dlq-truncated"] == b"true"
    assert headers["dlq-sha256"] == hashlib.sha256(value).hexdigest().encode()


def test_a_reason_is_bounded() -> None:
    assert dict(as_dead_letter(RECORD, "x" * 5000).headers)["dlq-reason"] == b"x" * 1000


async def test_a_topic_that_refuses_even_what_was_shortened_is_named_until_it_takes_it() -> None:
    most, asked, readiness = [1_000], [0], Readiness(())

    def topic(message: Message) -> None:
        asked[0] += 1
        if len(message.value or b"") > most[0]:
            raise MessageRejected(message.topic, "set its max.message.bytes to 131072 or more")

    letter = Record(Partition("commands", 0), 7, b"k", b"v" * 100_000, ())
    broker = fakes.FakeBroker(topic)
    sending = asyncio.create_task(
        send_dead_letter(cast("Broker", broker), readiness, letter, "not a command", COUNTED.append)
    )
    await until(lambda: asked[0] > 10)
    assert not sending.done()
    assert readiness.problems == {"topic commands-dlq": "set its max.message.bytes to 131072 or more"}
    most[0] = KEPT
    await asyncio.wait_for(sending, 10)
    assert [len(message.value or b"") for message in broker.sent] == [KEPT]
    assert readiness.problems == {}


async def test_a_topic_that_takes_more_meanwhile_gets_the_whole_record() -> None:
    letter = Record(Partition("commands", 0), 7, b"k", b"v" * 100_000, ())
    refusals: list[Exception] = [MessageRejected("commands-dlq", "too large")] * 4
    message = await send(FakeBroker(refusals), letter)
    assert message.value == letter.value
    assert "dlq-truncated" not in dict(message.headers)


async def test_a_record_of_which_nothing_can_be_cut_waits_as_it_is() -> None:
    small = [True]
    tried: list[Message] = []

    def topic(message: Message) -> None:
        tried.append(message)
        if small[0]:
            raise MessageRejected(message.topic, "too large")

    broker = fakes.FakeBroker(topic)
    sending = asyncio.create_task(
        send_dead_letter(cast("Broker", broker), Readiness(()), RECORD, "not a command", COUNTED.append)
    )
    await until(lambda: len(tried) > 4)
    small[0] = False
    await asyncio.wait_for(sending, 10)
    assert all("dlq-truncated" not in dict(message.headers) for message in tried)


async def test_an_outage_behind_a_refusal_is_named_too_and_both_end() -> None:
    answers: list[Exception] = [MessageRejected("commands-dlq", "too large"), Unavailable("broker", "away")]
    readiness = Readiness(())
    await send_dead_letter(cast("Broker", FakeBroker(answers)), readiness, RECORD, "not a command", COUNTED.append)
    assert answers == []
    assert readiness.problems == {}


async def test_a_dead_letter_topic_that_is_named_takes_those_of_all_topics() -> None:
    counted: list[str] = []
    broker = FakeBroker()
    await send_dead_letter(cast("Broker", broker), Readiness(()), RECORD, "not a command", counted.append, "dead")
    assert [message.topic for message in broker.sent] == counted == ["dead"]
    assert dict(broker.sent[0].headers)["dlq-topic"] == b"commands"
