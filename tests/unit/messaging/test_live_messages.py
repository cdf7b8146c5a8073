"""Records of live topics: decoded in their order; those of an unknown schema hold up the rest of their partition."""

import asyncio
import json
from collections.abc import Sequence
from time import time
from typing import Any, cast

from app.broker import Partition, Record
from app.broker.framing import NO_REGISTRY, SchemaNeeded
from app.domain.errors import InvalidMessage
from app.live.intake import Intake, LiveMessage, MessageOutcome, MessageVerdict
from app.messaging import live_messages
from app.messaging.dispatch import Acknowledged, DeadLetter, Undecoded
from app.messaging.live_messages import LiveReceiver
from app.telemetry import metrics

DOCS, SECOND = Partition("docs", 0), Partition("docs", 1)


class FakeIntake:
    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def take(self, messages: Sequence[LiveMessage]) -> list[MessageVerdict]:
        self.taken += [each.message["n"] for each in messages]
        await asyncio.sleep(0)
        return [
            MessageVerdict(MessageOutcome.REFUSED, "it has no reference")
            if each.message["n"] == "bad"
            else MessageVerdict(MessageOutcome.TAKEN)
            for each in messages
        ]


def record(n: Any, offset: int = 0, partition: Partition = DOCS, **changes: Any) -> Record:
    values = {"value": json.dumps({"n": n}).encode(), "headers": (), "timestamp": None, "key": None, **changes}
    return Record(partition=partition, offset=offset, **values)


def receiver(intake: FakeIntake) -> LiveReceiver:
    return LiveReceiver(cast("Intake", intake), NO_REGISTRY, "pas")


async def test_messages_are_taken_and_answered_in_order() -> None:
    intake = FakeIntake()
    answers = await receiver(intake).receive([record(1, 0), record("bad", 1), record(3, 2)])
    assert answers == [Acknowledged(), DeadLetter("it has no reference"), Acknowledged()]
    assert intake.taken == [1, "bad", 3]


async def test_records_of_a_partition_are_taken_in_the_order_of_their_offsets() -> None:
    intake = FakeIntake()
    answers = await receiver(intake).receive([record(3, 2), record("bad", 1), record(9, 0, SECOND), record(1, 0)])
    assert intake.taken == [1, "bad", 3, 9]
    assert answers[1] == DeadLetter("it has no reference")


async def test_what_is_no_message_for_us() -> None:
    intake = FakeIntake()
    before = {name: child._value.get() for name, child in metrics.LIVE_MESSAGES.items()}
    answers = await receiver(intake).receive(
        [
            record(1, 0, value=None),
            record(1, 1, headers=(("jeap_eh_target_service", b"other"),)),
            record(1, 2, value=b"not json"),
            record(1, 3, value=b"[1]"),
            record(5, 4, headers=(("jeap_eh_target_service", b"pas"),)),
        ]
    )
    assert answers == [
        Acknowledged(),
        Acknowledged(),
        DeadLetter("neither JSON nor framed Avro"),
        DeadLetter("not a JSON object"),
        Acknowledged(),
    ]
    assert intake.taken == [5]
    counted = {name: child._value.get() - before[name] for name, child in metrics.LIVE_MESSAGES.items()}
    assert {name: count for name, count in counted.items() if count} == {
        "tombstone": 1,
        "other_service": 1,
        "dead_letter": 2,
        "taken": 1,
    }


class TestUnknownSchemas:
    """`decode_values` raises SchemaNeeded for messages whose `schema` is not in `known`."""

    def setup_method(self) -> None:
        self.known: dict[int, str | None] = {}

    def decode(self, value: bytes, _schemas: object) -> Any:
        message = json.loads(value)
        needed = message["n"] if isinstance(message["n"], int) and message["n"] >= 100 else None
        if needed is None:
            return message
        if needed not in self.known:
            raise SchemaNeeded(needed)
        if (problem := self.known[needed]) is not None:
            raise InvalidMessage(problem)
        return message

    async def test_hold_up_the_rest_of_their_partition_and_no_other(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(live_messages, "decode_values", self.decode)
        intake = FakeIntake()
        live = receiver(intake)
        first = [record(1, 0), record(100, 1), record(2, 2), record(7, 0, SECOND)]
        assert await live.receive(first) == [Acknowledged(), Undecoded(100), Undecoded(100), Acknowledged()]
        assert await live.receive([record(3, 3), record(8, 1, SECOND)]) == [Undecoded(100), Acknowledged()]
        assert intake.taken == [1, 7, 8]
        assert live.on_hold() == {DOCS}
        self.known[100] = None
        again = await live.receive([record(4, 4), record(3, 3), record(2, 2), record(100, 1)])
        assert again == [Acknowledged()] * 4
        assert intake.taken == [1, 7, 8, 100, 2, 3, 4]
        assert not live.on_hold()

    async def test_a_schema_that_the_registry_does_not_know_is_a_dead_letter_and_the_rest_goes_on(
        self, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(live_messages, "decode_values", self.decode)
        intake = FakeIntake()
        live = receiver(intake)
        await live.receive([record(100, 1), record(2, 2)])
        self.known[100] = "the registry has no schema 100"
        answers = await live.receive([record(100, 1), record(2, 2)])
        assert answers == [DeadLetter("the registry has no schema 100"), Acknowledged()]

    async def test_a_partition_that_was_taken_away_is_held_up_no_longer(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(live_messages, "decode_values", self.decode)
        intake = FakeIntake()
        live = receiver(intake)
        await live.receive([record(100, 1), record(100, 1, SECOND)])
        live.revoked([DOCS])
        assert await live.receive([record(5, 9), record(6, 9, SECOND)]) == [Acknowledged(), Undecoded(100)]


async def test_it_knows_how_old_the_message_is_that_was_taken_last() -> None:
    live = receiver(FakeIntake())
    assert live.age("docs") == 0.0
    await live.receive([record(1, 0, timestamp=time() - 100), record(2, 1, timestamp=time() - 50)])
    assert 49 < live.age("docs") < 60
    assert live.age("others") == 0.0
