"""The command of a batch of a metadata run, in both encodings."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import fastavro
import pytest

from app.broker import codec, messages
from app.broker.framing import CONTRACTS
from app.domain.errors import InvalidMessage

RUN = UUID("4f1c9b8e-2d53-4c0e-9a57-6a3b6f0c7d21")
FRAME = b"\0\0\0\0\7"


def command() -> dict[str, Any]:
    return messages.backfill_metadata_command(RUN, 7, messages.Publisher("PSF", "pas"), datetime.now(UTC), uuid4())


def avro(message: dict[str, Any]) -> bytes:
    schema = json.loads((CONTRACTS / "BackfillMetadataCommand.avsc").read_text())
    body = BytesIO()
    fastavro.schemaless_writer(body, schema, message)
    return FRAME + body.getvalue()


def test_both_encodings_are_read_to_the_same_batch() -> None:
    for value in (codec.encode(command()), avro(command())):
        record = codec.decode(value)
        assert codec.message_type(record) == "BackfillMetadataCommand"
        assert codec.run_batch_of(record) == (RUN, 7)


def test_both_encodings_are_one_model() -> None:
    sent = command()
    assert codec.decode(avro(sent)) == codec.decode(codec.encode(sent)) == sent


def test_key_and_idempotence_id_name_the_batch() -> None:
    assert messages.run_key(RUN, 7) == f"{RUN}-7".encode()
    assert command()["identity"]["idempotenceId"] == f"{RUN}-7"


def test_avro_that_breaks_off_or_goes_on_is_refused() -> None:
    whole = avro(command())
    with pytest.raises(InvalidMessage, match=r"MetadataCommand: .*1 bytes behind the record; no schema registry"):
        codec.decode(whole + b"\0")
    for length in range(len(FRAME), len(whole)):
        with pytest.raises(InvalidMessage):
            codec.decode(whole[:length])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.pop("payload"), "payload is missing"),
        (lambda c: c["payload"].pop("runId"), "payload.runId is missing"),
        (lambda c: c["payload"].update(runId=RUN.hex), "payload.runId is not a UUID"),
        (lambda c: c["payload"].pop("batch"), "payload.batch is not"),
        (lambda c: c["payload"].update(batch=-1), "payload.batch is not"),
        (lambda c: c["payload"].update(batch=True), "payload.batch is not"),
        (lambda c: c["payload"].update(batch=1.0), "payload.batch is not"),
        (lambda c: c["payload"].update(batch=2**31), "payload.batch is not"),
    ],
)
def test_fields_that_make_no_batch_are_named(change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    changed = command()
    change(changed)
    with pytest.raises(InvalidMessage, match=reason):
        codec.run_batch_of(codec.decode(codec.encode(changed)))
