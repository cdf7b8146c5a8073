"""An issuer gives a new key the id of its old one: the first token of the new key is accepted, the old key is out."""

import asyncio
from typing import Any

import pytest

from app.api.auth.callers import Authenticator, Caller, IssuerOptions, KeySets, ResourceServerOptions
from app.api.http.problems import ApiProblem
from tests.unit.api.issuer import ISSUER, NOW, Clock, FakeJwks, jwk, jwks, private_key, token

OLD, NEW, STRANGER, EC = private_key("one"), private_key("two"), private_key("stranger"), private_key("ec", "P-256")
LISTED_OLD = jwks(jwk(OLD, kid="one"))
LISTED_NEW = jwks(jwk(NEW, kid="one"))


class Edge:
    """Whoever sends a token, with the key set of an issuer whose clock and answers the test holds."""

    def __init__(self) -> None:
        self.issuer, self.clock = FakeJwks(content=LISTED_OLD), Clock()
        sets = KeySets.fetched(
            [IssuerOptions(ISSUER, "https://issuer.example/jwks")], self.issuer.client, None, self.clock
        )
        self._known = Authenticator(ResourceServerOptions(), sets, lambda: NOW)

    async def caller(self, sent: str) -> Caller:
        return await self._known.caller([f"Bearer {sent}"])

    async def refusal(self, sent: str) -> str:
        with pytest.raises(ApiProblem) as refused:
            await self.caller(sent)
        return str(refused.value.detail)

    @property
    def fetches(self) -> int:
        return len(self.issuer.requests)


@pytest.fixture
async def edge() -> Edge:
    """Whose keys were fetched a while ago."""
    edge = Edge()
    assert (await edge.caller(token(OLD))).subject
    edge.clock.seconds += 30
    return edge


@pytest.mark.parametrize(
    ("key", "algorithm", "listed"),
    [(NEW, "RS256", LISTED_NEW), (NEW, "PS256", LISTED_NEW), (EC, "ES256", jwks(jwk(EC, kid="one")))],
)
async def test_a_new_key_under_the_id_of_the_old_one_is_found_by_its_first_token(
    edge: Edge, key: Any, algorithm: str, listed: bytes
) -> None:
    edge.issuer.content = listed
    assert (await edge.caller(token(key, algorithm))).subject == "someone"
    assert edge.fetches == 2
    assert "signature invalid" in await edge.refusal(token(OLD))


async def test_many_first_tokens_of_the_new_key_share_one_fetch_and_the_old_key_holds_until_its_end(edge: Edge) -> None:
    edge.issuer.content, edge.issuer.hold = LISTED_NEW, asyncio.Event()
    waiting = [asyncio.create_task(edge.caller(token(NEW))) for _ in range(50)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await edge.caller(token(OLD))).subject
    edge.issuer.hold.set()
    assert len(await asyncio.gather(*waiting)) == 50
    assert edge.fetches == 2


async def test_strangers_make_the_keys_be_fetched_every_thirty_seconds_at_most(edge: Edge) -> None:
    before = edge.fetches
    start = edge.clock.seconds
    for second in range(300):
        edge.clock.seconds = start + second
        forged = [token(STRANGER), token(STRANGER, kid=None), token(STRANGER, kid="bogus"), token(EC, "ES256")]
        for sent in forged:
            await edge.refusal(sent)
    assert edge.fetches - before == 10
    assert (await edge.caller(token(OLD))).subject


async def test_a_token_that_is_refused_for_another_reason_fetches_nothing(edge: Edge) -> None:
    for sent in (
        token(OLD, exp=1),
        token(STRANGER, iss="https://evil.example"),
        token(STRANGER, headers={"crit": ["x"]}),
    ):
        await edge.refusal(sent)
    assert edge.fetches == 1


async def test_while_the_issuer_is_away_a_forged_signature_stays_invalid_and_the_old_key_usable(edge: Edge) -> None:
    edge.issuer.down = True
    assert "signature invalid" in await edge.refusal(token(NEW))
    assert (await edge.caller(token(OLD))).subject


async def test_a_key_id_that_is_no_longer_listed_after_the_fetch_is_unknown(edge: Edge) -> None:
    edge.issuer.content = jwks(jwk(NEW, kid="two"))
    assert "unknown key" in await edge.refusal(token(STRANGER))
    assert "unknown key" in await edge.refusal(token(OLD))
