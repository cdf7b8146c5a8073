"""Who may ask a source, and when; an outage as tasks live through it."""

import asyncio
from collections import Counter, deque

import pytest

from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.sources.congestion import LONGEST_PAUSE
from app.sources.pacing import LastFailure, Pacer, SourceBusy, SourcePacers, backoff, source_key
from tests.unit.sources.virtual import at_once, now


def pacer(slots: int = 64, patience: float = 5.0) -> Pacer:
    return Pacer(slots, patience=patience, clock=asyncio.get_running_loop().time)


async def ask(pacer: Pacer, seconds: float = 0.02, failure: Exception | None = None) -> None:
    async with pacer.attempt() as attempt:
        await asyncio.sleep(seconds)
        if failure is None or "HTTP" in str(failure):
            attempt.answered()
        if failure is not None:
            raise failure


def down() -> TransientFailure:
    return TransientFailure("connection refused", unreachable=True)


async def closed(slots: int = 64) -> Pacer:
    found = pacer(slots)
    for _ in range(3):
        with pytest.raises(TransientFailure):
            await ask(found, 0, down())
    assert found.limit == 1
    return found


def test_requests_beyond_the_limit_wait_in_their_order() -> None:
    async def story() -> list[int]:
        gate, order = pacer(slots=2), []

        async def one(index: int) -> None:
            async with gate.attempt():
                assert gate.in_flight <= 2
                order.append(index)
                await asyncio.sleep(0.1)

        await asyncio.gather(*map(one, range(10)))
        assert (gate.in_flight, gate.waiting) == (0, 0)
        assert now() == pytest.approx(0.5)
        return order

    assert at_once(story()) == list(range(10))


def test_the_last_failure_of_each_client_is_known_with_its_age_also_when_the_source_is_back() -> None:
    async def story() -> None:
        gate = pacer()
        assert (gate.last_failure(None), gate.rest) == (None, 0)
        for cause in ("HTTP 500", "read timed out after 5s"):
            with pytest.raises(TransientFailure):
                async with gate.attempt("one"):
                    raise TransientFailure(cause)
        with pytest.raises(PermanentFailure):
            async with gate.attempt():
                raise PermanentFailure("Failed reading artifact from source service: HTTP 404")
        await asyncio.sleep(3)
        async with gate.attempt("one"):
            pass
        assert gate.last_failure("one") == LastFailure("read timed out after 5s", 3)
        assert gate.last_failure(None) is None, "what is wrong with a record is no failure of its source"

    at_once(story())


def test_a_rest_is_told_until_it_is_over() -> None:
    async def story() -> None:
        gate = pacer()
        with pytest.raises(TransientFailure):
            await ask(gate, 0, TransientFailure("HTTP 503", throttled=True, retry_after=10))
        assert gate.rest == pytest.approx(10)
        await asyncio.sleep(12)
        assert gate.rest == 0

    at_once(story())


def test_who_waits_longer_than_5_s_is_put_back() -> None:
    async def story() -> None:
        gate = pacer(slots=1)
        slow = asyncio.create_task(ask(gate, 20))
        await asyncio.sleep(0)
        with pytest.raises(SourceBusy) as busy:
            await ask(gate)
        assert now() == pytest.approx(5)
        assert 1 <= busy.value.not_before_seconds <= 3
        assert busy.value.reason == "the source is busy"
        await slow
        await ask(gate)
        assert (gate.in_flight, gate.waiting) == (0, 0)

    at_once(story())


def test_a_pause_beyond_5_s_puts_back_at_once_also_those_who_wait() -> None:
    async def story() -> None:
        gate = pacer(slots=1)
        throttled = TransientFailure("HTTP 429", throttled=True, retry_after=60)
        first = asyncio.create_task(ask(gate, 1, throttled))
        await asyncio.sleep(0)
        results = await asyncio.gather(first, *(ask(gate) for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [TransientFailure] + [SourceBusy] * 5
        assert now() == pytest.approx(1)
        with pytest.raises(SourceBusy) as busy:
            await ask(gate)
        assert 60 <= busy.value.not_before_seconds <= 62
        assert busy.value.reason == "the source is given a rest, its last failure: HTTP 429"
        await asyncio.sleep(60)
        await ask(gate)

    at_once(story())


def test_a_short_pause_is_waited_for() -> None:
    async def story() -> None:
        gate = await closed()
        began = now()
        await ask(gate)
        assert 0.3 < now() - began < 0.6

    at_once(story())


def test_a_source_that_is_away_is_asked_one_at_a_time() -> None:
    async def story() -> None:
        gate = await closed()
        most = 0

        async def one() -> None:
            nonlocal most
            async with gate.attempt():
                most = max(most, gate.in_flight)
                await asyncio.sleep(0.1)
                raise down()

        await asyncio.gather(*(one() for _ in range(20)), return_exceptions=True)
        assert most == 1

    at_once(story())


def test_who_stops_waiting_takes_no_place() -> None:
    async def story() -> None:
        gate = pacer(slots=1)
        first = asyncio.create_task(ask(gate, 1))
        waiting = [asyncio.create_task(ask(gate, 1)) for _ in range(3)]
        await asyncio.sleep(0.5)
        waiting[0].cancel()
        await asyncio.sleep(0.5)  # the first ends: the second in line is admitted in this very moment
        waiting[1].cancel()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert (gate.in_flight, gate.waiting) == (0, 0)

    at_once(story())


@pytest.mark.parametrize("failure", [PermanentFailure("HTTP 404"), NoArchiveData()])
def test_a_source_that_has_no_document_is_healthy(failure: Exception) -> None:
    async def story() -> None:
        gate = pacer()
        for _ in range(100):
            with pytest.raises(type(failure)):
                await ask(gate, 0, failure)
        assert gate.limit == 64

    at_once(story())


def test_a_source_gets_half_of_the_slots_where_another_has_work() -> None:
    async def story() -> None:
        pacers = SourcePacers(64)
        gate = pacers.of("http://a:80")
        for _ in range(100):
            await ask(gate, 0)
        assert pacers.limit("http://a:80", others_have_work=False, slots=64) == 64
        assert pacers.limit("http://a:80", others_have_work=True, slots=64) == 32
        assert pacers.limit("http://a:80", others_have_work=True, slots=1) == 1
        for _ in range(3):
            with pytest.raises(TransientFailure):
                await ask(gate, 0, down())
        assert pacers.limit("http://a:80", others_have_work=False, slots=64) == 1
        assert pacers.limit("http://b:80", others_have_work=True, slots=64) > 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("https://Example.org/docs/{id}", "https://example.org:443"),
        ("https://example.org:443/other?id={id}", "https://example.org:443"),
        ("http://127.0.0.1:8080/{id}", "http://127.0.0.1:8080"),
        ("http://[::1]/{id}", "http://::1:80"),
    ],
)
def test_a_source_is_scheme_host_and_port(template: str, key: str) -> None:
    assert source_key(template) == key


def test_the_pause_after_a_failed_attempt_doubles_with_jitter_up_to_30_s() -> None:
    for attempt, full in ((1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (1000, 30.0)):
        pauses = [backoff(attempt, 0.5) for _ in range(200)]
        assert full / 2 <= min(pauses) < max(pauses) <= full
        assert max(pauses) - min(pauses) > full / 5


def test_the_pause_is_never_shorter_than_the_source_asked_for() -> None:
    assert 12 <= backoff(1, 0.5, retry_after=12) <= 12.5
    assert backoff(7, 0.5, retry_after=0) >= 15


SLOTS, ATTEMPTS, BASE = 64, 4, 0.5


async def outage(failure: TransientFailure, began: float, ended: float, tasks: int, latency: float) -> Counter[str]:
    """Runs the tasks through a source that fails between two moments, as pipeline and scheduler would."""
    gate, count, held = pacer(SLOTS), Counter[str](), 0.0
    work = deque((0.0, 0) for _ in range(tasks))  # (not before, attempts used)
    later: list[tuple[float, int]] = []

    async def one(used: int) -> None:
        nonlocal held
        while True:
            try:
                bad = began <= now() < ended
                await ask(gate, latency if bad else 0.02, failure if bad else None)
                count["succeeded"] += 1
                return
            except SourceBusy as busy:
                held = now() + busy.not_before_seconds  # the job rests
                later.append((held, used))
                count["put back"] += 1
                return
            except TransientFailure as error:
                used += 1
                count["failed attempts"] += 1
                if used == ATTEMPTS:
                    count["failed"] += 1
                    return
                pause = backoff(used, BASE, error.retry_after)
                if pause > 5:
                    later.append((now() + pause, used))
                    return
                await asyncio.sleep(pause)

    async def slot(index: int) -> None:
        while count["succeeded"] + count["failed"] < tasks:
            later.sort()
            if index >= gate.limit or now() < held:
                await asyncio.sleep(0.25)
            elif later and later[0][0] <= now():
                await one(later.pop(0)[1])
            elif work:
                await one(work.popleft()[1])
            else:
                await asyncio.sleep(0.25)

    await asyncio.gather(*map(slot, range(SLOTS)))
    count["seconds"] = int(now())
    return count


@pytest.mark.parametrize(
    ("failure", "latency"),
    [
        (TransientFailure("connection refused", unreachable=True), 0.001),
        (TransientFailure("read timed out after 5s", unreachable=True), 5.0),
        (TransientFailure("HTTP 500", unreachable=True), 0.01),
        (TransientFailure("HTTP 503", throttled=True), 0.01),
        (TransientFailure("HTTP 429", throttled=True, retry_after=2), 0.01),
    ],
    ids=lambda value: str(value),
)
def test_a_source_that_is_down_for_30_s_costs_next_to_no_task(failure: TransientFailure, latency: float) -> None:
    count = at_once(outage(failure, began=0.5, ended=30.5, tasks=2_000, latency=latency))
    assert count["failed"] <= 3
    assert count["failed attempts"] < 2 * SLOTS
    assert count["put back"] < 1_000
    assert count["seconds"] < 30.5 + LONGEST_PAUSE + 10
