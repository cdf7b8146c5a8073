"""`GET /api/evidence/keys`: the present key first; with the role of auditors only."""

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.evidence import endpoints as evidence
from app.api.http import problems
from app.domain.notes import verifier_key
from app.evidence.signer import SigningKeys
from tests.support.edge import edge_with
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

AUDITOR = {"Authorization": f"Bearer {token(scope='audit:read')}"}
OLD, NEW = (verifier_key(name, Ed25519PrivateKey.generate()) for name in ("psf/old", "psf/new"))


async def asked(signing: SigningKeys, headers: dict[str, str]) -> httpx.Response:
    app = FastAPI()
    problems.install(app)
    app.include_router(evidence.router)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    edge_with(
        app,
        authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW),
        signing=signing,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        return await client.get("/api/evidence/keys", headers=headers)


async def test_the_present_key_is_first() -> None:
    answer = await asked(SigningKeys(NEW, (OLD,)), AUDITOR)
    assert answer.json() == {
        "items": [
            {"name": "psf/new", "id": NEW.id.hex(), "key": str(NEW), "present": True},
            {"name": "psf/old", "id": OLD.id.hex(), "key": str(OLD), "present": False},
        ],
        "next": None,
    }


async def test_keys_of_the_past_are_shown_where_nothing_is_signed_any_more() -> None:
    (only,) = (await asked(SigningKeys(None, (OLD,)), AUDITOR)).json()["items"]
    assert not only["present"]
    assert (await asked(SigningKeys(None), AUDITOR)).json() == {"items": [], "next": None}


async def test_it_needs_the_role_to_read_the_audit() -> None:
    for scope in ("backfilljob:read", "artifact:read", "audit:write"):
        headers = {"Authorization": f"Bearer {token(scope=scope)}"}
        assert (await asked(SigningKeys(NEW), headers)).status_code == 403
    assert (await asked(SigningKeys(NEW), {})).status_code == 401
