"""A look that fails, in whatever way, is named and repeated; only a refusal ends the watch."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from app.domain.errors import Unavailable
from app.domain.readiness import DATABASE, OBJECT_STORE, Readiness
from app.process.watch import Watch


class Refused(Exception):
    pass


def watch_of(readiness: Readiness, *answers: Exception | None) -> Watch:
    """A watch whose looks end like this, one after the other, and well from then on."""
    left: Iterator[Exception | None] = iter(answers)

    async def look() -> None:
        answer = next(left, None)
        if answer is not None:
            raise answer

    return Watch(readiness, {DATABASE: look}, refusal=Refused, soon=0)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Unavailable(DATABASE, "is away"), "is away"),
        (TimeoutError(), "no answer within 20 s"),
        (RuntimeError("secret"), "looking at it failed unexpectedly (RuntimeError); the log has more"),
        (KeyError("x"), "looking at it failed unexpectedly (KeyError); the log has more"),
    ],
)
async def test_a_look_that_fails_is_named_and_the_next_one_clears_it(failure: Exception, said: str) -> None:
    readiness = Readiness((DATABASE,))
    reasons: list[str] = []
    noted = readiness.probe_failed
    readiness.probe_failed = lambda component, reason: reasons.append(reason) or noted(component, reason)  # type: ignore[method-assign,func-returns-value]
    watch = watch_of(readiness, failure, failure)
    running = asyncio.create_task(watch.run())
    assert await watch.seen(asyncio.Event(), DATABASE)
    assert not running.done()
    running.cancel()
    assert reasons == [said, said]
    assert readiness.ready


async def test_an_unexpected_error_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    watch = watch_of(Readiness((DATABASE,)), *[RuntimeError("a bug")] * 3)
    running = asyncio.create_task(watch.run())
    with caplog.at_level(logging.ERROR):
        assert await watch.seen(asyncio.Event(), DATABASE)
    running.cancel()
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_refusal_ends_the_watch() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await watch_of(Readiness((DATABASE,)), RuntimeError(), Refused("older")).run()
    assert isinstance(caught.value.exceptions[0], Refused)


async def test_what_was_in_the_way_of_a_look_is_waited_for_no_longer_than_it_is_away() -> None:
    """A database that is being migrated: the object store, which needs it, is looked at once it is there."""
    prepared = asyncio.Event()
    looks = 0

    async def database() -> None:
        await prepared.wait()

    async def buckets() -> None:
        nonlocal looks
        looks += 1
        if not prepared.is_set():
            raise Unavailable(DATABASE, "is being prepared")

    watch = Watch(Readiness((DATABASE, OBJECT_STORE)), {DATABASE: database, OBJECT_STORE: buckets}, soon=600)
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert looks == 1
    prepared.set()
    async with asyncio.timeout(10):
        assert await watch.seen(asyncio.Event(), DATABASE, OBJECT_STORE)
    running.cancel()
    assert looks == 2


async def test_what_was_in_the_way_and_is_there_already_does_not_make_looks_follow_at_once() -> None:
    watch = Watch(Readiness((DATABASE, OBJECT_STORE)), {DATABASE: there, OBJECT_STORE: (again := InTheWay()).look})
    running = asyncio.create_task(watch.run())
    assert await watch.seen(asyncio.Event(), DATABASE)
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    assert again.looks <= 2


async def there() -> None: ...


class InTheWay:
    looks = 0

    async def look(self) -> None:
        self.looks += 1
        raise Unavailable(DATABASE, "was away again")
