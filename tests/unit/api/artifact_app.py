"""The endpoints of artifacts on a database and an object store of their own, for the tests of this folder."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.artifacts import endpoints as artifacts
from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.evidence.audit_log import AuditLog
from app.metadata.content import Contents
from app.objectstore.filesystem import FilesystemObjectStore
from tests.support.audit import nothing_found
from tests.support.edge import app_of, edge_with
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token
from tests.unit.metadata.archived import Archived, open_archived
from tests.unit.objectstore.uploads import upload_to

BEARER = {"Authorization": f"Bearer {token(scope='artifact:read')}"}


@dataclass
class ArtifactApp:
    """`archived` and `objects` are what `client`, who may read, asks for."""

    app: FastAPI
    archived: Archived
    objects: FilesystemObjectStore
    directory: Path
    client: httpx.AsyncClient

    async def store(self, content: bytes, **more: Any) -> int:
        """Archives a document; returns its id. `more` is as of `Archived.add`."""
        key = f"PSF/Decree/{self.archived.count}"
        put = await self.objects.put(upload_to("archive", key, content))
        return await self.archived.add(content=content, key=key, version_id=put.version_id, **more)

    def file_of(self, number: int) -> Path:
        """The file of the document that was stored as this one, from 0."""
        [found] = (self.directory / "objects/archive").glob(f"PSF/Decree/{number}/*[!n]")
        return found

    async def get(self, query: str = "", **headers: str) -> httpx.Response:
        return await self.client.get(f"/api/artifacts{query}", headers=headers)

    async def items(self, query: str = "") -> list[dict[str, Any]]:
        answer = await self.get(query)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def mistakes(self, query: str) -> dict[str, str]:
        """The mistakes that a search is refused for, by parameter."""
        answer = await self.get(query)
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return {each["path"]: each["message"] for each in json.loads(answer.content)["errors"]}


@asynccontextmanager
async def artifact_app(directory: Path, url: str) -> AsyncIterator[ArtifactApp]:
    app = app_of(artifacts)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    authenticator = Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW)
    archived = await open_archived(url)
    objects = FilesystemObjectStore(directory / "objects")
    await objects.prepare(["archive"], [])
    edge_with(
        app,
        authenticator=authenticator,
        artifacts=archived.artifacts,
        contents=Contents(objects),
        audit_log=AuditLog(archived.database, None, nothing_found),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pas", headers=BEARER) as client:
        yield ArtifactApp(app, archived, objects, directory, client)
    await objects.close()
    await archived.database.close()
