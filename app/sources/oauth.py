"""Access tokens for sources: client credentials, one token for many tasks, one request for all who wait for it."""

import asyncio
import base64
import json
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import aiohttp
from yarl import URL

from app.domain.errors import PermanentFailure, TransientFailure
from app.outgoing.bad_answers import fault_of, is_bad_answer
from app.sources.body import PACKED, Inflater, content_encoding
from app.sources.headers import retry_after
from app.sources.transport import HttpOptions, failure_of, seconds

ASSUMED_LIFETIME = 60.0
"""Seconds a token is used for when the answer does not say how long it lives."""

LONGEST_LIFETIME = 86_400.0

EARLIEST_RENEWAL = 30.0
"""Seconds before its end a token is renewed; a tenth of its life where that is less."""

LARGEST_ANSWER = 64 * 1024

TOKEN = re.compile(r"[\x21-\x7e]+")

KNOWN_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "server_error",
        "temporarily_unavailable",
    }
)
"""Error codes that are repeated in messages; anything else the server says could echo what was sent."""


@dataclass(frozen=True, slots=True)
class OAuthClientOptions:
    """`jeap.security.oauth2.client.<id>`."""

    id: str
    token_uri: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """`expires_at` is of the clock of its cache, already shortened: from then on it is not used any more."""

    value: str = field(repr=False)
    expires_at: float


class TokenCache:
    """The token of one OAuth client.

    Every failure of the token endpoint is transient and counts as a source that cannot be reached, also a refusal such
    as `invalid_client`: the records are not at fault. So the source is asked one at a time with pauses, and a wrong
    secret costs an operator no tasks while the patience with the source lasts.
    """

    def __init__(
        self,
        options: OAuthClientOptions,
        http: HttpOptions,
        session: aiohttp.ClientSession,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._http = http
        self._session = session
        self._clock = clock
        self._url = URL(options.token_uri, encoded=True)
        self._token: Token | None = None
        self._request: asyncio.Task[Token] | None = None

    async def get(self, refused: Token | None = None) -> Token:
        """A token that is valid now and not the one that a source has `refused` with a 401.

        Raises `TransientFailure` with a cause such as `token request of OAuth client x failed: HTTP 503`.
        """
        token = self._token
        if token is not None and token is not refused and self._clock() < token.expires_at:
            return token
        if self._request is None:
            self._request = asyncio.create_task(self._renew())
            self._request.add_done_callback(self._done)
        try:
            # The request belongs to all who wait: the end of one of them must not end it.
            return await asyncio.shield(self._request)
        except TransientFailure as failure:
            # An exception of one's own: the same object raised in many tasks would collect all their tracebacks.
            raise TransientFailure(
                failure.cause, retry_after=failure.retry_after, unreachable=True, away=True
            ) from None

    async def close(self) -> None:
        """Ends a request that is under way."""
        if self._request is not None:
            self._request.cancel()
            await asyncio.wait((self._request,))

    def _done(self, request: "asyncio.Task[Token]") -> None:
        self._request = None
        if not request.cancelled():
            request.exception()  # looked at, should nobody wait any more

    async def _renew(self) -> Token:
        started = self._clock()
        try:
            async with asyncio.timeout(self._http.total_timeout) as clock:
                status, content, wait = await self._ask()
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and clock.expired():
                raise self._failed(f"it took longer than {seconds(self._http.total_timeout)}") from error
            raise self._failure_of(error) from error
        if status != 200:
            self._refuse(status, content, wait)
        try:
            self._token = _token_of(content, started)
        except ValueError as error:
            raise self._failed(str(error)) from None
        return self._token

    async def _ask(self) -> tuple[int, bytes, float | None]:
        options = self._options
        form = {"grant_type": "client_credentials", **({"scope": options.scope} if options.scope else {})}
        headers = {
            "Authorization": basic_credentials(options.client_id, options.client_secret),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        request = self._session.post(self._url, data=urlencode(form).encode(), headers=headers, allow_redirects=False)
        async with request as response:
            content = await response.content.read(LARGEST_ANSWER)
            while len(content) < LARGEST_ANSWER and (more := await response.content.readany()):
                content += more
            wait = retry_after(response.headers.get("Retry-After"))
            return response.status, unpacked(content, content_encoding(response)), wait

    def _failure_of(self, error: Exception) -> TransientFailure:
        if is_bad_answer(error):
            return self._failed(fault_of(error))
        failure = failure_of(error, self._http, answered=False)
        return self._failed(failure.message if isinstance(failure, PermanentFailure) else failure.cause)

    def _refuse(self, status: int, content: bytes, wait: float | None) -> None:
        if status >= 500 or status in (408, 425, 429):
            raise self._failed(f"HTTP {status}", wait)
        error = _parsed(content).get("error")
        code = f" {error}" if isinstance(error, str) and error in KNOWN_ERRORS else ""
        raise self._failed(f"HTTP {status}{code}", wait, "refused")

    def _failed(self, cause: str, wait: float | None = None, how: str = "failed") -> TransientFailure:
        whose = f"token request of OAuth client {self._options.id}"
        return TransientFailure(f"{whose} {how}: {cause}", retry_after=wait, unreachable=True, away=True)


def basic_credentials(client_id: str, client_secret: str) -> str:
    """`client_secret_basic` of RFC 6749, section 2.3.1: both form-urlencoded before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def unpacked(content: bytes, encoding: str) -> bytes:
    """The answer without gzip or deflate, at most `LARGEST_ANSWER` bytes of it; empty where it cannot be had.

    It was not asked to be packed, but some proxies do it anyway; so what was cut off or is corrupt is no token.
    """
    if not encoding or not content:
        return content
    if encoding not in PACKED:
        return b""
    parts, size = [], 0
    try:
        for piece in Inflater(encoding, content).feed(content):
            parts.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                break
    except zlib.error:
        return b""
    return b"".join(parts)[:LARGEST_ANSWER]


def _token_of(content: bytes, started: float) -> Token:
    """Raises ValueError with what is wrong."""
    answer = _parsed(content)
    value, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise ValueError("the answer has no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ValueError("the token is not a bearer token")
    lifetime = _lifetime(answer.get("expires_in"))
    return Token(value, started + lifetime - min(EARLIEST_RENEWAL, lifetime / 10))


def _lifetime(expires_in: object) -> float:
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit() and len(expires_in) < 10:
        expires_in = int(expires_in)
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool):
        return float(min(max(expires_in, 0), LONGEST_LIFETIME))
    return ASSUMED_LIFETIME


def _parsed(content: bytes) -> dict[str, object]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
