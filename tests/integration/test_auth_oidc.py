"""Tokens and keys of a real authorization server (oidc-provider)."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from app.api.auth.callers import Authenticator, Caller, IssuerOptions, KeySets, RefreshIntervals, ResourceServerOptions
from app.api.http.problems import ApiProblem
from app.domain.errors import Unavailable
from tests.conftest import running
from tests.servers import Oidc


def authenticator(
    oidc: Oidc, audience: str | None = "psf-archive", pace: RefreshIntervals | None = None
) -> Authenticator:
    issuers = (IssuerOptions(oidc.issuer, oidc.jwks_uri),)
    key_sets = KeySets.fetched(issuers, httpx.AsyncClient, pace)
    return Authenticator(ResourceServerOptions("psf", audience, issuers), key_sets)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256", "RS512"])
async def test_tokens_of_the_server_are_accepted_with_their_roles(oidc: Oidc, algorithm: str) -> None:
    token = oidc.token("pas-admin", algorithm=algorithm)
    caller = await authenticator(oidc).caller([f"Bearer {token}"])
    assert (caller.name, caller.ext_id) == ("John Doe", "287365")
    assert caller.has("backfilljob", "read")
    assert caller.has("backfilljob", "write")
    assert not caller.has("artifact", "read")


async def test_reader_and_writer_are_told_apart(oidc: Oidc) -> None:
    known = authenticator(oidc)
    for client_id, may in (("pas-reader", "read"), ("pas-writer", "write")):
        caller = await known.caller([f"Bearer {oidc.token(client_id)}"])
        assert [operation for operation in ("read", "write") if caller.has("backfilljob", operation)] == [may]


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"audience": "psf-source"}, "audience does not match"),
        ({"algorithm": "RS384"}, "algorithm not accepted"),
    ],
)
async def test_tokens_that_are_not_for_us_are_refused(oidc: Oidc, extra: dict[str, Any], reason: str) -> None:
    with pytest.raises(ApiProblem, match=reason):
        await authenticator(oidc).caller([f"Bearer {oidc.token('pas-admin', **extra)}"])


async def test_a_short_lived_token_expires_after_the_leeway(oidc: Oidc) -> None:
    token, known = oidc.token("pas-admin", ttl=1), authenticator(oidc)
    assert isinstance(await known.caller([f"Bearer {token}"]), Caller)
    later = Authenticator(known.options, known.key_sets, lambda: time.time() + 32)
    with pytest.raises(ApiProblem, match="token expired"):
        await later.caller([f"Bearer {token}"])


async def test_keys_survive_an_outage_and_follow_a_rotation() -> None:
    with running(Oidc()) as oidc:
        await _outage_and_rotation(oidc)


async def _outage_and_rotation(oidc: Oidc) -> None:
    known = authenticator(oidc, pace=RefreshIntervals(renew=600, unknown_key=0.5, first=0.1))
    fresh = authenticator(oidc)
    old = oidc.token("pas-admin")
    assert isinstance(await known.caller([f"Bearer {old}"]), Caller)

    await asyncio.to_thread(oidc.stop)
    assert isinstance(await known.caller([f"Bearer {old}"]), Caller)
    with pytest.raises(Unavailable, match="issuer"):
        await fresh.caller([f"Bearer {old}"])

    await asyncio.to_thread(oidc.start)
    new = oidc.token("pas-admin")
    await asyncio.sleep(0.5)
    assert isinstance(await known.caller([f"Bearer {new}"]), Caller)
    with pytest.raises(ApiProblem, match="unknown key"):
        await known.caller([f"Bearer {old}"])
