"""Sends requests: aiohttp sessions that change nothing, exact URLs, and the meaning of broken connections.

aiohttp itself, without the httpx API on top: that costs twice the CPU of a fetch, and its transport hands URLs to yarl,
which rewrites escapes (`%27` → `'`, `%2E` → `.`), and calls a dropped connection a connect timeout.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from app.domain.errors import STEP_READ, PermanentFailure, TransientFailure, task_message
from app.domain.identity import expand_uri
from app.domain.jobs import Reference
from app.outgoing.bad_answers import fault_of, is_bad_answer
from app.outgoing.connections import AnsweredUnasked, GuardedConnector
from app.outgoing.trust import trusted
from app.outgoing.unasked import Unasked

KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: less than the 5 s after which common servers close theirs, so that a request
hardly ever meets a connection that is just being closed."""

REST = 1.0
"""Seconds of silence after an answer before its connection is asked again: a second answer of a source that gives two
comes in that time (seen: 50 ms later), on a connection on which nothing is asked (docs/decisions/0011)."""

URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """Seconds for connect and each wait for data, seconds for a whole fetch or token request, bytes of one document."""

    timeout: float = 5.0
    total_timeout: float = 30.0
    max_response_size: int = 32 * 1024 * 1024


@asynccontextmanager
async def http_session(
    options: HttpOptions, *, keep_alive: bool = True, component: str = "source"
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session without cookies, proxies or .netrc of the environment, decompression and repeated requests.

    Its connections are guarded (`app/outgoing/guard.py`); without `keep_alive` each request has its own connection.
    `component` is the name in log and metrics when a server sends data that no request asked for.
    """
    connector = GuardedConnector(
        Unasked(component),
        tls=trusted(),
        limit=0,  # the pacers bound the requests; waiting for a connection here would look like a slow source
        keep_alive=KEEP_ALIVE if keep_alive else None,
        rest=REST,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        timeout=aiohttp.ClientTimeout(sock_connect=options.timeout, sock_read=options.timeout),
        headers={"Accept-Encoding": "identity", "User-Agent": "process-archive-service"},
        middlewares=(ask_once,),
    ) as session:
        yield session


async def ask_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from asking again by itself when a connection drops: each attempt is one request at the source."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionDropped from error


class ConnectionDropped(aiohttp.ClientConnectionError):
    """The connection ended before the answer came."""


def source_url(template: str, reference: Reference) -> URL:
    """The URL of a reference exactly as `expand_uri` writes it; nothing is normalized or quoted again."""
    return URL(expand_uri(_prepared(template), reference), encoded=True)


@lru_cache(maxsize=1024)
def _prepared(template: str) -> str:
    """The template without fragment, what no URL may contain percent-encoded, the host as the DNS knows it."""
    template = quote(template.partition("#")[0], safe=URL_CHARACTERS)
    authority = urlsplit(template).netloc
    if "{" in authority or "%" in authority:
        # A reference must never choose the host. Other scripts in host names: write them as xn--.
        raise PermanentFailure(task_message(STEP_READ, "the host of the uri is not a plain host name"))
    return template


def failure_of(error: Exception, options: HttpOptions, *, answered: bool) -> TransientFailure | PermanentFailure:
    """The failure that an exception of the HTTP client means.

    `answered`: the status line had arrived. The text never names host or port.
    """
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return TransientFailure(
            f"connect timed out after {seconds(options.timeout)}", unreachable=True, no_connection=True
        )
    if isinstance(error, TimeoutError):
        return TransientFailure(f"read timed out after {seconds(options.timeout)}", unreachable=True)
    if is_bad_answer(error):
        return PermanentFailure(task_message(STEP_READ, fault_of(error)))
    if isinstance(error, AnsweredUnasked):
        return TransientFailure("the source sent something before it was asked", unreachable=True)
    no_connection = isinstance(error, aiohttp.ClientConnectorError) and not answered
    return TransientFailure(_cause(error, answered), unreachable=True, no_connection=no_connection)


def _cause(error: Exception, answered: bool) -> str:
    if answered:
        return "the response body broke off"
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "the TLS certificate is not trusted"
        case aiohttp.ClientConnectorSSLError():
            return "the TLS handshake failed"
        case aiohttp.ClientConnectorDNSError():
            return "the host name cannot be resolved"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "connection refused"
        case aiohttp.ClientConnectorError():
            return "connection failed"
        case _:
            return "connection closed without an answer"


def seconds(duration: float) -> str:
    """A number of seconds as text: `5s`, `1.5s`, `200ms`."""
    return f"{duration:g}s" if duration >= 1 else f"{duration * 1000:g}ms"
