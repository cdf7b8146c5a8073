"""The data of a message that carries it: a part of it, or a document made of it, with exact numbers."""

import json
from decimal import Decimal
from typing import Any

import pytest

from app.domain.archive_types import SchemaName
from app.domain.errors import InvalidMessage
from app.domain.exact_json import read_json
from app.domain.live import Payload
from app.live.decide import decide
from tests.unit.live.live_types import MESSAGE, configuration, decided, wanted

SCHEMA = "system: S, schema: T, schemaVersion: 2"


def payload(keys: str, message: dict[str, Any] | None = None) -> Payload:
    found = wanted(f"payload: {{{SCHEMA}, {keys}}}", message=message).payload
    assert found is not None
    return found


def test_left_out_the_path_is_the_whole_message_with_its_envelope() -> None:
    found = wanted().payload
    assert found is not None
    assert json.loads(found.content) == MESSAGE
    assert (found.content_type, found.schema) == ("application/json", SchemaName("S", "T", 2))


def test_a_path_takes_a_part_of_the_message() -> None:
    assert json.loads(payload("path: payload.items").content) == MESSAGE["payload"]["items"]
    assert json.loads(payload("path: 'payload.items[*].id'").content) == [1, None, 3]


def test_numbers_are_written_as_they_came() -> None:
    numbers = {"a": Decimal("0.12345678901234567890"), "b": 12345678901234567890123, "c": 1.5, "d": Decimal("1.00")}
    found = payload("path: payload", {**MESSAGE, "payload": numbers})
    assert read_json(found.content) == {**numbers, "d": 1.0}
    assert b"0.12345678901234567890" in found.content
    assert b"1.00" in found.content


def test_what_the_path_does_not_find_makes_a_dead_letter() -> None:
    for path in ("payload.nothing", "payload.none", "payload.kind.of"):
        with pytest.raises(InvalidMessage, match=f"^M: payload.path: {path} is not there$"):
            decided(f"payload: {{{SCHEMA}, path: {path}}}")


def test_a_document_is_made_of_the_message() -> None:
    template = (
        "{id: $.references.decree.id, fixed: [1, a, null, true], ids: '$.payload.items[*].id', gone: $.payload.x}"
    )
    found = json.loads(payload(f"document: {template}").content)
    assert found == {"id": "D-1", "fixed": [1, "a", None, True], "ids": [1, None, 3], "gone": None}


def test_the_content_type_is_the_configured_one() -> None:
    assert payload("contentType: 'application/osv+json; charset=utf-8'").content_type.startswith(
        "application/osv+json;"
    )


def test_a_document_that_is_nothing_makes_a_dead_letter() -> None:
    with pytest.raises(InvalidMessage, match=r"^M: payload: there is no document$"):
        decided(f"payload: {{{SCHEMA}, document: $.payload.nothing}}")


def test_another_content_type_than_json_and_avro_cannot_be_written() -> None:
    with pytest.raises(InvalidMessage, match="not as another content type"):
        decided(f"payload: {{{SCHEMA}, contentType: text/plain}}")


def test_avro_is_encoded_with_the_schema_of_the_registry() -> None:
    def encode(schema: SchemaName, value: Any) -> bytes:
        return f"{schema} of {value}".encode()

    found = decide(
        configuration(f"payload: {{{SCHEMA}, path: references.decree.id, contentType: avro/binary}}"), MESSAGE, encode
    )
    assert found is not None
    assert found.payload == Payload(b"S/T version 2 of D-1", "avro/binary", SchemaName("S", "T", 2))


def test_what_does_not_fit_its_avro_schema_makes_a_dead_letter() -> None:
    with pytest.raises(InvalidMessage) as caught:
        decided(f"payload: {{{SCHEMA}, contentType: avro/binary}}")
    assert str(caught.value) == (
        "M: payload: cannot be written with S/T version 2: nothing is encoded with S/T version 2, not even a dict"
    )


def test_the_content_is_not_shown_where_a_payload_is_logged() -> None:
    assert "D-1" not in repr(payload("path: references"))
