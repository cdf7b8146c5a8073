"""`GET /api/system`: every field of its shape, also while the database does not tell; and who may look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import httpx
import pytest

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.system import endpoints as system
from app.api.system.models import SystemView
from app.domain.readiness import ComponentState
from app.domain.system import CommandCounts, DatabaseState, DeadLetters, KnownProcess, SourceState, SystemState
from app.system.overview import Overview
from tests.support.edge import app_of, edge_with
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

READER = {"Authorization": f"Bearer {token(scope='backfilljob:read')}"}
AT, AS_TEXT = datetime(2026, 5, 8, 7, 26, 37, 123_456, tzinfo=UTC), "2026-05-08T07:26:37.123Z"
PROCESS = KnownProcess(UUID(int=1), AT, AT, "1.2.3")
RECORDED = DatabaseState(5, 1, DeadLetters(2, AT), "0007", 4096, [PROCESS])


class Told:
    """In the place of the overview."""

    def __init__(self) -> None:
        self.recorded: DatabaseState | None = RECORDED

    async def now(self) -> SystemState:
        return SystemState(
            components=[ComponentState("database", AT, None), ComponentState("broker", AT, "away")],
            sources=[
                SourceState("M", "one", 8, 3, AT, "connection refused", AT),
                SourceState("N", None, 8, 0, None, None, None),
            ],
            commands=CommandCounts(64, 900),
            recorded=self.recorded,
            configuration=ComponentState("configuration", AT, "topic: missing"),
            release="1.2.3",
            processes=[PROCESS],
        )


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def client(told: Told) -> AsyncIterator[httpx.AsyncClient]:
    app = app_of(system)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    authenticator = Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW)
    edge_with(app, authenticator=authenticator, overview=cast("Overview", told))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as opened:
        yield opened


async def test_everything_that_is_known_is_shown(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/system", headers=READER)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "components": [
            {"name": "database", "well": True, "since": AS_TEXT, "reason": None},
            {"name": "broker", "well": False, "since": AS_TEXT, "reason": "away"},
        ],
        "sources": [
            {
                "name": "M",
                "client": "one",
                "limit": 8,
                "inFlight": 3,
                "restUntil": AS_TEXT,
                "lastFailure": "connection refused",
                "lastFailureAt": AS_TEXT,
            },
            {
                "name": "N",
                "client": None,
                "limit": 8,
                "inFlight": 0,
                "restUntil": None,
                "lastFailure": None,
                "lastFailureAt": None,
            },
        ],
        "work": {"inFlight": 64, "inHand": 900, "due": 5, "waitingJobs": 1},
        "deadLetters": {"count": 2, "lastAt": AS_TEXT},
        "configuration": {"well": False, "reason": "topic: missing", "since": AS_TEXT},
        "release": "1.2.3",
        "database": {"version": "0007", "size": 4096},
        "processes": [{"id": str(PROCESS.id), "startedAt": AS_TEXT, "seenAt": AS_TEXT, "release": "1.2.3"}],
    }


async def test_what_only_the_database_knows_is_null_without_it(client: httpx.AsyncClient, told: Told) -> None:
    told.recorded = None
    answer = await client.get("/api/system", headers=READER)
    assert answer.status_code == 200
    shown = answer.json()
    assert shown["work"] == {"inFlight": 64, "inHand": 900, "due": None, "waitingJobs": None}
    assert shown["deadLetters"] == {"count": None, "lastAt": None}
    assert shown["database"] == {"version": None, "size": None}
    assert [each["id"] for each in shown["processes"]] == [str(PROCESS.id)]
    SystemView.model_validate(shown)


async def test_it_needs_the_role_to_read_jobs_and_takes_no_parameters(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/system")).status_code == 401
    for scope in ("backfilljob:write", "artifact:read"):
        headers = {"Authorization": f"Bearer {token(scope=scope)}"}
        assert (await client.get("/api/system", headers=headers)).status_code == 403
    assert (await client.get("/api/system?verbose=1", headers=READER)).status_code == 400
