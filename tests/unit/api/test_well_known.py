"""Where one logs in: open to everybody, and nothing but what is needed for it."""

import httpx
import pytest
from fastapi import FastAPI

from app.api import well_known
from app.api.http import problems
from tests.support.edge import edge_with

ISSUERS = ("https://one.example.org", "https://two.example.org")


@pytest.mark.parametrize("root", ["", "/archive"])
async def test_issuers_and_the_client_of_the_command_line_are_named_without_a_token(root: str) -> None:
    app = FastAPI()
    app.root_path = root
    problems.install(app)
    app.include_router(well_known.router)
    edge_with(app, issuers=ISSUERS, cli_client_id="pas-cli")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://pas.example.org") as client:
        answer = await client.get(f"{root}/.well-known/oauth-protected-resource")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "resource": f"https://pas.example.org{root}",
        "authorization_servers": list(ISSUERS),
        "bearer_methods_supported": ["header"],
        "cli_client_id": "pas-cli",
    }
