"""Message type → handler: each gets its messages of a poll together, and every record has its answer in its place."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from app.broker import Partition, Record
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter, Dispatcher, Received, Undecoded
from tests.support.schema_registry import client_of, schema_registry

PARTITION = Partition("commands", 0)


class Handler:
    """Answers each message with its `number` as the reason of a dead letter."""

    def __init__(self) -> None:
        self.received: list[list[Received]] = []

    async def receive(self, messages: Sequence[Received]) -> Sequence[Answer]:
        self.received.append(list(messages))
        return [DeadLetter(str(each.message["number"])) for each in messages]


def record(value: Any, *headers: tuple[str, bytes | None]) -> Record:
    encoded = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(PARTITION, 0, b"k", encoded, headers)


def message(name: str, number: int) -> dict[str, Any]:
    return {"type": {"name": name}, "number": number}


async def test_each_handler_gets_its_messages_at_once_and_answers_stay_in_order() -> None:
    first, second = Handler(), Handler()
    dispatcher = Dispatcher({"A": first, "B": second}, "pas")
    polled = [record(message(name, number)) for number, name in enumerate("ABBA")]
    answers = await dispatcher.receive(polled)
    assert answers == [DeadLetter(str(number)) for number in range(4)]
    assert [len(each) for each in first.received] == [len(each) for each in second.received] == [2]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"garbage", "neither JSON nor framed Avro"),
        ([1], "not a JSON object"),
        ({}, "type is missing"),
        (message("DeleteEverythingCommand", 1), "unknown message type 'DeleteEverythingCommand'"),
        (message("x" * 500, 1), f"unknown message type '{'x' * 100}'"),
    ],
    ids=["tombstone", "garbage", "list", "no type", "unknown type", "long type"],
)
async def test_what_has_no_handler_is_a_dead_letter_and_its_neighbours_are_handled(value: Any, reason: str) -> None:
    handler = Handler()
    answers = await Dispatcher({"A": handler}, "pas").receive(
        [record(message("A", 1)), record(value), record(message("A", 2))]
    )
    assert [answers[0], answers[2]] == [DeadLetter("1"), DeadLetter("2")]
    assert isinstance(answers[1], DeadLetter)
    assert reason in answers[1].reason
    assert len(answers[1].reason) < 200


async def test_a_record_whose_schema_has_to_be_found_first_holds_nobody_up() -> None:
    handler = Handler()
    async with schema_registry() as fake:
        schemas = client_of(fake)
        framed = b"\0\0\0\0\x07" + b"x"
        polled = [record(message("A", 1)), record(framed), record(message("A", 2))]
        answers = await Dispatcher({"A": handler}, "pas", schemas).receive(polled)
        assert answers == [DeadLetter("1"), Undecoded(7), DeadLetter("2")]
        fake.add({"type": "record", "name": "R", "fields": []}, schema_id=7)
        await schemas.find(7)
        answers = await Dispatcher({"A": handler}, "pas", schemas).receive(polled)
        assert answers[1] == DeadLetter("framed Avro, but not a R: $: 1 bytes behind the record")


async def test_a_record_for_another_service_is_passed_over_undecoded_and_one_for_ours_is_not() -> None:
    target = "jeap_eh_target_service"
    answers = await Dispatcher({"A": Handler()}, "pas").receive(
        [record(b"garbage", (target, b"other")), record(message("A", 1), (target, b"pas"))]
    )
    assert answers == [Acknowledged(), DeadLetter("1")]


@pytest.mark.parametrize(
    ("values", "skipped"),
    [
        ([None], False),
        ([None, b"other"], True),
        ([b""], False),
        ([b" "], False),
        ([b"", b"pas"], False),
        ([b"other", b"pas"], False),
        ([b"pas", b"other"], False),
        ([b"", b"other"], True),
        ([b"other", b"third"], True),
        ([b"PAS"], True),
    ],
)
async def test_a_record_is_skipped_only_where_its_header_names_others_alone(
    values: list[bytes | None], skipped: bool
) -> None:
    headers = [("jeap_eh_target_service", value) for value in values]
    answers = await Dispatcher({"A": Handler()}, "pas").receive([record(message("A", 1), *headers)])
    assert answers == [Acknowledged() if skipped else DeadLetter("1")]


async def test_the_trace_of_a_record_goes_with_its_message() -> None:
    handler = Handler()
    await Dispatcher({"A": handler}, "pas").receive(
        [
            record(message("A", 1), ("b3", b"x"), ("traceparent", b"00-a")),
            record(message("A", 2), ("traceparent", b"\xff")),
            record(message("A", 3), ("traceparent", None)),
            record(message("A", 3)),
        ]
    )
    assert [each.traceparent for each in handler.received[0]] == ["00-a", "\ufffd", None, None]


async def test_a_poll_without_anything_to_handle_asks_nobody() -> None:
    handler = Handler()
    assert await Dispatcher({"A": handler}, "pas").receive([record(None)]) == [
        DeadLetter("tombstone: the record has no value")
    ]
    assert handler.received == []
