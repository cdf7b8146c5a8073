"""What can never be handled keeps its bytes and gets a reason; what does not fit is shortened and says so."""

import hashlib
from collections.abc import Sequence

from app.broker import Message, MessageRejected, Partition, Record
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.messaging.dead_letters import KEPT, as_dead_letter, send_dead_letter

RECORD = Record(Partition("commands", 3), 41, b"key", b"\xff\x00value", [("traceparent", b"00-x")])


class FakeBroker:
    """Answers sends with what it is told, in order, then takes everything."""

    def __init__(self, answers: Sequence[Exception] = ()) -> None:
        self._answers = list(answers)
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        if self._answers:
            raise self._answers.pop(0)
        self.sent.append(message)


async def send(broker: FakeBroker, record: Record) -> Message:
    await send_dead_letter(broker, Readiness(()), record, "not a command")  # type: ignore[arg-type]
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


async def test_a_tombstone_stays_a_tombstone() -> None:
    message = await send(FakeBroker(), Record(Partition("commands", 0), 0, None, None, ()))
    assert (message.key, message.value) == (None, None)


async def test_an_outage_is_waited_for() -> None:
    message = await send(FakeBroker([Unavailable("broker", "away")]), RECORD)
    assert message.value == RECORD.value


async def test_what_does_not_fit_is_sent_with_its_beginning_and_its_hash() -> None:
    value = bytes(range(256)) * 1000
    record = Record(Partition("commands", 0), 7, b"k" * 100_000, value, [("h", b"x" * 100_000)])
    message = await send(FakeBroker([MessageRejected("too large")]), record)
    headers = dict(message.headers)
    assert message.value == value[:KEPT]
    assert message.key == b"k" * KEPT
    assert len(headers["h"]) < KEPT
    assert headers["dlq-truncated"] == b"true"
    assert headers["dlq-sha256"] == hashlib.sha256(value).hexdigest().encode()


def test_a_reason_is_bounded() -> None:
    assert len(dict(as_dead_letter(RECORD, "x" * 5000).headers)["dlq-reason"]) <= 1000
