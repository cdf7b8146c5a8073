"""Streams of events: how many there are is known whatever becomes of their clients, and they end with their token."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.api.http.event_streams import MOST, EventStreams
from app.api.http.problems import ApiProblem
from app.api.jobs import events
from app.domain.errors import Unavailable
from app.domain.jobs import Job, JobState
from app.domain.readiness import Readiness
from app.domain.waiting import Waiting, WaitingFor
from app.jobs.control import JobStatus
from tests.support.rows import new_job

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}
NEVER = float("inf")
JOB = new_job([])


def view(**changes: Any) -> JobStatus:
    job: Job = replace(JOB, **changes)
    return JobStatus(job, 0, None, None, None)


@pytest.fixture
def streams() -> EventStreams:
    return EventStreams(Readiness(()), pause=0.01, still_here=0.05)


def looks(*views: JobStatus | Unavailable) -> Callable[[], Awaitable[JobStatus]]:
    """One after the other, the last one again and again."""
    left = list(views)

    async def look() -> JobStatus:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Unavailable):
            raise found
        return found

    return look


async def read(answer: Response) -> str:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    await answer(SCOPE, receive, send)
    return b"".join(message.get("body", b"") for message in sent).decode()


async def test_each_change_is_an_event_until_the_job_ends(streams: EventStreams) -> None:
    done = view(state=JobState.COMPLETED, succeeded=2, total=2)
    look = looks(view(), view(succeeded=1, total=2, open=1), Unavailable("database", "gone"), done)
    text = await read(streams.answer(events.JOB, view(), look, None, NEVER))
    lines = [each.split("\n") for each in text.split("\n\n") if each and not each.startswith(":")]
    assert [each[0] for each in lines] == ["id: open", "id: open", "id: completed"]
    jobs = [json.loads(each[1].removeprefix("data: ")) for each in lines]
    assert [job["counts"]["succeeded"] for job in jobs] == [0, 1, 2]
    assert ": the database cannot be reached at the moment\n\n" in text
    assert streams.open == 0


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\r", "\n", "\r\n"])
async def test_an_event_has_two_lines_whatever_the_job_is_called(streams: EventStreams, end: str) -> None:
    named = view(state=JobState.COMPLETED, started_by_name=f"Jane{end}id: open{end}{end}Doe\\{end}", message=end)
    text = await read(streams.answer(events.JOB, named, looks(named), None, NEVER))
    id_, data, empty = text.splitlines()
    assert (id_, empty) == ("id: completed", "")
    assert json.loads(data.removeprefix("data: "))["startedByName"] == named.job.started_by_name


async def test_a_job_that_stands_still_is_said_to_be_there_until_the_token_ends(streams: EventStreams) -> None:
    text = await read(streams.answer(events.JOB, view(), looks(view()), None, time.time() + 0.2))
    assert text.count("id: open") == 1
    assert text.count(": still here\n\n") >= 2


async def test_what_a_job_waits_for_is_an_event_and_so_is_that_it_stands_still_and_that_it_goes_on(
    streams: EventStreams,
) -> None:
    since = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)
    waiting = Waiting(WaitingFor.SOURCE, "M/c", since, "connection refused", since + timedelta(seconds=30))
    still = replace(view(waiting=waiting), rate=0.0)
    look = looks(
        replace(view(), rate=12.0),  # a rate that only changes is no news
        replace(view(waiting=waiting), rate=12.0),
        replace(view(waiting=waiting), rate=0.1),
        still,
        still,
        replace(view(), rate=0.5),
        view(state=JobState.COMPLETED),
    )
    text = await read(streams.answer(events.JOB, view(), look, None, NEVER))
    seen = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [(each["waiting"] is not None, each["rate"]) for each in seen] == [
        (False, None),
        (True, 12.0),
        (True, 0.0),
        (False, 0.5),
        (False, None),
    ]
    assert seen[1]["waiting"] == {
        "for": "source",
        "name": "M/c",
        "since": "2026-05-08T07:26:37.000Z",
        "reason": "connection refused",
        "nextTry": "2026-05-08T07:27:07.000Z",
    }


async def test_who_knows_that_the_job_has_ended_is_told_not_to_ask_again(streams: EventStreams) -> None:
    done = view(state=JobState.COMPLETED)
    assert streams.answer(events.JOB, done, looks(done), "completed", NEVER).status_code == 204
    assert streams.answer(events.JOB, done, looks(done), "open", NEVER).status_code == 200


async def test_a_stream_whose_client_is_gone_is_not_counted_any_more(streams: EventStreams) -> None:
    async def gone(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def taking(message: Message) -> None: ...

    with pytest.raises(ClientDisconnect):
        await streams.answer(events.JOB, view(), looks(view()), None, NEVER)(SCOPE, receive, gone)
    assert streams.open == 0
    old = {**SCOPE, "asgi": {"spec_version": "2.0"}}  # as uvicorn says: a disconnect cancels the stream
    await streams.answer(events.JOB, view(), looks(view()), None, NEVER)(old, receive, taking)
    assert streams.open == 0


async def test_too_many_are_told_to_come_again(streams: EventStreams) -> None:
    reading = [
        asyncio.create_task(read(streams.answer(events.JOB, view(), looks(view()), None, NEVER))) for _ in range(MOST)
    ]
    await asyncio.sleep(0.05)
    assert streams.open == MOST
    with pytest.raises(ApiProblem) as problem:
        streams.answer(events.JOB, view(), looks(view()), None, NEVER)
    assert problem.value.status == 503
    assert "Retry-After" in problem.value.headers
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert streams.open == 0
