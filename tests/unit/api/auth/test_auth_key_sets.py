"""Keys over HTTP: cached, renewed on time and for an unknown key, usable through an outage, never hammered."""

import asyncio
import gzip
from collections.abc import Iterable

import httpx
import pytest
from typing_extensions import override

from app.api.auth.callers import IssuerOptions, KeySets, RefreshIntervals, RemoteKeys
from app.api.auth.key_sets import MAX_DOCUMENT
from app.domain.errors import Unavailable
from tests.unit.api.issuer import ISSUER, Clock, FakeJwks, jwk, jwks, private_key

OPTIONS = IssuerOptions(ISSUER, "https://issuer.example/jwks")
ONE, TWO = jwk(private_key("one"), kid="one"), jwk(private_key("two"), kid="two")


def remote(server: FakeJwks, clock: Clock | None = None, pace: RefreshIntervals | None = None) -> RemoteKeys:
    return RemoteKeys(OPTIONS, server.client, pace, clock or Clock())


async def knows(keys: RemoteKeys, kid: str | None) -> bool:
    return bool(await keys.candidates(kid, "RS256"))


async def settle() -> None:
    """Lets a fetch in the background end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_keys_are_fetched_once_and_then_come_from_the_cache() -> None:
    server = FakeJwks()
    keys = remote(server)
    assert [await knows(keys, "one") for _ in range(50)] == [True] * 50
    assert len(server.requests) == 1


async def test_many_first_requests_share_one_fetch() -> None:
    server = FakeJwks(hold=asyncio.Event())
    keys = remote(server)
    waiting = [asyncio.create_task(knows(keys, "one")) for _ in range(50)]
    await settle()
    server.hold.set()  # type: ignore[union-attr]
    assert await asyncio.gather(*waiting) == [True] * 50
    assert len(server.requests) == 1


async def test_an_unknown_key_renews_the_set_at_most_every_thirty_seconds() -> None:
    server, clock = FakeJwks(), Clock()
    keys = remote(server, clock)
    assert await knows(keys, "one")
    for second in range(300):
        clock.seconds = 1000 + second
        assert [await knows(keys, f"bogus-{number}") for number in range(20)] == [False] * 20
    assert len(server.requests) == 10


async def test_bogus_key_ids_at_once_cause_one_fetch_and_hold_up_nobody_who_has_a_key() -> None:
    server, clock = FakeJwks(), Clock()
    keys = remote(server, clock)
    assert await knows(keys, "one")
    clock.seconds += 31
    server.hold = asyncio.Event()
    bogus = [asyncio.create_task(knows(keys, f"bogus-{number}")) for number in range(200)]
    await settle()
    async with asyncio.timeout(0.5):
        assert await knows(keys, "one")
    server.hold.set()
    assert not any(await asyncio.gather(*bogus))
    assert len(server.requests) == 2


async def test_a_new_key_is_found_by_its_first_token() -> None:
    server, clock = FakeJwks(content=jwks(ONE)), Clock()
    keys = remote(server, clock)
    assert await knows(keys, "one")
    server.content = jwks(ONE, TWO)
    clock.seconds += 30
    assert await knows(keys, "two")
    assert len(server.requests) == 2


async def test_a_new_key_is_found_thirty_seconds_after_a_bogus_one() -> None:
    server, clock = FakeJwks(content=jwks(ONE)), Clock()
    keys = remote(server, clock)
    assert not await knows(keys, "bogus")
    server.content = jwks(ONE, TWO)
    assert not await knows(keys, "two")
    clock.seconds += 29.9
    assert not await knows(keys, "two")
    clock.seconds += 0.1
    assert await knows(keys, "two")


async def test_a_key_that_is_no_longer_listed_is_not_trusted_after_ten_minutes() -> None:
    server, clock = FakeJwks(content=jwks(ONE, TWO)), Clock()
    keys = remote(server, clock)
    assert await knows(keys, "one")
    server.content = jwks(TWO)
    clock.seconds += 600
    assert await knows(keys, "one")
    assert len(server.requests) == 1
    clock.seconds += 1
    assert await knows(keys, "two")  # sets off the fetch, does not wait for it
    await settle()
    assert not await knows(keys, "one")
    assert await knows(keys, "two")
    assert len(server.requests) == 2


async def test_an_empty_set_takes_back_all_trust() -> None:
    server, clock = FakeJwks(), Clock()
    keys = remote(server, clock)
    assert await knows(keys, "one")
    server.content = jwks()
    clock.seconds += 31
    assert not await knows(keys, "two")
    assert not await knows(keys, "one")
    assert keys.problem() == f"keys of {ISSUER}: the key set has no usable key"
    assert keys.reason() is None


def broken(server: FakeJwks, how: str) -> None:
    match how:
        case "down":
            server.down = True
        case "error":
            server.status = 500
        case "redirect":
            server.status, server.headers = 302, {"Location": "https://issuer.example/elsewhere"}
        case "garbage":
            server.content = b"<html>sorry</html>"
        case "huge":
            server.content = jwks(ONE | {"x": "y" * MAX_DOCUMENT})
        case _:
            server.content, server.headers = gzip.compress(server.content), {"Content-Encoding": "gzip"}


HOW = ["down", "error", "redirect", "garbage", "huge", "packed"]


@pytest.mark.parametrize("how", HOW)
async def test_old_keys_stay_usable_while_the_issuer_is_away_and_the_problem_is_named(how: str) -> None:
    server, clock = FakeJwks(), Clock()
    keys = remote(server, clock)
    assert await knows(keys, "one")
    broken(server, how)
    for _ in range(100):
        clock.seconds += 60
        assert await knows(keys, "one")
        await settle()
    assert not await knows(keys, "bogus")
    assert keys.reason() is None
    assert (keys.problem() or "").startswith(f"keys of {ISSUER}: ")
    assert len({str(request.url) for request in server.requests}) == 1


@pytest.mark.parametrize("how", HOW)
async def test_before_the_first_keys_the_answer_is_that_the_issuer_is_unavailable(how: str) -> None:
    server, clock = FakeJwks(), Clock()
    good = server.content
    broken(server, how)
    keys = remote(server, clock)
    for _ in range(20):
        with pytest.raises(Unavailable) as unavailable:
            await knows(keys, "one")
        assert unavailable.value.component == "issuer"
    assert len(server.requests) == 1
    assert keys.reason() == keys.problem() is not None

    server.down, server.status, server.content, server.headers = False, 200, good, {}
    clock.seconds += 3
    assert await knows(keys, "one")
    assert keys.reason() is keys.problem() is None


async def test_a_set_without_a_usable_key_is_not_the_first() -> None:
    keys = remote(FakeJwks(content=jwks({"kty": "oct"})))
    with pytest.raises(Unavailable, match="no usable key"):
        await knows(keys, "one")


async def test_a_slow_issuer_is_waited_for_in_total_for_as_long_as_the_limit() -> None:
    class Dripping(httpx.AsyncByteStream):
        @override
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Dripping())))

    keys = RemoteKeys(OPTIONS, client, RefreshIntervals(timeout=0.1))
    async with asyncio.timeout(2):
        with pytest.raises(Unavailable, match=r"no answer within 0\.1 s"):
            await knows(keys, "one")


async def test_a_request_that_is_cancelled_does_not_take_the_fetch_of_the_others_along() -> None:
    server = FakeJwks(hold=asyncio.Event())
    keys = remote(server)
    first, second = (asyncio.create_task(knows(keys, "one")) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    server.hold.set()  # type: ignore[union-attr]
    assert await second
    assert len(server.requests) == 1


async def test_a_token_without_key_id_may_be_signed_with_a_new_key() -> None:
    server, clock = FakeJwks(content=jwks(ONE)), Clock()
    keys = remote(server, clock)
    assert await knows(keys, None)
    assert not await keys.renewed()
    clock.seconds += 30
    server.content = jwks(TWO)
    assert await keys.renewed()
    assert [key.id for key in await keys.candidates(None, "RS256") or ()] == ["two"]


async def until(condition: Iterable[object]) -> None:
    async with asyncio.timeout(2):
        for each in condition:
            if each:
                return
            await asyncio.sleep(0.002)


async def test_the_loop_fetches_first_keys_again_and_again_and_then_renews_them() -> None:
    server = FakeJwks(down=True)
    sets = KeySets.fetched([OPTIONS], server.client, RefreshIntervals(renew=0.02, unknown_key=0.01, first=0.005))
    assert sets.reason() == f"keys of {ISSUER} not fetched yet"
    running = asyncio.create_task(sets.run())
    await until(len(server.requests) > 3 for _ in iter(int, 1))
    assert sets.reason() is not None
    assert sets.reason() == sets.problem() == f"keys of {ISSUER}: refused"
    server.down = False
    await until(sets.reason() is None for _ in iter(int, 1))
    assert sets.reason() is sets.problem() is None
    seen = len(server.requests)
    server.down = True
    await until(len(server.requests) > seen + 2 and sets.problem() for _ in iter(int, 1))
    assert sets.reason() is None
    server.down = False
    await until(sets.problem() is None for _ in iter(int, 1))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


async def test_one_issuer_that_does_not_answer_holds_up_no_other() -> None:
    hanging, well = FakeJwks(hold=asyncio.Event()), FakeJwks()
    sets = KeySets({ISSUER: remote(hanging), "https://b.example": remote(well)})
    running = asyncio.create_task(sets.run())
    source = sets.of("https://b.example")
    assert source is not None
    assert await source.candidates("one", "RS256")
    assert sets.reason() == f"keys of {ISSUER} not fetched yet"
    assert sets.problem() is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_an_issuer_that_is_named_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        KeySets.fetched([OPTIONS, OPTIONS], FakeJwks().client)


def test_without_issuers_there_is_nothing_to_wait_for() -> None:
    assert KeySets({}).reason() is None
