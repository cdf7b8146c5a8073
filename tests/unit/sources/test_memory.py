"""The byte budget: documents wait for room, and never for each other for ever."""

import asyncio
import random

import pytest

from app.domain.jobs import Reference
from app.sources.memory import FIRST_SHARE, ByteBudget, Lease
from tests.unit.sources.server import ARCHIVE, TRACEPARENT, Request, answer, chunked, document, serving, sources
from tests.unit.sources.virtual import at_once

KIB = 1024


def started(budget: ByteBudget, lease: Lease, size: int) -> "asyncio.Task[None]":
    return asyncio.create_task(lease.resize(size))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_new_documents_wait_for_room() -> None:
    budget = ByteBudget(2 * FIRST_SHARE)
    first, second = await budget.lease(), await budget.lease()
    third = asyncio.create_task(budget.lease())
    await settle()
    assert not third.done()
    first.release()
    (await third).release()
    second.release()
    assert budget.used == 0


async def test_a_small_document_gives_back_what_it_does_not_need() -> None:
    budget = ByteBudget(3 * FIRST_SHARE)
    for _ in range(8):
        await (await budget.lease()).resize(10 * KIB)
    assert budget.used == 80 * KIB


async def test_one_document_larger_than_the_budget_is_possible() -> None:
    budget = ByteBudget(10 * KIB)
    lease = await budget.lease()
    await lease.resize(1000 * KIB)
    waiting = asyncio.create_task(budget.lease())
    await settle()
    assert not waiting.done()
    lease.release()
    (await waiting).release()
    assert budget.used == 0


async def test_growing_waits_while_somebody_works() -> None:
    budget = ByteBudget(256 * KIB)
    done, growing = await budget.lease(), await budget.lease()
    await done.resize(150 * KIB)
    task = started(budget, growing, 120 * KIB)
    await settle()
    assert not task.done()
    done.release()
    await task
    assert budget.used == 120 * KIB


async def test_when_all_wait_for_all_exactly_one_may_exceed_the_limit() -> None:
    budget = ByteBudget(256 * KIB)
    leases = [await budget.lease() for _ in range(4)]
    tasks = [started(budget, lease, 200 * KIB) for lease in leases]
    await settle()
    assert [task.done() for task in tasks] == [True, False, False, False]
    await leases[0].resize(500 * KIB)
    await settle()
    assert [task.done() for task in tasks] == [True, False, False, False]
    leases[0].release()
    await settle()
    for lease, task in zip(leases[1:], tasks[1:], strict=True):
        await asyncio.wait_for(task, 1)
        lease.release()
    assert budget.used == 0


async def test_documents_under_way_go_before_new_ones() -> None:
    budget = ByteBudget(256 * KIB)
    done, growing = await budget.lease(), await budget.lease()
    await done.resize(192 * KIB)
    grown, entered = started(budget, growing, 128 * KIB), asyncio.create_task(budget.lease())
    await settle()
    assert (grown.done(), entered.done()) == (False, False)
    done.release()
    await grown
    (await entered).release()
    growing.release()
    assert budget.used == 0


async def test_who_stops_waiting_takes_nothing() -> None:
    budget = ByteBudget(FIRST_SHARE)
    first = await budget.lease()
    entering = [asyncio.create_task(budget.lease()) for _ in range(3)]
    await settle()
    entering[0].cancel()
    await settle()
    first.release()  # admits the second, which is cancelled before it notices
    entering[1].cancel()
    await settle()
    assert [task.cancelled() for task in entering[:2]] == [True, True]
    (await entering[2]).release()
    assert budget.used == 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_all_end_and_the_limit_is_exceeded_by_one_at_most(seed: int) -> None:
    chance, limit, largest, most = random.Random(seed), 1000 * KIB, 900 * KIB, 0

    async def story() -> None:
        budget = ByteBudget(limit)

        async def one() -> None:
            nonlocal most
            lease = await budget.lease()
            try:
                size = 0
                for _ in range(chance.randrange(1, 6)):
                    size = min(size + chance.randrange(1, 400 * KIB), largest)
                    await lease.resize(size)
                    most = max(most, budget.used)
                    await asyncio.sleep(chance.random())
            finally:
                lease.release()

        tasks = [asyncio.create_task(one()) for _ in range(100)]
        for task in chance.sample(tasks, 10):
            asyncio.get_running_loop().call_later(chance.random() * 20, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (budget.used, budget.leases, len(budget.growing)) == (0, 0, 0)

    at_once(story())
    assert most <= limit + largest


async def test_waiting_for_memory_trips_no_timeout() -> None:
    async with (
        serving(document(b"x" * 500_000)) as server,
        sources(timeout=0.1, total_timeout=0.15, max_bytes_in_flight=600_000) as client,
    ):

        async def hold(id: str) -> int:
            async with client.fetching(server.configuration(), Reference(id), TRACEPARENT) as found:
                await asyncio.sleep(0.1)
                return len(found.content)

        assert await asyncio.gather(*(hold(str(id)) for id in range(3))) == [500_000] * 3
        assert client._budget.used == 0


async def test_documents_count_until_their_block_ends() -> None:
    async with serving(document(b"x" * 5000)) as server, sources() as client:
        async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
            assert client._budget.used == 5000
        assert client._budget.used == 0


async def test_documents_of_unknown_length_and_a_tiny_budget_all_arrive() -> None:
    bodies = {f"/docs/{size}": b"x" * size for size in range(100_000, 900_000, 50_000)}

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        body = bodies[request.target]
        if len(body) % 100_000:
            writer.write(answer(200, ARCHIVE, body))
        else:
            writer.write(chunked(*(body[i : i + 30_000] for i in range(0, len(body), 30_000))))

    async with serving(respond) as server, sources(max_bytes_in_flight=300_000) as client:

        async def fetch(target: str) -> bytes:
            id = target.removeprefix("/docs/")
            async with client.fetching(server.configuration(), Reference(id), TRACEPARENT) as found:
                return found.content

        assert await asyncio.gather(*map(fetch, bodies)) == list(bodies.values())
        assert client._budget.used == 0
