"""Queries on the tasks of messages: insert each once, what it keeps of its message, which must wait. None commits."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Select, Uuid, bindparam, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect, direct, jobs
from app.db.tables import UNENDED, UtcDateTime, job, live_task, task
from app.domain.archive_types import SchemaName
from app.domain.identity import content_hash, live_job_id
from app.domain.jobs import Job, JobKind, JobState, NewJob, Reference, TaskState, begun
from app.domain.live_tasks import NewLiveTask, Origin, PayloadDescription, trace_of_message

KEYS = dialect.Rows("keys", [("key", Uuid)])

_OF_TASK = ["job_id", "position", "reference_key", "reference_id", "reference_version", "trace_id"]
_OF_MESSAGE = [
    "key",
    "job_id",
    "position",
    "day",
    "subject",
    "message_id",
    "process_id",
    "traceparent",
    "announced",
    "content_type",
    "system",
    "schema_name",
    "schema_version",
    "size",
    "payload",
]


_COUNT = bindparam("count", type_=Integer)
_GROWN = (
    update(job)
    .where(
        job.c.id == bindparam("of", type_=Uuid),
        job.c.state == JobState.OPEN,
        job.c.takes_until > bindparam("now", type_=UtcDateTime),
    )
    .values(total=job.c.total + _COUNT, open=job.c.open + _COUNT)
    .returning(job.c.total)
)


class _Place(NamedTuple):
    """Where the first new task of an archive type is inserted; its job, whose row is locked, counts all of them."""

    job_id: UUID
    day: date
    position: int


async def insert(connection: AsyncConnection, new: Sequence[NewLiveTask], now: datetime) -> set[UUID]:
    """Inserts each task whose key is new into the job of its archive type and of this day, in their order; of several
    with the same key the first.

    Returns the keys of the inserted tasks. A job that does not exist yet begins. Where that of the day takes no more,
    as another process has a clock that is ahead, that of the next day takes the tasks.
    """
    known = await _known(connection, {each.origin.key for each in new})
    wanted: dict[UUID, NewLiveTask] = {}
    for each in new:
        if each.origin.key not in known:
            wanted.setdefault(each.origin.key, each)
    if not wanted:
        return set()
    places = await _places(connection, wanted.values(), now)
    tasks: list[tuple[Any, ...]] = []
    messages: list[tuple[Any, ...]] = []
    added: Counter[str] = Counter()
    for each in wanted.values():
        job_id, day, first = places[each.archive_type]
        position = first + added[each.archive_type]
        added[each.archive_type] += 1
        tasks.append(_task(each, job_id, position))
        messages.append(_message(each, job_id, day, position))
    # Two processes that insert the same key into jobs of two days meet here: one of them is tried again.
    await dialect.insert_many(connection, live_task, _OF_MESSAGE, sorted(messages, key=lambda row: row[0].bytes))
    await dialect.insert_many(connection, task, _OF_TASK, tasks)
    return set(wanted)


async def _known(connection: AsyncConnection, keys: Iterable[UUID]) -> set[UUID]:
    values = KEYS.bind(connection, [(key,) for key in keys])
    return {key for (key,) in await direct.fetch(connection, _knowing(connection.dialect.name), values)}


@lru_cache
def _knowing(dialect_name: str) -> Select[Any]:
    rows = KEYS.clause(dialect_name)
    return select(live_task.c.key).where(live_task.c.key == rows.c.key)


async def _places(connection: AsyncConnection, new: Collection[NewLiveTask], now: datetime) -> dict[str, _Place]:
    """Lets the job of each archive type grow; in the order of their ids, as all callers lock jobs."""
    today = now.astimezone(UTC).date()
    counts = Counter(each.archive_type for each in new)
    first = {each.archive_type: each for each in new}
    ordered = sorted(first.values(), key=lambda each: live_job_id(each.archive_type, today))
    return {
        each.archive_type: await _place(connection, each, counts[each.archive_type], today, now) for each in ordered
    }


async def _place(connection: AsyncConnection, of: NewLiveTask, count: int, day: date, now: datetime) -> _Place:
    while True:
        job_id = live_job_id(of.archive_type, day)
        grow = {"of": job_id, "count": count, "now": now}
        grown = await direct.fetch(connection, _GROWN, grow)
        if not grown:  # there is no such job, or it takes no more
            await jobs.insert_if_absent(connection, _begun(of, job_id, day, now))
            grown = await direct.fetch(connection, _GROWN, grow)
        for (total,) in grown:
            return _Place(job_id, day, total - count)
        day += timedelta(days=1)


def _begun(of: NewLiveTask, job_id: UUID, day: date, now: datetime) -> Job:
    """A job without tasks yet; it takes tasks until the end of its day."""
    new = NewJob(
        job_id,
        of.message_type,
        of.topic,
        of.config_id,
        of.config_id,
        content_hash=content_hash(of.message_type, of.topic, of.config_id, job_id.bytes),
        kind=JobKind.LIVE,
    )
    return replace(begun(new, now), takes_until=datetime.combine(day + timedelta(days=1), time(), UTC))


def _task(new: NewLiveTask, job_id: UUID, position: int) -> tuple[Any, ...]:
    origin, reference = new.origin, new.origin.reference
    trace_id = trace_of_message(origin.traceparent)
    return (job_id, position, origin.key, reference.id, reference.version, trace_id)


def _message(new: NewLiveTask, job_id: UUID, day: date, position: int) -> tuple[Any, ...]:
    origin = new.origin
    of_task = (origin.key, job_id, position, day.toordinal(), new.subject)
    of_message = (origin.message_id, origin.process_id, origin.traceparent, origin.announced)
    if origin.payload is None:
        return (*of_task, *of_message, None, None, None, None, None, None)
    content_type, schema, size = origin.payload
    return (*of_task, *of_message, content_type, *schema, size, new.content)


async def origins(connection: AsyncConnection, keys: Sequence[UUID]) -> dict[UUID, Origin]:
    """What the tasks keep of their messages, without the documents; unknown keys are absent."""
    found = await connection.execute(_origins(connection.dialect.name), KEYS.bind(connection, [(key,) for key in keys]))
    return {row.key: _origin(row) for row in found}


@lru_cache
def _origins(dialect_name: str) -> Select[Any]:
    rows = KEYS.clause(dialect_name)
    message = live_task.c
    return select(
        message.key,
        message.message_id,
        message.process_id,
        message.traceparent,
        message.announced,
        message.content_type,
        message.system,
        message.schema_name,
        message.schema_version,
        message.size,
        task.c.reference_id,
        task.c.reference_version,
    ).where(message.key == rows.c.key, task.c.job_id == message.job_id, task.c.position == message.position)


def _origin(row: Any) -> Origin:
    payload = None
    if row.content_type is not None:
        schema = SchemaName(row.system, row.schema_name, row.schema_version)
        payload = PayloadDescription(row.content_type, schema, row.size)
    return Origin(
        row.key,
        Reference(row.reference_id, row.reference_version),
        row.message_id,
        row.process_id,
        row.traceparent,
        row.announced,
        payload,
    )


async def behind(connection: AsyncConnection, keys: Sequence[UUID]) -> set[UUID]:
    """Those of the tasks that have to wait: the task of an earlier message about the same reference is still open, and
    its source did not say that it has no data."""
    values = KEYS.bind(connection, [(key,) for key in keys])
    return {key for (key,) in await direct.fetch(connection, _behind(connection.dialect.name), values)}


@lru_cache
def _behind(dialect_name: str) -> Select[Any]:
    rows = KEYS.clause(dialect_name)
    earlier = live_task.alias("earlier")
    of_earlier = task.alias("of_earlier")
    waits_for = (
        select(earlier.c.key)
        .join(of_earlier, (of_earlier.c.job_id == earlier.c.job_id) & (of_earlier.c.position == earlier.c.position))
        .where(
            text(f"earlier.{UNENDED}"),
            earlier.c.subject == live_task.c.subject,
            tuple_(earlier.c.day, earlier.c.position) < tuple_(live_task.c.day, live_task.c.position),
            of_earlier.c.state == TaskState.OPEN,
            of_earlier.c.answered.is_(False),
        )
        .correlate(live_task)
        .exists()
    )
    return select(live_task.c.key).where(live_task.c.key == rows.c.key, waits_for)


async def traceparents(connection: AsyncConnection, keys: Sequence[UUID]) -> dict[UUID, str | None]:
    """The `traceparent` of the message of each task."""
    rows = KEYS.clause(connection.dialect.name)
    statement = select(live_task.c.key, live_task.c.traceparent).where(live_task.c.key == rows.c.key)
    found = await connection.execute(statement, KEYS.bind(connection, [(key,) for key in keys]))
    return {key: traceparent for key, traceparent in found}  # noqa: C416 # a row is no pair for mypy


async def payloads(connection: AsyncConnection, keys: Sequence[UUID]) -> dict[UUID, bytes]:
    """The documents of the messages; those that are no longer kept are absent."""
    statement = select(live_task.c.key, live_task.c.payload).where(
        live_task.c.key.in_(bindparam("keys", expanding=True)), live_task.c.payload.is_not(None)
    )
    return {key: payload for key, payload in await connection.execute(statement, {"keys": list(keys)})}  # noqa: C416
