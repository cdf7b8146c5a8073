"""`python -m bench`: the service on real servers next to the floor, in some minutes; `--quick` in less than one."""

import argparse
import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.live import live
from bench.machine import Foreign, until_quiet
from bench.processes import processes
from bench.service import Client, Measured
from bench.submissions import submissions
from bench.world import ELSEWHERE, WARM_UP, World, world

PARTS = "compare,growth,answers,submissions,live,processes"

_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    stores: list[str]
    concurrencies: list[int]
    tasks: int
    repetitions: int
    sizes: list[int]
    submissions: list[int]
    parts: list[str]
    against: Path | None
    avro: bool
    patience: float


def main() -> int:
    plan, output = _arguments()
    results: dict[str, Any] = {}
    begin = time.monotonic()
    stores = plan.stores if plan.parts != ["processes"] else []
    if "processes" in plan.parts:
        stores = [*stores, ELSEWHERE]
    with world(stores, avro=plan.avro) as servers:
        asyncio.run(measure(servers, plan, results))
    print(f"\n{time.monotonic() - begin:.0f} s in all; load of the machine at the end {os.getloadavg()[0]:.1f}")
    if output is not None:
        output.write_text(json.dumps(results, indent=2) + "\n")
    return 0


async def measure(servers: World, plan: Plan, results: dict[str, Any]) -> None:
    if "compare" in plan.parts:
        print(f"Cost of a task (10 KB document, source after 20 ms; medians of {plan.repetitions} runs, alternating)\n")
        print("| store, concurrency | run | CPU/task | tasks/s | CPU ÷ floor | rate ÷ floor | others |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for store in plan.stores:
            for concurrency in plan.concurrencies:
                results[f"{store}-{concurrency}"] = await compare(servers, plan, store, concurrency)
    if "growth" in plan.parts:
        results["growth"] = await growth(servers, plan)
    if "answers" in plan.parts:
        results["answers"] = await answers(servers, plan)
    if "submissions" in plan.parts:
        most, rounds = plan.submissions[-1], plan.repetitions
        results["submissions"] = await submissions(servers, plan.stores[0], most, rounds, plan.patience, _ids)
    if "live" in plan.parts:
        store, large = plan.stores[0], plan.submissions[-1]
        results["live"] = await live(servers, store, plan.tasks, plan.repetitions, large)
    if "processes" in plan.parts:
        results["processes"] = await processes(servers, plan.sizes[-1], plan.repetitions, plan.patience, _ids)


async def compare(servers: World, plan: Plan, store: str, concurrency: int) -> dict[str, Any]:
    """Floor and services by turns: what disturbs the machine disturbs them alike."""
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(servers.floor(store))
        runs: dict[str, Callable[[int], Awaitable[Measured]]] = {"floor": lambda n: floor.measure(n, concurrency)}
        for traces, checkout in ((True, None), (False, None), *(((True, plan.against),) if plan.against else ())):
            where = {} if checkout is None else {"checkout": checkout}
            client = await stack.enter_async_context(servers.service(store, concurrency, traces=traces, **where))
            name = f"service{'' if checkout is None else ' (other)'}, traces {'on' if traces else 'off'}"
            runs[name] = lambda n, client=client: client.measure(_ids(n))  # type: ignore[misc]
        if plan.avro:
            avro = await stack.enter_async_context(servers.service(store, concurrency, traces=True, avro=True))
            runs["service, traces on, Avro"] = lambda n: avro.measure(_ids(n))
        for run in runs.values():
            await run(WARM_UP)
        found: dict[str, list[Measured]] = {name: [] for name in runs}
        foreign: dict[str, list[float]] = {name: [] for name in runs}
        order = list(runs)
        for _ in range(plan.repetitions):
            for name in order:
                await until_quiet(plan.patience)
                others = Foreign()
                found[name].append(await runs[name](plan.tasks))
                foreign[name].append(others.share())
            order = order[1:] + order[:1]
    ratios = _against_floor(found)
    for name, measured in found.items():
        cost, rate = median(m.cost for m in measured), median(m.rate for m in measured)
        cpu_ratio, rate_ratio = ratios[name]
        print(
            f"| {store}, {concurrency} | {name} | {cost:.0f} µs | {rate:,.0f} | {cpu_ratio:.2f} | {rate_ratio:.2f} "
            f"| {median(foreign[name]):.0%} |",
            flush=True,
        )
    return {name: [asdict(each) for each in measured] for name, measured in found.items()}


def _against_floor(found: dict[str, list[Measured]]) -> dict[str, tuple[float, float]]:
    """Medians of the ratios to the floor of the same round."""
    return {
        name: (
            median(m.cost / f.cost for m, f in zip(measured, found["floor"], strict=True)),
            median(m.rate / f.rate for m, f in zip(measured, found["floor"], strict=True)),
        )
        for name, measured in found.items()
    }


async def growth(servers: World, plan: Plan) -> dict[str, Any]:
    """Does a task of a big job cost more? Jobs by turns, everything on; up to five small jobs for a big one."""
    store, (small, *larger) = plan.stores[0], plan.sizes
    found: dict[int, list[Measured]] = {size: [] for size in plan.sizes}
    async with servers.service(store, 64, traces=True) as client:
        await client.measure(_ids(WARM_UP))
        for _ in range(min(2, plan.repetitions)):
            for size in larger:
                for _ in range(max(1, min(5, size // small))):
                    found[small].append(await client.measure(_ids(small)))
                found[size].append(await client.measure(_ids(size)))
    print(f"\nCost of a task by size of the job ({store}, 64, traces on)\n")
    print("| references | CPU/task | tasks/s | ÷ the smallest |\n|---|---|---|---|")
    least = median(m.cost for m in found[small])
    for size, measured in found.items():
        cost, rate = median(m.cost for m in measured), median(m.rate for m in measured)
        print(f"| {size:,} | {cost:.0f} µs | {rate:,.0f} | {cost / least:.2f} |", flush=True)
    return {f"{size}": [asdict(each) for each in measured] for size, measured in found.items()}


async def answers(servers: World, plan: Plan) -> dict[str, Any]:
    """What a person waits for: answers of PUT, the report, and a small job behind a big one."""
    store = plan.stores[0]
    found: dict[str, float] = {}
    print(f"\nWhat a person waits for ({store}, 64, traces on)\n\n| what | seconds |\n|---|---|")

    def note(what: str, seconds: float) -> None:
        found[what] = seconds
        print(f"| {what} | {seconds:.2f} |", flush=True)

    async with servers.service(store, 64, traces=True) as client:
        await client.measure(_ids(WARM_UP))
        for size in plan.submissions:
            ids = _ids(size)
            started = time.perf_counter()
            job_id = await client.submit(ids)
            note(f"PUT of {size:,} references", time.perf_counter() - started)
            one = await _one(client)
            note(f"one reference behind {size:,} of an open job, from PUT to its end", one)
            started = time.perf_counter()
            report = await client.report(job_id)
            note(
                f"report of {size:,} references ({len(report) / 1e6:.1f} MB), archiving goes on",
                time.perf_counter() - started,
            )
            if size <= 10_000:
                await client.completed(job_id)
                started = time.perf_counter()
                await client.report(job_id)
                note(f"report of {size:,} references, completed", time.perf_counter() - started)
    return found


async def _one(client: Client) -> float:
    started = time.perf_counter()
    await client.completed(await client.submit(_ids(1)))
    return time.perf_counter() - started


def _ids(count: int) -> list[str]:
    """References that no run had before: objects are written once."""
    run = next(_runs)
    return [f"PSF-{run}-{number:06}" for number in range(count)]


def plan_of(arguments: Sequence[str]) -> Plan:
    """The plan of these arguments of the command line."""
    return _arguments(arguments)[0]


def _arguments(given: Sequence[str] | None = None) -> tuple[Plan, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: few tasks, one repetition")
    parser.add_argument("--stores", default="sink,seaweedfs", help="which object stores (default: %(default)s)")
    parser.add_argument("--concurrency", default="64,256", help="tasks in flight (default: %(default)s)")
    parser.add_argument("--tasks", type=int, help="tasks of one measured run (default: 4000)")
    parser.add_argument("--sizes", help="references of the jobs of growth (default: 1000,20000)")
    parser.add_argument("--repetitions", type=int, help="runs of each kind (default: 3)")
    parser.add_argument("--only", default=PARTS, help="parts (default: %(default)s)")
    parser.add_argument("--against", type=Path, help="another checkout whose service runs as well (before and after)")
    parser.add_argument("--avro", action="store_true", help="a service that publishes in Avro runs as well")
    parser.add_argument(
        "--patience", type=float, default=0, help="seconds to wait before each run for a machine that is idle otherwise"
    )
    parser.add_argument("--json", type=Path, help="file for all single results")
    options = parser.parse_args(given)
    quick = options.quick
    plan = Plan(
        stores=options.stores.split(","),
        concurrencies=[64] if quick else [int(each) for each in options.concurrency.split(",")],
        tasks=options.tasks or (1_000 if quick else 4_000),
        repetitions=options.repetitions or (1 if quick else 3),
        sizes=[int(each) for each in (options.sizes or ("500,2000" if quick else "1000,20000")).split(",")],
        submissions=[2_000] if quick else [10_000, 100_000],
        parts=options.only.split(","),
        avro=options.avro,
        patience=options.patience,
        against=options.against.resolve() if options.against else None,
    )
    return plan, options.json


if __name__ == "__main__":
    sys.exit(main())
