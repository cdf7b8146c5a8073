"""The endpoints of jobs on a database of their own, for the tests of this folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.http.concurrency import ConcurrencyLimit
from app.api.jobs import control, failures, references, submit_and_report
from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db import tasks
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import Outcome, Settlement
from app.jobs.control import JobControl
from app.jobs.failures import FailedReferences
from app.jobs.merged_report import MergedReports
from app.jobs.references import JobReferences
from app.jobs.report import Reports
from app.jobs.retry import Retries
from tests.support.core import HISTORY
from tests.support.edge import app_of, edge_with
from tests.support.rows import NOW as THEN
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

READER = {"Authorization": f"Bearer {token(scope='backfilljob:read')}"}
WRITER = {"Authorization": f"Bearer {token(scope='backfilljob:read backfilljob:write')}"}

READ = "Failed reading artifact from source service: "

CATALOG = Catalog((ArchiveTypeConfiguration("M", "t", uri="https://source.example/{id}", id="c"),))
"""What the jobs of `support.rows.insert_job` are of."""


@dataclass
class JobApp:
    """`client` may read and write."""

    app: FastAPI
    database: Database
    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(f"/api/jobs/{path}", headers=headers)

    async def shown(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(f"/api/jobs/{path}", json=body)

    async def settle(self, *settlements: Settlement) -> None:
        await self.database.run(lambda c: tasks.settle(c, settlements, THEN))


@asynccontextmanager
async def job_app(url: str) -> AsyncIterator[JobApp]:
    """The database is migrated."""
    app = app_of(control, failures, references, submit_and_report)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    database = Database(url)
    edge_with(
        app,
        authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW),
        job_control=JobControl(database, HISTORY, lambda: None),
        retries=Retries(database, HISTORY, LiveCatalog(CATALOG), lambda: None),
        reports=Reports(database),
        merged_reports=MergedReports(database),
        failed=FailedReferences(database),
        references=JobReferences(database),
        changes=ConcurrencyLimit("changes", 1, waiting=1),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pas", headers=WRITER) as client:
        yield JobApp(app, database, client)
    await database.close()


def failed(job_id: UUID, position: int, message: str | None = READ + "HTTP 404") -> Outcome:
    return Outcome(TaskId(job_id, position), TaskState.FAILED, message, f"{position:032x}")


def succeeded(job_id: UUID, position: int) -> Outcome:
    return Outcome(TaskId(job_id, position), TaskState.SUCCEEDED)
