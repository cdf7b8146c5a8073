"""The page on a database of its own, as the embedded service has it, for the tests of this folder."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import httpx
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, ResourceServerOptions
from app.api.auth.dev_issuer import mint, open_issuer
from app.api.http import problems
from app.api.http.bodies import Uploads
from app.api.http.concurrency import ConcurrencyLimit
from app.api.http.event_streams import EventStreams
from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.db import tasks
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.readiness import Readiness
from app.domain.tasks import Settlement
from app.evidence.audit_log import AuditLog
from app.evidence.objects import LockTerms
from app.evidence.proofs import Proofs
from app.evidence.reconcile import Objects, Reconciliation
from app.jobs.archive_types import ArchiveTypes
from app.jobs.control import JobControl
from app.jobs.failures import FailedReferences
from app.jobs.merged_report import MergedReports
from app.jobs.minutes import JobMinutes
from app.jobs.references import JobReferences
from app.jobs.report import Reports
from app.jobs.retry import Retries
from app.objectstore import ObjectStore
from app.process.data_dir import kept_key
from app.sessions.sealing import Sealing
from app.sessions.store import Sessions, SessionTokens
from app.sources.pacing import SourcePacers
from app.system.source_limits import SourceLimits
from app.ui.login.embedded import EmbeddedLogin
from app.ui.page import Page, put_page
from app.ui.router import ROUTERS
from tests.support.audit import nothing_found
from tests.support.core import HISTORY
from tests.support.edge import edge_with
from tests.support.rows import NOW as THEN

CATALOG = Catalog((ArchiveTypeConfiguration("M", "t", uri="https://source.example/{id}", id="c"),))
"""What the jobs of `support.rows.insert_job` are of."""

HTML = {"Accept": "text/html"}


@dataclass
class PageApp:
    app: FastAPI
    page: Page
    database: Database
    data_dir: Path
    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers={**HTML, **headers})

    async def seen(self, path: str) -> str:
        """The HTML of a view."""
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def post(self, path: str, fields: dict[str, str] | None = None, /, **headers: str) -> httpx.Response:
        """A form with the token against forgery of the page that was seen last."""
        token = self.token if fields is None or "token" not in fields else fields["token"]
        return await self.client.post(path, data={**(fields or {}), "token": token}, headers=headers)

    token: str = ""

    async def log_in(self, *roles: str, **changes: Any) -> None:
        """As the developer by one click, or with these roles only."""
        if roles:
            key = await self.page.sessions.begin(SessionTokens(mint(self.data_dir, roles, **changes), 4e9))
            self.client.cookies.set("pas_session", key, path="/ui/")
        else:
            answer = await self.client.post("/ui/login")
            assert answer.status_code == 303, answer.text
        found = re.search(r'name="token" value="(\w+)"', (await self.get("/ui/nothing")).text)
        assert found is not None
        self.token = found[1]

    async def settle(self, *settlements: Settlement) -> None:
        await self.database.run(lambda c: tasks.settle(c, settlements, THEN))


@asynccontextmanager
async def page_app(url: str, data_dir: Path, **more: Any) -> AsyncIterator[PageApp]:
    """`more` are further parts of the edge."""
    app, database = FastAPI(redirect_slashes=False), Database(url)
    problems.install(app)
    edge_with(
        app,
        authenticator=Authenticator(ResourceServerOptions("psf"), open_issuer(data_dir).key_sets()),
        job_control=JobControl(database, HISTORY, lambda: None),
        retries=Retries(database, HISTORY, LiveCatalog(CATALOG), lambda: None),
        reports=Reports(database),
        merged_reports=MergedReports(database),
        failed=FailedReferences(database),
        references=JobReferences(database),
        audit_log=AuditLog(database, None, nothing_found),
        proofs=Proofs(database, cast("ObjectStore", None), signs=False),
        archive_types=ArchiveTypes(database, LiveCatalog(CATALOG), Registry({})),
        reconciliation=Reconciliation(
            database, LiveCatalog(CATALOG), Objects(cast("ObjectStore", None), LockTerms(None))
        ),
        reconciles=ConcurrencyLimit("reconciles", 1, waiting=1),
        uploads=Uploads(1024 * 1024),
        changes=ConcurrencyLimit("changes", 1, waiting=1),
        event_streams=EventStreams(Readiness(()), pause=0.01),
        **more,
    )
    sessions = Sessions(database, Sealing(kept_key(data_dir)))
    page = Page(
        app.state.edge,
        sessions,
        EmbeddedLogin(data_dir),
        JobMinutes(database),
        SourceLimits(database, LiveCatalog(CATALOG), SourcePacers(64), uuid4()),
        "1.2.3",
        "https://traces.example/{traceId}",
    )
    put_page(app, page)
    for router in ROUTERS:
        app.include_router(router)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield PageApp(app, page, database, data_dir, client)
    await database.close()
