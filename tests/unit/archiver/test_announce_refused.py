"""An event that its topic refuses: the task is put back, the topic is named, and all other events go on."""

from datetime import UTC, datetime
from typing import cast
from uuid import UUID, uuid4

import pytest

from app.archiver.announce import REFUSED_PAUSE, EventOptions, announce
from app.archiver.fetch import PutBackTask
from app.broker import Broker, Message, MessageRejected
from app.broker.messages import Publisher
from app.domain.artifacts import ArchiveTask
from app.domain.errors import Unavailable
from app.domain.jobs import Reference, TaskId
from app.domain.readiness import BROKER, UNWATCHED, Readiness
from tests.support.rows import stored_artifact

OPTIONS = EventOptions("archived", Publisher("PSF", "pas"))
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Topic:
    """Answers sends with what it is told, in order, then takes everything."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.sent.append(message)


def task(job_id: UUID) -> ArchiveTask:
    return ArchiveTask(
        id=TaskId(job_id, 0),
        reference=Reference("a"),
        message="M",
        config_id=None,
        job_started=datetime.now(UTC),
        attempts=2,
        max_attempts=3,
        command_id=f"{job_id}-a",
        trace_id="1" * 32,
        stored=None,
    )


async def send(topic: Topic, readiness: Readiness) -> None:
    await announce(cast("Broker", topic), readiness, OPTIONS, stored_artifact(), task(uuid4()), PARENT)


async def test_a_refused_event_puts_its_task_back_with_its_attempts_kept() -> None:
    topic, readiness = Topic(MessageRejected("archived", "set its max.message.bytes to 2048 or more")), Readiness(())
    with pytest.raises(PutBackTask) as put_back:
        await send(topic, readiness)
    assert (put_back.value.seconds, put_back.value.attempts) == (REFUSED_PAUSE, 2)
    assert not put_back.value.whole_source, "smaller events of the job go on"
    assert put_back.value.reason == (
        "Failed publishing archived artifact event: topic archived: set its max.message.bytes to 2048 or more"
    )
    assert readiness.problems == {"topic archived": "set its max.message.bytes to 2048 or more"}
    await send(topic, readiness)
    assert "topic archived" in readiness.problems, "an event that fits says nothing of one that does not"


async def test_a_refusal_says_nothing_of_the_broker() -> None:
    readiness = Readiness(())
    readiness.work_waits(BROKER, "away")
    with pytest.raises(PutBackTask):
        await send(Topic(MessageRejected("archived", "too large")), readiness)
    assert BROKER in readiness.problems


async def test_an_outage_of_the_broker_is_waited_for() -> None:
    topic, readiness = Topic(Unavailable(BROKER, "away")), Readiness(())
    await send(topic, readiness)
    assert len(topic.sent) == 1
    assert readiness.problems == {}


def test_a_refused_event_is_tried_again_before_its_problem_is_forgotten() -> None:
    assert REFUSED_PAUSE < UNWATCHED - 20
