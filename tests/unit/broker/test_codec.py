"""Commands are read in both encodings; everything else is an InvalidMessage, never another exception."""

import json
import random
from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest

from app.broker import codec, messages
from app.broker.framing import CONTRACTS
from app.domain.errors import InvalidMessage
from app.domain.identity import reference_key
from app.domain.jobs import Reference
from app.domain.tasks import OwedTask
from tests.unit.broker.golden import commands, value_of

CAPTURED = commands()
Change = Callable[[dict[str, Any]], object]


def decode_command(value: bytes | None) -> codec.CreateArtifactCommandMessage:
    return codec.command_of(codec.decode(value))


def command() -> dict[str, Any]:
    return value_of(CAPTURED[0])


def avro(message: dict[str, Any]) -> bytes:
    schema = json.loads((CONTRACTS / "CreateArtifactCommand.avsc").read_text())
    body = BytesIO()
    fastavro.schemaless_writer(body, schema, message)
    return b"\0\0\0\0\7" + body.getvalue()


@pytest.mark.parametrize("record", CAPTURED, ids=lambda record: record["value"]["json"]["identity"]["idempotenceId"])
def test_captured_bytes_decode_to_the_captured_values(record: dict[str, Any]) -> None:
    value = value_of(record)

    decoded = decode_command(bytes.fromhex(record["value_hex"]))

    data = value["references"]["archiveData"]
    assert decoded == codec.CreateArtifactCommandMessage(
        id=value["identity"]["id"],
        idempotence_id=value["identity"]["idempotenceId"],
        created=value["identity"]["created"],
        system="PEER",
        service="peer-pas",
        job_id=UUID(value["payload"]["jobId"]),
        reference=Reference(data["referenceId"], data["referenceVersion"]),
        message=value["payload"]["messageName"],
        topic=value["payload"]["topicName"],
    )
    assert decode_command(codec.encode(value)) == decoded


def test_fields_of_newer_senders_are_passed_over() -> None:
    newer = command()
    newer["userContext"] = {"a": [1]}
    newer["payload"]["priority"] = 3
    assert decode_command(codec.encode(newer)) == decode_command(codec.encode(command()))


def test_fields_with_a_default_may_be_missing() -> None:
    short = command()
    del short["type"]["variant"], short["references"]["archiveData"]["type"]
    del short["references"]["archiveData"]["referenceVersion"]
    assert decode_command(codec.encode(short)).reference == Reference("ä/ö ?&=+%", None)


def test_a_job_id_in_upper_case_is_the_same_job() -> None:
    upper = command()
    upper["payload"]["jobId"] = "ABCDEFAB-9999-4999-8999-999999999999"
    assert decode_command(codec.encode(upper)).job_id == UUID("abcdefab-9999-4999-8999-999999999999")


BYTES = [
    (None, "tombstone"),
    (b"", "neither JSON nor framed Avro"),
    (b"\xff\xfe", "neither JSON nor framed Avro"),
    (b"null", "not a JSON object"),
    (b"[]", "not a JSON object"),
    (b"{}", "type is missing"),
    (b'{"type":[]}', "type is not an object"),
    (b'{"type":{"name":NaN}}', "neither JSON"),
    (b'{"type":{"name":"\\ud800"}}', "neither JSON"),
    (b"[" * 60_000, "neither JSON"),
    (b'{"a":' * 10_000, "neither JSON"),
    (b" " * (codec.MAX_COMMAND_BYTES + 1), "value of 65537 bytes"),
    (b"\0", "framed Avro"),
    (b"\0\0\0\0\1", "framed Avro"),
    (b"\0\0\0\0\1\1", "framed Avro"),  # a string of length -1
    (b"\0\0\0\0\1" + b"\xff" * 9 + b"\x01", "framed Avro"),
    (b"\0\0\0\0\1\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "framed Avro"),  # of length 2^63-1
    (bytes.fromhex(CAPTURED[0]["value_hex"]) + b"\0", "1 bytes behind the record"),
    (bytes.fromhex(CAPTURED[0]["value_hex"])[:-1], "framed Avro"),
]


@pytest.mark.parametrize(("value", "reason"), BYTES, ids=lambda value: repr(value)[:40])
def test_bytes_that_are_no_command_are_refused(value: bytes | None, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        decode_command(value)


FIELDS: list[tuple[Change, str]] = [
    (lambda c: c["type"].update(name="BackfillMadeUpCommand"), "unknown message type 'BackfillMadeUpCommand'"),
    (lambda c: c["type"].update(name=7), "type.name is not a text"),
    (lambda c: c.pop("identity"), "identity is missing"),
    (lambda c: c["identity"].update(created="2026-11-22T07:28:37.294Z"), "identity.created is not an integer"),
    (lambda c: c["identity"].update(created=True), "identity.created is not an integer"),
    (lambda c: c["identity"].update(idempotenceId=None), "identity.idempotenceId is missing"),
    (lambda c: c["references"].update(archiveData="x"), "references.archiveData is not an object"),
    (lambda c: c["references"]["archiveData"].update(referenceId=""), "referenceId is missing"),
    (lambda c: c["references"]["archiveData"].update(referenceId=1), "referenceId is not a text"),
    (lambda c: c["references"]["archiveData"].update(referenceVersion="1"), "referenceVersion is not an integer"),
    (lambda c: c["references"]["archiveData"].update(referenceVersion=1.0), "referenceVersion is not an integer"),
    (lambda c: c["references"]["archiveData"].update(referenceVersion=True), "referenceVersion is not an integer"),
    (lambda c: c["references"]["archiveData"].update(referenceVersion=0), "referenceVersion is out of range"),
    (lambda c: c["references"]["archiveData"].update(referenceVersion=2**31), "referenceVersion is out of range"),
    (lambda c: c["payload"].update(jobId="99999999999949998999999999999999"), "payload.jobId is not a UUID"),
    (lambda c: c["payload"].update(jobId="1_999999-9999-4999-8999-999999999999"), "payload.jobId is not a UUID"),
    (lambda c: c["payload"].pop("topicName"), "payload.topicName is missing"),
    (lambda c: c.pop("processId"), "processId is missing"),
]


@pytest.mark.parametrize(("change", "reason"), FIELDS, ids=[reason for _, reason in FIELDS])
def test_fields_that_make_no_command_are_named(change: Change, reason: str) -> None:
    changed = command()
    change(changed)
    with pytest.raises(InvalidMessage, match=reason):
        decode_command(json.dumps(changed).encode())


def test_another_type_in_avro_is_an_unknown_type() -> None:
    other = command()
    other["type"]["name"] = "OtherCommand"
    with pytest.raises(InvalidMessage, match="unknown message type 'OtherCommand'"):
        decode_command(avro(other))


def test_mutilated_bytes_raise_nothing_but_invalid_message() -> None:
    random.seed(4711)
    samples = [bytes.fromhex(record["value_hex"]) for record in CAPTURED]
    samples += [codec.encode(value_of(record)) for record in CAPTURED]
    refused = 0
    for _ in range(5_000):
        value = bytearray(random.choice(samples))
        for _ in range(random.choice((1, 1, 2, 5))):
            value[random.randrange(len(value))] = random.randrange(256)
        if random.random() < 0.3:
            del value[random.randrange(len(value)) :]
        try:
            decode_command(bytes(value))
        except InvalidMessage:
            refused += 1
    assert refused > 2_000


def test_a_place_from_the_end_of_a_union_is_not_one() -> None:
    sent = command()
    sent["references"]["archiveData"].update(referenceId="the-id", referenceVersion=3)
    whole = avro(sent)
    assert codec.decode(whole)["references"]["archiveData"]["referenceVersion"] == 3
    for place in (b"\1", b"\3"):
        with pytest.raises(InvalidMessage, match="referenceVersion: must be one of the types of the union"):
            codec.decode(whole.replace(b"the-id\2\6", b"the-id" + place + b"\6"))


def test_what_is_built_is_read_again() -> None:
    reference = Reference("😀 DOC", 7)
    job = UUID("99999999-9999-4999-8999-999999999999")
    now = messages._EPOCH
    built = messages.create_artifact_command(
        OwedTask(job, 0, UUID(bytes=reference_key(reference)), reference, "DocCreated", "docs"),
        messages.Publisher("SYS", "pas"),
        now,
        job,
    )
    decoded = decode_command(codec.encode(built))
    assert (decoded.job_id, decoded.reference, decoded.idempotence_id) == (job, reference, f"{job}-6:😀 DOC:v7")
