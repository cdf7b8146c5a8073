"""`pas serve --processes 2` beside one process: tasks a second, and what of the machine was left for them."""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import httpx

from bench.elsewhere import SOURCE_WAITS, STORE_WAITS
from bench.machine import CORES, Foreign, own, until_quiet
from bench.service import Client, Measured, cpu_seconds
from bench.world import ELSEWHERE, WARM_UP, World

SUCCEEDED = re.compile(r'^pas_tasks_total\{(?:process="(\d+)",)?outcome="succeeded"\} (\S+)$', re.MULTILINE)

WARM_UPS = 20
"""Jobs after which all processes must have archived something: the partitions of the topic are theirs by then."""


@dataclass(frozen=True, slots=True)
class Round:
    """One run. `service`, `servers` and `foreign` are cores that were busy on average: with the processes of the
    service; with Kafka, PostgreSQL, source, store and this benchmark; with others.

    `least`: the smallest share of a process in the tasks. `elsewhere`: CPU seconds of source and store.
    """

    measured: Measured
    service: float
    servers: float
    foreign: float
    least: float
    elsewhere: float

    @property
    def idle(self) -> float:
        return max(0.0, CORES - self.service - self.servers - self.foreign)


async def processes(
    servers: World, tasks: int, repetitions: int, patience: float, ids: Callable[[int], list[str]]
) -> dict[str, Any]:
    """One process and two by turns, each on its own database and topics."""
    async with AsyncExitStack() as stack:
        clients = {count: await stack.enter_async_context(_warm(servers, count, ids)) for count in (1, 2)}
        found: dict[int, list[Round]] = {count: [] for count in clients}
        order = list(clients)
        for _ in range(repetitions):
            for count in order:
                await until_quiet(patience)
                found[count].append(await _measure(servers, clients[count], ids(tasks)))
            order.reverse()
    _print(found)
    return {str(count): [asdict(each) for each in rounds] for count, rounds in found.items()}


@asynccontextmanager
async def _warm(servers: World, count: int, ids: Callable[[int], list[str]]) -> AsyncIterator[Client]:
    done: list[float] = []
    async with servers.service(ELSEWHERE, 64, traces=True, processes=count) as client:
        for _ in range(WARM_UPS):
            await client.measure(ids(WARM_UP))
            done = await _done(client)
            if len(done) == count and min(done) > 0:
                yield client
                return
        raise RuntimeError(f"a process has no work: {done}\n{client.service.log_tail(5)}")


async def _done(client: Client) -> list[float]:
    """Tasks that succeeded, by process."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{client.service.url}/metrics")).text
    return [float(value) for _, value in SUCCEEDED.findall(text)]


async def _measure(servers: World, client: Client, ids: list[str]) -> Round:
    assert servers.elsewhere is not None
    assert servers.elsewhere.process is not None
    elsewhere = servers.elsewhere.process.pid
    before, taken = await _done(client), cpu_seconds(elsewhere)[0]
    others, busy, started = Foreign(), own(), time.monotonic()
    measured = await client.measure(ids)
    seconds, foreign = time.monotonic() - started, others.share()
    ours, taken = own() - busy, cpu_seconds(elsewhere)[0] - taken
    done = [after - each for each, after in zip(before, await _done(client), strict=True)]
    service = measured.cpu + measured.cpu_children
    return Round(measured, service / seconds, (ours - service) / seconds, foreign * CORES, min(done) / sum(done), taken)


def _print(found: dict[int, list[Round]]) -> None:
    one, two = found[1], found[2]
    print(f"\nOne process and two (64 slots each, traces on; medians of {len(one)} alternating runs)\n")
    print(
        f"Source and store are elsewhere: they answer after {SOURCE_WAITS * 1e3:.0f} and {STORE_WAITS * 1e3:.0f} ms.\n"
    )
    print(f"| processes | tasks/s | CPU/task | cores of {CORES}: service | servers | foreign | idle | least share |")
    print("|---|---|---|---|---|---|---|---|")
    for count, rounds in found.items():
        rate, cost = median(r.measured.rate for r in rounds), median(r.measured.cost for r in rounds)
        cores = " | ".join(
            f"{median(getattr(r, part) for r in rounds):.2f}" for part in ("service", "servers", "foreign", "idle")
        )
        print(f"| {count} | {rate:,.0f} | {cost:.0f} µs | {cores} | {median(r.least for r in rounds):.0%} |")
    ratios = sorted(b.measured.rate / a.measured.rate for a, b in zip(one, two, strict=True))
    dearer = median(b.measured.cost / a.measured.cost for a, b in zip(one, two, strict=True))
    taken = median(r.elsewhere / r.measured.tasks * 1e6 for r in (*one, *two))
    print(f"\ntwo ÷ one: {median(ratios):.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})")
    print(
        f"A task of two processes costs {dearer:.2f} times the CPU of a task of one: where each process fills a core "
        f"of its own, two archive {2 / dearer:.2f} times as much as one. Source and store took {taken:.0f} µs a task.",
        flush=True,
    )
