"""Tokens: how they are asked for, kept, shared, renewed, and what their failures cost."""

import asyncio
import base64
import gzip
import json
import zlib
from urllib.parse import parse_qs

import pytest

from app.domain.errors import PermanentFailure, TransientFailure
from app.domain.jobs import Reference
from app.sources.oauth import OAuthClientOptions, TokenCache, basic_credentials
from app.sources.transport import HttpOptions, http_session
from tests.unit.sources.server import TRACEPARENT, RawServer, Request, answer, document, serving, sources

SECRET = "s3cr3t:+&ü"


FAILED = "token request of OAuth client source failed: "
REFUSED = "token request of OAuth client source refused: "


def client(server: RawServer, scope: str | None = None) -> OAuthClientOptions:
    return OAuthClientOptions("source", f"{server.url}/token", "my id", SECRET, scope)


class Issuer:
    """Answers `/token` with token-1, token-2, …; everything else with what `source` says about the bearer token."""

    def __init__(self, refused: frozenset[str] = frozenset(), delay: float = 0.0, **fields: object) -> None:
        self.refused = refused
        self.delay = delay
        self.fields = {"token_type": "Bearer", "expires_in": 600} | fields
        self.issued = 0
        self.failing: bytes | None = None

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/token":
            await asyncio.sleep(self.delay)
            self.issued += 1
            writer.write(self.failing or self.token(f"token-{self.issued}"))
        elif request.headers.get("authorization", "").removeprefix("Bearer ") in self.refused:
            writer.write(answer(401))
        else:
            writer.write(document())

    def token(self, value: object) -> bytes:
        fields = {name: value for name, value in self.fields.items() if value is not None}
        return answer(200, {"Content-Type": "application/json"}, json.dumps(fields | {"access_token": value}).encode())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def get(reply: "Issuer | bytes", **options: float) -> str:
    async with serving(reply) as server, http_session(http := HttpOptions(**options)) as session:  # type: ignore[arg-type]
        return (await TokenCache(client(server), http, session).get()).value


def test_credentials_are_form_urlencoded_before_they_are_joined() -> None:
    decoded = base64.b64decode(basic_credentials("my id", SECRET).removeprefix("Basic ")).decode()
    assert decoded == "my+id:s3cr3t%3A%2B%26%C3%BC"


def test_options_and_tokens_do_not_show_secrets() -> None:
    options = OAuthClientOptions("source", "https://issuer/token", "id", SECRET)
    assert SECRET not in repr(options)


@pytest.mark.parametrize("scope", [None, "documents:read other"])
async def test_a_token_is_asked_for_with_client_credentials(scope: str | None) -> None:
    async with serving(Issuer()) as server, http_session(HttpOptions()) as session:
        token = await TokenCache(client(server, scope), HttpOptions(), session).get()
        assert token.value == "token-1"
        assert "token-1" not in repr(token)
        request = server.requests[0]
        form = {"grant_type": ["client_credentials"]} | ({"scope": [scope]} if scope else {})
        assert (request.method, parse_qs(request.body.decode())) == ("POST", form)
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["authorization"] == basic_credentials("my id", SECRET)


@pytest.mark.parametrize(
    ("expires_in", "lives"), [(600, 570), (60, 54), (None, 54), ("300", 270), (0, 0), (-5, 0), ("x", 54), (True, 54)]
)
async def test_a_token_is_kept_until_shortly_before_it_expires(expires_in: object, lives: float) -> None:
    clock = Clock()
    async with serving(Issuer(expires_in=expires_in)) as server, http_session(HttpOptions()) as session:
        cache = TokenCache(client(server), HttpOptions(), session, clock)
        assert (await cache.get()).value == "token-1"
        if lives:
            clock.now += lives - 0.1
            assert (await cache.get()).value == "token-1"
            clock.now += 0.1
        assert (await cache.get()).value == "token-2"


async def test_many_waiting_tasks_share_one_request() -> None:
    issuer = Issuer(delay=0.05)
    async with serving(issuer) as server, http_session(HttpOptions()) as session:
        cache = TokenCache(client(server), HttpOptions(), session)
        tokens = await asyncio.gather(*(cache.get() for _ in range(64)))
        assert {token.value for token in tokens} == {"token-1"}
        assert issuer.issued == 1


async def test_the_end_of_one_waiting_task_does_not_end_the_request() -> None:
    issuer = Issuer(delay=0.05)
    async with serving(issuer) as server, http_session(HttpOptions()) as session:
        cache = TokenCache(client(server), HttpOptions(), session)
        first, second = (asyncio.create_task(cache.get()) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        assert (await second).value == "token-1"
        assert first.cancelled()
        assert issuer.issued == 1


async def test_a_failure_reaches_all_who_wait_and_the_next_asks_again() -> None:
    issuer = Issuer(delay=0.02)
    issuer.failing = answer(503, {"Retry-After": "3"})
    async with serving(issuer) as server, http_session(HttpOptions()) as session:
        cache = TokenCache(client(server), HttpOptions(), session)
        results = await asyncio.gather(*(cache.get() for _ in range(8)), return_exceptions=True)
        assert {str(result) for result in results} == {FAILED + "HTTP 503"}
        assert len(set(map(id, results))) == 8
        assert isinstance(results[0], TransientFailure)
        assert (results[0].unreachable, results[0].retry_after) == (True, 3)
        issuer.failing = None
        assert (await cache.get()).value == "token-2"


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (answer(500), FAILED + "HTTP 500"),
        (answer(429), FAILED + "HTTP 429"),
        (
            answer(401, body=b'{"error": "invalid_client"}'),
            REFUSED + "HTTP 401 invalid_client",
        ),
        (answer(400, body=b'{"error": "s3cr3t"}'), REFUSED + "HTTP 400"),
        (answer(403, body=b"<html>"), REFUSED + "HTTP 403"),
        (answer(302, {"Location": "/login"}), REFUSED + "HTTP 302"),
        (answer(200, body=b"<html>"), FAILED + "the answer has no access token"),
        (
            answer(200, body=b"[" * 50_000),
            FAILED + "the answer has no access token",
        ),
        (
            answer(200, body=b'{"access_token": "a\\nb"}'),
            FAILED + "the answer has no access token",
        ),
        (
            answer(200, body=b'{"access_token": "a", "token_type": "mac"}'),
            FAILED + "the token is not a bearer token",
        ),
        (b"nonsense\r\n\r\n", FAILED + "the answer is not HTTP"),
        (answer(200, body=b"{", length=100), FAILED + "read timed out after 100ms"),
    ],
)
async def test_every_failure_is_transient_and_says_why_without_secrets(reply: bytes, cause: str) -> None:
    with pytest.raises(TransientFailure) as failure:
        await get(reply, timeout=0.1)
    assert (failure.value.cause, failure.value.unreachable, failure.value.no_connection) == (cause, True, True)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw deflate", "GZIP", "identity, gzip"])
async def test_an_answer_that_is_packed_is_read(encoding: str) -> None:
    told = b'{"access_token": "packed"}'
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    kinds = {"deflate": zlib.compress(told), "raw deflate": squeeze.compress(told) + squeeze.flush()}
    reply = answer(
        200, {"Content-Encoding": encoding.removeprefix("raw ")}, kinds.get(encoding, gzip.compress(told, mtime=0))
    )
    assert await get(reply) == "packed"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"no gzip"),
        ("br", b"x"),
        ("gzip", gzip.compress(b'{"access_token": "a"}', mtime=0)[:12]),
    ],
)
async def test_an_answer_that_cannot_be_unpacked_is_no_token(encoding: str, body: bytes) -> None:
    with pytest.raises(TransientFailure, match="the answer has no access token"):
        await get(answer(200, {"Content-Encoding": encoding}, body))


async def test_an_answer_that_unpacks_to_far_too_much_is_no_token() -> None:
    bomb = gzip.compress(b'{"access_token": "' + b"a" * 100_000_000 + b'"}', 1, mtime=0)
    with pytest.raises(TransientFailure, match="the answer has no access token"):
        await get(answer(200, {"Content-Encoding": "gzip"}, bomb))


async def test_a_token_request_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(TransientFailure, match=FAILED + "read timed out after 50ms"):
        await get(Issuer(delay=0.3), timeout=0.05)
    with pytest.raises(TransientFailure, match=FAILED + "it took longer than 50ms"):
        await get(Issuer(delay=0.3), total_timeout=0.05)


async def test_the_fetch_carries_the_token_and_a_new_one_after_a_401() -> None:
    issuer = Issuer(refused=frozenset({"token-1"}))
    async with serving(issuer) as server, sources(client(server)) as source:
        configuration = server.configuration(oauth="source")
        for _ in range(2):
            async with source.fetching(configuration, Reference("1"), TRACEPARENT):
                pass
        sent = [request.headers["authorization"] for request in server.requests if request.target != "/token"]
        assert sent == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
        assert issuer.issued == 2


async def test_a_second_401_is_the_end() -> None:
    issuer = Issuer(refused=frozenset({"token-1", "token-2"}))
    async with serving(issuer) as server, sources(client(server)) as source:
        with pytest.raises(PermanentFailure) as failure:
            async with source.fetching(server.configuration(oauth="source"), Reference("1"), TRACEPARENT):
                pass
        assert failure.value.message == (
            "Failed reading artifact from source service: HTTP 401, the token of OAuth client source was refused"
        )
        assert issuer.issued == 2


async def test_many_401_at_once_cost_one_new_token() -> None:
    issuer = Issuer(refused=frozenset({"token-1"}), delay=0.02)
    async with serving(issuer) as server, sources(client(server)) as source:
        configuration = server.configuration(oauth="source")

        async def fetch(id: int) -> None:
            async with source.fetching(configuration, Reference(str(id)), TRACEPARENT):
                pass

        await asyncio.gather(*map(fetch, range(32)))
        assert issuer.issued == 2


async def test_a_wrong_secret_is_told_slowly() -> None:
    issuer = Issuer()
    issuer.failing = answer(401, body=b'{"error": "invalid_client"}')
    async with serving(issuer) as server, sources(client(server)) as source:
        for _ in range(3):
            with pytest.raises(TransientFailure, match=REFUSED + "HTTP 401 invalid_client"):
                async with source.fetching(server.configuration(oauth="source"), Reference("1"), TRACEPARENT):
                    pass
        pacer = source.pacers.of(server.url)
        assert (pacer.limit, pacer.congestion.closed) == (1, True)
        assert all(request.target == "/token" for request in server.requests)
