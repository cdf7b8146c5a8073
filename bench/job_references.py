"""`python -m bench.job_references`: a job of 1,000,000 references, 400,000 of them failed of 50 causes, on PostgreSQL.

How long failures and pages of references take, wherever they are and whatever is asked for, and what CSV takes in time and
memory. Rows are written as the service writes them; beside them lies another job of the same size. Exit 1 where failures
take 1 s or a page 100 ms. `--sqlite`: on SQLite instead.
"""

import argparse
import asyncio
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.api.jobs.reference_rows import csv_rows
from app.db import jobs, migrations, tasks
from app.db.database import Database
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.references import Wanted
from app.domain.tasks import Outcome
from app.jobs.failures import FailedReferences
from app.jobs.references import References
from tests.servers import Postgres
from tests.support.rows import NOW, new_job

CAUSES = 50
PAGE = 100
FAILURES_LIMIT, PAGE_LIMIT = 1.0, 0.1
BATCH = 1_000


def message(number: int) -> str:
    """The causes are not equally frequent, and no two messages of one need be equal."""
    cause = min(int(random.expovariate(0.1)), CAUSES - 1)
    return (
        f"Archive data does not match schema PSF/OsvRecord version 1: $.lines[{number % 977}].field{cause}: must be integer"
    )


async def fill(database: Database, count: int, share: float) -> UUID:
    """Failures come in stretches, as sources fail: the third tenth has nearly none, the last four tenths most."""
    references = [Reference(f"DOC-{random.getrandbits(32):08x}-{number}", 1) for number in range(count)]
    new = new_job(references)
    await database.run(lambda c: jobs.insert_if_absent(c, new))
    await database.run(lambda c: jobs.insert_tasks(c, new.id, references))
    first = int(count * (1 - share)) - count // 10
    failing = {*random.sample(range(first), count // 10), *range(int(count * (1 - share)), count)}
    failing = set(sorted(failing)[: int(count * share)])
    for start in range(0, count, BATCH):
        outcomes = [
            Outcome(TaskId(new.id, n), TaskState.FAILED, message(n), f"{n:032x}")
            if n in failing
            else Outcome(TaskId(new.id, n), TaskState.SUCCEEDED)
            for n in range(start, min(start + BATCH, count))
        ]
        at = NOW + timedelta(seconds=start / 1000)
        await database.run(lambda c, o=outcomes, at=at: tasks.settle(c, o, at))  # type: ignore[misc]
    return new.id
