"""Query parameters that an address does not have, or that stand twice, are refused once the caller is known."""

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.http.bodies import Uploads
from app.domain.readiness import Readiness
from app.main import create_app
from tests.support.edge import edge_with
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

ID = "88dbb65f-9634-4685-bc86-17b72d715d3e"
JOB = f"/api/jobs/{ID}"
RUN = f"/api/metadata-backfills/{ID}"
ALL = ["backfilljob:read", "backfilljob:write", "artifact:read", "audit:read"]
OPEN = {"/health/live", "/health/ready", "/metrics", "/.well-known/oauth-protected-resource"}


@cache
def endpoints() -> FastAPI:
    return create_app("", Readiness(()), object())  # type: ignore[arg-type]


def whole_app(uploads: Uploads | None = None) -> FastAPI:
    """All addresses of the service; behind them nothing is there but `uploads`."""
    app = endpoints()
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    authenticator = Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW)
    edge_with(app, authenticator=authenticator, uploads=uploads)
    return app


def addresses() -> list[tuple[str, str]]:
    return [
        (method.upper(), path.format(job_id=ID, run_id=ID, artifact_id=1))
        for path, operations in whole_app().openapi()["paths"].items()
        for method in operations
        if path not in OPEN
    ]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(whole_app())
    headers = {"Authorization": f"Bearer {token(roles=ALL)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://pas", headers=headers) as client:
        yield client


ADDRESSES = addresses()


async def mistakes(client: httpx.AsyncClient, query: str, path: str = "/api/jobs", method: str = "GET") -> Any:
    answer = await client.request(method, f"{path}?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {each["path"]: each["message"] for each in answer.json()["errors"]}


def test_there_are_addresses_to_try() -> None:
    assert {method for method, _ in ADDRESSES} >= {"GET", "PUT", "POST"}
    assert len(ADDRESSES) >= 15


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_an_unknown_parameter_is_refused_everywhere(client: httpx.AsyncClient, method: str, path: str) -> None:
    found = await mistakes(client, "nonsense=1", path, method)
    assert found["nonsense"].startswith("is no parameter; ")


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_a_stranger_learns_nothing_of_parameters(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, f"{path}?nonsense=1", headers={"Authorization": ""})
    assert answer.status_code == 401
    answer = await client.request(method, f"{path}?nonsense=1", headers={"Authorization": f"Bearer {token(roles=[])}"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("query", "path", "name"),
    [
        ("state=open&state=open", "/api/jobs", "state"),
        ("limit=1&state=open&limit=2", "/api/jobs", "limit"),
        ("state=failed&state=open", f"{JOB}/report", "state"),
        ("cursor=1&cursor=1", f"{RUN}/errors", "cursor"),
        ("limit=1&limit=1", "/api/artifacts", "limit"),
    ],
)
async def test_the_same_parameter_twice_is_refused(client: httpx.AsyncClient, query: str, path: str, name: str) -> None:
    assert "is given twice" in (await mistakes(client, query, path))[name]


async def test_the_answer_says_what_there_is_the_nearest_name_first(client: httpx.AsyncClient) -> None:
    found = await mistakes(client, "Limit=5&status=open")
    assert found["Limit"].startswith("is no parameter; there are limit, ")
    assert found["status"].startswith("is no parameter; there are state, ")
    report = await mistakes(client, "status=failed", f"{JOB}/report")
    assert report["status"] == "is no parameter; there are state, merged"
    assert (await mistakes(client, "x=1", JOB))["x"] == "is no parameter; this address has none"
    shown = (await mistakes(client, "refrenceId=a", "/api/artifacts"))["refrenceId"]
    assert shown.startswith("is no parameter; there are referenceId, ")
    assert shown.endswith("metadata.<key>[<operator>]")


async def test_both_values_of_a_parameter_are_shown_and_none_of_an_unknown_one(client: httpx.AsyncClient) -> None:
    found = await mistakes(client, "state=open&state=completed&access_token=s3cret&access_token=s3cret2")
    assert found["state"] == "is given twice, as 'open' and 'completed'; give it once"
    assert "s3cret" not in str(found)


@pytest.mark.parametrize("query", ["=1", "STATE=open", "state%20=open", "state[]=open", "state.=open", "%00=1", "a"])
async def test_only_the_very_name_is_the_parameter(client: httpx.AsyncClient, query: str) -> None:
    assert len(await mistakes(client, query)) == 1


async def test_many_unknown_parameters_and_long_ones_make_no_long_answer(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/jobs?" + "&".join(f"{'x' * 300}{number}=1" for number in range(100)))
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 20
    assert len(answer.content) < 10_000


@pytest.mark.parametrize("query", ["state=", "message=", "cursor=", "limit="])
async def test_an_empty_value_is_no_filter_that_holds_for_all(client: httpx.AsyncClient, query: str) -> None:
    assert list(await mistakes(client, query)) == [query[:-1]]


async def test_an_empty_state_is_answered_with_what_is_possible(client: httpx.AsyncClient) -> None:
    assert "'succeeded'" in (await mistakes(client, "state=", f"{JOB}/report"))["state"]


async def test_probes_and_scrapers_may_add_what_they_like(client: httpx.AsyncClient) -> None:
    for path in ("/health/live?x=1&x=2", "/metrics?x=1", "/openapi.json?x=1"):
        assert (await client.get(path, headers={"Authorization": ""})).status_code == 200


async def test_an_address_that_is_not_there_is_404_whatever_stands_behind_it() -> None:
    app = create_app("", Readiness(()), None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        assert (await client.get("/api/jobs?nonsense=1")).status_code == 404
        assert (await client.put(f"{JOB}?nonsense=1", content=b"")).status_code == 404
