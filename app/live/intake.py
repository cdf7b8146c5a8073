"""Takes messages in: decides what each is for its configurations, and inserts the tasks in one transaction."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.db import live_tasks
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import InvalidMessage
from app.domain.identity import live_subject, live_task_key
from app.domain.live import WantedArtifact
from app.domain.live_tasks import NewLiveTask, Origin, PayloadDescription
from app.domain.paths import SURROGATE
from app.domain.readiness import DATABASE, Readiness
from app.live.decide import decide
from app.live.deciding import Decisions
from app.outages import through_outages
from app.telemetry import metrics, traces

log = logging.getLogger(__name__)


class LiveMessage(NamedTuple):
    """A decoded message of a topic, and the `traceparent` header of its record."""

    topic: str
    message: Mapping[str, Any]
    traceparent: str | None


class MessageOutcome(StrEnum):
    """What became of a message."""

    TAKEN = "taken"
    KNOWN = "known"
    """It came before."""
    CONDITION = "condition"
    """A condition does not hold."""
    OTHER_TYPE = "other_type"
    NO_TYPE = "no_type"
    REFUSED = "dead_letter"


class MessageVerdict(NamedTuple):
    """What became of a message; `reason`: why it can never be archived."""

    kind: MessageOutcome
    reason: str | None = None


class _Question(NamedTuple):
    """Whether this configuration wants this message."""

    place: int
    live: LiveMessage
    configuration: ArchiveTypeConfiguration


@dataclass(slots=True)
class _Decided:
    """The tasks of one message; and why one of its configurations refuses it."""

    passed: MessageOutcome = MessageOutcome.CONDITION
    tasks: list[NewLiveTask] = field(default_factory=list)
    refused: str | None = None


class Intake:
    """`on_new` is called when tasks were inserted: their commands are due.

    `python_timeout`: seconds that a Python function may take.
    """

    def __init__(
        self,
        database: Database,
        readiness: Readiness,
        catalog: LiveCatalog,
        registry: Registry,
        on_new: Callable[[], None],
        python_timeout: float,
    ) -> None:
        self._database = database
        self._readiness = readiness
        self._catalog = catalog
        self._registry = registry
        self._on_new = on_new
        self._decisions = Decisions(python_timeout, readiness)

    async def take(self, messages: Sequence[LiveMessage]) -> list[MessageVerdict]:
        """One verdict for each message; it returns once all tasks are in the database. May be repeated.

        A message that several configurations want may be refused by one of them; the tasks of the others stay. Waits
        through outages of the database; cancel it to give up.
        """
        decided = await self._decided(self._catalog.now, messages)
        new = [task for each in decided for task in each.tasks]
        inserted: set[UUID] = set()
        if new:
            now = datetime.now(UTC)
            inserted = await through_outages(
                self._readiness, DATABASE, lambda: self._database.run(lambda c: live_tasks.insert(c, new, now))
            )
        if inserted:
            metrics.LIVE_TASKS.inc(len(inserted))
            self._on_new()
        return [self._verdict(each, inserted) for each in decided]

    @staticmethod
    def _verdict(decided: _Decided, inserted: set[UUID]) -> MessageVerdict:
        """Removes the keys of its tasks from `inserted`: the same message once more is known."""
        keys = {task.origin.key for task in decided.tasks}
        is_new = not keys.isdisjoint(inserted)
        inserted -= keys
        if decided.refused is not None:
            return MessageVerdict(MessageOutcome.REFUSED, decided.refused)
        if not keys:
            return MessageVerdict(decided.passed)
        return MessageVerdict(MessageOutcome.TAKEN if is_new else MessageOutcome.KNOWN)

    async def _decided(self, catalog: Catalog, messages: Sequence[LiveMessage]) -> list[_Decided]:
        decided = [_Decided(_passed(catalog, each)) for each in messages]
        questions = [
            _Question(place, live, configuration)
            for place, live in enumerate(messages)
            for configuration in _live_configurations(catalog, live)
        ]
        # Python of the configuration may run for long, and large payloads are written: not in the event loop.
        answers = await self._decisions.all(self._answer, questions) if questions else []
        for (place, _, configuration), answer in zip(questions, answers, strict=True):
            found = decided[place]
            if isinstance(answer, NewLiveTask):
                found.tasks.append(answer)
            elif answer is not None:
                found.refused = found.refused or _named(configuration, answer)
        return decided

    def _answer(self, question: _Question) -> NewLiveTask | None:
        _, live, configuration = question
        wanted = decide(configuration, live.message, self._registry.encode_avro)
        return None if wanted is None else _task(configuration, live, wanted)


def _passed(catalog: Catalog, live: LiveMessage) -> MessageOutcome:
    """What a message is of which no configuration makes a task."""
    if _type_of(live.message) is None:
        return MessageOutcome.NO_TYPE
    return MessageOutcome.CONDITION if _live_configurations(catalog, live) else MessageOutcome.OTHER_TYPE


def _live_configurations(catalog: Catalog, live: LiveMessage) -> list[ArchiveTypeConfiguration]:
    name = _type_of(live.message)
    found = () if name is None else catalog.for_message(name)
    return [each for each in found if each.live is not None and each.topic == live.topic]


def _named(configuration: ArchiveTypeConfiguration, invalid: InvalidMessage) -> str:
    text = str(invalid)
    return text if text.startswith(f"{configuration.name}: ") else f"{configuration.name}: {text}"


def live_topics(catalog: Catalog) -> frozenset[str]:
    """The topics of the live archive types."""
    return frozenset(each.topic for each in catalog.configurations if each.live is not None)


def _type_of(message: Mapping[str, Any]) -> str | None:
    of = message.get("type")
    name = of.get("name") if isinstance(of, dict) else None
    return name if isinstance(name, str) and name else None


def _task(configuration: ArchiveTypeConfiguration, live: LiveMessage, wanted: WantedArtifact) -> NewLiveTask:
    try:
        message_id = _message_id(live.message)
    except InvalidMessage as invalid:
        raise InvalidMessage(f"{configuration.name}: {invalid}") from None
    payload = wanted.payload
    return NewLiveTask(
        archive_type=configuration.name,
        message_type=configuration.message_type,
        topic=configuration.topic,
        config_id=configuration.id,
        subject=live_subject(configuration.name, wanted.reference),
        origin=Origin(
            key=live_task_key(configuration.name, message_id, wanted.reference),
            reference=wanted.reference,
            message_id=message_id,
            process_id=wanted.process_id,
            traceparent=_traceparent(live.traceparent),
            announced=wanted.announce,
            payload=None
            if payload is None
            else PayloadDescription(payload.content_type, payload.schema, len(payload.content)),
        ),
        content=None if payload is None else payload.content,
    )


def _message_id(message: Mapping[str, Any]) -> str:
    """The idempotence id of the message. Raises InvalidMessage."""
    identity = message.get("identity")
    found = identity.get("idempotenceId") if isinstance(identity, dict) else None
    if not isinstance(found, str) or not found:
        raise InvalidMessage("identity.idempotenceId is missing")
    if "\0" in found or SURROGATE.search(found):
        raise InvalidMessage("identity.idempotenceId has NUL or half a surrogate pair")
    return found


def _traceparent(header: str | None) -> str | None:
    """In the form that is sent on; None for what is no valid trace context."""
    context = traces.parse(header)
    if context is None:
        return None
    return f"00-{context.trace_id}-{context.span_id}-{'01' if context.sampled else '00'}"
