"""One attempt to fetch a record from its source: admitted by the pacer; headers and body become a `Document`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import aiohttp
from yarl import URL

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.artifacts import Document
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.domain.jobs import Reference
from app.sources.body import announced_length, read_body, too_large, unpacks_to_nothing
from app.sources.headers import describe
from app.sources.memory import ByteBudget, HeldDocument, Lease
from app.sources.oauth import OAuthClientOptions, TokenCache
from app.sources.outages import Outages
from app.sources.pacing import Attempt, SourcePacers
from app.sources.patience import Absence, way_of
from app.sources.statuses import Unauthorized, check_status
from app.sources.token_answers import Token
from app.sources.transport import HttpOptions, failure_of, http_session, seconds, source_url
from app.telemetry import metrics


async def _nothing() -> None: ...


class SourceClient:
    """Fetches documents. `pacers` tells the scheduler how many requests each source can take."""

    def __init__(
        self,
        options: HttpOptions,
        session: aiohttp.ClientSession,
        tokens: Mapping[str, TokenCache],
        pacers: SourcePacers,
        budget: ByteBudget,
    ) -> None:
        self.pacers = pacers
        self.outages = Outages()
        self._options = options
        self._session = session
        self._tokens = tokens
        self._budget = budget

    def fetching(
        self,
        configuration: ArchiveTypeConfiguration,
        reference: Reference,
        traceparent: str,
        confirm: Callable[[], Awaitable[None]] = _nothing,
    ) -> HeldDocument:
        """One attempt, made when the context is entered; the document counts as memory in flight until the block ends.

        `confirm` is called when the request goes out, after all waits; an exception that it raises ends the attempt and
        is passed on.

        Raises `SourceBusy` (put the task back, no attempt used), `TransientFailure`, `PermanentFailure` with the whole
        message of the task, or `NoArchiveData`. Waiting for the pacer and for memory counts towards no timeout.
        """
        return HeldDocument(partial(self.fetch, configuration, reference, traceparent, confirm))

    async def fetch(
        self,
        configuration: ArchiveTypeConfiguration,
        reference: Reference,
        traceparent: str,
        confirm: Callable[[], Awaitable[None]],
    ) -> tuple[Document, Lease]:
        """As `fetching`; the caller releases the lease."""
        if configuration.uri is None:
            raise ValueError(f"{configuration.message_type} has no uri")
        source, client = way_of(configuration)
        async with self.pacers.of(source).attempt(client) as attempt:
            lease = await self._budget.lease()
            try:
                url = source_url(configuration.uri, reference)
                with self.outages.noting(configuration):
                    headers = {"traceparent": traceparent}
                    document = await self._fetch(configuration, url, headers, lease, attempt, confirm)
            except BaseException:
                lease.release()
                raise
        return document, lease

    def absence(self, configuration: ArchiveTypeConfiguration) -> Absence | None:
        """How long the source of this configuration could not be reached; None when it was reached at the last
        attempt."""
        return self.outages.absence(way_of(configuration))

    async def _fetch(
        self,
        configuration: ArchiveTypeConfiguration,
        url: URL,
        headers: dict[str, str],
        lease: Lease,
        attempt: Attempt,
        confirm: Callable[[], Awaitable[None]],
    ) -> Document:
        if configuration.oauth_client_id is None:
            await confirm()
            return await self._ask(url, headers, lease, attempt)
        tokens = self._tokens[configuration.oauth_client_id]
        token = await tokens.get()
        await confirm()
        try:
            return await self._ask(url, _with(headers, token), lease, attempt)
        except Unauthorized:
            token = await tokens.get(refused=token)
        try:
            return await self._ask(url, _with(headers, token), lease, attempt)
        except Unauthorized as refused:
            client = configuration.oauth_client_id
            raise PermanentFailure(f"{refused.message}, the token of OAuth client {client} was refused") from None

    async def _ask(self, url: URL, headers: dict[str, str], lease: Lease, attempt: Attempt) -> Document:
        answered = False
        attempt.asked()
        clock = asyncio.timeout(self._options.total_timeout)
        try:
            async with clock:
                response = await self._session.get(url, headers=headers, allow_redirects=False)
                try:
                    answered = True
                    attempt.answered()
                    return await self._read(response, lease, clock)
                finally:
                    response.release()  # closes the connection where the answer was not read to its end
        except TimeoutError as error:
            if clock.expired():
                cause = f"fetch took longer than {seconds(self._options.total_timeout)}"
                raise TransientFailure(cause, unreachable=True) from error
            raise failure_of(error, self._options, answered=answered) from error
        except (aiohttp.ClientError, OSError) as error:
            raise failure_of(error, self._options, answered=answered) from error

    async def _read(self, response: aiohttp.ClientResponse, lease: Lease, clock: asyncio.Timeout) -> Document:
        check_status(response)
        length, limit = announced_length(response), self._options.max_response_size
        if length is not None and length > limit:
            raise too_large(limit)
        first = b"" if length else await response.content.readany()
        if response.status == 200 and not length and not first:
            raise NoArchiveData
        try:
            described = describe(response.raw_headers)
        except PermanentFailure:
            if response.status == 200 and await unpacks_to_nothing(response, first):
                raise NoArchiveData from None
            raise

        async def reserve(size: int) -> None:
            if lease.resize_now(size):
                return
            deadline, loop = clock.when(), asyncio.get_running_loop()
            clock.reschedule(None)
            since = loop.time()
            await lease.resize(size)
            if deadline is not None:
                clock.reschedule(deadline + loop.time() - since)

        content = await read_body(response, limit, first, reserve)
        if response.status == 200 and not content:
            raise NoArchiveData
        return Document(
            content,
            described.content_type,
            described.schema,
            described.metadata,
            described.bucket,
            described.prefix,
        )


@asynccontextmanager
async def open_sources(
    options: HttpOptions,
    oauth_clients: Iterable[OAuthClientOptions],
    *,
    slots: int,
    budget: ByteBudget,
) -> AsyncIterator[SourceClient]:
    """The client with its connections, tokens and pacers.

    `slots` are the tasks that run at once in this process, `budget` is what documents may take of its memory.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(http_session(options))
        # Tokens are rare and posted: never on a connection that the server may just be closing.
        token_session = await stack.enter_async_context(
            http_session(options, keep_alive=False, component="token endpoint")
        )
        tokens = {client.id: TokenCache(client, options, token_session) for client in oauth_clients}
        for cache in tokens.values():
            stack.push_async_callback(cache.close)
        metrics.BYTES_IN_FLIGHT.set_function(lambda: budget.used)
        yield SourceClient(options, session, tokens, SourcePacers(slots), budget)


def _with(headers: dict[str, str], token: Token) -> dict[str, str]:
    return {**headers, "Authorization": f"Bearer {token.value}"}
