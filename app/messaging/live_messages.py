"""Receives the records of live topics: decodes them in their order, and hands the messages to the story."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from time import time

from app.broker import Partition, Record
from app.broker.codec import decode_values
from app.broker.framing import SchemaNeeded, Schemas
from app.domain.errors import InvalidMessage
from app.live.intake import Intake, LiveMessage, MessageOutcome, MessageVerdict
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter, Undecoded, is_for_another
from app.telemetry import metrics


@dataclass(frozen=True, slots=True)
class _Held:
    """The first record of a partition whose schema is not known yet; those behind it wait with it."""

    offset: int
    schema_id: int


class LiveReceiver:
    """`service` is the name of this service in the target header.

    Messages about the same reference keep their order: no record of a partition overtakes one that waits for its
    schema. The mutable state: the record that each partition is held at; when the message was sent that was taken last,
    by topic.
    """

    def __init__(self, intake: Intake, schemas: Schemas, service: str) -> None:
        self._intake = intake
        self._schemas = schemas
        self._service = service.encode()
        self._held: dict[Partition, _Held] = {}
        self._reached: dict[str, float] = {}

    async def receive(self, records: Sequence[Record]) -> list[Answer | Undecoded]:
        """See `consumer.Receiver`. Returns once the tasks of all messages are in the database."""
        answers: dict[int, Answer | Undecoded] = {}
        messages: dict[int, LiveMessage] = {}
        order = sorted(range(len(records)), key=lambda place: (records[place].partition, records[place].offset))
        for place in order:
            found = self._decoded(records[place])
            if isinstance(found, LiveMessage):
                messages[place] = found
            else:
                answers[place] = found
        if messages:
            verdicts = await self._intake.take(list(messages.values()))
            answers.update(zip(messages, map(_answer, verdicts), strict=True))
        self._note_reached(records, answers)
        return [answers[place] for place in range(len(records))]

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """See `consumer.Receiver`."""
        for partition in partitions:
            self._held.pop(partition, None)

    def on_hold(self) -> Set[Partition]:
        """See `consumer.Receiver`."""
        return self._held.keys()

    def age(self, topic: str) -> float:
        """Seconds since the message was sent that was taken last from the topic; 0 where none was taken yet."""
        reached = self._reached.get(topic)
        return 0.0 if reached is None else max(0.0, time() - reached)

    def _decoded(self, record: Record) -> LiveMessage | Answer | Undecoded:
        held = self._held.get(record.partition)
        if held is not None and record.offset > held.offset:
            return Undecoded(held.schema_id)
        if is_for_another(record, self._service):
            return _passed_over("other_service")
        if record.value is None:
            return _passed_over("tombstone")
        try:
            message = decode_values(record.value, self._schemas)
        except InvalidMessage as invalid:
            self._held.pop(record.partition, None)
            return _refused(str(invalid))
        except SchemaNeeded as needed:
            self._held[record.partition] = _Held(record.offset, needed.schema_id)
            return Undecoded(needed.schema_id)
        self._held.pop(record.partition, None)
        return LiveMessage(record.partition.topic, message, record.traceparent)

    def _note_reached(self, records: Sequence[Record], answers: dict[int, Answer | Undecoded]) -> None:
        for place, record in enumerate(records):
            if record.timestamp is not None and not isinstance(answers[place], Undecoded):
                topic = record.partition.topic
                self._reached[topic] = max(record.timestamp, self._reached.get(topic, 0.0))


def _answer(verdict: MessageVerdict) -> Answer:
    if verdict.kind is MessageOutcome.REFUSED:
        return _refused(verdict.reason or "")
    return _passed_over(verdict.kind)


def _passed_over(outcome: str) -> Acknowledged:
    metrics.LIVE_MESSAGES[outcome].inc()
    return Acknowledged()


def _refused(reason: str) -> DeadLetter:
    metrics.LIVE_MESSAGES["dead_letter"].inc()
    return DeadLetter(reason)
