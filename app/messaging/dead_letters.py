"""Sends records that no handler can ever handle to `<topic>-dlq`, with their bytes and a reason."""

import hashlib
import logging
from collections.abc import Awaitable, Callable

from typing_extensions import override

from app.broker import Broker, Headers, Message, MessageRejected, Record
from app.domain.readiness import BROKER, Readiness
from app.messaging.slot_policy import DEAD_LETTERS
from app.messaging.work import Free, Work
from app.outages import through_outages
from app.telemetry import metrics, traces

KEPT = 64 * 1024
"""Bytes that are kept of a key, value or header that is too large."""

SendDeadLetter = Callable[[Record, str], Awaitable[None]]
"""Sends a record to the dead letter topic with the reason; returns once the broker has acknowledged it."""

log = logging.getLogger(__name__)


class DeadLetterWork(Work):
    """Sends a record that no handler can handle to the dead letter topic."""

    __slots__ = ("_reason", "_record", "_send")

    lane = DEAD_LETTERS
    turn = DEAD_LETTERS

    def __init__(self, record: Record, reason: str, send: SendDeadLetter) -> None:
        self._record = record
        self._reason = reason
        self._send = send

    @override
    async def run(self, free: Free) -> None:
        await self._send(self._record, self._reason)


def dead_letter_topic(topic: str) -> str:
    return f"{topic}-dlq"


async def send_dead_letter(
    broker: Broker,
    readiness: Readiness,
    record: Record,
    reason: str,
    counted: Callable[[str], None],
    topic: str | None = None,
) -> None:
    """Returns once the broker has acknowledged the record. A record that is too large is shortened.

    `topic`: the dead letter topic; None: `<topic of the record>-dlq`.

    `counted` is called then, with the name of the dead letter topic.

    Waits through outages, and while the topic refuses both the whole record and the shortened one.
    """
    whole = as_dead_letter(record, reason, topic)
    shortened = as_dead_letter(record, reason, topic, shorten=True) if _can_be_shortened(record) else None

    async def send() -> None:
        try:
            await broker.send(whole)
        except MessageRejected:
            if shortened is None:
                raise
            await broker.send(shortened)

    await through_outages(readiness, BROKER, send)
    metrics.DEAD_LETTERS.inc()
    counted(whole.topic)
    about: dict[str, object] = {
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
    }
    if (context := traces.parse(record.traceparent)) is not None:
        about["trace_id"] = context.trace_id
    log.warning("a record went to the dead letter topic: %s", reason, extra=about)


def as_dead_letter(record: Record, reason: str, to: str | None = None, *, shorten: bool = False) -> Message:
    """The record with its original key, value and headers, and the place from which it came."""
    topic, number = record.partition
    key, value, headers = record.key, record.value, list(record.headers)
    about = [
        ("dlq-reason", reason.encode()[:1000]),
        ("dlq-topic", topic.encode()),
        ("dlq-partition", str(number).encode()),
        ("dlq-offset", str(record.offset).encode()),
    ]
    if shorten:
        about.append(("dlq-truncated", b"true"))
        about.append(("dlq-sha256", hashlib.sha256(value or b"").hexdigest().encode()))
        about.append(("dlq-key-sha256", hashlib.sha256(key or b"").hexdigest().encode()))
        key, value, headers = key and key[:KEPT], value and value[:KEPT], _first_bytes(headers)
    return Message(to or dead_letter_topic(topic), key, value, [*headers, *about])


def _can_be_shortened(record: Record) -> bool:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return max(len(record.key or b""), len(record.value or b""), headers) > KEPT


def _first_bytes(headers: Headers) -> list[tuple[str, bytes | None]]:
    """As many headers as fit into the bytes that are kept; the last of them may be cut."""
    room = KEPT
    kept: list[tuple[str, bytes | None]] = []
    for name, value in headers:
        room -= len(name)
        if room <= 0:
            break
        kept.append((name, value and value[:room]))
        room -= len(value or b"")
    return kept
