"""`python -m bench.check` (`make bench-check`): whether a task costs clearly more CPU, in floors, than it did.

`bench/expected.json` has what it cost. A machine may be noisy, so the answer says how sure it is; exit 1 where the cost
is above the limit, sure or not. `--update` writes what was measured as what is expected from now on.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.__main__ import compare, plan_of
from bench.world import world

EXPECTED = Path(__file__).with_name("expected.json")

MOST = 1.15
"""How many times the expected cost is too much."""

RESAMPLED = 10_000


@dataclass(frozen=True, slots=True)
class Judged:
    """`cost`: CPU of a task in floors, the median of the rounds. `sure`: the share of resampled medians on the same
    side of the limit."""

    cost: float
    limit: float
    sure: float

    @property
    def is_above(self) -> bool:
        return self.cost > self.limit


def judge(rounds: Sequence[float], expected: float, dice: random.Random) -> Judged:
    """By a bootstrap: rounds are drawn from the rounds, as many as there are, again and again."""
    cost, limit = statistics.median(rounds), expected * MOST
    medians = [statistics.median(dice.choices(rounds, k=len(rounds))) for _ in range(RESAMPLED)]
    same = sum((median > limit) == (cost > limit) for median in medians)
    return Judged(cost, limit, same / RESAMPLED)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s, some 20 seconds each")
    parser.add_argument("--tasks", type=int, default=1_500, help="of one run (default: %(default)s)")
    parser.add_argument("--update", action="store_true", help="expect what is measured now from now on")
    options = parser.parse_args(given)
    arguments = ["--stores", "sink", "--concurrency", "64", "--only", "compare", "--patience", "20"]
    plan = plan_of([*arguments, "--repetitions", str(options.rounds), "--tasks", str(options.tasks)])
    with world(plan.stores) as servers:
        found = asyncio.run(compare(servers, plan, "sink", 64))
    expected = json.loads(EXPECTED.read_text())
    judged = {name: judge(_in_floors(found, name), cost, random.Random(1)) for name, cost in expected.items()}
    for name, each in judged.items():
        rounds = sorted(_in_floors(found, name))
        print(
            f"{name}: {each.cost:.2f} floors (rounds {rounds[0]:.2f} to {rounds[-1]:.2f}), "
            f"expected {expected[name]:.2f}, limit {each.limit:.2f}: "
            f"{'ABOVE' if each.is_above else 'within'}, {each.sure:.0%} sure"
        )
    if options.update:
        EXPECTED.write_text(json.dumps({name: round(each.cost, 2) for name, each in judged.items()}, indent=2) + "\n")
        return 0
    return int(any(each.is_above for each in judged.values()))


def _in_floors(found: dict[str, list[dict[str, float]]], name: str) -> list[float]:
    return [_cpu(run) / _cpu(floor) for run, floor in zip(found[name], found["floor"], strict=True)]


def _cpu(run: dict[str, float]) -> float:
    return run["cpu"] + run["cpu_children"]


if __name__ == "__main__":
    sys.exit(main())
