"""The event of an artifact: what it says, which of it stays the same when it is sent again, and what is waited for."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import orjson
import pytest

from app import outages
from app.archiver.announce import EventOptions, announce
from app.broker import Message
from app.broker.encoding import Encoding
from app.broker.messages import EVENT_TYPE, Publisher
from app.domain.artifacts import ArchiveTask
from app.domain.errors import Unavailable
from app.domain.jobs import Reference, TaskId
from app.domain.readiness import BROKER, Readiness
from tests.support.rows import stored_artifact
from tests.support.schema_registry import client_of, refused, schema_registry

JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TASK = ArchiveTask(
    TaskId(JOB, 0), Reference("doc"), "M", None, datetime(2026, 1, 1, tzinfo=UTC), 0, 4, "command", "1" * 32
)
OPTIONS = EventOptions("events", Publisher("PSF", "pas"))


class Sent:
    """A broker that is away for the first `outages` sends."""

    def __init__(self, outages: int = 0) -> None:
        self.messages: list[Message] = []
        self.outages = outages

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        if len(self.messages) <= self.outages:
            raise Unavailable(BROKER, "connection refused")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(message.value or b"") for message in self.messages]


async def announced(broker: Sent, task: ArchiveTask = TASK, readiness: Readiness | None = None) -> None:
    await announce(cast("Any", broker), readiness or Readiness(()), OPTIONS, stored_artifact(), task, PARENT)


async def test_an_event_says_where_the_artifact_lies_and_what_it_is_of() -> None:
    broker = Sent()
    await announced(broker)
    (message,), (event,) = broker.messages, broker.events
    assert (message.topic, message.key) == ("events", f'{{"processId":"{JOB}"}}'.encode())
    assert event["type"]["variant"] == "PSF_OsvRecord"
    assert event["publisher"] == {"system": "PSF", "service": "pas"}
    assert event["references"]["storageObject"] == {
        "type": "storageobject",
        "storageObjectBucket": "archive",
        "storageObjectKey": "PSF/OsvRecord/68/688d/v0",
        "storageObjectVersionId": "v",
    }
    assert event["references"]["archivedArtifact"]["version"] is None
    assert event["payload"] == {"expiration": {"days": 90}, "metadata": [{"name": "name", "value": "ä"}]}


async def test_an_event_waits_until_the_ids_of_its_schemas_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "FIRST_PAUSE", 0.001)
    broker, readiness = Sent(), Readiness(())
    async with schema_registry() as fake:
        fake.misbehave = lambda _request: refused(50002) if len(fake.requests) < 3 else None
        encoding = Encoding(client_of(fake))
        key, value = encoding.of("events", "ProcessIdMessageKey"), encoding.of("events", EVENT_TYPE)
        options = replace(OPTIONS, key=key, value=value)
        for _ in range(2):
            await announce(cast("Any", broker), readiness, options, stored_artifact(), TASK, PARENT)
        assert set(fake.subjects) == {
            "events-ch.admin.bit.jeap.messagetype.shared.processid.ProcessIdMessageKey",
            f"events-ch.admin.bit.jeap.event.shared.processarchive.archivedartifactversioncreated.{EVENT_TYPE}",
        }
    assert readiness.problems == {}
    assert [message.key for message in broker.messages] == [b"\0\0\0\0\x01" + b"\x48" + str(JOB).encode()] * 2
    assert all((message.value or b"").startswith(b"\0\0\0\0\x02") for message in broker.messages)


async def test_an_event_belongs_to_the_trace_of_its_work_with_a_span_of_its_own() -> None:
    broker = Sent()
    await announced(broker)
    (header,) = [(value or b"").decode() for name, value in broker.messages[0].headers if name == "traceparent"]
    assert header.split("-")[1] == PARENT.split("-")[1]
    assert header.split("-")[2] != PARENT.split("-")[2]


async def test_an_event_that_is_sent_again_keeps_its_idempotence_id_alone() -> None:
    broker = Sent()
    await announced(broker)
    await announced(broker)
    first, second = (event["identity"] for event in broker.events)
    assert first["idempotenceId"] == second["idempotenceId"] == "CreateArtifactCommand_command-event"
    assert first["eventId"] != second["eventId"]


async def test_versions_are_told_as_text() -> None:
    broker = Sent()
    await announced(broker, replace(TASK, reference=Reference("doc", 3)))
    assert broker.events[0]["references"]["archivedArtifact"]["version"] == "3"


async def test_an_outage_of_the_broker_is_waited_for_and_named(caplog: pytest.LogCaptureFixture) -> None:
    broker, readiness = Sent(outages=2), Readiness(())
    with caplog.at_level(logging.INFO):
        await announced(broker, readiness=readiness)
    assert len(broker.messages) == 3
    assert len({event["identity"]["eventId"] for event in broker.events}) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "broker is not available, work waits: connection refused",
        "broker is available",
    ]
    assert readiness.problems == {}
