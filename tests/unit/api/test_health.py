"""What is open to everybody: a refused configuration is named there, and keeps no request away."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.api.health import health_routes
from app.domain.readiness import DATABASE, SCHEMA_REGISTRY, Readiness


@pytest.fixture
def readiness() -> Readiness:
    readiness = Readiness((DATABASE,))
    readiness.probe_succeeded(DATABASE)
    return readiness


@pytest.fixture
async def client(readiness: Readiness) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(health_routes(readiness))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as opened:
        yield opened


async def metric(client: httpx.AsyncClient) -> str:
    lines = (await client.get("/metrics")).text.splitlines()
    return next(line for line in lines if line.startswith("pas_configuration_well "))


async def test_a_refused_configuration_is_named_with_200_and_in_the_metrics(
    readiness: Readiness, client: httpx.AsyncClient
) -> None:
    assert await metric(client) == "pas_configuration_well 1.0"
    readiness.configuration_refused("archive-types.yml line 2: topic: missing")
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "problems": {"configuration": "archive-types.yml line 2: topic: missing"},
    }
    assert await metric(client) == "pas_configuration_well 0.0"
    readiness.configuration_taken()
    assert (await client.get("/health/ready")).json()["problems"] == {}
    assert await metric(client) == "pas_configuration_well 1.0"


async def test_an_optional_component_is_named_and_measured_and_the_service_is_ready() -> None:
    readiness = Readiness((DATABASE,), optional=(SCHEMA_REGISTRY,))
    app = FastAPI()
    app.include_router(health_routes(readiness))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        assert (await client.get("/health/ready")).status_code == 503
        readiness.probe_succeeded(DATABASE)
        readiness.probe_failed(SCHEMA_REGISTRY, "HTTP 503")
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["problems"]) == (200, {SCHEMA_REGISTRY: "HTTP 503"})
        assert 'pas_component_unavailable{component="schema-registry"} 1.0' in (await client.get("/metrics")).text
        readiness.probe_succeeded(SCHEMA_REGISTRY)
        assert 'pas_component_unavailable{component="schema-registry"} 0.0' in (await client.get("/metrics")).text
