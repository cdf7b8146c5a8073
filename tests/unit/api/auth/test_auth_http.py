"""Authentication as a client sees it: status, challenge, problem; decided before the body is read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from app.api.auth.callers import (
    Authenticator,
    IssuerOptions,
    KeySets,
    ResourceServerOptions,
)
from app.api.edge import MayReadArtifacts, MayReadJobs, MayWriteJobs
from app.api.http import problems
from tests.support.edge import edge_with
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, jwk, jwks, private_key, token


def app_of(server: FakeJwks, clock: Clock | None = None) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    sets = KeySets.fetched(
        [IssuerOptions(ISSUER, "https://issuer.example/jwks")], server.client, None, clock or Clock()
    )
    edge_with(app, authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW))

    @app.put("/jobs", responses=problems.responses(401, 403, 503))
    async def write(request: Request, caller: MayWriteJobs) -> dict[str, Any]:
        return {"by": caller.name, "bytes": len(await request.body())}

    @app.get("/jobs")
    async def read(caller: MayReadJobs) -> str | None:
        return caller.ext_id

    @app.get("/artifacts")
    async def artifacts(caller: MayReadArtifacts) -> str:
        return caller.subject

    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas")


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(**claims)}"}


async def test_a_caller_with_the_role_comes_through() -> None:
    async with client_of(app_of(FakeJwks())) as client:
        written = await client.put(
            "/jobs", content=b"1234", headers=bearer(userroles=["psf_@backfilljob_#write"], name="Wanda")
        )
        assert (written.status_code, written.json()) == (200, {"by": "Wanda", "bytes": 4})
        assert (await client.get("/artifacts", headers=bearer(scope="artifact:read"))).json() == "someone"


async def test_without_a_token_401_asks_for_one() -> None:
    async with client_of(app_of(FakeJwks())) as client:
        for answer in (await client.get("/jobs"), await client.get(f"/jobs?access_token={token()}")):
            assert answer.status_code == 401
            assert answer.headers.get_list("www-authenticate") == ["Bearer"]
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json() == {
                "type": "about:blank",
                "title": "Unauthorized",
                "status": 401,
                "detail": "A bearer token is required.",
            }


async def test_an_invalid_token_is_401_with_the_reason() -> None:
    async with client_of(app_of(FakeJwks())) as client:
        answer = await client.get("/jobs", headers=bearer(exp=NOW - 60))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token", error_description="token expired"'
    assert answer.json()["detail"] == "The token is not accepted: token expired."


async def test_a_missing_role_is_403_and_named() -> None:
    async with client_of(app_of(FakeJwks())) as client:
        answer = await client.get("/jobs", headers=bearer(roles=["backfilljob:write"]))
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "The role backfilljob:read (psf_@backfilljob_#read) is missing."


async def test_before_the_first_keys_503_asks_to_come_again() -> None:
    server, clock = FakeJwks(down=True), Clock()
    async with client_of(app_of(server, clock)) as client:
        answer = await client.get("/jobs", headers=bearer())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["detail"].startswith("The issuer cannot be reached")
        assert (await client.get("/jobs", headers=bearer(iss="https://evil.example"))).status_code == 401
        assert (await client.get("/jobs", headers={"Authorization": "Bearer x"})).status_code == 401
        server.down = False
        clock.seconds += 5
        assert (await client.get("/jobs", headers=bearer(scope="backfilljob:read"))).status_code == 200


async def test_a_rotated_key_without_id_is_found_by_the_first_token_it_signed() -> None:
    server, clock = FakeJwks(content=jwks(jwk(private_key("one")))), Clock()
    async with client_of(app_of(server, clock)) as client:
        sent = bearer(kid=None, scope="backfilljob:read")
        assert (await client.get("/jobs", headers=sent)).status_code == 200
        server.content = jwks(jwk(private_key("two")))
        clock.seconds += 31
        sent = bearer(key=private_key("two"), kid=None, scope="backfilljob:read")
        assert (await client.get("/jobs", headers=sent)).status_code == 200
        old = await client.get("/jobs", headers=bearer(kid=None))
        assert 'error_description="signature invalid"' in old.headers["www-authenticate"]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"Authorization": "Bearer x"}, 401), (bearer(userroles=["psf_#read"]), 403)]
)
async def test_a_refused_request_has_nothing_of_its_body_read(headers: dict[str, str], status: int) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        raise AssertionError("the body is read")

    async with client_of(app_of(FakeJwks())) as client, asyncio.timeout(2):
        answer = await client.put("/jobs", content=endless(), headers=headers)
    assert answer.status_code == status


async def test_two_authorization_headers_are_refused() -> None:
    good = ("Authorization", f"Bearer {token(scope='backfilljob:read')}")
    async with client_of(app_of(FakeJwks())) as client:
        assert (await client.get("/jobs", headers=[good])).status_code == 200
        assert (await client.get("/jobs", headers=[good, good])).status_code == 401
        assert (await client.get("/jobs", headers=[good, ("Authorization", "Basic dTpw")])).status_code == 401


def test_the_openapi_document_shows_the_scheme() -> None:
    document = app_of(FakeJwks()).openapi()
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    assert document["paths"]["/jobs"]["put"]["security"] == [{"bearer": []}]
    assert "parameters" not in document["paths"]["/jobs"]["put"]
