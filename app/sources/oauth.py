"""Access tokens for sources: client credentials, one token for many tasks, one request for all who wait for it."""

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import aiohttp
from yarl import URL

from app.domain.errors import PermanentFailure, TransientFailure
from app.outgoing.bad_answers import fault_of, is_bad_answer
from app.sources.body import content_encoding
from app.sources.headers import retry_after
from app.sources.token_answers import LARGEST_ANSWER, Token, parsed, token_of, unpacked
from app.sources.transport import HttpOptions, failure_of, seconds

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
    """The properties `jeap.security.oauth2.client.<id>`."""

    id: str
    token_uri: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


class TokenCache:
    """The token of one OAuth client.

    Every failure of the token endpoint is transient and counts as a source that cannot be reached, also a refusal such
    as `invalid_client`: the records are not the cause. So the source is asked one request at a time with pauses, and a
    wrong secret fails no tasks while the patience with the source lasts.
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
        """A token that is valid now and differs from the one that a source has `refused` with a 401.

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
                failure.cause, retry_after=failure.retry_after, unreachable=True, no_connection=True
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
        clock = asyncio.timeout(self._http.total_timeout)
        try:
            async with clock:
                status, content, wait = await self._ask()
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and clock.expired():
                raise self._failed(f"it took longer than {seconds(self._http.total_timeout)}") from error
            raise self._failure_of(error) from error
        if status != 200:
            self._refuse(status, content, wait)
        try:
            self._token = token_of(content, started)
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
        error = parsed(content).get("error")
        code = f" {error}" if isinstance(error, str) and error in KNOWN_ERRORS else ""
        raise self._failed(f"HTTP {status}{code}", wait, "refused")

    def _failed(self, cause: str, wait: float | None = None, how: str = "failed") -> TransientFailure:
        whose = f"token request of OAuth client {self._options.id}"
        return TransientFailure(f"{whose} {how}: {cause}", retry_after=wait, unreachable=True, no_connection=True)


def basic_credentials(client_id: str, client_secret: str) -> str:
    """`client_secret_basic` of RFC 6749, section 2.3.1: both form-urlencoded before they are joined."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
