"""What may be submitted is listed with its schemas and the time of the last artifact."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.api.archive_types import endpoints as archive_types
from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.catalog.registry import load_registry
from app.db import artifacts
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath
from app.domain.artifacts import ArchivedArtifact
from app.domain.jobs import Reference
from app.domain.live_rules import LiveRule, ReferencePaths
from app.domain.paths import parse_path
from app.jobs.archive_types import ArchiveTypes
from tests.servers.fetch import REPOSITORY
from tests.support.edge import app_of, edge_with
from tests.support.rows import NOW as THEN
from tests.support.rows import stored_artifact
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

PLAIN = ArchiveTypeConfiguration("M", "t", uri="https://source.example/{id}")
VERSIONED = ArchiveTypeConfiguration(
    "N", "n", "https://source.example/{id}/{version}", "client", "one", (ExtractionPath("customer", "$.c"),)
)
PAYLOAD = ArchiveTypeConfiguration("P", "p", live=LiveRule(ReferencePaths(parse_path("references.p.id"))))
READER = {"Authorization": f"Bearer {token(scope='backfilljob:read')}"}


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(url)
    yield opened
    await opened.close()


@pytest.fixture
async def live() -> LiveCatalog:
    return LiveCatalog(Catalog((PLAIN, VERSIONED, PAYLOAD)))


@pytest.fixture
async def client(database: Database, live: LiveCatalog) -> AsyncIterator[httpx.AsyncClient]:
    app = app_of(archive_types)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    authenticator = Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW)
    registry = load_registry(REPOSITORY / "contracts/archive-types")
    edge_with(app, authenticator=authenticator, archive_types=ArchiveTypes(database, live, registry))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as opened:
        yield opened


async def items(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/api/archive-types", headers=READER)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def archive(database: Database, configuration: ArchiveTypeConfiguration, at: datetime, version_id: str) -> None:
    stored = replace(stored_artifact(version_id), archived_at=at)
    archived = ArchivedArtifact(
        stored, uuid4(), Reference(version_id), configuration.message_type, configuration.id, 0, {}
    )
    await database.run(lambda c: artifacts.insert(c, [archived]))


async def test_each_configuration_says_what_it_takes(client: httpx.AsyncClient) -> None:
    found = await items(client)
    assert found[1] == {
        "messageType": "N",
        "topic": "n",
        "configId": "one",
        "remote": True,
        "versioned": True,
        "live": False,
        "uri": "https://source.example/{id}/{version}",
        "oauthClientId": "client",
        "metadataKeys": ["customer"],
        "lastArchivedAt": None,
    }
    shown = [(each["messageType"], each["configId"], each["remote"], each["versioned"], each["live"]) for each in found]
    assert shown == [("M", None, True, False, False), ("N", "one", True, True, False), ("P", None, False, False, True)]


async def test_the_last_artifact_of_each_is_known(client: httpx.AsyncClient, database: Database) -> None:
    for number in range(3):
        await archive(database, PLAIN, THEN + timedelta(seconds=number), f"m{number}")
    await archive(database, VERSIONED, datetime(2025, 1, 1, tzinfo=UTC), "n")
    await archive(database, replace(VERSIONED, id="two"), THEN, "other")
    last = [each["lastArchivedAt"] for each in await items(client)]
    assert last == ["2026-05-08T07:26:39.123Z", "2025-01-01T00:00:00.000Z", None]


async def test_what_is_configured_now_is_shown(client: httpx.AsyncClient, live: LiveCatalog) -> None:
    live.now = Catalog((PAYLOAD,))
    assert [each["messageType"] for each in await items(client)] == ["P"]
    live.now = Catalog(())
    assert await items(client) == []


async def test_schemas_are_listed_with_all_their_versions(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/archive-types", headers=READER)).json()
    assert answer["next"] is None
    found = {f"{each['system']}/{each['name']}": each for each in answer["schemas"]}
    assert found["PSF/OsvRecord"] == {
        "system": "PSF",
        "name": "OsvRecord",
        "versions": [1],
        "referenceIdType": "org.python.advisory.OsvRecord",
        "expirationDays": 90,
    }


async def test_it_needs_the_role_to_read_jobs(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/archive-types")).status_code == 401
    for scope in ("backfilljob:write", "artifact:read"):
        headers = {"Authorization": f"Bearer {token(scope=scope)}"}
        assert (await client.get("/api/archive-types", headers=headers)).status_code == 403
