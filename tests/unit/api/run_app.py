"""The endpoints of metadata runs on a database of their own, with documents instead of an object store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import httpx
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.runs import endpoints as metadata_backfills
from app.db.database import Database
from app.metadata.control import RunControl
from app.metadata.definitions import RunOptions
from app.metadata.extract import Extractor
from tests.support.edge import app_of, edge_with
from tests.support.metadata import ENABLED, Documents, opened
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

READER = {"Authorization": f"Bearer {token(scope='backfilljob:read')}"}
WRITER = {"Authorization": f"Bearer {token(scope='backfilljob:write', name='Wanda', ext_id='4711')}"}
PATH = "/api/metadata-backfills"


@dataclass
class RunApp:
    """`woken` counts how often the relay was told that something is due."""

    app: FastAPI
    database: Database
    documents: Documents
    client: httpx.AsyncClient
    woken: int = 0

    async def get(self, path: str = "", **more: Any) -> httpx.Response:
        return await self.client.get(PATH + path, headers=READER, **more)

    async def post(self, path: str = "", **more: Any) -> httpx.Response:
        return await self.client.post(PATH + path, headers={**WRITER, **more.pop("headers", {})}, **more)

    async def start(self, **body: Any) -> dict[str, Any]:
        """The run that was accepted."""
        answer = await self.post(json=body)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    async def mistakes(self, body: Any) -> dict[str, str]:
        """The mistakes that a body is refused for, by place."""
        how = {"content": body, "headers": {"Content-Type": "application/json"}}
        answer = await self.post(**(how if isinstance(body, bytes) else {"json": body}))
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return {each["path"]: each["message"] for each in answer.json()["errors"]}


@asynccontextmanager
async def run_app(url: str, options: RunOptions = ENABLED) -> AsyncIterator[RunApp]:
    app = app_of(metadata_backfills)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    authenticator = Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW)
    async with (
        opened(url) as database,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client,
    ):
        runs = RunApp(app, database, Documents({}), client)

        def wake() -> None:
            runs.woken += 1

        control = RunControl(database, cast("Extractor", runs.documents), options, wake)
        edge_with(app, authenticator=authenticator, run_control=control)
        yield runs
